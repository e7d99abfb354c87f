"""Trainings in pieces: what a time limit ends, the same command takes up; and the forecast."""

import time
from pathlib import Path

import pytest
import torch
from fastai.callback.core import Callback
from safetensors.torch import load_file
from tiny_learners import LEARNERS, At, lm, rows_of, run_of, same, weights
from tiny_models import refuses
from tiny_stages import SETTINGS_1, SETTINGS_2, SETTINGS_3, write_general, write_reviews

from ulmfit import __main__
from ulmfit.base.cli import run_command
from ulmfit.base.errors import Stopped, UserError
from ulmfit.training import forecast, settings
from ulmfit.training.options import deadline_after

SHORT = [{"epochs": 1, "lr": 0.02}]


@pytest.mark.parametrize("kind", LEARNERS)
def test_a_run_in_pieces_ends_with_the_weights_of_one_that_was_not(kind, tmp_path):
    whole = run_of(LEARNERS[kind](), tmp_path / "whole.checkpoint")
    whole.fit()
    checkpoint, pieces = tmp_path / "m.checkpoint", 0
    while True:
        learn = LEARNERS[kind]()
        run = run_of(learn, checkpoint)
        # At the 7th batch of each piece, at an epoch's end and in the middle of it, time is up.
        learn.add_cb(At(lambda run=run: setattr(run, "deadline", time.monotonic()), batch=7))
        try:
            run.fit()
            break
        except Stopped as stopped:
            said = str(stopped)
            pieces += 1
    assert said == f"time is up: saved {checkpoint}; the same command goes on from there"
    assert pieces > 2
    assert same(weights(learn), weights(whole.learn))
    assert rows_of(run) == rows_of(whole)


def test_time_that_is_up_in_the_last_validation_ends_nothing(tmp_path):
    learn = lm()
    run = run_of(learn, tmp_path / "m.checkpoint")
    learn.add_cb(At(lambda: setattr(run, "deadline", time.monotonic()), validation=4))
    assert len(run.fit()) == 4


def test_deadlines():
    assert deadline_after(0) == float("inf")
    assert 0 < deadline_after(5) - time.monotonic() <= 5
    with refuses("--stop-after is -1, expected seconds, or 0 for no end"):
        deadline_after(-1)
    with refuses("--stop-after is nan, expected seconds, or 0 for no end"):
        deadline_after(float("nan"))


def test_a_command_that_is_stopped_says_so_and_succeeds(monkeypatch, capsys):
    def main():
        raise Stopped("time is up: \n saved x")

    monkeypatch.setattr("sys.argv", ["main"])
    run_command(main)
    assert capsys.readouterr().out == "time is up: saved x\n"


@pytest.fixture
def everything(tmp_path, monkeypatch):
    """A recipe [tiny] of few batches, and what to call `python -m ulmfit` with."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ULMFIT_CACHE", str(tmp_path / "cache"))
    data = write_reviews(tmp_path / "reviews.csv")
    few = {"batch_size": 32, "steps": SHORT}
    long = {**few, "seq_len": 32}
    tables = {
        settings.PretrainSettings: {**SETTINGS_1, **long},
        settings.LMSettings: {**SETTINGS_2, **long, "data": data, "samples": 0},
        settings.ClassifierSettings: {**SETTINGS_3, **few, "data": data},
    }
    monkeypatch.setattr(settings, "recipes", lambda stage: {"tiny": tables[stage]})
    return {"recipe": "tiny", "corpus": write_general(tmp_path / "general.csv"), "out": "all"}


def test_all_three_stages_in_as_many_calls_as_it_takes(everything, capsys):
    calls = []
    while True:
        try:
            summary = __main__.main(**everything, half=True, stop_after=1e-3)
            break
        except Stopped as stopped:
            calls.append(str(stopped))
    assert len(calls) >= 12  # a batch a call: every stage is stopped in its midst and at its end
    assert all(line.startswith("time is up: ") for line in calls)
    assert set(summary["seconds"]) == {
        *(f"stage{n}_{direction}" for n in (1, 2, 3) for direction in ("fwd", "bwd")),
        "stage3_nb",
        "stage3_tfidf",
        "this_run",
    }
    capsys.readouterr()
    weights = load_file("all/clf-bwd/encoder.safetensors").values()
    assert {weight.dtype for weight in weights} == {torch.float16}
    again = __main__.main(**everything)
    assert again["accuracy"] == summary["accuracy"]
    said = capsys.readouterr().out
    assert said.count("is finished already and kept") == 8
    other_corpus = {**everything, "corpus": write_general_other()}
    with refuses(
        "all/pretrained-fwd was trained on other data than --corpus holds now; pass --overwrite to "
        "train again, or choose another --out"
    ):
        __main__.main(**other_corpus)


def write_general_other():
    Path("other.csv").write_text(Path("general.csv").read_text() + "one more\n")
    return "other.csv"


def test_training_without_data_says_what_it_trains_on(told):
    with refuses("found --corpus and --pretrained, expected one of them"):
        __main__.main(corpus="a.txt", pretrained="none")
    assert told == [
        "no data given: the recipe demo trains on film reviews (imdb-sample); ulmfit train FILE "
        "trains on your own"
    ]


def test_what_does_not_go_together(everything):
    with refuses("found --corpus and --pretrained, expected one of them"):
        __main__.main(**everything, pretrained="none")
    with refuses(
        "found --overwrite with --stop-after, expected one of them: every call would begin anew; "
        "choose another --out, or delete the models in it"
    ):
        __main__.main(**everything, overwrite=True, stop_after=5)
    with pytest.raises(UserError, match="no file or folder nowhere"):
        __main__.main(**{**everything, "corpus": "nowhere"})


# --- the forecast --------------------------------------------------------------------------------


class Clock:
    """Stands in for the module `time`."""

    seconds = 0.0

    def monotonic(self):
        return self.seconds


class Ticks(Callback):
    """Every batch takes ten seconds."""

    order = 10

    def __init__(self, clock):
        self.clock = clock

    def after_batch(self):
        self.clock.seconds += 10


def test_the_forecast_counts_what_is_left(tmp_path, monkeypatch, told):
    clock = Clock()
    monkeypatch.setattr(forecast, "time", clock)
    learn = lm()
    learn.add_cb(Ticks(clock))
    run_of(learn, tmp_path / "m.checkpoint").fit()
    # 320 tokens an epoch, 80 to validate on. In the first step an epoch has half of the tokens and
    # five batches, all of which are read by then: the last four had 124 tokens in 40 seconds.
    rest = "and their validation, at the 3 tokens/s of the last 4 batches"
    assert [line for line in told if "to go" in line] == [
        f"  about 4.9 min to go in this stage: 800 tokens in 4 epochs {rest}",
        f"  about 2.8 min to go in this stage: 480 tokens in 2 epochs {rest}",
    ]


def test_no_forecast_of_a_short_training(tmp_path, told):
    run_of(LEARNERS["classifier"](), tmp_path / "m.checkpoint").fit()
    assert not [line for line in told if "to go" in line]
