"""Two logistic regressions for comparison: on TF-IDF, and on words weighted by naive Bayes.

Settings are chosen on split valid, or on train if there is no valid.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from operator import itemgetter
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from ulmfit.data.labels import MULTI, SINGLE, Labels

TFIDF = "TF-IDF + logistic regression"
NAIVE_BAYES = "NB-weighted logistic regression"
_TFIDF_STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0)
_BAYES_STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
_SMOOTHING = 1.0  # added to every count
_TOKEN = r"\w+(?:'\w+)?|[^\w\s]"  # words, and punctuation, which is informative in reviews
_EVEN = 1.5  # classes are not weighted if the largest is at most so many times the smallest

ClassWeight = Literal["balanced"] | None
Score = tuple[float, float]


def baseline_names(labels: Labels = SINGLE) -> tuple[str, ...]:
    """The baselines for this kind of labels; naive Bayes has no multi-label form."""
    return (TFIDF,) if labels.multi else (TFIDF, NAIVE_BAYES)


def score(probabilities: np.ndarray, truth: np.ndarray) -> Score:
    """Accuracy, then the negative log loss to break ties; larger is better.

    On a hundred texts many settings have the same accuracy. Shapes (texts, classes) and (texts,),
    class numbers.
    """
    right = float((probabilities.argmax(1) == truth).mean())
    own = np.clip(probabilities[np.arange(len(truth)), truth], 1e-12, None)
    return right, float(np.log(own).mean())


def class_weights(labels: Sequence[str] | np.ndarray) -> tuple[ClassWeight, ...]:
    """scikit-learn's class weights to try; "balanced" only if class sizes are uneven."""
    sizes = np.unique(labels, return_counts=True)[1]
    return (None, "balanced") if sizes.max() > _EVEN * sizes.min() else (None,)


def _train_valid(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    train, valid = (frame[frame["split"] == split] for split in ("train", "valid"))
    return train, valid if len(valid) else train


@dataclass(frozen=True)
class TfidfClassifier:
    """TF-IDF features and logistic regression, fitted.

    models: one; for a multi-label classification one for each class (a number if all its labels
    are equal). columns: the column of each class in the model's probabilities. strength, weight:
    the chosen C (inverse of the regularisation) and class_weight.
    """

    features: Any
    models: list[Any]
    columns: list[int]
    strength: float
    weight: ClassWeight = None

    def probabilities(self, texts: list[str]) -> np.ndarray:
        """Probabilities of `texts`, shape (texts, classes)."""
        rows = self.features.transform(texts)
        if self.columns:
            return self.models[0].predict_proba(rows)[:, self.columns]
        return _answers(self.models, rows)


def fit_tfidf(frame: pd.DataFrame, labels: Labels) -> TfidfClassifier:
    """A classifier of words and pairs of words; multi-label ones are chosen by micro F1."""
    train, valid = _train_valid(frame)
    features = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2, max_df=0.9)
    if not len(train) > 20:  # in a handful of texts every word is rare
        features.set_params(min_df=1, max_df=1.0)
    try:
        known = features.fit_transform(train["text"])
    except ValueError:  # every word is rare or in nearly all texts
        known = features.set_params(min_df=1, max_df=1.0).fit_transform(train["text"])
    unseen = features.transform(valid["text"])
    if labels.multi:
        truth, wanted = (labels.encode(part["label"]) for part in (train, valid))
        strength, each = _each_class(known, truth, unseen, wanted)
        return TfidfClassifier(features, each, [], strength)
    numbers = pd.Index(labels.classes).get_indexer(valid["label"])

    def tried(weight: ClassWeight, strength: float) -> tuple[Score, TfidfClassifier]:
        model = LogisticRegression(C=strength, class_weight=weight, max_iter=1000)
        model.fit(known, train["label"])
        columns = [list(model.classes_).index(label) for label in labels.classes]
        found = score(model.predict_proba(unseen)[:, columns], numbers)
        return found, TfidfClassifier(features, [model], columns, strength, weight)

    settings = product(class_weights(train["label"].tolist()), _TFIDF_STRENGTHS)
    return max((tried(*chosen) for chosen in settings), key=itemgetter(0))[1]


