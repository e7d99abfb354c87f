"""Soft labels: scaled to the class frequencies, and who may give them."""

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_models import write_classifier

from ulmfit.base.errors import UserError
from ulmfit.data.labels import MULTI, SINGLE, SingleLabels
from ulmfit.model.single_label_loss import SingleLabelLoss
from ulmfit.training.settings import ClassifierSettings
from ulmfit.training.teaching import balanced, soft_labels, unlabelled_rows


def test_balanced_answers_have_the_class_frequencies():
    rng = np.random.default_rng(0)
    found = rng.dirichlet([4, 1, 1], size=400)  # the teacher prefers the first class
    prior = np.array([0.2, 0.3, 0.5])
    scaled = balanced(found, prior)
    assert scaled.dtype == np.float32
    assert np.allclose(scaled.sum(1), 1, atol=1e-5)
    assert abs(found.mean(0) - prior).max() > 0.3
    assert abs(scaled.mean(0) - prior).max() < 0.1  # sharpened after it was scaled


def test_balanced_answers_are_sharper():
    even = np.full((2, 2), 0.5)
    assert np.allclose(balanced(even, np.array([0.5, 0.5])), 0.5)
    found = np.array([[0.8, 0.2], [0.2, 0.8]])
    assert balanced(found, np.array([0.5, 0.5]))[0, 0] > 0.85


def frame_of(unlabelled):
    rows = [("good", "pos", "train"), ("bad", "neg", "train"), ("fine", "pos", "valid")]
    rows += [(text, None, "unsup") for text in unlabelled]
    return pd.DataFrame(rows, columns=["text", "label", "split"])


def test_unlabelled_rows_are_drawn_by_the_seed():
    frame = frame_of([f"text {i}" for i in range(50)] + ["", "  "])
    every = unlabelled_rows(frame, ClassifierSettings(teacher="x", teacher_texts=0))
    assert every.tolist() == list(range(3, 53))
    drawn = [
        unlabelled_rows(frame, ClassifierSettings(teacher="x", teacher_texts=10, seed=seed))
        for seed in (1, 1, 2)
    ]
    assert [len(rows) for rows in drawn] == [10, 10, 10]
    assert (drawn[0] == drawn[1]).all()
    assert (drawn[0] != drawn[2]).any()


def test_without_unlabelled_texts_there_is_nothing_to_learn():
    with pytest.raises(UserError, match="found 1 texts without a label, expected some for"):
        unlabelled_rows(frame_of(["one"]), ClassifierSettings(data="d.csv", teacher="x"))


def test_teacher_of_other_labels_is_refused(tmp_path):
    write_classifier(tmp_path / "clf", labels=["neg", "pos"])
    settings = ClassifierSettings(teacher=str(tmp_path / "clf"))
    for labels in (SINGLE.of(["a", "b"]), MULTI.of(["neg", "pos"])):
        with pytest.raises(UserError, match="has the labels neg, pos, expected"):
            soft_labels(["a text"], labels, np.array([0, 1]), settings)


def test_loss_of_certain_probabilities_is_that_of_classes():
    logits, truth = torch.randn(6, 3), torch.tensor([0, 1, 2, 2, 1, 0])
    certain = torch.nn.functional.one_hot(truth, 3).float()
    for smoothing in (0.0, 0.1):
        loss = SingleLabelLoss(label_smoothing=smoothing)
        torch.testing.assert_close(loss(logits, certain), loss(logits, truth))


def test_the_prior_of_many_answers_sums_to_one():
    rng = np.random.default_rng(3)
    answers = rng.dirichlet([0.1] * 6, 20_000).astype(np.float32)
    assert abs(answers.mean(0).sum() - 1) > 1e-6  # what a mean of float32 gives
    prior = SingleLabels(list("abcdef")).prior(answers)
    assert abs(prior.sum() - 1) < 1e-12
    assert np.abs(prior - answers.mean(0, dtype=np.float64)).max() < 1e-5
