"""How a peer's settings are chosen on the validation part: what is tried, and what is better."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from ulmfit.data.labels import MULTI, SINGLE, Labels

ClassWeight = Literal["balanced"] | None
_EVEN = 1.5  # classes that differ by less in size are not weighted


def score(
    probabilities: np.ndarray, truth: np.ndarray, labels: Labels = SINGLE
) -> tuple[float, float]:
    """Accuracy, and for equal ones the log loss, negative: the larger pair is the better one.

    On a hundred texts many settings are equally often right, and the first of them is rarely the
    best. Shapes (texts, classes) and (texts,), the latter class numbers; or of several labels a
    text an indicator matrix, and micro F1 takes the place of accuracy.
    """
    if labels.multi:
        return _micro_f1(probabilities, truth), 0.0
    right = float((probabilities.argmax(1) == truth).mean())
    own = np.clip(probabilities[np.arange(len(truth)), truth], 1e-12, None)
    return right, float(np.log(own).mean())


def _micro_f1(probabilities: np.ndarray, truth: np.ndarray) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(truth, MULTI.decide(probabilities), average="micro", zero_division=0))


def class_weights(labels: Sequence[str] | np.ndarray) -> tuple[ClassWeight, ...]:
    """Plain, and where classes are of uneven size also weighted by it; scikit-learn's words."""
    sizes = np.unique(labels, return_counts=True)[1]
    return (None, "balanced") if sizes.max() > _EVEN * sizes.min() else (None,)
