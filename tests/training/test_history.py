"""The history: its rows are right, and somebody who waits is told."""

import math
import sys

import numpy as np
import pytest
import torch
from fastai.callback.core import Callback
from tiny_learners import (
    CPU,
    DTYPE,
    At,
    classifier,
    ctrl_c,
    lm,
    rows_of,
    run_of,
    same,
    weights,
)

from ulmfit.base import bars as bars_module
from ulmfit.base.errors import UserError
from ulmfit.inference.language_model import measure_lm
from ulmfit.inference.loaded import predict_probabilities
from ulmfit.training import history as module
from ulmfit.training.history import TIMING, History, without_timing
from ulmfit.training.learner import without_waiting
from ulmfit.training.settings import Step

ONE = [Step(2, 0.01)]


class BatchLosses(Callback):
    """Loss and number of targets of each training batch."""

    def __init__(self):
        self.seen = []

    def after_batch(self):
        if self.training:
            self.seen.append((self.learn.loss.item(), self.yb[0].numel()))


def test_rows_of_a_language_model(tmp_path):
    learn, losses = lm(), BatchLosses()
    learn.add_cb(losses)
    rows = run_of(learn, tmp_path / "m.checkpoint", ONE).fit()
    assert [(row["step"], row["epoch"]) for row in rows] == [(1, 1), (1, 2)]
    assert list(rows[0]) == [
        *("step", "epoch", "train_loss", "valid_loss", "accuracy", "perplexity", "lr"),
        *TIMING,
    ]
    total = sum(loss * targets for loss, targets in losses.seen[10:])
    assert rows[1]["train_loss"] == pytest.approx(total / sum(n for _, n in losses.seen[10:]))
    measured = measure_lm(learn.model, learn.dls.valid, CPU, DTYPE)
    assert rows[1]["valid_loss"] == pytest.approx(measured["loss"])
    assert rows[1]["accuracy"] == pytest.approx(measured["accuracy"])
    assert rows[1]["perplexity"] == pytest.approx(math.exp(measured["loss"]))


def test_rows_of_a_classifier(tmp_path):
    learn = classifier(torch.float32)  # which a chunk's length does not change
    rows = run_of(learn, tmp_path / "m.checkpoint", ONE).fit()
    assert "perplexity" not in rows[1]
    loader = learn.dls.valid
    probabilities = predict_probabilities(learn.model, loader.corpus, CPU, torch.float32)
    right = probabilities.argmax(1) == loader.labels
    assert rows[1]["accuracy"] == pytest.approx(right.mean())
    of_truth = probabilities[np.arange(3), loader.labels]
    assert rows[1]["valid_loss"] == pytest.approx(-np.log(of_truth).mean(), rel=1e-4)


def test_rows_are_numbered_through_the_steps_once_each_after_a_resume(tmp_path):
    learn = lm()
    learn.add_cb(At(ctrl_c, batch=24))
    steps = [Step(1, 0.01, groups=1), Step(2, 0.01), Step(1, 0.001)]
    with pytest.raises(KeyboardInterrupt):
        run_of(learn, tmp_path / "m.checkpoint", steps).fit()
    rows = run_of(lm(), tmp_path / "m.checkpoint", steps).fit()
    assert [(row["step"], row["epoch"]) for row in rows] == [(1, 1), (2, 1), (2, 2), (3, 1)]


def test_tokens_are_counted_without_padding(tmp_path):
    learn, seen = classifier(), []

    class Counted(Callback):
        order = 58  # behind the history

        def after_batch(self):
            if self.training:
                seen.append(self.history._tokens)

    learn.add_cb(Counted())
    run_of(learn, tmp_path / "m.checkpoint", ONE[:1]).fit()
    assert seen[9] == seen[19] == sum(range(4, 44))


def test_without_timing():
    rows = [{"epoch": 1, "loss": 0.5, "seconds": 3.0, "tokens_per_second": 100}]
    assert without_timing(rows) == [{"epoch": 1, "loss": 0.5}]


def test_lines_for_the_reader(tmp_path, told):
    run_of(lm(), tmp_path / "m.checkpoint", ONE).fit()
    assert len(told) == 2
    assert told[0].startswith("  step 1  epoch 1  train_loss 4.")
    names = ["valid_loss", "accuracy", "perplexity", "lr", "seconds", "tokens_per_second"]
    assert all(f"  {name} " in told[0] for name in names)


def test_long_epochs_say_that_they_are_alive(tmp_path, monkeypatch, told):
    monkeypatch.setattr(module, "SECONDS_BETWEEN_LINES", -1.0)
    learn = lm()
    learn.add_cb(At(ctrl_c, batch=4))
    with pytest.raises(KeyboardInterrupt):
        run_of(learn, tmp_path / "m.checkpoint", ONE).fit()
    run_of(lm(), tmp_path / "m.checkpoint", ONE).fit()
    alive = [line for line in told if "min left" in line]
    assert [line.split(",")[0] for line in alive] == [
        *(f"  step 1 epoch 1/2: {10 * tenth:3}%" for tenth in range(1, 11)),
        *(f"  step 1 epoch 2/2: {10 * tenth:3}%" for tenth in range(1, 11)),
    ]


def test_bar_on_a_terminal(tmp_path, monkeypatch, capsys):
    bars = []

    class Bar(bars_module.tqdm):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            bars.append(self)

    monkeypatch.setattr(bars_module, "tqdm", Bar)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    learn = lm()
    learn.add_cb(At(ctrl_c, batch=13))
    with pytest.raises(KeyboardInterrupt):
        run_of(learn, tmp_path / "m.checkpoint", ONE).fit()
    run_of(lm(), tmp_path / "m.checkpoint", ONE).fit()
    assert [(bar.total, bar.n) for bar in bars] == [(10, 10), (10, 3), (10, 10)]
    assert [bar.desc for bar in bars] == [f"step 1 epoch {n}/2" for n in (1, 2, 2)]
    assert all(bar.disable for bar in bars)  # closed


def test_a_history_of_its_own_for_each_run():
    assert History().rows is not History().rows


def test_losses_that_are_fetched_some_at_a_time_make_the_same_rows(tmp_path, monkeypatch):
    rows = []
    for at_a_time in (1, 7):
        monkeypatch.setattr(module, "_FETCHED_AT_A_TIME", {"cpu": at_a_time})
        rows.append(run_of(lm(), tmp_path / f"{at_a_time}.checkpoint", ONE).fit())
    one, other = map(without_timing, rows)
    assert one == other


def test_a_loss_that_is_no_number_is_told_by_its_batch_however_late_it_is_fetched(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "_FETCHED_AT_A_TIME", {"cpu": 4})
    learn = lm()
    learn.add_cb(At(lambda: learn.model[1].bias.data.fill_(math.nan), batch=5))
    with pytest.raises(UserError, match="the loss became nan at step 1, epoch 1, batch 6 "):
        run_of(learn, tmp_path / "m.checkpoint", ONE).fit()
    assert not (tmp_path / "m.checkpoint").exists()


def test_without_fastais_recorder_the_training_is_the_same(tmp_path):
    found = []
    for device in ("cpu", "cuda"):
        learn = without_waiting(lm(), torch.device(device))
        assert hasattr(learn, "recorder") == (device == "cpu")
        run = run_of(learn, tmp_path / f"{device}.checkpoint", ONE)
        run.fit()
        found.append((weights(learn), rows_of(run)))
    assert same(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]
