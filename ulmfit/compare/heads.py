"""Logistic regression on vectors of texts, with settings chosen on valid."""

from itertools import product
from typing import Any, NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ulmfit.compare.classical import chosen
from ulmfit.inference.baseline import Score, class_weights, score

_STRENGTHS = (0.001, 0.01, 0.1, 1.0)


class Head(NamedTuple):
    """A fitted regression, its score on valid, and its settings as facts of the trial."""

    model: Any
    score: Score
    facts: dict[str, Any]


def best_head(train: np.ndarray, truth: np.ndarray, valid: np.ndarray, wanted: np.ndarray) -> Head:
    """Logistic regression on scaled vectors; C and class_weight are chosen on valid.

    Args:
        train, valid: vectors, shape (texts, width).
        truth, wanted: class numbers of train and valid.
    """
    best: Head | None = None
    for weight, strength in product(class_weights(truth), _STRENGTHS):
        regression = LogisticRegression(C=strength, class_weight=weight, max_iter=2000)
        model = make_pipeline(StandardScaler(), regression).fit(train, truth)
        now = score(model.predict_proba(valid), wanted)
        if best is None or now > best.score:
            best = Head(model, now, chosen(strength, weight))
    assert best is not None
    return best
