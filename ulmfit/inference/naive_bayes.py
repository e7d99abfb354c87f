"""Logistic regression on words weighted by naive Bayes: the strongest peer that costs nothing.

Wang & Manning 2012 ("Baselines and Bigrams"), with logistic regression in place of the SVM: words
and pairs of words, present or absent, each weighted by the log ratio of how often a class and how
often the others have it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from ulmfit.artifacts.config import NB_LR
from ulmfit.data.labels import SINGLE, Labels
from ulmfit.inference.baseline import fit_on_valid
from ulmfit.inference.linear import Candidate, LinearClassifier, Setting

STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
_SMOOTHING = 1.0  # added to every count


def fit_naive_bayes(frame: pd.DataFrame, classes: Sequence[str]) -> LinearClassifier:
    """A classifier from the labels of split train; C and class_weight are chosen on split valid.

    Where there is no valid, train takes its place.
    """
    return fit_on_valid(NB_LR, frame, replace(SINGLE, classes=classes))


def regressions(
    rows: Any, truth: np.ndarray, labels: Labels, settings: Sequence[Setting]
) -> Iterator[Candidate]:
    """One regression a class against the others, of two classes that of the second alone.

    A word's weight is its ratio times its coefficient.
    """
    known = rows.astype(np.float32)
    classes = len(labels.classes)
    asked = range(1, 2) if classes == 2 else range(classes)
    ratios = np.stack([_log_ratio(known, truth == n) for n in asked])
    scaled = [known.multiply(ratio).tocsr() for ratio in ratios]
    for weight, strength in settings:
        models = [
            LogisticRegression(C=strength, class_weight=weight, max_iter=1000).fit(each, truth == n)
            for each, n in zip(scaled, asked, strict=True)
        ]
        coefficients = np.concatenate([model.coef_ for model in models])
        biases = np.concatenate([model.intercept_ for model in models]).astype(np.float32)
        yield Candidate(strength, weight, (ratios * coefficients).astype(np.float32), biases)


def _log_ratio(known: Any, inside: np.ndarray) -> np.ndarray:
    """log of a word's share of the counts inside a class by that outside, shape (words,)."""
    counts = [
        np.asarray(known[rows].sum(0), np.float64).ravel() + _SMOOTHING
        for rows in (inside, ~inside)
    ]
    return np.log(counts[0] / counts[0].sum()) - np.log(counts[1] / counts[1].sum())
