"""`--log`: the figures of a run in TensorBoard or MLflow, during the training.

fastai's `TensorBoardCallback` does not fit. It needs torchvision. It opens a new writer and counts
batches from 0 in every `fit`, so the steps of a recipe, and a resumed run, would overlap. It logs
validation batches as training batches, and it has the figures of `Recorder` instead of `History`.
For MLflow, fastai has no callback. `FigureLogger` is a callback in fastai's form for both.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fastai.callback.core import Callback

from ulmfit.base.errors import Stopped, UserError
from ulmfit.base.log import logger
from ulmfit.training.history import History
from ulmfit.training.log_sinks import SINKS, Setting, Sink, Status, first_line, missing_packages
from ulmfit.training.settings import Settings, Step


def run_log(kind: str, out: Path, settings: Settings, **more: Setting) -> "RunLog | None":
    """The log of ``--log kind``, not open yet; None for ''.

    Args:
        out: the future model directory.
        more: facts to show beside the settings.

    Raises:
        UserError: the kind is unknown, or its packages are missing.
    """
    if not kind:
        return None
    if kind not in SINKS:
        raise UserError(f"found --log {kind!r}, expected one of {', '.join(SINKS)}")
    if missing := missing_packages(kind):
        raise UserError(
            f"--log {kind} needs {' and '.join(missing)}, not found here: "
            f"pip install {' '.join(missing)}"
        )
    return RunLog(kind, out, {**more, **asdict(settings)})


@dataclass
class RunLog:
    """A log, open `during` a training; `finals` adds the metrics afterwards.

    If the log fails during the training, a warning is logged, and the training continues.
    """

    kind: str
    out: Path
    settings: Mapping[str, Any]
    _sink: Sink | None = field(default=None, init=False)
    _step: int = field(default=0, init=False)  # batches of the last figures

    @contextmanager
    def during(self, name: str, steps: Sequence[Step], done: int) -> Iterator[None]:
        """Open for the block, which trains `steps`.

        Args:
            name: of the run, the same after an interruption.
            done: batches of the steps that are finished already.

        Raises:
            UserError: the log cannot be written.
        """
        settings = {**self.settings, "steps": [asdict(step) for step in steps]}
        # The logs take no lists.
        settings = {k: json.dumps(v) if isinstance(v, list) else v for k, v in settings.items()}
        self._step = done
        self._sink = SINKS[self.kind](name, self.out, settings, done)
        logger.info(f"logging to {self._sink.where}")
        status: Status = "FAILED"
        try:
            yield
            status = "FINISHED"
        except (KeyboardInterrupt, Stopped):
            status = "KILLED"
            raise
        finally:
            self._try(lambda sink: sink.close(status))

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Figures after `step` batches of the whole training."""
        self._step = step
        self._try(lambda sink: sink.scalars(values, step))

    def finals(self, metrics: Mapping[str, Any]) -> None:
        """Log the numbers of `metrics`, which may be nested, as ``final/...``."""
        self.scalars({f"final/{k}": v for k, v in _numbers(metrics).items()}, self._step)
        self._try(lambda sink: sink.close("FINISHED"))

    def _try(self, action: Callable[[Sink], None]) -> None:
        if self._sink is None:
            return
        try:
            action(self._sink)
        except Exception as error:  # of the network, the disk, a database, or the library
            self._sink = None
            logger.warning(f"warning: nothing is logged from here on: {first_line(error)}")


class FigureLogger(Callback):
    """Passes the figures of `History` to a `RunLog`: after each batch, and a row after each epoch.

    ``train/loss`` is the mean of the epoch so far, as the progress shows it. Each layer group has
    a ``lr/group_<n>`` while it is trained; 1 is the lowest group.
    """

    order = 57  # after the history, before the checkpoint, which may end the run

    def __init__(self, run_log: RunLog, figures: History, before: int) -> None:
        """`before`: batches of the recipe's earlier steps."""
        self.run_log, self.figures, self.before = run_log, figures, before

    def before_fit(self) -> None:
        self.in_epoch = len(self.dls.train)

    def after_batch(self) -> None:
        if self.training:
            loss, speed = self.figures.now()
            groups = list(enumerate(self.opt.hypers, 1))[self.opt.frozen_idx :]
            figures = {"train/loss": loss, "train/tokens_per_second": speed}
            figures |= {f"lr/group_{number}": float(hyper["lr"]) for number, hyper in groups}
            self.run_log.scalars(figures, self._done())

    def after_validate(self) -> None:
        row = self.figures.rows[-1].items()
        values = {f"epoch/{name}": value for name, value in row if name not in ("step", "epoch")}
        self.run_log.scalars(values, self._done())

    def _done(self) -> int:
        return self.before + self.epoch * self.in_epoch + self.figures.batches


def batches_before(train: Any, steps: Sequence[Step], step: int, epoch: int = 0) -> int:
    """Batches of the whole training before `epoch` of `step`; both count from 0.

    `train` is the loader of the training; its `share` is restored.
    """
    share, batches = train.share, 0
    for i, one in enumerate(steps[: step + 1]):
        train.share = one.share
        batches += (one.epochs if i < step else epoch) * len(train)
    train.share = share
    return batches


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            found |= {f"{name}/{inner}": number for inner, number in _numbers(value).items()}
        elif isinstance(value, (int, float)):
            found[name] = value
    return found
