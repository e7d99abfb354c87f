"""`--log`: a run's figures in TensorBoard or MLflow while it trains.

fastai's `TensorBoardCallback` is not used. It cannot be imported without torchvision; it opens a
writer and counts batches from 0 at every `fit`, so that the steps of a recipe, and a run that goes
on after an interruption, would be drawn on top of one another; it logs batches of the validation as
if they were of the training; and it knows the `Recorder`'s figures, not those of `History`. For
MLflow fastai has no callback. What follows is one in fastai's form, for both.
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
from ulmfit.training.log_sinks import (
    SINKS,
    Logged,
    Setting,
    Sink,
    Status,
    first_line,
    missing_packages,
)
from ulmfit.training.settings import Settings, Step


def run_log(
    kind: str,
    out: Path,
    settings: Settings,
    **more: Setting,
) -> "RunLog | None":
    """The log that ``--log kind`` asks for, not open yet; None for none ('').

    Args:
        out: the model directory that is to come.
        more: what the log is to show beside the settings.

    Raises:
        UserError: there is no such log, or its packages are missing.
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
    """A log, open `during` a training; `finals` adds what was measured afterwards.

    A log that fails while the model trains is given up with a warning: hours of training are
    worth more than their curve.
    """

    kind: str
    out: Path
    settings: Mapping[str, Any]
    _sink: Sink | None = field(default=None, init=False)
    _step: int = field(default=0, init=False)  # batches of the last figures

    @contextmanager
    def during(self, name: str, steps: Sequence[Step], done: int) -> Iterator[None]:
        """Open for the block, which trains `steps`, `done` batches of which are done already.

        Args:
            name: of the run, the same after an interruption.

        Raises:
            UserError: the log cannot be written.
        """
        settings = {**self.settings, "steps": json.dumps([asdict(step) for step in steps])}
        self._step = done
        self._sink = SINKS[self.kind](Logged(name, self.out, settings, done))
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
        """The numbers among `metrics`, which may be nested, as ``final/...``."""
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
    """Hands a `RunLog` what `History` counts: after each batch, and after each epoch its row.

    ``train/loss`` is the epoch's mean so far, as it is shown to whoever waits. A layer group has
    a ``lr/group_<n>``, 1 the lowest, as long as it is trained.
    """

    order = 57  # after the history has counted, before a checkpoint ends the run

    def __init__(self, run_log: RunLog, figures: History, before: int) -> None:
        """`before`: batches of the recipe's earlier steps."""
        self.run_log, self.figures, self.before = run_log, figures, before

    def before_fit(self) -> None:
        self.in_epoch = len(self.dls.train)

    def after_batch(self) -> None:
        if self.training:
            loss, speed = self.figures.now()
            figures = {"train/loss": loss, "train/tokens_per_second": speed}
            self.run_log.scalars(figures | self._rates(), self._done())

    def after_validate(self) -> None:
        row = self.figures.rows[-1].items()
        values = {f"epoch/{name}": value for name, value in row if name not in ("step", "epoch")}
        self.run_log.scalars(values, self._done())

    def _done(self) -> int:
        return self.before + self.epoch * self.in_epoch + self.figures.batches

    def _rates(self) -> dict[str, float]:
        groups = list(enumerate(self.opt.hypers, 1))[self.opt.frozen_idx :]
        return {f"lr/group_{number}": float(hyper["lr"]) for number, hyper in groups}


def batches_before(train: Any, steps: Sequence[Step], step: int, epoch: int = 0) -> int:
    """Batches of the whole training that come before `epoch` of `step`, both counted from 0.

    `train` is the loader of the training; its `share` is as it was afterwards.
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
