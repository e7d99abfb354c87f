"""Figures against scikit-learn's and against sums done by hand."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, log_loss

from ulmfit.inference.metrics import classification_metrics, expected_calibration_error


def binary(confident_in_first):
    first = np.array(confident_in_first)
    return np.stack([first, 1 - first], 1)


def test_figures_are_sklearns():
    rng = np.random.default_rng(0)
    truth = rng.choice(3, 200, p=[0.6, 0.3, 0.1])
    probabilities = rng.dirichlet([1, 1, 1], 200) * 0.6 + np.eye(3)[truth] * 0.4
    predicted = probabilities.argmax(1)
    found = classification_metrics(probabilities, truth)
    assert found["documents"] == 200
    assert 0.5 < found["accuracy"] < 1
    assert found["accuracy"] == accuracy_score(truth, predicted)
    assert found["f1"] == pytest.approx(f1_score(truth, predicted, average="macro"))
    assert found["f1_weighted"] == pytest.approx(f1_score(truth, predicted, average="weighted"))
    assert found["log_loss"] == pytest.approx(log_loss(truth, probabilities))
    assert all(type(figure) in (int, float) for figure in found.values())


def test_by_hand():
    # Predicted 0, 0, 1, 1; true 0, 1, 1, 1.
    found = classification_metrics(binary([0.9, 0.8, 0.4, 0.1]), np.array([0, 1, 1, 1]))
    assert found["accuracy"] == 0.75
    # Class 0: precision 1/2, recall 1, F1 2/3. Class 1: precision 1, recall 2/3, F1 4/5.
    assert found["f1"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert found["f1_weighted"] == pytest.approx((2 / 3 + 3 * 4 / 5) / 4)
    expected = -(np.log(0.9) + np.log(0.2) + np.log(0.6) + np.log(0.9)) / 4
    assert found["log_loss"] == pytest.approx(expected)


def test_a_certain_mistake_costs_no_infinity():
    found = classification_metrics(binary([1.0, 0.0]), np.array([1, 0]))
    assert found["accuracy"] == found["f1"] == 0
    assert found["ece"] == 1
    assert found["log_loss"] == pytest.approx(-np.log(1e-12))


def test_float32_and_one_document():
    found = classification_metrics(binary([0.75]).astype(np.float32), np.array([0]))
    assert found == {
        "documents": 1,
        "accuracy": 1.0,
        "f1": 1.0,
        "f1_weighted": 1.0,
        "ece": 0.25,
        "log_loss": pytest.approx(-np.log(0.75)),
    }


def test_calibration_error_by_hand():
    # Bins are fifteenths: 0.91 and 0.92 share one (one of two right), 0.62 is in another (right).
    probabilities = binary([0.91, 0.08, 0.62])
    truth = np.array([0, 0, 0])
    expected = 2 / 3 * abs(0.5 - 0.915) + 1 / 3 * abs(1 - 0.62)
    assert expected_calibration_error(probabilities, truth) == pytest.approx(expected)


def test_calibrated_is_zero():
    # Four of five right at confidence 0.8.
    assert expected_calibration_error(
        binary([0.8] * 5), np.array([0, 0, 0, 0, 1])
    ) == pytest.approx(0)


def test_confidence_of_one_is_in_the_last_bin():
    found = expected_calibration_error(binary([1.0, 0.96]), np.array([1, 0]))
    assert found == pytest.approx(abs(0.5 - 0.98))
