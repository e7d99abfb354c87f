"""Logistic regression on words weighted by naive Bayes: the strongest peer that costs nothing.

Wang & Manning 2012 ("Baselines and Bigrams"), with logistic regression in place of the SVM: words
and pairs of words, present or absent, each weighted by the log ratio of how often a class and how
often the others have it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from ulmfit.inference.selection import ClassWeight, class_weights, score

_STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
_SMOOTHING = 1.0  # added to every count
# Words, and punctuation, which speaks in reviews.
_TOKEN = r"\w+(?:'\w+)?|[^\w\s]"


@dataclass(frozen=True)
class NaiveBayesClassifier:
    """Words, and of each class (of two, of the second alone) weights, shape (words,), and a bias.

    strength, weight: C, the inverse of the regularisation, and class_weight, as they were chosen.
    """

    features: Any
    weights: np.ndarray  # float32, shape (classes or 1, words): ratio times coefficient
    biases: np.ndarray
    strength: float
    weight: ClassWeight = None

    def probabilities(self, texts: list[str]) -> np.ndarray:
        """Probabilities of `texts`, shape (texts, classes)."""
        return _probabilities(self.features.transform(texts), self.weights, self.biases)


def fit_naive_bayes(frame: pd.DataFrame, classes: Sequence[str]) -> NaiveBayesClassifier:
    """A classifier from the labels of split train; C and class_weight are chosen on split valid.

    Where there is no valid, train takes its place.
    """
    train, valid = (frame[frame["split"] == split] for split in ("train", "valid"))
    valid = valid if len(valid) else train
    features = CountVectorizer(ngram_range=(1, 2), binary=True, token_pattern=_TOKEN)
    known = features.fit_transform(train["text"]).astype(np.float32)
    unseen = features.transform(valid["text"])
    numbers, wanted = (pd.Index(classes).get_indexer(part["label"]) for part in (train, valid))
    asked = range(1, 2) if len(classes) == 2 else range(len(classes))
    ratios = np.stack([_log_ratio(known, numbers == n) for n in asked])
    scaled = [known.multiply(ratio).tocsr() for ratio in ratios]
    best: tuple[tuple[float, float], NaiveBayesClassifier] | None = None
    for weight, strength in product(class_weights(train["label"].tolist()), _STRENGTHS):
        models = [
            LogisticRegression(C=strength, class_weight=weight, max_iter=1000).fit(
                rows, numbers == n
            )
            for rows, n in zip(scaled, asked, strict=True)
        ]
        coefficients = np.concatenate([model.coef_ for model in models])
        weights = (ratios * coefficients).astype(np.float32)
        biases = np.concatenate([model.intercept_ for model in models])
        now = score(_probabilities(unseen, weights, biases), wanted)
        if best is None or now > best[0]:
            best = now, NaiveBayesClassifier(features, weights, biases, strength, weight)
    assert best is not None
    return best[1]


def _log_ratio(known: Any, inside: np.ndarray) -> np.ndarray:
    """log of a word's share of the counts inside a class by that outside, shape (words,)."""
    counts = [
        np.asarray(known[rows].sum(0), np.float64).ravel() + _SMOOTHING
        for rows in (inside, ~inside)
    ]
    return np.log(counts[0] / counts[0].sum()) - np.log(counts[1] / counts[1].sum())


def _probabilities(rows: Any, weights: np.ndarray, biases: np.ndarray) -> np.ndarray:
    each = expit((rows @ weights.T).astype(np.float64) + biases)
    if each.shape[1] == 1:
        return np.concatenate([1 - each, each], axis=1)
    return each / each.sum(1, keepdims=True)
