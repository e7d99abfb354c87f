"""What is chosen on validation: the more accurate, of equals the one of the smaller loss."""

import numpy as np
import pandas as pd
import pytest

from ulmfit.data.labels import SingleLabels
from ulmfit.inference.baseline import NAIVE_BAYES, TFIDF, class_weights, fit_baseline, score

TRUTH = np.array([0, 1, 1])


def test_accuracy_goes_before_loss_and_loss_decides_between_equals():
    sure = np.array([[0.9, 0.1], [0.1, 0.9], [0.2, 0.8]])
    unsure = np.array([[0.6, 0.4], [0.4, 0.6], [0.4, 0.6]])
    once_wrong = np.array([[0.99, 0.01], [0.01, 0.99], [0.51, 0.49]])
    assert score(sure, TRUTH) > score(unsure, TRUTH) > score(once_wrong, TRUTH)
    assert score(unsure, TRUTH) == (1.0, pytest.approx(np.log(0.6)))
    assert np.isfinite(score(np.array([[0.0, 1.0]]), np.array([0]))[1])


def test_classes_of_uneven_size_may_be_weighted():
    assert class_weights(["a"] * 3 + ["b"] * 2) == (None,)
    assert class_weights(["a"] * 4 + ["b"] * 2) == (None, "balanced")
    assert class_weights(np.array([0, 0, 0, 0, 1])) == (None, "balanced")


@pytest.mark.parametrize("name", [TFIDF, NAIVE_BAYES])
def test_a_rare_class_is_found_where_that_is_right_more_often(name):
    """Unweighted, at each strength that is tried, all of valid would be "b"."""
    rng = np.random.default_rng(0)
    noise = [f"w{n}" for n in range(200)]

    def text(*words):
        return " ".join([*words, *rng.choice(noise, 12)])

    train = [(text("rare"), "a", "train") for _ in range(4)]
    train += [(text(), "b", "train") for _ in range(60)]
    valid = [(text("rare"), "a", "valid") for _ in range(20)] + [(text(), "b", "valid")] * 5
    frame = pd.DataFrame(train + valid, columns=["text", "label", "split"])
    labels = SingleLabels(["a", "b"])
    assert fit_baseline(name, frame, labels).weight == "balanced"
    even = pd.concat([frame.iloc[:8], frame[frame["split"] == "valid"]])
    assert fit_baseline(name, even, labels).weight is None
