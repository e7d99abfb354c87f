"""Methods of scikit-learn: they train in seconds and read only the labelled texts."""

import pickle
from typing import Any

import numpy as np
from sklearn.dummy import DummyClassifier

from ulmfit.compare.task import Fitted, Task
from ulmfit.data.labels import SingleLabels
from ulmfit.inference.baseline import ClassWeight, fit_naive_bayes, fit_tfidf


def majority(task: Task) -> Fitted:
    """The most frequent class of train."""
    truth = task.truth("train")
    model = DummyClassifier(strategy="prior").fit(np.zeros((len(truth), 1)), truth)
    return Fitted(lambda texts: model.predict_proba(np.zeros((len(texts), 1))), _size(model))


def tfidf(task: Task) -> Fitted:
    """TF-IDF + logistic regression."""
    model = fit_tfidf(task.frame, SingleLabels(task.classes))
    return Fitted(model.probabilities, _size(model), chosen(model.strength, model.weight))


def naive_bayes(task: Task) -> Fitted:
    """NB-weighted logistic regression."""
    model = fit_naive_bayes(task.frame, task.classes)
    return Fitted(model.probabilities, _size(model), chosen(model.strength, model.weight))


def chosen(strength: float, weight: ClassWeight) -> dict[str, Any]:
    """The settings of a regression that validation chose."""
    return {"C": strength, **({"class_weight": weight} if weight else {})}


def _size(model: Any) -> int:
    """Bytes of the pickled model, as scikit-learn's users store it; nothing is written."""
    return len(pickle.dumps(model))
