"""Attributions against plain arithmetic in float64, the classifier itself, and their own axioms."""

import copy
import subprocess
import sys

import numpy as np
import pytest
import torch
from tiny_models import random_documents, write_classifier

from ulmfit.inference import attribution
from ulmfit.inference.attribution import Way, path
from ulmfit.inference.ensemble import Classifier
from ulmfit.model.build import encoder_of

LABELS = ("a", "b", "c")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A classifier with random weights, three classes; the last 30 tokens are pooled."""
    return write_classifier(tmp_path_factory.mktemp("models") / "clf", labels=LABELS, max_len=30)


@pytest.fixture(scope="module")
def loaded(folder):
    return Classifier.load(folder, precision="float32").models[0]


def document(loaded, tokens, seed=0):
    ids = random_documents([tokens], len(loaded.processor.vocab), seed)[0]
    return torch.from_numpy(ids.astype(np.int64))


def plain_probabilities(model, embedded):
    """(tokens, features) -> (classes,), with nothing clever: one LSTM call a layer."""
    features = embedded[None]
    for layer in encoder_of(model).rnns:
        features, _ = torch.nn.LSTM.forward(layer, features)
    pooled = features[0, -30:]
    concat = torch.cat([pooled[-1], pooled.amax(0), pooled.mean(0)])[None]
    return model[1].layers(concat).softmax(1)[0]


def plain_scores(model, ids, target, points):
    """The definition, point by point, in float64."""
    model = copy.deepcopy(model).cpu().double()
    weight = encoder_of(model).encoder.weight.detach()
    text, start = weight[ids], weight.mean(0).repeat(len(ids), 1)
    start[0] = text[0]
    total = torch.zeros_like(text)
    for share in points.tolist():
        point = (start + share * (text - start)).requires_grad_()
        total += torch.autograd.grad(plain_probabilities(model, point)[target], point)[0]
    return ((text - start) * total / len(points)).sum(1).numpy()


# Against the definition


@pytest.mark.parametrize("tokens", [1, 2, 20, 75])
@pytest.mark.parametrize("steps", [None, 1, 33])
def test_scores_are_the_definition(loaded, monkeypatch, tokens, steps):
    monkeypatch.setattr(attribution, "_TOKENS", 7 * 32)  # chunks of 7 and of 28 tokens, or one
    ids, points = document(loaded, tokens), path(steps)
    assert len(points) == (steps or 1)
    target = tokens % len(LABELS)
    found = Way(loaded.model, ids).scores(target, points)
    expected = plain_scores(loaded.model, ids, target, points)
    assert found.shape == (tokens,)
    assert found[0] == 0  # xxbos
    np.testing.assert_allclose(found, expected, atol=1e-4 * (1e-3 + np.abs(expected).max()))


def test_path():
    assert path(None).tolist() == [1]
    assert path(4).tolist() == [0.125, 0.375, 0.625, 0.875]


@pytest.mark.parametrize("tokens", [5, 40])
def test_completeness(loaded, tokens):
    """Scores sum to the difference of the output at text and baseline (the paper's section 3)."""
    model = copy.deepcopy(loaded.model)
    for parameter in encoder_of(model).rnns.parameters():
        parameter.data *= 0.4  # as smooth as what was trained: random ones of +-1 are all steps
    way = Way(model, document(loaded, tokens, seed=1))
    totals = np.diff(way.ends(), axis=0)[0]
    assert np.abs(totals).max() > 1e-3
    for target, total in enumerate(totals):
        errors = [abs(way.scores(target, path(steps)).sum() - total) for steps in (32, 512)]
        assert errors[0] < 0.04 * np.abs(totals).max()
        assert errors[1] < 0.005 * np.abs(totals).max()


def test_a_word_that_is_the_average_has_no_share(loaded):
    model = copy.deepcopy(loaded.model)
    weight = encoder_of(model).encoder.weight.data
    weight[12] = (weight.sum(0) - weight[12]) / (len(weight) - 1)  # and so the mean of all
    ids = document(loaded, 12)
    ids[5] = 12
    found = np.abs(Way(model, ids).scores(1, path(16)))
    assert found[5] < 1e-5 * found.max()


# Against the classifier


@pytest.mark.parametrize("tokens", [1, 29, 30, 31, 128, 129, 300])
def test_ends_are_what_the_classifier_says(loaded, monkeypatch, tokens):
    monkeypatch.setattr(attribution, "_TOKENS", 100)
    words = loaded.processor.vocab[9:]
    text = " ".join(words[i % len(words)] for i in range(tokens - 1))
    ids = torch.from_numpy(loaded.processor.encode([text])[0].astype(np.int64))
    found = Way(loaded.model, ids).ends()
    expected = loaded.probabilities(loaded.tokenize([text]))[0]
    assert found.shape == (2, len(LABELS))
    np.testing.assert_allclose(found[1], expected, atol=1e-5)
    np.testing.assert_allclose(found.sum(1), 1)


def test_nothing_is_left_behind(loaded):
    """Neither gradients nor state: a prediction in between sees the model as it was."""
    weights = {name: value.clone() for name, value in loaded.model.state_dict().items()}
    loaded.model.reset()
    with torch.no_grad():  # of a caller
        Way(loaded.model, document(loaded, 50)).scores(0, path(4))
    assert all(parameter.grad is None for parameter in loaded.model.parameters())
    assert encoder_of(loaded.model).hidden == []
    assert not loaded.model.training
    for name, value in loaded.model.state_dict().items():
        assert torch.equal(value, weights[name])


def test_next_to_certainty_there_still_is_a_gradient(loaded):
    """In float32, a probability of 1 - 1e-9 is 1, and its gradient 0."""
    model, ids = copy.deepcopy(loaded.model), document(loaded, 8)
    second, first = np.sort(Way(model, ids).ends()[1])[-2:]
    model[1].layers[-1].weight.data *= np.log(1e9) / np.log(first / second)
    way = Way(model, ids)
    text = way.ends()[1]
    sure = int(text.argmax())
    assert 1e-10 < 1 - text[sure] < 1e-8
    expected = plain_scores(model, ids, sure, path(None))
    found = way.scores(sure, path(None))
    np.testing.assert_allclose(found, expected, atol=0.05 * np.abs(expected).max())


# Long texts


def test_progress_counts_every_token_at_every_point(loaded, monkeypatch):
    monkeypatch.setattr(attribution, "_TOKENS", 320)
    for tokens in (3, 10, 47):
        counts = []
        way = Way(loaded.model, document(loaded, tokens), counts.append)
        way.ends()
        assert counts == []
        way.scores(0, path(40))
        assert sum(counts) == tokens * 40


def test_faint_gradients_end(loaded, monkeypatch):
    """They would become numbers below the smallest normal one, which are slow to compute with."""
    model, ids = copy.deepcopy(loaded.model), document(loaded, 800)
    for parameter in encoder_of(model).rnns.parameters():
        parameter.data *= 0.4  # soon forgets
    whole = Way(model, ids).scores(0, path(None))
    monkeypatch.setattr(attribution, "_TOKENS", 20)
    found = Way(model, ids).scores(0, path(None))
    smallest = np.finfo(np.float32).tiny
    assert ((whole != 0) & (np.abs(whole) < smallest)).any()
    assert ((found == 0) | (np.abs(found) >= smallest)).all()
    assert found[:400].max() == 0
    np.testing.assert_allclose(found, whole, atol=1e-6 * np.abs(whole).max())


def test_memory_does_not_grow_with_the_text(folder):
    """Even a tiny model would keep 140 megabytes for 1,800 tokens at 32 points."""
    code = f"""
from ulmfit.compare.worker import peak_memory
from ulmfit.explain import explain
from ulmfit.predict import Classifier
classifier = Classifier.load({str(folder)!r}, precision="float32")
def peak():
    explain(classifier, "the story was dull and the sea great . " * words)
    return peak_memory()
words = 40
before = peak()
words = 200
print((peak() - before) / (1 << 20))"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(found.stdout) < 70
