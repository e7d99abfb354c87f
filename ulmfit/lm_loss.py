"""Softmax and cross-entropy over a large vocabulary without holding all logits.

For 64 x 72 tokens and 20,000 words the logits alone are 370 MB in float32, and autograd keeps
more than one copy. Here loss and gradients are computed over some hundred tokens at a time, in
one pass; only gradients of the size of the inputs are kept.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

# Tokens at a time: their logits stay in the last-level cache, the products are still large.
_CHUNK = 576


@dataclass(frozen=True)
class Projection:
    """Logits that are still to be computed: ``hidden @ weight.T + bias``.

    hidden: (batch, time, features); weight: (vocabulary, features); bias: (vocabulary,).
    """

    hidden: Tensor
    weight: Tensor
    bias: Tensor

    def logits(self) -> Tensor:
        """(batch, time, vocabulary), float32."""
        return nn.functional.linear(self.hidden, self.weight, self.bias).float()


class LMLoss:
    """Mean cross-entropy in nats of a `Projection` against targets (batch, time), int64.

    Without gradients (validation) the number of tokens guessed right is left in `correct`,
    so that accuracy costs no second pass.
    """

    def __init__(self) -> None:
        self.correct = 0

    def __call__(self, prediction: Projection, targets: Tensor) -> Tensor:
        features = prediction.hidden.shape[-1]
        hidden = prediction.hidden.reshape(-1, features)
        flat = torch.as_tensor(targets).reshape(-1)
        if torch.is_grad_enabled():
            return _ChunkedLoss.apply(hidden, prediction.weight, prediction.bias, flat)
        loss, self.correct = _loss_and_correct(hidden, prediction.weight, prediction.bias, flat)
        return loss


def _loss_and_correct(
    hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor
) -> tuple[Tensor, int]:
    weight, bias = weight.to(hidden.dtype), bias.to(hidden.dtype)
    total = hidden.new_zeros((), dtype=torch.float32)
    correct = 0
    for i in range(0, len(targets), _CHUNK):
        logits = torch.addmm(bias, hidden[i : i + _CHUNK], weight.t()).float()
        part = targets[i : i + _CHUNK]
        total += nn.functional.cross_entropy(logits, part, reduction="sum")
        correct += int((logits.argmax(1) == part).sum())
    return total / len(targets), correct


class _Workspace:
    """Room for the logits of a chunk, kept from step to step.

    Blocks of this size, taken and returned at every step, either fault in page by page each time
    or leave holes in the heap, which then grows.
    """

    def __init__(self) -> None:
        self._key: tuple[Any, ...] = ()
        self._low, self._full = torch.empty(0), torch.empty(0)

    def take(self, rows: int, hidden: Tensor, vocabulary: int) -> tuple[Tensor, Tensor]:
        """Two (rows, vocabulary) tensors: in the precision of `hidden`, and in float32."""
        key = (_CHUNK, vocabulary, hidden.dtype, hidden.device)
        if key != self._key:
            shape, device = (_CHUNK, vocabulary), hidden.device
            self._low = torch.empty(shape, dtype=hidden.dtype, device=device)
            self._full = torch.empty(shape, dtype=torch.float32, device=device)
            self._key = key
        return self._low[:rows], self._full[:rows]


_workspace = _Workspace()


class _ChunkedLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
        # The products run in the precision of `hidden` (autocast's), sums in float32.
        low_weight, low_bias = weight.to(hidden.dtype), bias.to(hidden.dtype)
        total = hidden.new_zeros((), dtype=torch.float32)
        grad_hidden = torch.empty_like(hidden)
        grad_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        grad_bias = torch.zeros_like(bias)
        for i in range(0, len(targets), _CHUNK):
            part, rows = targets[i : i + _CHUNK, None], hidden[i : i + _CHUNK]
            logits, gradient = _workspace.take(len(rows), hidden, len(weight))
            torch.addmm(low_bias, rows, low_weight.t(), out=logits)
            torch.softmax(logits, 1, dtype=torch.float32, out=gradient)
            # The largest probability never underflows, as that of a target may: log of the sum
            # of exponentials = largest logit - log of the largest probability.
            largest, at = logits.max(1, keepdim=True)
            total += (largest.float() - logits.gather(1, part).float()).sum()
            total -= gradient.gather(1, at).log_().sum()
            # d loss / d logits = softmax - one-hot
            gradient.scatter_add_(1, part, torch.full_like(part, -1, dtype=gradient.dtype))
            grad_bias += gradient.sum(0)
            low_gradient = logits.copy_(gradient)
            torch.mm(low_gradient, low_weight, out=grad_hidden[i : i + _CHUNK])
            if grad_weight is not None:
                grad_weight += low_gradient.t() @ rows
        ctx.save_for_backward(grad_hidden, grad_weight, grad_bias)
        ctx.targets = len(targets)
        return total / len(targets)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_loss: Tensor) -> tuple[Tensor | None, ...]:
        grad_hidden, grad_weight, grad_bias = ctx.saved_tensors
        scale = grad_loss / ctx.targets
        if grad_weight is not None:
            grad_weight = grad_weight * scale
        return grad_hidden * scale.to(grad_hidden.dtype), grad_weight, grad_bias * scale, None
