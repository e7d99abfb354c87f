"""NB-weighted logistic regression: its weights by hand, what it chooses, what it gives."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from ulmfit.inference.baseline import _log_ratio, fit_naive_bayes


def frame(texts, labels, split="train"):
    return pd.DataFrame({"text": texts, "label": labels, "split": split})


def some(copies=6):
    """Three classes, each with words of its own; valid is as train."""
    texts = ["good fine plot", "bad dull plot", "long slow plot"] * copies
    labels = ["pos", "neg", "slow"] * copies
    return pd.concat([frame(texts, labels), frame(texts[:6], labels[:6], "valid")])


def test_log_ratio():
    from scipy.sparse import csr_array

    known = csr_array(np.array([[1, 0], [1, 1], [0, 1]], np.float32))
    found = _log_ratio(known, np.array([True, True, False]))
    inside, outside = np.array([3, 2]) / 5, np.array([1, 2]) / 3  # counts, each and one more
    np.testing.assert_allclose(found, np.log(inside / outside))


@pytest.mark.parametrize("classes", [["neg", "pos"], ["neg", "pos", "slow"]])
def test_probabilities(classes):
    data = some()
    data = data[data["label"].isin(classes)]
    model = fit_naive_bayes(data, classes)
    found = model.probabilities(["a good plot", "a dull plot", "something else", ""])
    assert found.shape == (4, len(classes))
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-6)
    assert [classes[n] for n in found.argmax(1)[:2]] == ["pos", "neg"]


def test_two_classes_are_one_regression_on_scaled_words():
    data = some()
    data = data[data["label"] != "slow"]
    model = fit_naive_bayes(data, ["neg", "pos"])
    train = data[data["split"] == "train"]
    rows, right = model.features.transform(train["text"]), (train["label"] == "pos").to_numpy()
    scaled = rows.multiply(_log_ratio(rows.astype(float), right)).tocsr()
    theirs = LogisticRegression(C=model.strength, max_iter=1000).fit(scaled, right)
    np.testing.assert_allclose(
        model.probabilities(train["text"].tolist())[:, 1],
        theirs.predict_proba(scaled)[:, 1],
        atol=1e-4,
    )


def test_strength_is_chosen_on_valid():
    # A word of few texts says the truth of them, against one of many: little regularisation.
    train = frame(["common rare"] * 2 + ["common"] * 40, ["a"] * 2 + ["b"] * 40)
    strengths = [
        fit_naive_bayes(pd.concat([train, frame([text], [label], "valid")]), ["a", "b"]).strength
        for text, label in (("common rare", "a"), ("common rare", "b"))
    ]
    assert strengths[0] > strengths[1]


def test_labels_of_test_are_not_used():
    data = some()
    test = frame(["good"] * 9, ["neg"] * 9, "test")
    texts = ["good", "dull"]
    found = [
        fit_naive_bayes(pd.concat([data, more]), ["neg", "pos", "slow"]).probabilities(texts)
        for more in (test, test.assign(label=None))
    ]
    np.testing.assert_array_equal(*found)
