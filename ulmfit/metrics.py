"""Figures of a classification, from probabilities and true classes."""

from typing import Any

import numpy as np

ECE_BINS = 15


def classification_metrics(probabilities: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """Accuracy, F1 (macro: the mean over classes; and weighted by class size), ECE, log loss.

    Args:
        probabilities: shape (documents, classes).
        truth: class numbers, shape (documents,).
    """
    from sklearn.metrics import accuracy_score, f1_score  # takes a second to import

    predicted = probabilities.argmax(1)
    of_truth = probabilities[np.arange(len(truth)), truth]
    return {
        "documents": len(truth),
        "accuracy": float(accuracy_score(truth, predicted)),
        "f1": float(f1_score(truth, predicted, average="macro", zero_division=0)),
        "f1_weighted": float(f1_score(truth, predicted, average="weighted", zero_division=0)),
        "ece": expected_calibration_error(probabilities, truth),
        "log_loss": float(-np.log(np.clip(of_truth, 1e-12, None)).mean()),
    }


def expected_calibration_error(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance of confidence and accuracy over 15 equal bins (Guo et al. 2017)."""
    confidence = probabilities.max(1)
    right = probabilities.argmax(1) == truth
    bins = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    error = 0.0
    for b in np.unique(bins):
        inside = bins == b
        error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return float(error)
