"""Figures of a classification, from probabilities and true classes.

`truth` is class numbers, shape (documents,), or of a multi-label classification an indicator
matrix, shape (documents, classes) (see `multi_label`).
"""

from typing import Any

import numpy as np

from ulmfit.data.multi_label import decisions, given

ECE_BINS = 15


def classification_metrics(probabilities: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """Accuracy, F1 (macro: the mean over classes; and weighted by class size), ECE, log loss.

    Of a multi-label classification, accuracy is the share of documents whose labels are all right
    (subset accuracy); F1 also comes over all decisions (micro), with the share of wrong ones
    (Hamming loss); ECE and log loss are means over decisions, one a document and class.

    Args:
        probabilities: shape (documents, classes).
        truth: class numbers or an indicator matrix.
    """
    if truth.ndim == 2:
        return _multi_label_metrics(probabilities, truth)
    from sklearn.metrics import accuracy_score, f1_score  # takes a second to import

    predicted = probabilities.argmax(1)
    return {
        "documents": len(truth),
        "accuracy": float(accuracy_score(truth, predicted)),
        "f1": float(f1_score(truth, predicted, average="macro", zero_division=0)),
        "f1_weighted": float(f1_score(truth, predicted, average="weighted", zero_division=0)),
        "ece": expected_calibration_error(probabilities, truth),
        "log_loss": _log_loss(probabilities, truth),
    }


def _multi_label_metrics(probabilities: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    from sklearn.metrics import accuracy_score, f1_score, hamming_loss

    predicted = given(probabilities)
    f1 = {
        average: float(f1_score(truth, predicted, average=average, zero_division=0))
        for average in ("micro", "macro", "weighted")
    }
    decided = decisions(probabilities, truth)
    return {
        "documents": len(truth),
        "accuracy": float(accuracy_score(truth, predicted)),
        "f1_micro": f1["micro"],
        "f1": f1["macro"],
        "f1_weighted": f1["weighted"],
        "hamming_loss": float(hamming_loss(truth, predicted)),
        "ece": expected_calibration_error(*decided),
        "log_loss": _log_loss(*decided),
    }


def _log_loss(probabilities: np.ndarray, truth: np.ndarray) -> float:
    of_truth = probabilities[np.arange(len(truth)), truth]
    return float(-np.log(np.clip(of_truth, 1e-12, None)).mean())


def class_figures(probabilities: np.ndarray, truth: np.ndarray) -> list[dict[str, Any]]:
    """precision, recall, f1 and the number of documents of each class; 0 where there is none."""
    from sklearn.metrics import precision_recall_fscore_support

    several = truth.ndim == 2
    predicted = given(probabilities) if several else probabilities.argmax(1)
    columns = precision_recall_fscore_support(
        truth, predicted, labels=range(probabilities.shape[1]), zero_division=0
    )
    names = ("precision", "recall", "f1", "documents")
    return [dict(zip(names, map(float, row), strict=True)) for row in zip(*columns, strict=True)]


def expected_calibration_error(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance of confidence and accuracy over 15 equal bins (Guo et al. 2017).

    Of a multi-label classification, `truth` and `probabilities` are those of its `decisions`.
    """
    confidence = probabilities.max(1)
    right = probabilities.argmax(1) == truth
    bins = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    error = 0.0
    for b in np.unique(bins):
        inside = bins == b
        error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return float(error)
