"""The training of a fastai `Learner` through the steps of a recipe, with checkpoints."""

import contextlib
import math
import secrets
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fastai.callback.core import Callback, CancelFitException
from fastai.callback.schedule import ParamScheduler
from fastai.learner import Learner
from torch import Tensor

from ulmfit.base.errors import UserError
from ulmfit.base.log import logger
from ulmfit.training.checkpoint import (
    Checkpoint,
    CheckpointKeeper,
    discard_checkpoint,
    read_checkpoint,
    restore_optimizer,
)
from ulmfit.training.divergence import Diverged, LossWatch
from ulmfit.training.forecast import Forecast
from ulmfit.training.history import History
from ulmfit.training.learner import number_format
from ulmfit.training.options import CHECKPOINT_MINUTES
from ulmfit.training.run_log import FigureLogger, RunLog, batches_before
from ulmfit.training.schedules import courses
from ulmfit.training.settings import Step
from ulmfit.training.together import start_equally


@dataclass
class Run:
    """A training: the learner, the steps, the checkpoint, and the identity.

    identity: settings, data and parent; `fit` refuses a checkpoint of another identity.
    minutes: between two checkpoints, 0 for one after every batch; each epoch ends with one.
    afresh: ignore a checkpoint that is damaged or of another run.
    patience: the last step ends after so many epochs without a smaller validation loss, with the
        weights of its best epoch; 0 for no early end.
    schedule: of the learning rate in each step (see `courses`).
    spent_before: seconds of training before an interruption; `fit` reads them from the checkpoint.
    log: a log of the figures during the training, not part of the identity.
    name: of the run in its log; the checkpoint has it, too.
    deadline: the time to write a checkpoint and end (see `deadline_after`), at most a batch late.
    """

    learn: Learner
    steps: Sequence[Step]
    checkpoint: Path
    identity: Mapping[str, Any]
    history: History
    minutes: float = CHECKPOINT_MINUTES
    afresh: bool = False
    patience: int = 0
    schedule: str = "one-cycle"
    spent_before: float = 0.0
    best: dict[str, Tensor] = field(default_factory=dict)  # weights of the best epoch, for patience
    log: RunLog | None = None
    name: str = field(
        default_factory=lambda: f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    )
    deadline: float = math.inf

    def fit(self) -> list[dict[str, Any]]:
        """Train through all steps, from the checkpoint if there is one.

        Returns the history, one row an epoch. The last checkpoint stays until the caller has
        written its results and calls `discard`.

        Raises:
            UserError: the checkpoint is of another run or cannot be written, a step does not fit
                the model, or the loss explodes or is not finite.
            KeyboardInterrupt: after Ctrl-C, when the checkpoint is written.
            Stopped: after the deadline, when the checkpoint is written.
        """
        resumed = read_checkpoint(self.checkpoint, self.identity, self.afresh)
        start_equally(self.learn.model, resumed[1] if resumed else {})
        if self.learn.opt is None:
            self.learn.create_opt()
        self._check_steps()
        self._began = time.monotonic()
        first = self._take_up(*resumed) if resumed else 0
        try:
            with self._logged(resumed), _interrupts_noted() as interrupted:
                for number in range(first, len(self.steps)):
                    self._fit_step(number, resumed if number == first else None, interrupted)
        except Diverged as error:
            advice = "give a lower --lr"
            if self.checkpoint.exists():
                advice += f", and --overwrite to ignore the earlier checkpoint {self.checkpoint}"
            raise UserError(f"{error}: {advice}") from None
        finally:
            self.history.close()
        if self.best:
            self.learn.model.load_state_dict(self.best)
        return self.history.rows

    def final_row(self) -> dict[str, Any]:
        """The row of the history for the final weights."""
        rows = self.history.rows
        if not self.best:
            return rows[-1]
        of_step = [row for row in rows if row["step"] == rows[-1]["step"]]
        return min(of_step, key=lambda row: row["valid_loss"])  # the first one, as `_EarlyStopper`

    def log_finals(self, metrics: Mapping[str, Any]) -> None:
        """Log the metrics after the training."""
        if self.log:
            self.log.finals(metrics)

    def discard(self) -> None:
        """Remove the checkpoint; call this when the results are written."""
        discard_checkpoint(self.checkpoint)

    def spent(self) -> float:
        """Seconds of training so far, including those before an interruption."""
        return self.spent_before + time.monotonic() - self._began

    def _logged(self, resumed: Checkpoint | None) -> contextlib.AbstractContextManager[None]:
        if self.log is None:
            return contextlib.nullcontext()
        at = resumed[1] if resumed else {"step": 0, "epoch": 0, "batch": 0}
        before = batches_before(self.learn.dls.train, self.steps, at["step"], at["epoch"])
        return self.log.during(self.name, self.steps, before + at["batch"])

    def _check_steps(self) -> None:
        groups = len(self.learn.opt.param_lists)
        for i, step in enumerate(self.steps, 1):
            if step.groups > groups:
                raise UserError(
                    f"step {i} of the recipe trains {step.groups} layer groups, the model has "
                    f"{groups}; 0 stands for all of them"
                )

    def _take_up(self, tensors: Mapping[str, Tensor], facts: Any) -> int:
        """Restore weights and history from a checkpoint; returns the step to go on with."""
        self.learn.model.load_state_dict(_under("model.", tensors))
        self.best = _under("best.", tensors)
        self.learn.model.reset()
        self.history.rows = facts["history"]
        self.spent_before = facts.get("spent", 0.0)
        self.name = facts.get("name", self.name)
        self.history.watch = LossWatch(**facts.get("watch", {}))
        where = f"step {facts['step'] + 1}, epoch {facts['epoch'] + 1}"
        if facts["step"] == len(self.steps):
            where = "the end of the training"
        logger.info(f"going on at {where}: found {self.checkpoint}; delete it to start afresh")
        now = number_format(self.learn)
        if (before := facts.get("precision", now)) != now:
            logger.info(
                f"trained in {before} so far, from here on in {now}: the weights will differ from "
                f"those of a single format; --precision {before} keeps the format"
            )
        return facts["step"]

    def _fit_step(
        self, number: int, resumed: Checkpoint | None, interrupted: Callable[[], bool]
    ) -> None:
        step, learn = self.steps[number], self.learn
        learn.dls.train.share = step.share
        groups = len(learn.opt.param_lists)
        learn.freeze_to(groups - (step.groups or groups))
        # With gradients of zero, the optimiser would still decay the frozen weights.
        learn.model.zero_grad(set_to_none=True)
        if resumed and (resumed[1]["epoch"] or resumed[1]["batch"]):  # else the step begins now
            # Done before the schedule is set: rates and weight decay must be those of this step.
            restore_optimizer(learn.opt, resumed[0], resumed[1]["optimizer"])
        self.history.step = number + 1
        keeper = CheckpointKeeper(self, number, resumed, interrupted)
        learn.opt.set_hyper("lr", slice(*step.lr) if isinstance(step.lr, list) else step.lr)
        rates = np.array([hyper["lr"] for hyper in learn.opt.hypers])  # of each layer group
        scheduler = ParamScheduler(courses(self.schedule, rates, step, learn.moms))
        forecast = Forecast(self.steps[number:])
        callbacks = [scheduler, self.history, forecast, keeper]
        if self.log:
            before = batches_before(learn.dls.train, self.steps, number)
            callbacks.append(FigureLogger(self.log, self.history, before))
        if self.patience and number + 1 == len(self.steps):
            callbacks.append(_EarlyStopper(self))
        with learn.no_logging(), learn.no_bar():
            learn.fit(step.epochs, wd=step.weight_decay, cbs=callbacks)


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    found = {name: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    return {name.removeprefix(prefix): tensor for name, tensor in found.items()}


class _EarlyStopper(Callback):
    """Keeps the weights of the epoch with the smallest validation loss, and ends the step."""

    order = 58  # after the history's row, before the checkpoint

    def __init__(self, run: Run) -> None:
        self.run_of = run
        self.measured = False

    def before_epoch(self) -> None:
        self.measured = False

    def after_validate(self) -> None:
        self.measured = True

    def after_epoch(self) -> None:
        if not self.measured:  # the epoch was finished before an interruption
            return
        rows = self.run_of.history.rows
        losses = [row["valid_loss"] for row in rows if row["step"] == rows[-1]["step"]]
        best = losses.index(min(losses))
        if best == self.epoch:
            state = self.learn.model.state_dict()
            self.run_of.best = {name: weight.clone() for name, weight in state.items()}
        elif self.epoch - best >= self.run_of.patience:
            patience = self.run_of.patience
            logger.info(f"  no better epoch than {best + 1} in {patience}: the step ends")
            raise CancelFitException


@contextlib.contextmanager
def _interrupts_noted() -> Iterator[Callable[[], bool]]:
    """Ctrl-C takes effect between two batches; a second one interrupts at once."""
    noted: list[bool] = []

    def note(signum: int, frame: Any) -> None:
        if noted:
            raise KeyboardInterrupt
        noted.append(True)

    try:
        before = signal.signal(signal.SIGINT, note)
    except ValueError:  # other threads get no signals
        yield lambda: False
        return
    try:
        yield lambda: bool(noted)
    finally:
        signal.signal(signal.SIGINT, before)


def parameters_of(model: torch.nn.Module) -> int:
    """The number of parameters; tied weights count once."""
    return sum({id(p): p.numel() for p in model.parameters()}.values())
