"""Metrics of a classification, from probabilities and true classes.

`truth` is a result of `Labels.encode`: class numbers, shape (documents,), or for a multi-label
classification an indicator matrix, shape (documents, classes).
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ulmfit.data.labels import SINGLE, Labels

ECE_BINS = 15


def classification_metrics(
    probabilities: np.ndarray, truth: np.ndarray, labels: Labels = SINGLE
) -> dict[str, Any]:
    """Accuracy, F1 (macro, and weighted by class size), ECE and log loss.

    Multi-label: accuracy is the share of documents with all labels right (subset accuracy). Micro
    F1 and Hamming loss are added. ECE and log loss are means over all decisions, one for each
    document and class. `probabilities` has the shape (documents, classes).
    """
    from sklearn.metrics import accuracy_score, f1_score, hamming_loss  # takes a second to import

    predicted = labels.decide(probabilities)
    decided = labels.decisions(probabilities, truth)

    def f1(average: str) -> float:
        return f1_score(truth, predicted, average=average, zero_division=0)

    figures: dict[str, Callable[[], float]] = {
        "accuracy": lambda: accuracy_score(truth, predicted),
        "f1_micro": lambda: f1("micro"),
        "f1": lambda: f1("macro"),
        "f1_weighted": lambda: f1("weighted"),
        "hamming_loss": lambda: hamming_loss(truth, predicted),
        "ece": lambda: expected_calibration_error(*decided),
        "log_loss": lambda: _log_loss(*decided),
    }
    return {"documents": len(truth), **{name: float(figures[name]()) for name in labels.figures}}


def _log_loss(probabilities: np.ndarray, truth: np.ndarray) -> float:
    of_truth = probabilities[np.arange(len(truth)), truth]
    return float(-np.log(np.clip(of_truth, 1e-12, None)).mean())


def class_figures(
    probabilities: np.ndarray, truth: np.ndarray, labels: Labels = SINGLE
) -> list[dict[str, Any]]:
    """precision, recall, f1 and number of documents of each class; 0 for an empty class."""
    from sklearn.metrics import precision_recall_fscore_support

    predicted, classes = labels.decide(probabilities), range(probabilities.shape[1])
    columns = precision_recall_fscore_support(truth, predicted, labels=classes, zero_division=0)
    names = ("precision", "recall", "f1", "documents")
    return [dict(zip(names, map(float, row), strict=True)) for row in zip(*columns, strict=True)]


def expected_calibration_error(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance of confidence and accuracy over 15 equal bins (Guo et al. 2017).

    For a multi-label classification, pass its `decisions`.
    """
    confidence, right = probabilities.max(1), probabilities.argmax(1) == truth
    bins = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    error = 0.0
    for b in np.unique(bins):
        inside = bins == b
        error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return float(error)
