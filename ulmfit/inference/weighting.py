"""Which members an ensemble has, with which weights, from their probabilities of validation texts.

Few texts cannot fit several weights, so everything here is drawn towards what needs no fit: weights
towards equal ones, the temperature towards 1, and a member stays unless the texts speak clearly
against it.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ulmfit.base.errors import UserError
from ulmfit.data.labels import Labels
from ulmfit.inference.calibration import fit_temperature

# Texts at which fitted and equal weights count the same; and the temperature that was fitted and 1.
_EVEN_WEIGHTS, _EVEN_TEMPERATURE = 500, 100
_ROUNDS = 100  # of expectation maximisation
# Standard errors by which the log loss must fall without a member for it to be left out; and
# without the last one of its kind, of networks or of linear classifiers.
_CLEAR, _CLEARER = 1.0, 2.0
# Added to the variance of a text's log loss: where few texts are all right, nothing shows what an
# error costs.
_UNSEEN = 0.1


class Chosen(NamedTuple):
    """Members of an ensemble with their weights, and the temperature of the mixture.

    gains: by the names of those that were left out, how much the log loss falls without each.
    log_loss: of the mixture on the validation texts, with its temperature.
    """

    weights: dict[str, float]
    temperature: float
    gains: dict[str, float]
    log_loss: float


class _Fit(NamedTuple):
    weights: np.ndarray
    temperature: float
    losses: np.ndarray  # of each text


def choose(
    found: Mapping[str, np.ndarray], linear: Sequence[str], truth: np.ndarray, labels: Labels
) -> Chosen:
    """The members that are kept, one at least.

    Args:
        found: probabilities by the member's name, shape (texts, classes), of texts that no member
            was trained on.
        linear: which of them are linear classifiers.
        truth: as `Labels.encode` gives it.
    """
    kept, gains = dict(found), {}
    fitted = _fit(kept, truth, labels)
    while len(kept) > 1:
        name, rest, gain = _worst(kept, linear, fitted, truth, labels)
        if rest is None:
            break
        kept.pop(name)
        fitted, gains[name] = rest, gain
    weights = dict(zip(kept, fitted.weights.tolist(), strict=True))
    return Chosen(weights, fitted.temperature, gains, float(fitted.losses.mean()))


def _worst(
    kept: Mapping[str, np.ndarray],
    linear: Sequence[str],
    fitted: _Fit,
    truth: np.ndarray,
    labels: Labels,
) -> tuple[str, _Fit | None, float]:
    """The member without which the log loss falls most, if any hurts beyond noise."""
    worst: tuple[str, _Fit | None, float] = ("", None, 0.0)
    for name in kept:
        rest = _fit({other: p for other, p in kept.items() if other != name}, truth, labels)
        paired = fitted.losses - rest.losses
        gain, error = float(paired.mean()), math.sqrt((paired.var() + _UNSEEN) / len(paired))
        alone = not any((other in linear) == (name in linear) for other in kept if other != name)
        if gain > (_CLEARER if alone else _CLEAR) * error and gain > worst[2]:
            worst = name, rest, gain
    return worst


def _fit(found: Mapping[str, np.ndarray], truth: np.ndarray, labels: Labels) -> _Fit:
    """Weights and temperature of these members, and what the mixture then loses on each text."""
    by_model = np.stack([p.astype(np.float64) for p in found.values()])
    weights = _weights(by_model, truth, labels)
    pooled = np.tensordot(weights, by_model, 1)
    temperature = _temperature(pooled, truth, labels)
    return _Fit(weights, temperature, _losses(labels.rescaled(pooled, temperature), truth, labels))


def _of_truth(probabilities: np.ndarray, truth: np.ndarray, labels: Labels) -> np.ndarray:
    """The probability of each true answer, shape (decisions,)."""
    answers, true = labels.decisions(probabilities, truth)
    return np.maximum(answers[np.arange(len(true)), true], 1e-12)


def _losses(probabilities: np.ndarray, truth: np.ndarray, labels: Labels) -> np.ndarray:
    """Log loss of each text, of several labels the mean over its decisions, shape (texts,)."""
    return -np.log(_of_truth(probabilities, truth, labels)).reshape(len(truth), -1).mean(1)


def _weights(by_model: np.ndarray, truth: np.ndarray, labels: Labels) -> np.ndarray:
    """Those of the lowest log loss, by expectation maximisation, drawn towards equal ones."""
    members, texts = len(by_model), len(truth)
    likelihood = np.stack([_of_truth(p, truth, labels) for p in by_model])
    weights = np.full(members, 1 / members)
    for _ in range(_ROUNDS):
        parts = weights[:, None] * likelihood
        weights = (parts / parts.sum(0)).mean(1)
    share = texts / (texts + _EVEN_WEIGHTS)
    return share * weights + (1 - share) / members


def _temperature(pooled: np.ndarray, truth: np.ndarray, labels: Labels) -> float:
    """That of the lowest log loss, drawn towards 1; 1 where there is none."""
    try:
        fitted = fit_temperature(pooled, truth, labels)
    except UserError:  # all right, or no better than chance: nothing to fit it by
        return 1.0
    share = len(truth) / (len(truth) + _EVEN_TEMPERATURE)
    return round(math.exp(share * math.log(fitted)), 4)
