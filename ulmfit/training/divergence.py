"""Checks for divergence: a loss that explodes or is not finite, weights that are not finite."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from ulmfit.base.errors import UserError

_SMOOTHING = 0.9  # of the running mean of the loss: one odd batch is no explosion
# A factor on the loss of the first batch, or on `_FLOOR` nats if that is more. A language model
# begins at 12 or less; `lm_loss` limits its loss to 87.
_EXPLODED = 5.0
_FLOOR = 2.0


class Diverged(UserError):
    """The training cannot go on: loss or weights are not finite, or the loss exploded."""


@dataclass
class LossWatch:
    """The loss of a run, batch by batch; plain numbers, stored in the checkpoint."""

    first: float = 0.0
    mean: float = 0.0  # running mean, biased towards 0
    batches: int = 0

    def problem(self, loss: float) -> str:
        """The problem with the next batch's `loss`; "" if there is none."""
        if not math.isfinite(loss):
            return f"the loss became {loss}"
        if self.batches == 0:
            self.first = loss
        self.batches += 1
        self.mean = _SMOOTHING * self.mean + (1 - _SMOOTHING) * loss
        smooth = self.mean / (1 - _SMOOTHING**self.batches)
        if smooth > _EXPLODED * max(self.first, _FLOOR):
            return f"the loss rose from {self.first:.3g} to {smooth:.3g}"
        return ""


def all_finite(tensors: Mapping[str, Tensor]) -> bool:
    """Whether all numbers of `tensors` are finite."""
    # One pass without a copy: a sum with a NaN or an infinity is not finite.
    return all(
        bool(tensor.detach().sum().isfinite())
        for tensor in tensors.values()
        if tensor.is_floating_point()
    )