def _each_class(
    known: Any, truth: np.ndarray, unseen: Any, wanted: np.ndarray
) -> tuple[float, list[Any]]:
    """The best strength and its regressions, one for each class."""

    def fitted(strength: float, column: np.ndarray) -> Any:
        if column.all() or not column.any():  # scikit-learn refuses a single class
            return float(column[0])
        return LogisticRegression(C=strength, max_iter=1000).fit(known, column)

    tried = [[fitted(strength, column) for column in truth.T] for strength in _TFIDF_STRENGTHS]
    right = [
        f1_score(wanted, MULTI.decide(_answers(models, unseen)), average="micro", zero_division=0)
        for models in tried
    ]
    best = int(np.argmax(right))
    return _TFIDF_STRENGTHS[best], tried[best]


def _answers(models: list[Any], rows: Any) -> np.ndarray:
    constant = np.ones(rows.shape[0])
    return np.stack(
        [m * constant if isinstance(m, float) else m.predict_proba(rows)[:, 1] for m in models],
        axis=1,
    )


@dataclass(frozen=True)
class NaiveBayesClassifier:
    """Words and pairs of words, present or absent, weighted by naive Bayes; fitted.

    As in Wang & Manning 2012, "Baselines and Bigrams", but with logistic regression for the SVM.
    weights: ratio times coefficient, float32, shape (classes, words). biases: shape (classes,).
    Of two classes, only the second has a row.
    """

    features: Any
    weights: np.ndarray
    biases: np.ndarray
    strength: float
    weight: ClassWeight = None

    def probabilities(self, texts: list[str]) -> np.ndarray:
        """Probabilities of `texts`, shape (texts, classes)."""
        return _probabilities(self.features.transform(texts), self.weights, self.biases)


def fit_naive_bayes(frame: pd.DataFrame, classes: Sequence[str]) -> NaiveBayesClassifier:
    """One regression for each class against the others, on words weighted by `_log_ratio`."""
    train, valid = _train_valid(frame)
    features = CountVectorizer(ngram_range=(1, 2), binary=True, token_pattern=_TOKEN)
    known = features.fit_transform(train["text"]).astype(np.float32)
    unseen = features.transform(valid["text"])
    numbers, wanted = (pd.Index(classes).get_indexer(part["label"]) for part in (train, valid))
    asked = range(1, 2) if len(classes) == 2 else range(len(classes))
    ratios = np.stack([_log_ratio(known, numbers == n) for n in asked])
    scaled = [known.multiply(ratio).tocsr() for ratio in ratios]

    def tried(weight: ClassWeight, strength: float) -> tuple[Score, NaiveBayesClassifier]:
        fitted = [
            LogisticRegression(C=strength, class_weight=weight, max_iter=1000).fit(x, numbers == n)
            for x, n in zip(scaled, asked, strict=True)
        ]
        coefficients = np.concatenate([model.coef_ for model in fitted])
        weights = (ratios * coefficients).astype(np.float32)
        biases = np.concatenate([model.intercept_ for model in fitted])
        found = score(_probabilities(unseen, weights, biases), wanted)
        return found, NaiveBayesClassifier(features, weights, biases, strength, weight)

    settings = product(class_weights(train["label"].tolist()), _BAYES_STRENGTHS)
    return max((tried(*chosen) for chosen in settings), key=itemgetter(0))[1]


def fit_baseline(
    name: str, frame: pd.DataFrame, labels: Labels
) -> TfidfClassifier | NaiveBayesClassifier:
    """A baseline from the labels of split train."""
    return fit_tfidf(frame, labels) if name == TFIDF else fit_naive_bayes(frame, labels.classes)


def _log_ratio(known: Any, inside: np.ndarray) -> np.ndarray:
    """log of each word's share of the counts in a class over its share in the others, (words,)."""
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
