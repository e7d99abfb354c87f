"""Softmax and cross-entropy over a large vocabulary without all logits in memory.

For 64 x 72 tokens and 20,000 words, the logits take 370 MB in float32, and autograd keeps more than
one copy. Here one pass computes loss and gradients for some hundred tokens at a time, and only
gradients of the size of the inputs are kept.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ulmfit.base.processes import current

# Tokens at a time: few enough for the cache, and enough for large products.
_CHUNK = 384
# A GPU needs large products: 8,192 tokens and 60,000 words are a gigabyte of bfloat16 logits.
_CHUNK_ON_GPU = 8192
# In training, the loss of a token is at most 87 nats; its gradient is exact. The largest logit of
# each row would avoid this, but finding it costs as much as the softmax.
_LEAST_SHARE = torch.finfo(torch.float32).tiny


def _chunk(device: torch.device) -> int:
    return _CHUNK_ON_GPU if device.type == "cuda" else _CHUNK


@dataclass(frozen=True)
class Projection:
    """Logits before their computation: ``hidden @ weight.T + bias``.

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

    Without gradients (validation), `correct` becomes the number of correctly predicted tokens.

    sampled: approximate number of words in the softmax in training (see `draw_words`); 0 for all.
        Validation is exact.
    """

    def __init__(self, sampled: int = 0) -> None:
        self.sampled = sampled
        self.correct = 0

    def __call__(self, prediction: Projection, targets: Tensor) -> Tensor:
        features = prediction.hidden.shape[-1]
        hidden = prediction.hidden.reshape(-1, features)
        flat = torch.as_tensor(targets).reshape(-1)
        if torch.is_grad_enabled():
            weight, bias = prediction.weight, prediction.bias
            if 0 < self.sampled < len(weight):
                group = current()  # all processes draw the same words, for all of their targets
                drawn = draw_words(group.gathered(flat), len(weight), self.sampled)
                weight, bias = weight[drawn.words], bias[drawn.words] + drawn.shift
                flat = drawn.targets.chunk(group.count)[group.rank]
            return _ChunkedLoss.apply(hidden, weight, bias, flat)
        loss, self.correct = _loss_and_correct(hidden, prediction.weight, prediction.bias, flat)
        return loss


@dataclass(frozen=True)
class DrawnWords:
    """The words in the softmax of one training step.

    words: int64 ids, shape (drawn,), each once. shift: float32, shape (drawn,), added to their
    logits. targets: the batch's targets as rows of `words`, int64.
    """

    words: Tensor
    shift: Tensor
    targets: Tensor


def draw_words(targets: Tensor, vocabulary: int, count: int) -> DrawnWords:
    """Words for a sampled softmax over `vocabulary`.

    The first ``count // 2`` ids (the most frequent words) and all targets of the batch are always
    included. The rest, at least a quarter of `count`, is drawn uniformly and without replacement
    from the other words. log(others / drawn) is added to their logits, so that the sum of
    exponentials is unbiased. This is importance sampling as in Jean et al. 2015
    (arXiv:1412.2007), plus a fixed part with nearly all of the probability.

    Args:
        targets: int64, shape (tokens,).
        count: number of words, less than `vocabulary`.
    """
    device = targets.device
    certain = torch.zeros(vocabulary, dtype=torch.bool, device=device)
    certain[: count // 2] = True
    certain[targets] = True
    known, others = certain.nonzero()[:, 0], (~certain).nonzero()[:, 0]
    wanted = max(count - len(known), count // 4)
    # On the CPU, because checkpoints have the state of its generator.
    drawn = others[torch.randperm(len(others))[:wanted].to(device)]
    words = torch.cat([known, drawn])
    shift = torch.zeros(len(words), device=device)
    if len(drawn):
        shift[len(known) :] = math.log(len(others) / len(drawn))
    rows = torch.empty(vocabulary, dtype=torch.int64, device=device)
    rows[words] = torch.arange(len(words), device=device)
    return DrawnWords(words, shift, rows[targets])


def _loss_and_correct(
    hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor
) -> tuple[Tensor, int]:
    weight, bias = weight.to(hidden.dtype), bias.to(hidden.dtype)
    total = hidden.new_zeros((), dtype=torch.float32)
    correct = hidden.new_zeros((), dtype=torch.int64)
    chunk = _chunk(hidden.device)
    for i in range(0, len(targets), chunk):
        part = targets[i : i + chunk, None]
        logits, shares = _workspace.take(len(part), hidden, len(weight))
        torch.addmm(bias, hidden[i : i + chunk], weight.t(), out=logits)
        largest, guess = logits.max(1, keepdim=True)
        correct += (guess == part).sum()
        # A target's share may underflow, the largest share cannot: the log of the sum of
        # exponentials is the largest logit minus the log of the largest share.
        torch.softmax(logits, 1, out=shares)
        total += (largest.float() - logits.gather(1, part).float()).sum()
        total -= shares.gather(1, guess).float().log().sum()
    return total / len(targets), int(correct)


class _Workspace:
    """Memory for the logits of a chunk, kept from step to step.

    Fresh blocks in every step would fault in page by page or leave holes in a growing heap.
    """

    def __init__(self) -> None:
        self._key: tuple[Any, ...] = ()
        self._pair = torch.empty(0), torch.empty(0)

    def take(self, rows: int, hidden: Tensor, vocabulary: int) -> tuple[Tensor, Tensor]:
        """Two (rows, vocabulary) tensors in the precision of `hidden`."""
        shape = (_chunk(hidden.device), vocabulary)
        key = (shape, hidden.dtype, hidden.device)
        if key != self._key:
            self._pair = hidden.new_empty(shape), hidden.new_empty(shape)
            self._key = key
        return self._pair[0][:rows], self._pair[1][:rows]


_workspace = _Workspace()


class _ChunkedLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
        # Products are in the precision of `hidden` (autocast's), sums in float32.
        features = weight.shape[1]
        wide_hidden = _widen(hidden, hidden.new_ones(len(hidden)))
        wide_weight = _widen(weight.to(hidden.dtype), bias.to(hidden.dtype))
        total = hidden.new_zeros((), dtype=torch.float32)
        grad_hidden = torch.empty_like(wide_hidden)
        grad_weight = torch.zeros_like(wide_weight, dtype=torch.float32)
        chunk = _chunk(hidden.device)
        for i in range(0, len(targets), chunk):
            part, rows = targets[i : i + chunk], wide_hidden[i : i + chunk]
            logits, shares = _workspace.take(len(rows), hidden, len(weight))
            torch.mm(rows, wide_weight.t(), out=logits)
            torch.softmax(logits, 1, out=shares)
            # d loss / d logits = softmax - one-hot. (bfloat16's scatter_ would copy all shares.)
            at_targets = (torch.arange(len(part), device=part.device), part)
            of_targets = shares[at_targets].float()
            gradient = shares.index_put_(at_targets, (of_targets - 1).to(shares.dtype))
            total -= of_targets.clamp_(min=_LEAST_SHARE).log_().sum()
            torch.mm(gradient, wide_weight, out=grad_hidden[i : i + chunk])
            grad_weight += gradient.t() @ rows
        ctx.save_for_backward(grad_hidden, grad_weight)
        ctx.targets, ctx.features = len(targets), features
        return total / len(targets)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_loss: Tensor) -> tuple[Tensor | None, ...]:
        grad_hidden, grad_weight = ctx.saved_tensors
        scale, n = grad_loss / ctx.targets, ctx.features
        wanted = ctx.needs_input_grad[1]
        return (
            grad_hidden[:, :n] * scale.to(grad_hidden.dtype),
            grad_weight[:, :n] * scale if wanted else None,
            grad_weight[:, n] * scale,
            None,
        )


def _widen(matrix: Tensor, last: Tensor) -> Tensor:
    """`matrix`, the column `last`, and zeros up to a multiple of 32 columns.

    A column of ones joins the features, and the bias joins the weight. So one product gives logits
    with bias, and one gives both gradients.
    """
    rows, columns = matrix.shape
    wide = matrix.new_zeros(rows, -(-(columns + 1) // 32) * 32)
    wide[:, :columns] = matrix
    wide[:, columns] = last
    return wide
