"""Adam with decoupled weight decay, in one pass over the weights.

fastai's `Adam` makes about ten passes over weights, gradients and averages. On a CPU, that is a
large part of a step with a small batch (`python -m benchmarks.optimiser`). The arithmetic here is
the same, by torch's fused kernel, and so are the names of the state: a checkpoint of one continues
with the other.
"""

from collections.abc import Iterable
from typing import Any

import torch
from fastai.optimizer import Adam, Optimizer
from torch import Tensor
from torch.optim.adamw import adamw


def adam_for(device: torch.device) -> Any:
    """The optimiser, as a fastai `opt_func`. On a GPU it is fastai's: 3 % of a step there."""
    return Adam if device.type == "cuda" else OnePassAdam


class OnePassAdam(Optimizer):
    """fastai's `Adam` for weights on a CPU."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        mom: float = 0.9,
        sqr_mom: float = 0.99,
        eps: float = 1e-5,
        wd: float = 0.01,
    ) -> None:
        super().__init__(params, [_update], lr=lr, mom=mom, sqr_mom=sqr_mom, eps=eps, wd=wd)

    def zero_grad(self) -> None:
        """Drop the gradients; the next ones need not be added to zeros."""
        for weight, *_ in self.all_params(with_grad=True):
            weight.grad = None


def _update(
    p: Tensor,
    *,
    lr: float,
    mom: float,
    sqr_mom: float,
    eps: float,
    wd: float,
    do_wd: bool = True,
    grad_avg: Tensor | None = None,
    sqr_avg: Tensor | None = None,
    step: int = 0,
    **others: Any,
) -> dict[str, Any]:
    """A step of one weight; the arguments are fastai's, by name. Returns the new state."""
    assert p.grad is not None
    # The kernel reads memory in order, whatever the strides. fastai's averages have those of the
    # gradient.
    weight, gradient = p.detach(), p.grad.detach().contiguous()
    assert weight.is_contiguous()
    grad_avg = torch.zeros_like(weight) if grad_avg is None else grad_avg.contiguous()
    sqr_avg = torch.zeros_like(weight) if sqr_avg is None else sqr_avg.contiguous()
    adamw(
        [weight], [gradient], [grad_avg], [sqr_avg], [], [torch.tensor(float(step))],
        fused=True, amsgrad=False, maximize=False, lr=float(lr), beta1=float(mom),
        beta2=float(sqr_mom), eps=eps, weight_decay=float(wd) if do_wd else 0.0,
    )  # fmt: skip
    return {"grad_avg": grad_avg, "sqr_avg": sqr_avg, "step": step + 1}
