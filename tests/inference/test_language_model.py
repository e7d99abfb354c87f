"""A language model from Python: it writes as the command does, and measures as the stages do."""

import math

import numpy as np
import pytest
import torch
from tiny_models import TEXTS, WORDS, refuses, write_classifier, write_lm
from torch.nn.functional import cross_entropy

from ulmfit import LanguageModel, UserError
from ulmfit.artifacts.directory import read_artifact
from ulmfit.generate import main
from ulmfit.inference.language_model import measure_lm
from ulmfit.inference.sampling import Sampling
from ulmfit.text.batches import LMLoader
from ulmfit.text.corpus import tokenize_texts

PROMPT = "The quiet film"


@pytest.fixture(scope="module", params=[False, True], ids=["forward", "backward"])
def folder(request, tmp_path_factory):
    return write_lm(tmp_path_factory.mktemp("models") / "lm", backwards=request.param)


def test_it_writes_as_the_command_does(folder, capsys):
    model = LanguageModel.load(folder)
    written = model.generate(PROMPT, n=2, words=7, sampling=Sampling(1.0, top_k=5), seed=3)
    assert capsys.readouterr().out == ""
    assert written == main(str(folder), PROMPT, n=2, words=7, temperature=1.0, top_k=5, seed=3)
    assert len(LanguageModel.load(str(folder)).generate()) == 3


def test_a_bundled_name_is_the_forward_model(tmp_path, monkeypatch):
    for name, backwards in (("films-fwd", False), ("films-bwd", True)):
        write_lm(tmp_path / name, backwards)
    monkeypatch.setattr("ulmfit.artifacts.bundled.folder", lambda: tmp_path)
    assert not LanguageModel.load("films").backwards
    assert LanguageModel.load("films-bwd").backwards


@torch.no_grad()
def naive(model, text):
    """Loss and accuracy of one text, read in one go."""
    bos, *rest = model.processor.encode([text])[0].astype(np.int64)
    ids = torch.tensor([bos, *(rest[::-1] if model.backwards else rest)])
    model.model.reset()
    logits = model.model(ids[None, :-1])[0].logits()[0].float()
    right = (logits.argmax(1) == ids[1:]).float().mean()
    return float(cross_entropy(logits, ids[1:])), float(right)


def test_perplexity_is_of_the_next_word(folder):
    model = LanguageModel.load(folder, precision="float32")
    loss, accuracy = naive(model, WORDS)
    found = model.measure([WORDS])
    assert found["loss"] == pytest.approx(loss, rel=1e-5)
    assert found["accuracy"] == pytest.approx(accuracy)
    assert model.perplexity([WORDS]) == found["perplexity"] == pytest.approx(math.exp(loss), 1e-5)
    assert model.perplexity([WORDS]) == found["perplexity"]  # no call hears of another


def test_many_texts_are_measured_as_the_stages_measure(folder):
    model = LanguageModel.load(folder)
    texts = [*TEXTS, WORDS] * 90
    tokenized = tokenize_texts(texts, model.processor)
    corpus = tokenized.numericalize(model.processor.vocab, np.arange(len(texts)))
    loader = LMLoader(corpus.reversed() if model.backwards else corpus, 64, 72)
    assert len(corpus.ids) > 6400
    assert model.measure(texts) == measure_lm(model.model, loader, model.device, model.dtype)


def test_what_cannot_be_measured(folder):
    model = LanguageModel.load(folder)
    with refuses("found one text, expected a list of texts; call perplexity([text])"):
        model.perplexity(WORDS)
    with refuses("found bytes, expected a list of texts; decode it: measure([data.decode()])"):
        model.measure(WORDS.encode())
    with refuses("found list, expected one text; generate(prompt) takes a string"):
        model.generate(["a", "film"])
    for nothing in ([], [None, " "]):
        with refuses("found no text to measure on, expected at least one that is not empty"):
            model.perplexity(nothing)
    assert model.perplexity(["a"]) > 1
    with refuses("--n is 0 and --words is 60, expected at least 1 each"):
        model.generate(n=0)
    with torch.no_grad():
        model.model[1].bias.fill_(math.nan)
    with refuses(
        f"{folder} computes nan or infinity instead of probabilities; train or copy the model again"
    ):
        model.perplexity([WORDS])


def test_a_classifier_is_no_language_model(tmp_path):
    folder = write_classifier(tmp_path / "clf")
    with pytest.raises(UserError, match="holds a classifier, a language model was expected"):
        LanguageModel.load(folder)
    assert read_artifact(folder).manifest.kind == "classifier"


def test_features_for_clustering_and_search(folder):
    model = LanguageModel.load(folder, precision="float32")
    found = model.embed(TEXTS)
    size = model.artifact.manifest.config.encoder.emb_sz
    assert (found.shape, found.dtype) == ((len(TEXTS), 3 * size), np.float32)
    for text, row in zip(TEXTS, found, strict=True):
        assert model.embed([text])[0] == pytest.approx(row, abs=1e-4)
    assert model.embed([]).shape == (0, 3 * size)
    with refuses("found one text, expected a list of texts; call embed([text])"):
        model.embed("a")


@torch.no_grad()
def test_features_are_last_maximum_and_mean(folder):
    model = LanguageModel.load(folder, precision="float32")
    bos, *rest = model.processor.encode([WORDS])[0].astype(np.int64)
    ids = torch.tensor([bos, *(rest[::-1] if model.backwards else rest)])
    encoder = model.model[0].eval()
    encoder.reset()
    outputs = encoder.read(encoder.embed(ids[None]))[0]
    expected = torch.cat([outputs[-1], outputs.amax(0), outputs.mean(0)])
    written = model.generate(PROMPT, n=1, words=5)
    assert model.embed([WORDS])[0] == pytest.approx(expected.numpy(), abs=1e-4)
    assert model.generate(PROMPT, n=1, words=5) == written
