"""Temperature scaling: probabilities that mean what they say (Guo et al. 2017, arXiv:1706.04599).

One number T, fitted on texts that the model was not trained on, divides the logits: above 1 it
makes a model less sure of itself, below 1 surer. No label changes. The logarithm of a probability
is its logit but for a constant that softmax takes out again, so probabilities will do.

A multi-label classifier has one logit a class, and its sigmoid: that is the softmax over "no" and
"yes" (`multi_label.decisions`), and T is fitted to all decisions at once.
"""

import math
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from ulmfit.base.errors import UserError
from ulmfit.data.multi_label import decisions, rescaled

LOWEST, HIGHEST = 0.01, 100.0  # the range in which a temperature is looked for
_SMALLEST = float(np.finfo(np.float32).tiny)  # stands for a probability that came out as 0


def fit_temperature(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """The temperature with the lowest log loss (Guo et al. 2017, section 4.2).

    Args:
        probabilities: shape (texts, classes), of texts that the model was not trained on.
        truth: class numbers, shape (texts,), or an indicator matrix, shape (texts, classes).

    Raises:
        UserError: no temperature within the range is best. Where every text is classified
            rightly, the log loss falls for ever as the model is made surer; where the model is
            worse than chance, as it is made less sure.
    """
    from scipy.optimize import minimize_scalar  # takes half a second to import

    what = "texts"
    if truth.ndim == 2:
        what = "decisions"
        probabilities, truth = decisions(probabilities, truth)
    logits = _logits(probabilities)

    def log_loss(log_temperature: float) -> float:
        log_probabilities = _log_softmax(logits / math.exp(log_temperature))
        return -float(log_probabilities[np.arange(len(truth)), truth].mean())

    # Convex in 1 / T, hence with one minimum over log T, on whose scale halving and doubling are
    # steps of one size.
    bounds = (math.log(LOWEST), math.log(HIGHEST))
    found = minimize_scalar(log_loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    if min(map(log_loss, bounds)) < found.fun + 1e-9:  # not asked of x: there are plateaus
        raise UserError(
            f"no temperature from {LOWEST} to {HIGHEST:g} fits best, with "
            f"{_rightly(probabilities, truth):,} of {len(truth):,} {what} classified correctly; "
            "calibration needs some errors and better-than-chance accuracy: give more texts, or "
            "train a better model"
        )
    return math.exp(found.x)


def apply_temperature(
    probabilities: np.ndarray, temperature: float, multi_label: bool = False
) -> np.ndarray:
    """What the probabilities had been, had the logits been divided by `temperature`.

    Shape (texts, classes), in the type of `probabilities`.
    """
    if multi_label:
        return rescaled(probabilities, temperature)
    scaled = np.exp(_log_softmax(_logits(probabilities) / temperature))
    return scaled.astype(probabilities.dtype)


def temperature_of(config: Mapping[str, Any], where: object) -> float:
    """The temperature that a manifest's config has, 1 where it has none.

    Raises:
        UserError: it is no finite number above 0; `where` is the model directory.
    """
    found = config.get("temperature", 1.0)
    if type(found) in (int, float) and 0 < found <= sys.float_info.max:
        return float(found)
    raise UserError(
        f"{where}: found temperature {found!r} in the manifest's config, expected a finite number "
        "above 0; give the model a new one: python -m ulmfit.calibrate"
    )


def _rightly(probabilities: np.ndarray, truth: np.ndarray) -> int:
    return int((probabilities.argmax(1) == truth).sum())


def _logits(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(probabilities.astype(np.float64), _SMALLEST))


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
