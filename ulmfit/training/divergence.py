"""When a training has gone wrong: a loss that is no number or explodes, weights that are none."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from ulmfit.base.errors import UserError

_SMOOTHING = 0.9  # of the running mean of the loss; one odd batch is no explosion
# Times the loss of the first batch, at least times `_FLOOR` nats. A language model begins at 12 or
# less, and its loss is counted up to 87 (see `lm_loss`).
_EXPLODED = 5.0
_FLOOR = 2.0


class Diverged(UserError):
    """The training cannot go on: loss or weights are no finite numbers, or the loss exploded."""


@dataclass
class LossWatch:
    """The loss of a run, batch by batch; plain numbers, kept in its checkpoint."""

    first: float = 0.0
    mean: float = 0.0  # running mean, biased towards 0
    batches: int = 0

    def problem(self, loss: float) -> str:
        """What has gone wrong with the next batch's `loss`, "" for nothing."""
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
    # One pass and no copy: a sum with a NaN or an infinity in it is none or infinite.
    return all(
        bool(tensor.detach().sum().isfinite())
        for tensor in tensors.values()
        if tensor.is_floating_point()
    )
