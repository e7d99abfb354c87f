"""Whoever waits for a long loop is told how far it is."""

import re
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_learners import CPU, lm
from tiny_models import random_corpus, write_classifier

from ulmfit.artifacts.directory import read_artifact
from ulmfit.base import bars as bars_module
from ulmfit.base import progress as module
from ulmfit.base.cli import end_in_one_line
from ulmfit.base.log import logger
from ulmfit.base.progress import Progress, progress
from ulmfit.inference.language_model import measure_lm
from ulmfit.inference.loaded import LoadedModel, predict_probabilities
from ulmfit.text.corpus import tokenize_texts
from ulmfit.text.processor import TextProcessor


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

    class Bar(bars_module.tqdm):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **{**kwargs, "delay": 0.0})
            bars.append(self)

    monkeypatch.setattr(bars_module, "tqdm", Bar)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(progress(range(3), 3, "reading")) == [0, 1, 2]
    assert [(bar.desc, bar.total, bar.n, bar.disable) for bar in bars] == [("reading", 3, 3, True)]
    assert capsys.readouterr().out == ""


def test_a_line_takes_the_bar_aside(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(bars_module.tqdm, "external_write_mode", aside := Aside())
    logger.info("between")
    assert aside.files == [sys.stdout]
    with pytest.raises(SystemExit):
        end_in_one_line(lambda: Path("nowhere").read_text())
    assert aside.files == [sys.stdout] * 2
    assert capsys.readouterr().out == "between\n"


def test_a_bar_is_shown_by_the_process_that_reads_it(monkeypatch, capsys):
    monkeypatch.setenv(bars_module.PASSED_ON, "60")
    assert list(progress(range(3), 3, "reading", even=False)) == [0, 1, 2]
    lines = capsys.readouterr().out.splitlines()
    assert re.search(r"reading: +0%.* 0/3 ", lines[0])
    assert lines[-1] == bars_module._MARK  # the bar goes
    shown = bars_module.PassedOn("forward")
    assert all(shown.takes(line) for line in lines[:-1])
    assert shown._bar.desc.startswith("forward: reading: ")
    assert shown.takes(lines[-1])
    assert shown._bar is None
    assert not shown.takes("step 2  epoch 1")


def test_a_process_passes_its_bars_on_where_they_are_seen(monkeypatch):
    shown = bars_module.PassedOn("forward")
    assert shown.environment() == {}
    monkeypatch.setattr(bars_module, "bars_shown", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    assert shown.environment() == {bars_module.PASSED_ON: "70"}


class Aside:
    """Stands in for tqdm's way to take its bars off the terminal."""

    def __init__(self):
        self.files = []

    def __call__(self, file):
        self.files.append(file)
        return nullcontext()


def test_a_bar_goes_when_the_work_breaks_off(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    shown = progress(range(3), 3, "comparing", "trial", even=False)
    next(shown)
    (bar,) = bars_module.tqdm._instances
    assert (bar.unit, bar.smoothing) == (" trial", 0.0)
    shown.close()
    assert not bars_module.tqdm._instances


def test_parts_that_differ_have_no_speed(monkeypatch, told):
    now = iter([0, 90])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(now))
    Progress(4, "comparing", "trial", even=False).advance()
    assert told == ["  comparing:  25%, 4.5 min left"]


def test_nothing_is_told_before_anything_is_done(monkeypatch, told):
    now = iter([0, 90])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(now))
    Progress(4, "pulling", "MB").advance(0)  # a file whose size the Hub does not tell
    assert told == []


def test_tokenising_tells_how_far_it_is(monkeypatch, told):
    monkeypatch.setattr(module, "SECONDS_BETWEEN_LINES", -1.0)
    monkeypatch.setattr("ulmfit.text.workers.CHUNK", 2)
    tokenize_texts(["a film", "a sea", "a text", "an end"], TextProcessor("word"), workers=1)
    assert len(told) == 1
    assert re.fullmatch(r"  tokenising:  50%, [\d,]+ texts a second, 0.0 min left", told[0])


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
