"""The steps of a recipe with their variants, and the schedules of the learning rate.

The variants are those of the paper's ablations (ULMFiT section 5).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from fastai.callback.schedule import SchedLin, combine_scheds, combined_cos

from ulmfit.training.settings import AUTO, ClassifierSettings, PretrainSettings, Settings, Step

# Of the slanted triangle: the share of the step in which the rate rises, and the highest rate by
# the lowest (ULMFiT section 3.2).
_CUT, _RATIO = 0.1, 32

Course = Callable[[float], Any]  # a hyper-parameter as a function of the finished share of the step


def steps_of(settings: Settings, found: float | None = None) -> list[Step]:
    """The recipe's steps, changed by the settings `epochs`, `lr`, `unfreeze` and `rates`.

    `found`: the learning rate for ``lr = "auto"``.
    """
    steps = list(settings.steps)
    if settings.epochs:
        steps[-1] = replace(steps[-1], epochs=settings.epochs)
    rate = found if settings.lr == AUTO else float(settings.lr or 0)
    if rate:
        factor = rate / _highest(steps[-1].lr)
        steps = [replace(step, lr=_times(step.lr, factor)) for step in steps]
    if isinstance(settings, ClassifierSettings):
        epochs = sum(step.epochs for step in steps)
        if settings.unfreeze == "all":
            steps = [replace(steps[-1], epochs=epochs, groups=0)]
        elif settings.unfreeze == "last":
            steps = [replace(steps[0], epochs=epochs, groups=1)]
    if not isinstance(settings, PretrainSettings) and settings.rates == "equal":
        steps = [replace(step, lr=_highest(step.lr)) for step in steps]
    return steps


def _times(lr: float | list[float], factor: float) -> float | list[float]:
    return [rate * factor for rate in lr] if isinstance(lr, list) else lr * factor


def _highest(lr: float | list[float]) -> float:
    return lr[-1] if isinstance(lr, list) else lr


def courses(
    schedule: str, rates: np.ndarray, step: Step, momentum: tuple[float, float, float]
) -> dict[str, Course]:
    """Learning rate and momentum over a step, for fastai's `ParamScheduler`.

    Args:
        schedule: "one-cycle" (fastai's `fit_one_cycle`); "slanted", slanted triangular (ULMFiT
            section 3.2); or "constant".
        rates: the highest learning rate of each layer group, shape (groups,).
        momentum: at the start, at the highest rate and at the end of one cycle; the other
            schedules keep the second.
    """
    if schedule == "one-cycle":
        return {
            "lr": combined_cos(step.pct_start, rates / step.div, rates, rates / 1e5),
            "mom": combined_cos(step.pct_start, *momentum),
        }
    steady: dict[str, Course] = {"mom": lambda done: momentum[1]}
    if schedule == "constant":
        return {"lr": lambda done: rates, **steady}
    rising, falling = SchedLin(rates / _RATIO, rates), SchedLin(rates, rates / _RATIO)
    return {"lr": combine_scheds([_CUT, 1 - _CUT], [rising, falling]), **steady}
