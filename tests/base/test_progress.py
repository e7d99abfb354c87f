"""Whoever waits for a long loop is told how far it is."""

import re
import sys

import numpy as np
import torch
from tiny_learners import CPU, lm
from tiny_models import random_corpus, write_classifier

from ulmfit.artifacts.directory import read_artifact
from ulmfit.base import progress as module
from ulmfit.base.progress import Progress, progress
from ulmfit.inference.language_model import measure_lm
from ulmfit.inference.loaded import LoadedModel, predict_probabilities


def test_lines_off_a_terminal(monkeypatch, told):
    now = iter(range(0, 1000, 40))
    monkeypatch.setattr(module.time, "monotonic", lambda: next(now))
    assert list(progress("abcde", 5, "reading")) == list("abcde")
    assert told == ["  reading:  40%, 2.0 min left", "  reading:  80%, 0.7 min left"]


def test_parts_of_a_unit_and_the_speed(monkeypatch, told):
    now = iter([0, 30, 61, 100])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(now))
    shown = Progress(8000, "classifying", "texts")
    for _ in range(3):
        shown.advance(1220.5)
    assert told == ["  classifying:  31%, 40 texts a second, 2.3 min left"]
    shown.advance(8000 - shown.done)  # all is done: nothing to tell
    assert len(told) == 1


def test_short_loops_say_nothing(capsys):
    assert list(progress(range(3), 3, "reading")) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")


def test_bar_on_a_terminal(monkeypatch, capsys):
    bars = []

    class Bar(module.tqdm):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **{**kwargs, "delay": 0.0})
            bars.append(self)

    monkeypatch.setattr(module, "tqdm", Bar)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(progress(range(3), 3, "reading")) == [0, 1, 2]
    assert [(bar.desc, bar.total, bar.n, bar.disable) for bar in bars] == [("reading", 3, 3, True)]
    assert capsys.readouterr().out == ""


def test_measuring_and_classifying_tell_how_far_they_are(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "SECONDS_BETWEEN_LINES", -1.0)
    learn = lm()
    measure_lm(learn.model, learn.dls.valid, CPU, torch.float32)
    loaded = LoadedModel(read_artifact(write_classifier(tmp_path / "clf")))
    corpus = random_corpus([17_000] * 8, len(loaded.processor.vocab))
    found = predict_probabilities(loaded.model, corpus, CPU, torch.float32)
    assert found.shape == (8, 2)
    assert np.allclose(found.sum(1), 1, atol=1e-5)
    said = capsys.readouterr().out
    assert "  measuring perplexity:  10%, " in said
    assert re.search(r"  classifying:  88%, \d+ texts a second, 0.0 min left\n", said)
