"""Attribution: the part of each token of a text in the probability of a class.

Integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365, section 3) through the
classifier's embeddings: the embeddings move on a straight line from a baseline to the text. A
token's score is the integral of the gradient along this path, times the token's own difference.

The output is the probability, not the logit. An ensemble averages probabilities, so the mean of
its models' attributions is exactly the ensemble's attribution (the paper's axiom of linearity).

In the baseline, the mean of all embeddings replaces every token except ``xxbos``: the average
word, and the initial row of a new word (`transfer.remap_vocabulary`). Other baselines fail. LSTM
layers amplify every difference after a long text of padding, so the sum of the gradients missed
the probability's change by factors of hundreds. No subword model has seen ``xxunk``.

captum 0.9 gives the same numbers, but needs 70 kB for each token and point, tens of gigabytes for
a long text.
"""

from collections.abc import Callable
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ulmfit.data.labels import SINGLE, Labels
from ulmfit.model.awd_lstm import AWDLSTM, State
from ulmfit.model.build import encoder_of

# Points of the path to read at once, and their tokens with intermediate results in memory: some
# hundred megabytes for any length of text.
_POINTS = 32
_TOKENS = 1 << 12
_FAINTEST = 1e-20  # smaller gradients have no effect on a probability

Tell = Callable[[float], object]  # gets a number of finished tokens, at any point


def path(steps: int | None) -> Tensor:
    """The points at which gradients are taken, from 0 (baseline) to 1 (text), shape (points,).

    The middles of `steps` equal parts: the midpoint rule. (Gauss-Legendre nodes are no better,
    because maximum pooling makes the gradient jump.) None is the text alone: gradient times input,
    relative to the baseline.
    """
    return torch.ones(1) if steps is None else (torch.arange(steps) + 0.5) / steps


class Way:
    """The path of one text from the baseline to itself, through one classifier, in float32.

    Args:
        model: from `build_classifier`, in evaluation mode.
        ids: int64, shape (tokens,), in the model's reading order, ``xxbos`` first.
        tell: called while `scores` computes; the counts sum up to tokens x points.
        temperature: as in `Labels.probabilities`.
    """

    def __init__(
        self,
        model: Any,
        ids: Tensor,
        tell: Tell = lambda count: None,
        temperature: float = 1.0,
        labels: Labels = SINGLE,
    ) -> None:
        weight = encoder_of(model).encoder.weight.detach()
        text = weight[ids.to(weight.device)]  # (tokens, features)
        self.model, self.tell = model, tell
        self.temperature, self.labels = temperature, labels
        self.start = weight.mean(0).expand_as(text).clone()
        self.start[0] = text[0]
        self.difference = text - self.start

    def ends(self) -> np.ndarray:
        """Probabilities at the baseline and at the text, shape (2, classes)."""
        return self.at(torch.tensor([0.0, 1.0]))

    @torch.no_grad()
    def at(self, points: Tensor) -> np.ndarray:
        """Probabilities at shares of the way, float64, shape (points, classes)."""
        parts = [self._probabilities(some) for some in points.float().split(_POINTS)]
        return torch.cat(parts).cpu().numpy()

    @torch.enable_grad()
    def scores(self, target: int | Tensor, points: Tensor) -> np.ndarray:
        """The part of each token in the probability of class `target` at `points` of `path`.

        Shape (tokens,). `target` may also be slopes, shape (points, classes): the result is then
        the part of each token in the sum of all probabilities times the slopes.
        """
        total = torch.zeros_like(self.difference)
        # `shift` is added at every point, so its gradient is the sum of the points' gradients.
        shift = torch.zeros_like(self.difference, requires_grad=True)
        for start in range(0, len(points), _POINTS):
            some = slice(start, start + _POINTS)
            probabilities = self._probabilities(points[some].float(), shift)
            if isinstance(target, int):
                output = probabilities[:, target].sum()
            else:
                output = (probabilities * target[some].to(probabilities)).sum()
            total += torch.autograd.grad(output, shift)[0]
        return (total * self.difference).sum(1).div(len(points)).cpu().numpy()

    def _probabilities(self, points: Tensor, shift: Tensor | None = None) -> Tensor:
        """float64, shape (points, classes); float32 has no gradient near 1."""
        logits = self._logits(points.to(self.difference.device), shift).double()
        return self.labels.probabilities(logits, self.temperature)

    def _logits(self, points: Tensor, shift: Tensor | None) -> Tensor:
        """The classifier's logits of the points, with gradients across the chunks of the text."""
        encoder, (tokens, _) = encoder_of(self.model), self.difference.shape
        length = _TOKENS // len(points)
        first = max(0, tokens - self.model[0].max_len)  # where pooling starts
        zeros = [self.difference.new_zeros(1, len(points), n.hidden_size) for n in encoder.rnns]
        state = [(zero, zero) for zero in zeros]
        pooled: list[Tensor] = []
        for start in range(0, tokens, length):
            read = partial(self._read, encoder, points, shift, slice(start, start + length))
            if start + length < tokens:
                # The backward pass reads the chunk again, to save memory.
                outputs, state = checkpoint(
                    read, state, use_reentrant=False, preserve_rng_state=False
                )
                _end_faint_gradients(state)
            else:
                outputs, state = read(state)
            if start + length > first:
                pooled.append(outputs[:, max(0, first - start) :])
        features = torch.cat(pooled, 1)  # (points, pooled tokens, features)
        concat = torch.cat([features[:, -1], features.amax(1), features.mean(1)], 1)
        return self.model[1].layers(concat)

    def _read(
        self,
        encoder: AWDLSTM,
        points: Tensor,
        shift: Tensor | None,
        chunk: slice,
        state: list[State],
    ) -> tuple[Tensor, list[State]]:
        """One chunk of the text at all points: (points, time, features) and the state after it."""
        features = self.start[chunk] + points[:, None, None] * self.difference[chunk]
        if shift is not None:
            features = features + shift[chunk]
            twice = chunk.stop < len(self.start)
            self.tell(features[:, :, 0].numel() / (2 if twice else 1))
        states = []
        for layer, (hidden, cell) in zip(encoder.rnns, state, strict=True):
            weights = [weight.detach() for weight in layer.parameters()]
            # In training mode (the first True after the dropout rate), with the same result:
            # cuDNN has no gradient through an LSTM in evaluation mode.
            features, hidden, cell = torch.lstm(
                features, (hidden, cell), weights, True, 1, 0.0, True, False, True
            )
            states.append((hidden, cell))
        return features, states


def _end_faint_gradients(state: list[State]) -> None:
    """Set tiny gradients to zero before they reach earlier tokens.

    After some 10,000 tokens gradients are denormal numbers, whose arithmetic is many times slower.
    """
    for tensor in chain.from_iterable(state):
        if tensor.requires_grad:
            tensor.register_hook(lambda g: g.where(g.abs() > _FAINTEST, 0.0))
