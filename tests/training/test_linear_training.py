"""Linear classifiers: chosen by cross-validation on train, and what cannot be trained."""

import pandas as pd
import pytest
from tiny_stages import reviews

from ulmfit.artifacts.config import NB_LR, TFIDF_LR
from ulmfit.artifacts.directory import read_artifact
from ulmfit.base.errors import UserError
from ulmfit.data.labels import MULTI, SINGLE
from ulmfit.inference.ensemble import Classifier
from ulmfit.training.linear import train_linear, why_no_linear
from ulmfit.training.members import members_of, possible
from ulmfit.training.settings import ClassifierSettings

SETTINGS = ClassifierSettings(data="reviews.csv")


def frame(rows=None):
    return pd.DataFrame(rows or reviews(), columns=["text", "label", "split"])


@pytest.mark.parametrize("features", [NB_LR, TFIDF_LR])
def test_trained_on_train_alone(tmp_path, features):
    data = frame()
    path = train_linear(features, data, SETTINGS, tmp_path / "clf").path
    # The labels of valid change nothing but the fingerprint of the data.
    other = data.copy()
    valid = other["split"] == "valid"
    other.loc[valid, "label"] = other.loc[valid, "label"].to_numpy()[::-1]
    assert (other["label"] != data["label"]).any()
    again = train_linear(features, other, SETTINGS, tmp_path / "again").path
    for name in ("linear.safetensors", "ngrams.txt"):
        assert (path / name).read_bytes() == (again / name).read_bytes()
    manifest = read_artifact(path, "linear").manifest
    assert manifest.recipe["data"] == "reviews.csv"
    assert manifest.metrics["cross_validation"]["accuracy"] > 0.9
    assert manifest.metrics["train_texts"] == 60
    found = Classifier.load(path).predict(["Was great, lovely.", "Was dull, awful."])
    assert found["label"].tolist() == ["good", "bad"]


def test_several_labels(tmp_path):
    rows = [["great fun", "good;fun", s] for s in ("train", "valid")] * 12
    rows += [["dull story", "", "train"]] * 10 + [["great story", "good", "train"]] * 10
    settings = ClassifierSettings(data="x.csv", multi_label=True)
    path = train_linear(TFIDF_LR, frame(rows), settings, tmp_path / "clf").path
    found = Classifier.load(path).probabilities(["great fun", "dull story"])
    assert (found[0] > 0.5).all()
    assert (found[1] < 0.5).all()


def test_texts_without_words(tmp_path, told):
    rows = [["", label, split] for split in ("train", "valid") for label in "ab" * 6]
    assert train_linear(TFIDF_LR, frame(rows), SETTINGS, tmp_path / "clf") is None
    assert told[-1].startswith("TF-IDF + logistic regression is left out: scikit-learn finds empty")
    assert not (tmp_path / "clf").exists()


@pytest.mark.parametrize(
    ("features", "labels", "cells", "why"),
    [
        (NB_LR, MULTI, ["a"] * 9, "a text may have several labels, and it knows one"),
        (TFIDF_LR, MULTI, ["a"] * 9, ""),
        (NB_LR, SINGLE, ["a"] * 9, "train has one class, a, and 2 are needed"),
        (
            TFIDF_LR,
            SINGLE,
            ["a"] * 9 + ["b"],
            "the class b has one text in train, and cross-validation needs 2",
        ),
        (TFIDF_LR, SINGLE, ["a"] * 9 + ["b"] * 2, ""),
    ],
)
def test_why_not(features, labels, cells, why):
    data = frame([["text", cell, "train"] for cell in cells])
    assert why_no_linear(features, data, labels.of(cells)) == why


def test_members():
    assert members_of("") == members_of([]) == ("fwd", "bwd", "nb", "tfidf")
    assert members_of("fwd") == ("fwd",)
    assert members_of(["tfidf", "bwd", "tfidf"]) == ("bwd", "tfidf")
    with pytest.raises(UserError, match=r"^--members names x, y, expected some of fwd, bwd, nb, "):
        members_of(["x", "nb", "y"])


def test_members_that_cannot_be_trained(told):
    rows = [["text", label, split] for split in ("train", "valid") for label in "aab"]
    assert possible(("fwd", "nb", "tfidf"), frame(rows), SETTINGS) == ("fwd",)
    why = "is left out: the class b has one text in train, and cross-validation needs 2"
    names = ("NB-weighted logistic regression", "TF-IDF + logistic regression")
    assert told == [f"{name} {why}" for name in names]
    with pytest.raises(UserError, match=r"^none of --members nb can be trained on reviews"):
        possible(("nb",), frame(rows), SETTINGS)
