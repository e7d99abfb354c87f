"""The last step ends when validation gets no better, with its best weights; also when resumed."""

import pytest
import torch
from tiny_learners import CPU, DTYPE, At, ctrl_c, lm, rows_of, run_of, same, weights
from told import lines_told

from ulmfit.inference.language_model import measure_lm
from ulmfit.training.learner import measured_lm
from ulmfit.training.settings import Step

# A rate at which the tiny model soon gets worse, after a step that early stopping leaves alone.
STEPS = [Step(3, 0.01), Step(12, 0.3, pct_start=0.9)]


def losses(run):
    return [row["valid_loss"] for row in rows_of(run) if row["step"] == 2]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    learn = lm()
    folder = tmp_path_factory.mktemp("stopped")
    run = run_of(learn, folder / "m.checkpoint", STEPS, patience=2)
    with lines_told() as said:
        run.fit()
    return learn, run, said


def test_it_ends_after_so_many_epochs_without_a_better_one(stopped):
    _, run, said = stopped
    found = losses(run)
    best = found.index(min(found))
    assert best + 1 + 2 == len(found) < 12
    assert f"  no better epoch than {best + 1} in 2: the step ends" in said
    assert len([row for row in rows_of(run) if row["step"] == 1]) == 3


def test_the_weights_are_those_of_the_best_epoch(stopped):
    learn, run, _ = stopped
    measured = measure_lm(learn.model, learn.dls.valid, CPU, DTYPE)
    assert measured["loss"] == pytest.approx(min(losses(run)), abs=1e-6)


def test_the_final_row_measured_these_weights(stopped, tmp_path):
    """So that the stages need no further pass over the validation part."""
    learn, run, _ = stopped
    assert measured_lm(run.final_row()) == measure_lm(learn.model, learn.dls.valid, CPU, DTYPE)
    assert run.final_row() is not run.history.rows[-1]
    learn = lm()
    run = run_of(learn, tmp_path / "m.checkpoint")
    run.fit()
    for again in (learn, lm()):  # the second finds the finished training
        run = run_of(again, tmp_path / "m.checkpoint")
        run.fit()
        assert run.final_row() is run.history.rows[-1]
        assert measured_lm(run.final_row()) == measure_lm(again.model, again.dls.valid, CPU, DTYPE)


def test_without_patience_it_trains_to_the_end(stopped, tmp_path):
    learn = lm()
    run = run_of(learn, tmp_path / "m.checkpoint", STEPS)
    run.fit()
    assert len(losses(run)) == 12
    assert losses(run)[: len(losses(stopped[1]))] == losses(stopped[1])
    assert not run.best
    assert not same(weights(learn), weights(stopped[0]))


@pytest.mark.parametrize("when", ["before the best", "after the best", "in the last"])
def test_an_interrupted_run_ends_with_the_same_weights(stopped, tmp_path, when):
    found = losses(stopped[1])
    best = found.index(min(found)) + 1  # epochs of step 2
    epochs = {"before the best": best - 1, "after the best": best, "in the last": len(found) - 1}
    learn = lm()
    learn.add_cb(At(ctrl_c, batch=10 * (3 + epochs[when]) + 5))  # 10 batches an epoch, 3 in step 1
    with pytest.raises(KeyboardInterrupt):
        run_of(learn, tmp_path / "m.checkpoint", STEPS, patience=2).fit()
    again = lm()
    torch.rand(5)
    run = run_of(again, tmp_path / "m.checkpoint", STEPS, patience=2)
    run.fit()
    assert rows_of(run) == rows_of(stopped[1])
    assert same(weights(again), weights(stopped[0]))
