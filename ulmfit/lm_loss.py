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
_CHUNK = 1152


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
            logits = torch.addmm(low_bias, rows, low_weight.t()).float()
            log_total = logits.logsumexp(1, keepdim=True)
            total += (log_total - logits.gather(1, part)).sum()
            # d loss / d logits = softmax - one-hot, in place of the logits
            gradient = logits.sub_(log_total).exp_()
            gradient.scatter_add_(1, part, torch.full_like(part, -1, dtype=gradient.dtype))
            gradient.div_(len(targets))
            grad_bias += gradient.sum(0)
            low_gradient = gradient.to(hidden.dtype)
            grad_hidden[i : i + _CHUNK] = low_gradient @ low_weight
            if grad_weight is not None:
                grad_weight += low_gradient.t() @ rows
        ctx.save_for_backward(grad_hidden, grad_weight, grad_bias)
        return total / len(targets)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_loss: Tensor) -> tuple[Tensor | None, ...]:
        grad_hidden, grad_weight, grad_bias = ctx.saved_tensors
        if grad_weight is not None:
            grad_weight = grad_weight * grad_loss
        return grad_hidden * grad_loss, grad_weight, grad_bias * grad_loss, None
