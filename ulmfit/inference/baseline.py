"""Two logistic regressions: on TF-IDF, and on words weighted by naive Bayes.

As baselines, they have the settings that are best on split valid, or on train if there is no valid.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from ulmfit.artifacts.config import HASHED, NB_LR, TFIDF_LR
from ulmfit.base.progress import progress
from ulmfit.data.labels import MULTI, SINGLE, Labels
from ulmfit.inference.linear import (
    Candidate,
    ClassWeight,
    LinearClassifier,
    Regressions,
    Setting,
    fit_vectorizer,
    link_of,
    linked,
    outputs,
    settings_of,
)

TFIDF = "TF-IDF + logistic regression"
NAIVE_BAYES = "NB-weighted logistic regression"
STUDENT = "student on hashed n-grams"
LINEAR_NAMES = {NB_LR: NAIVE_BAYES, TFIDF_LR: TFIDF, HASHED: STUDENT}  # by the features
_TFIDF_STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0)
_BAYES_STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
_SMOOTHING = 1.0  # added to every count
_EVEN = 1.5  # classes are not weighted if the largest is at most so many times the smallest
_SURE = 1000.0  # output for a label that all texts have, or none: its sigmoid is 1 or 0

Score = tuple[float, float]


def baseline_names(labels: Labels = SINGLE) -> tuple[str, ...]:
    """The baselines for this kind of labels; naive Bayes has no multi-label form."""
    return (TFIDF,) if labels.multi else (TFIDF, NAIVE_BAYES)


def score(probabilities: np.ndarray, truth: np.ndarray, labels: Labels = SINGLE) -> Score:
    """Accuracy, then the negative log loss to break ties; larger is better.

    On a hundred texts many settings have the same accuracy. Shapes (texts, classes) and (texts,),
    class numbers. For multi-label texts `truth` is an indicator matrix, and the score is micro F1.
    """
    if labels.multi:
        decided = MULTI.decide(probabilities)
        return float(f1_score(truth, decided, average="micro", zero_division=0)), 0.0
    right = float((probabilities.argmax(1) == truth).mean())
    own = np.clip(probabilities[np.arange(len(truth)), truth], 1e-12, None)
    return right, float(np.log(own).mean())


def class_weights(labels: Sequence[str] | np.ndarray) -> tuple[ClassWeight, ...]:
    """scikit-learn's class weights to try; "balanced" only if class sizes are uneven."""
    sizes = np.unique(labels, return_counts=True)[1]
    return (None, "balanced") if sizes.max() > _EVEN * sizes.min() else (None,)


def fit_baseline(name: str, frame: pd.DataFrame, labels: Labels) -> LinearClassifier:
    """A baseline from the labels of split train."""
    return _fit_on_valid(TFIDF_LR if name == TFIDF else NB_LR, frame, labels)


def fit_tfidf(frame: pd.DataFrame, labels: Labels) -> LinearClassifier:
    """A classifier of words and pairs of words; multi-label ones are chosen by micro F1."""
    return _fit_on_valid(TFIDF_LR, frame, labels)


def fit_naive_bayes(frame: pd.DataFrame, classes: Sequence[str]) -> LinearClassifier:
    """A classifier of words and pairs of words, present or absent, weighted by naive Bayes.

    As in Wang & Manning 2012, "Baselines and Bigrams", but with logistic regression for the SVM.
    """
    return _fit_on_valid(NB_LR, frame, replace(SINGLE, classes=classes))


def _fit_on_valid(kind: str, frame: pd.DataFrame, labels: Labels) -> LinearClassifier:
    train, valid = (frame[frame["split"] == split] for split in ("train", "valid"))
    valid = valid if len(valid) else train
    features, link = fit_vectorizer(kind, train["text"]), link_of(kind, labels)
    truth, wanted = (labels.encode(part["label"]) for part in (train, valid))
    unseen = features.transform(valid["text"])
    fit, settings = regressions_of(kind, train["label"].tolist(), labels)

    def tried(fitted: Candidate) -> tuple[Score, Candidate]:
        return score(linked(outputs(unseen, fitted), link), wanted, labels), fitted

    candidates = fit(features.transform(train["text"]), truth, labels, settings)
    name = f"fitting {LINEAR_NAMES[kind]}"
    shown = progress(candidates, len(settings), name, "fits", even=False)
    best = max((tried(fitted) for fitted in shown), key=itemgetter(0))[1]
    return LinearClassifier(kind, features, link, best)


def regressions_of(
    kind: str, cells: Sequence[str], labels: Labels
) -> tuple[Regressions, list[Setting]]:
    """The function that fits regressions on features of a kind, and the settings to try.

    Args:
        kind: a key of `config.FEATURES`.
        cells: the labels of the training texts.
    """
    if kind == NB_LR:
        return _bayes, settings_of(class_weights(cells), _BAYES_STRENGTHS)
    if labels.multi:
        return _each_class, settings_of((None,), _TFIDF_STRENGTHS)
    return _multinomial, settings_of(class_weights(cells), _TFIDF_STRENGTHS)


def _multinomial(
    rows: Any, truth: np.ndarray, labels: Labels, settings: Sequence[Setting]
) -> Iterator[Candidate]:
    for weight, strength in settings:
        model = LogisticRegression(C=strength, class_weight=weight, max_iter=1000).fit(rows, truth)
        yield Candidate(strength, weight, *_single(model.coef_, model.intercept_))


def _each_class(
    rows: Any, truth: np.ndarray, labels: Labels, settings: Sequence[Setting]
) -> Iterator[Candidate]:
    """One regression for each class; scikit-learn refuses a class that all texts have, or none."""
    for weight, strength in settings:
        coefficients = np.zeros((truth.shape[1], rows.shape[1]))
        biases = np.where(truth.all(0), _SURE, -_SURE)
        for n, column in enumerate(truth.T):
            if column.any() and not column.all():
                model = LogisticRegression(C=strength, max_iter=1000).fit(rows, column)
                coefficients[n], biases[n] = model.coef_[0], model.intercept_[0]
        yield Candidate(strength, weight, *_single(coefficients, biases))


def _bayes(
    rows: Any, truth: np.ndarray, labels: Labels, settings: Sequence[Setting]
) -> Iterator[Candidate]:
    """One regression for each class against the others, on words weighted by `_log_ratio`.

    Of two classes, only the second has one. A weight is ratio times coefficient.
    """
    known, classes = rows.astype(np.float32), len(labels.classes)
    asked = range(1, 2) if classes == 2 else range(classes)
    ratios = np.stack([_log_ratio(known, truth == n) for n in asked])
    scaled = [known.multiply(ratio).tocsr() for ratio in ratios]
    for weight, strength in settings:
        fitted = [
            LogisticRegression(C=strength, class_weight=weight, max_iter=1000).fit(x, truth == n)
            for x, n in zip(scaled, asked, strict=True)
        ]
        coefficients = np.concatenate([model.coef_ for model in fitted])
        biases = np.concatenate([model.intercept_ for model in fitted])
        yield Candidate(strength, weight, *_single(ratios * coefficients, biases))


def _single(*arrays: np.ndarray) -> list[np.ndarray]:
    return [array.astype(np.float32, order="C") for array in arrays]


def _log_ratio(known: Any, inside: np.ndarray) -> np.ndarray:
    """log of each word's share of the counts in a class over its share in the others, (words,)."""
    counts = [
        np.asarray(known[rows].sum(0), np.float64).ravel() + _SMOOTHING
        for rows in (inside, ~inside)
    ]
    return np.log(counts[0] / counts[0].sum()) - np.log(counts[1] / counts[1].sum())
