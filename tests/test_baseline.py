"""TF-IDF and logistic regression: learns, keeps the order of texts and classes, few texts."""

import numpy as np
import pandas as pd
import pytest

from ulmfit.baseline import tfidf_probabilities


def frame(texts, labels, splits):
    return pd.DataFrame({"text": texts, "label": labels, "split": splits})


def three_classes(copies=10):
    texts = ["good and fine", "bad and sad", "so so and so"] * copies + ["good", "bad", "so"]
    return frame(
        texts, ["pos", "neg", "mid"] * (copies + 1), ["train"] * 3 * copies + ["valid"] * 3
    )


@pytest.mark.parametrize("classes", [["mid", "neg", "pos"], ["pos", "mid", "neg"]])
@pytest.mark.parametrize("copies", [1, 10])
def test_columns_are_the_classes_in_the_order_given(classes, copies):
    texts = ["fine good", "sad bad", "so so", ""]
    found = tfidf_probabilities(three_classes(copies), texts, classes)
    assert found.shape == (4, 3)
    np.testing.assert_allclose(found.sum(1), 1)
    assert [classes[i] for i in found.argmax(1)[:3]] == ["pos", "neg", "mid"]


def test_labels_of_test_are_not_used():
    training = three_classes()
    test = frame(["good"] * 50, ["neg"] * 50, ["test"] * 50)
    classes = ["mid", "neg", "pos"]
    expected = tfidf_probabilities(training, ["good"], classes)
    for labels in (test, test.assign(label=None)):
        found = tfidf_probabilities(pd.concat([training, labels]), ["good"], classes)
        np.testing.assert_array_equal(found, expected)


def test_strength_is_chosen_on_valid():
    # Only little regularisation tells the rare word from the frequent one that contradicts it.
    texts = ["common rare"] * 2 + ["common"] * 40
    training = frame(texts, ["a"] * 2 + ["b"] * 40, ["train"] * 42)
    valid = frame(["common rare"], ["a"], ["valid"])
    found = tfidf_probabilities(pd.concat([training, valid]), ["common rare"], ["a", "b"])
    assert found[0, 0] > 0.5


@pytest.mark.parametrize(
    "texts", [["same words"] * 30, [f"word{i}" for i in range(30)], ["good film", "bad film"] * 15]
)
def test_words_that_are_all_rare_or_everywhere(texts):
    found = tfidf_probabilities(
        frame([*texts, "film"], ["neg", "pos"] * 15 + ["pos"], ["train"] * 30 + ["valid"]),
        ["same words", "word1", "film"],
        ["neg", "pos"],
    )
    assert found.shape == (3, 2)


def test_without_valid():
    training = three_classes()
    training = training[training["split"] == "train"]
    found = tfidf_probabilities(training, ["good"], ["mid", "neg", "pos"])
    assert found.argmax(1).tolist() == [2]
