"""The baselines: they learn, keep the order of texts and classes, and take few texts."""

import numpy as np
import pandas as pd
import pytest

from ulmfit.data.labels import MULTI, SingleLabels
from ulmfit.inference.baseline import NAIVE_BAYES, TFIDF, baseline_names, fit_baseline


def frame(texts, labels, splits):
    return pd.DataFrame({"text": texts, "label": labels, "split": splits})


def probabilities(training, texts, classes, name=TFIDF):
    return fit_baseline(name, training, SingleLabels(classes)).probabilities(texts)


each = pytest.mark.parametrize("name", [TFIDF, NAIVE_BAYES])


def test_naive_bayes_has_no_several_labels():
    assert baseline_names() == (TFIDF, NAIVE_BAYES)
    assert baseline_names(MULTI) == (TFIDF,)


def three_classes(copies=10):
    texts = ["good and fine", "bad and sad", "so so and so"] * copies + ["good", "bad", "so"]
    return frame(
        texts, ["pos", "neg", "mid"] * (copies + 1), ["train"] * 3 * copies + ["valid"] * 3
    )


@pytest.mark.parametrize("classes", [["mid", "neg", "pos"], ["pos", "mid", "neg"]])
@pytest.mark.parametrize("copies", [1, 10])
@each
def test_columns_are_the_classes_in_the_order_given(name, classes, copies):
    texts = ["fine good", "sad bad", "so so", ""]
    found = probabilities(three_classes(copies), texts, classes, name)
    assert found.shape == (4, 3)
    np.testing.assert_allclose(found.sum(1), 1)
    assert [classes[i] for i in found.argmax(1)[:3]] == ["pos", "neg", "mid"]


@each
def test_labels_of_test_are_not_used(name):
    training = three_classes()
    test = frame(["good"] * 50, ["neg"] * 50, ["test"] * 50)
    classes = ["mid", "neg", "pos"]
    expected = probabilities(training, ["good"], classes, name)
    for labels in (test, test.assign(label=None)):
        found = probabilities(pd.concat([training, labels]), ["good"], classes, name)
        np.testing.assert_array_equal(found, expected)


def test_strength_is_chosen_on_valid():
    # Only little regularisation tells the rare word from the frequent one that contradicts it.
    texts = ["common rare"] * 2 + ["common"] * 40
    training = frame(texts, ["a"] * 2 + ["b"] * 40, ["train"] * 42)
    valid = frame(["common rare"], ["a"], ["valid"])
    found = probabilities(pd.concat([training, valid]), ["common rare"], ["a", "b"])
    assert found[0, 0] > 0.5


@pytest.mark.parametrize(
    "texts", [["same words"] * 30, [f"word{i}" for i in range(30)], ["good film", "bad film"] * 15]
)
def test_words_that_are_all_rare_or_everywhere(texts):
    found = probabilities(
        frame([*texts, "film"], ["neg", "pos"] * 15 + ["pos"], ["train"] * 30 + ["valid"]),
        ["same words", "word1", "film"],
        ["neg", "pos"],
    )
    assert found.shape == (3, 2)


@each
def test_without_valid(name):
    training = three_classes()
    training = training[training["split"] == "train"]
    found = probabilities(training, ["good"], ["mid", "neg", "pos"], name)
    assert found.argmax(1).tolist() == [2]
