"""What a minute of logistic regression makes of the same labels: on TF-IDF, and on naive Bayes."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd

from ulmfit.artifacts.config import NB_LR, TFIDF_LR
from ulmfit.data.labels import SINGLE, Labels
from ulmfit.inference.linear import (
    Candidate,
    LinearClassifier,
    Regressions,
    Setting,
    fit_vectorizer,
    link_of,
    linked,
    outputs,
    settings_of,
)
from ulmfit.inference.selection import class_weights, score

TFIDF = "TF-IDF + logistic regression"
NAIVE_BAYES = "NB-weighted logistic regression"
LINEAR_NAMES = {NB_LR: NAIVE_BAYES, TFIDF_LR: TFIDF}  # by the features
_STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0)
_SURE = 1000.0  # the output of a label that all texts have or none has: its sigmoid is 1 or 0


class Baseline(Protocol):
    """A fitted baseline."""

    def probabilities(self, texts: list[str]) -> np.ndarray:
        """Probabilities of `texts`, shape (texts, classes)."""


def baseline_names(labels: Labels = SINGLE) -> tuple[str, ...]:
    """Those that there are; naive Bayes knows no texts of several labels."""
    return (TFIDF,) if labels.multi else (TFIDF, NAIVE_BAYES)


def fit_baseline(name: str, frame: pd.DataFrame, labels: Labels) -> Baseline:
    """A baseline from the labels of split train, tuned on split valid (train, if it is empty)."""
    return fit_on_valid(TFIDF_LR if name == TFIDF else NB_LR, frame, labels)


def fit_tfidf(frame: pd.DataFrame, labels: Labels) -> LinearClassifier:
    """A classifier from the labels of split train.

    Words and pairs of words; the strength of the regularisation, and whether classes of uneven
    size are weighted, is chosen on split valid, or on train where there is none. Of several
    labels a text, one regression a class, and micro F1 in place of accuracy on valid.
    """
    return fit_on_valid(TFIDF_LR, frame, labels)


def fit_on_valid(kind: str, frame: pd.DataFrame, labels: Labels) -> LinearClassifier:
    """A linear classifier of split train, of the settings that are best on split valid, or train.

    `kind` is a key of `FEATURES`.
    """
    train, valid = (frame[frame["split"] == split] for split in ("train", "valid"))
    valid = valid if len(valid) else train
    features, link = fit_vectorizer(kind, train["text"]), link_of(kind, labels)
    truth, wanted = (labels.encode(part["label"]) for part in (train, valid))
    unseen = features.transform(valid["text"])
    fit, settings = regressions_of(kind, train["label"].tolist(), labels)
    best: tuple[tuple[float, float], Candidate] | None = None
    for fitted in fit(features.transform(train["text"]), truth, labels, settings):
        now = score(linked(outputs(unseen, fitted), link), wanted, labels)
        if best is None or now > best[0]:
            best = now, fitted
    assert best is not None
    return LinearClassifier(kind, features, link, best[1])


def regressions_of(
    kind: str, cells: Sequence[str], labels: Labels
) -> tuple[Regressions, list[Setting]]:
    """What fits regressions on features of a kind, and the settings that are tried on `cells`."""
    if kind == NB_LR:
        from ulmfit.inference import naive_bayes  # and with it scikit-learn

        return naive_bayes.regressions, settings_of(class_weights(cells), naive_bayes.STRENGTHS)
    if labels.multi:
        return _each_class, settings_of((None,), _STRENGTHS)
    return _multinomial, settings_of(class_weights(cells), _STRENGTHS)


def _multinomial(
    rows: Any, truth: np.ndarray, labels: Labels, settings: Sequence[Setting]
) -> Iterator[Candidate]:
    # Takes a second to import, which who only asks for the name does not wait for.
    from sklearn.linear_model import LogisticRegression

    for weight, strength in settings:
        model = LogisticRegression(C=strength, class_weight=weight, max_iter=1000).fit(rows, truth)
        yield Candidate(strength, weight, *_single(model.coef_, model.intercept_))


def _each_class(
    rows: Any, truth: np.ndarray, labels: Labels, settings: Sequence[Setting]
) -> Iterator[Candidate]:
    """One regression a label; a label of all texts or of none has nothing to learn."""
    from sklearn.linear_model import LogisticRegression

    for weight, strength in settings:
        coefficients = np.zeros((truth.shape[1], rows.shape[1]))
        biases = np.where(truth.all(0), _SURE, -_SURE)
        for n, column in enumerate(truth.T):
            if column.any() and not column.all():
                model = LogisticRegression(C=strength, max_iter=1000).fit(rows, column)
                coefficients[n], biases[n] = model.coef_[0], model.intercept_[0]
        yield Candidate(strength, weight, *_single(coefficients, biases))


def _single(*arrays: np.ndarray) -> list[np.ndarray]:
    return [array.astype(np.float32, order="C") for array in arrays]
