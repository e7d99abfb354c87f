"""What a minute of logistic regression makes of the same labels: on TF-IDF, and on naive Bayes."""

from dataclasses import dataclass
from itertools import product
from typing import Any, Protocol

import numpy as np
import pandas as pd

from ulmfit.data.labels import MULTI, SINGLE, Labels
from ulmfit.inference.selection import ClassWeight, class_weights, score

TFIDF = "TF-IDF + logistic regression"
NAIVE_BAYES = "NB-weighted logistic regression"
_STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0)


class Baseline(Protocol):
    """A fitted baseline."""

    def probabilities(self, texts: list[str]) -> np.ndarray:
        """Probabilities of `texts`, shape (texts, classes)."""


def baseline_names(labels: Labels = SINGLE) -> tuple[str, ...]:
    """Those that there are; naive Bayes knows no texts of several labels."""
    return (TFIDF,) if labels.multi else (TFIDF, NAIVE_BAYES)


def fit_baseline(name: str, frame: pd.DataFrame, labels: Labels) -> Baseline:
    """A baseline from the labels of split train, tuned on split valid (train, if it is empty)."""
    if name == TFIDF:
        return fit_tfidf(frame, labels)
    from ulmfit.inference.naive_bayes import fit_naive_bayes  # and with it scikit-learn

    return fit_naive_bayes(frame, labels.classes)


@dataclass(frozen=True)
class TfidfClassifier:
    """TF-IDF features and logistic regression, fitted.

    models: one, or of a multi-label classification one a class (a number where all is one answer).
    columns: which column of the model's probabilities each class has.
    strength, weight: C, the inverse of the regularisation, and class_weight, as they were chosen.
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
    """A classifier from the labels of split train.

    Words and pairs of words; the strength of the regularisation, and whether classes of uneven
    size are weighted, is chosen on split valid, or on train where there is none. Of several
    labels a text, one regression a class, and micro F1 in place of accuracy on valid.
    """
    # Takes a second to import, which who only asks for the name does not wait for.
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    train, valid = (frame[frame["split"] == split] for split in ("train", "valid"))
    valid = valid if len(valid) else train
    features = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2, max_df=0.9)
    if not len(train) > 20:  # with a handful of texts every word is rare
        features.set_params(min_df=1, max_df=1.0)
    try:
        known = features.fit_transform(train["text"])
    except ValueError:  # no word is neither rare nor in nearly all texts
        known = features.set_params(min_df=1, max_df=1.0).fit_transform(train["text"])
    unseen = features.transform(valid["text"])
    if labels.multi:
        truth, wanted = (labels.encode(part["label"]) for part in (train, valid))
        strength, each = _each_class(known, truth, unseen, wanted)
        return TfidfClassifier(features, each, [], strength)
    numbers = pd.Index(labels.classes).get_indexer(valid["label"])
    best: tuple[tuple[float, float], TfidfClassifier] | None = None
    for weight, strength in product(class_weights(train["label"].tolist()), _STRENGTHS):
        model = LogisticRegression(C=strength, class_weight=weight, max_iter=1000)
        model.fit(known, train["label"])
        columns = [list(model.classes_).index(label) for label in labels.classes]
        now = score(model.predict_proba(unseen)[:, columns], numbers)
        if best is None or now > best[0]:
            best = now, TfidfClassifier(features, [model], columns, strength, weight)
    assert best is not None
    return best[1]


def _each_class(
    known: Any, truth: np.ndarray, unseen: Any, wanted: np.ndarray
) -> tuple[float, list[Any]]:
    """The best strength and its regressions, one a class."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score

    def fitted(strength: float, column: np.ndarray) -> Any:
        if column.all() or not column.any():  # nothing to learn, and an error of scikit-learn's
            return float(column[0])
        return LogisticRegression(C=strength, max_iter=1000).fit(known, column)

    tried = [[fitted(strength, column) for column in truth.T] for strength in _STRENGTHS]
    right = [
        f1_score(wanted, MULTI.decide(_answers(models, unseen)), average="micro", zero_division=0)
        for models in tried
    ]
    best = int(np.argmax(right))
    return _STRENGTHS[best], tried[best]


def _answers(models: list[Any], rows: Any) -> np.ndarray:
    constant = np.ones(rows.shape[0])
    return np.stack(
        [m * constant if isinstance(m, float) else m.predict_proba(rows)[:, 1] for m in models],
        axis=1,
    )
