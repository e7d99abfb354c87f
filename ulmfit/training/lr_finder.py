"""The learning-rate finder: a short training with rising rates (Smith 2015, arXiv:1506.01186).

fastai's `lr_find` saves the model as a pickle and prints through IPython, so only its `valley`,
which suggests a rate from the losses, is used here.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fastai.callback.core import CancelFitException, CancelValidException
from fastai.callback.schedule import ParamScheduler, SchedExp, valley
from fastai.learner import Learner

from ulmfit.base.atomic import os_errors_as
from ulmfit.base.errors import UserError
from ulmfit.base.log import logger, show_result
from ulmfit.model.build import encoder_of
from ulmfit.training.checkpoint import random_state, restore_random_state
from ulmfit.training.settings import AUTO, Settings

LOWEST, HIGHEST = 1e-6, 1.0
BATCHES = 100
_SMOOTHING = 0.9  # of the running mean of the loss
_DIVERGED = 4.0  # times the best loss, as in fastai


@dataclass(frozen=True)
class FoundRate:
    """Rising rates of the batches, smoothed losses, and the suggestion of fastai's `valley`."""

    rates: Sequence[float]
    losses: Sequence[float]
    suggestion: float

    def plot(self, path: Path) -> None:
        """Draw loss against rate, with the suggestion, as a PNG."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6, 4), layout="constrained")
        axes = figure.subplots()
        axes.plot(self.rates, self.losses)
        label = f"suggestion: {self.suggestion:.2g}"
        axes.axvline(self.suggestion, color="tab:orange", label=label)
        axes.set(xscale="log", xlabel="learning rate", ylabel="training loss, smoothed")
        axes.grid(alpha=0.3)
        axes.legend()
        figure.savefig(path, dpi=150, metadata={"Software": None})


class _RangeTest(ParamScheduler):
    """Raises the rate after each batch, collects the smoothed losses, and ends the training."""

    def __init__(self, batches: int) -> None:
        super().__init__({"lr": SchedExp(LOWEST, HIGHEST)})
        self.batches = batches
        self.rates: list[float] = []
        self.losses: list[float] = []
        self._mean, self._best = 0.0, math.inf

    def before_batch(self) -> None:
        self._update_val(self.train_iter / self.batches)

    def before_validate(self) -> None:
        raise CancelValidException

    def after_batch(self) -> None:
        loss = self.learn.loss.item()
        self._mean = _SMOOTHING * self._mean + (1 - _SMOOTHING) * loss
        smooth = self._mean / (1 - _SMOOTHING ** (len(self.losses) + 1))
        if not math.isfinite(smooth) or smooth > _DIVERGED * self._best:
            raise CancelFitException
        self.rates.append(self.opt.hypers[-1]["lr"])
        self.losses.append(smooth)
        self._best = min(self._best, smooth)
        if len(self.losses) == self.batches:
            raise CancelFitException


def find_rate(learn: Learner, batches: int = BATCHES) -> FoundRate:
    """Try rates from 1e-6 to 1 on all layers, then restore the model and the random state.

    Raises:
        UserError: there are too few batches, or the loss diverged at once.
    """
    model, test = learn.model, _RangeTest(batches)
    state, random = copy.deepcopy(model.state_dict()), random_state()
    learn.create_opt()
    learn.unfreeze()
    with learn.no_logging(), learn.no_bar():
        learn.fit(math.ceil(batches / max(1, len(learn.dls.train))), cbs=[test])
    model.load_state_dict(state)
    model.zero_grad(set_to_none=True)
    encoder_of(model).reset()
    learn.create_opt()
    restore_random_state(random)
    if len(test.losses) < 10:
        raise UserError(
            f"the learning-rate finder ran only {len(test.losses)} batches; it needs at least 10: "
            "give more texts or a smaller --batch-size, or set --lr yourself"
        )
    suggestion, _ = valley(test.rates, test.losses, len(test.losses))
    return FoundRate(test.rates, test.losses, suggestion)


def rate_found(learn: Learner, settings: Settings, wanted: bool) -> FoundRate | None:
    """The finder's result if it is `wanted` or ``lr`` is "auto", else None."""
    if not wanted and settings.lr != AUTO:
        return None
    logger.info(f"looking for a learning rate over {BATCHES} batches at most")
    found = find_rate(learn)
    show_result(f"learning rate suggested: {found.suggestion:.2g}")
    return found


def show_rate(found: FoundRate, out: Path) -> Path:
    """Draw the result beside the model directory `out`; returns the picture's path."""
    plot = out.with_name(f"{out.name}-lr.png")
    with os_errors_as(f"cannot write {plot}"):
        plot.parent.mkdir(parents=True, exist_ok=True)
        found.plot(plot)
    logger.info(f"wrote {plot}; give --lr {found.suggestion:.2g}, or --lr auto")
    return plot
