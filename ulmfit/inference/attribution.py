"""What each token of a text adds to the probability of a class.

Integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365, section 3) through the embeddings
of the classifier: the text is led on a straight line from a baseline to itself, and every token
gets the integral of the gradient along the way, times its own way.

The output is the probability, not the logit: an ensemble averages probabilities, so that the mean
of its models' attributions is exactly the ensemble's attribution (the paper's axiom of linearity),
and the scores add up to something that the classifier shows.

The baseline is the text with the mean of all embeddings in place of every token but ``xxbos``: the
average word, and the row that a word gets of which nothing is known yet
(`models.remap_vocabulary`). The padding token would not do: LSTM layers that are fed next to
nothing for a whole text amplify every difference, and the sum of such gradients missed the
probability's change by factors of hundreds. Nor would ``xxunk``, which no subword model has seen.
``xxbos`` stands before every text, so it is its own baseline and has no share.

captum 0.9 gives the same numbers, but keeps what every token makes at every point: 70 kB each, tens
of gigabytes for a long text. Cutting that along the text takes the LSTM's state, which captum does
not see, and a sum of gradients is all that it would save here.
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

# Points of the path that are read at once, and tokens of them all whose intermediate results are
# kept: some hundred megabytes with either size of model, however long the text.
_POINTS = 32
_TOKENS = 1 << 12
_FAINTEST = 1e-20  # gradients below it say nothing about a probability

Tell = Callable[[float], object]  # called with the number of tokens that were done, at any point


def path(steps: int | None) -> Tensor:
    """Where gradients are taken: shares of the way from baseline to text, shape (points,).

    The middles of `steps` equal parts (the midpoint rule; Gauss-Legendre nodes do no better where
    the maximum pooling makes the gradient jump). None is the text alone: gradient times input, the
    input counted from the baseline.
    """
    return torch.ones(1) if steps is None else (torch.arange(steps) + 0.5) / steps


class Way:
    """The way of one text from the baseline to itself, through one classifier.

    Args:
        model: as `models.build_classifier` makes it, in evaluation mode.
        ids: int64, shape (tokens,), in the model's direction of reading, ``xxbos`` first.
        tell: called while `scores` computes; the counts sum up to tokens x points.
        temperature: as in `Labels.probabilities`.

    All is computed in float32.
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
        """What each token adds to the probability of class `target`, shape (tokens,).

        `target` may be slopes instead, shape (points, classes): then it is what each token adds to
        the sum of all probabilities times the slopes. `points`: of `path`.
        """
        total = torch.zeros_like(self.difference)
        # The gradient in `shift`, which is added at every point, is the sum of the points'
        # gradients: neither the points nor their gradients are ever in memory all at once.
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
        """float64, shape (points, classes): next to 1, float32 has no gradient."""
        logits = self._logits(points.to(self.difference.device), shift).double()
        return self.labels.probabilities(logits, self.temperature)

    def _logits(self, points: Tensor, shift: Tensor | None) -> Tensor:
        """What `DocumentEncoder` and the head make of the points, with gradients all the way.

        (`DocumentEncoder` lets none through from one chunk of a text to the one before.)
        """
        encoder, (tokens, _) = encoder_of(self.model), self.difference.shape
        length = _TOKENS // len(points)
        first = max(0, tokens - self.model[0].max_len)  # where pooling starts
        state = _no_state(encoder, len(points), self.difference)
        pooled: list[Tensor] = []
        for start in range(0, tokens, length):
            read = partial(self._read, encoder, points, shift, slice(start, start + length))
            if start + length < tokens:
                # On the way back the chunk is read again, instead of being remembered.
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
        """One chunk of the text at all points: (points, time, features) and the state behind it."""
        features = self.start[chunk] + points[:, None, None] * self.difference[chunk]
        if shift is not None:
            features = features + shift[chunk]
            twice = chunk.stop < len(self.start)
            self.tell(features[:, :, 0].numel() / (2 if twice else 1))
        states = []
        for layer, (hidden, cell) in zip(encoder.rnns, state, strict=True):
            weights = [weight.detach() for weight in layer.parameters()]
            # As in training (the first True behind the rate of dropout), which without dropout
            # gives the same: cuDNN takes no gradient through an LSTM in evaluation.
            features, hidden, cell = torch.lstm(
                features, (hidden, cell), weights, True, 1, 0.0, True, False, True
            )
            states.append((hidden, cell))
        return features, states


def _end_faint_gradients(state: list[State]) -> None:
    """Let nothing through to earlier tokens that is next to nothing.

    Behind some 10,000 tokens a gradient is too small for a normal float32, and arithmetic with such
    numbers takes many times as long.
    """
    for tensor in chain.from_iterable(state):
        if tensor.requires_grad:
            tensor.register_hook(lambda g: g.where(g.abs() > _FAINTEST, 0.0))


def _no_state(encoder: AWDLSTM, rows: int, like: Tensor) -> list[State]:
    zeros = [like.new_zeros(1, rows, layer.hidden_size) for layer in encoder.rnns]
    return [(zero, zero) for zero in zeros]
