"""A training that goes wrong stops, says where, and keeps the last good checkpoint."""

import re

import pytest
import torch
from fastai.callback.core import Callback
from tiny_learners import LEARNERS, At, ctrl_c, lm, run_of

from ulmfit.base.errors import UserError
from ulmfit.training.checkpoint import read_checkpoint
from ulmfit.training.divergence import LossWatch, all_finite

LAST = 30  # batches of all steps


class Loss(Callback):
    """Another loss in the batches from one of the second epoch on."""

    def __init__(self, loss):
        self.loss = loss

    def after_loss(self):
        if self.training and self.epoch == 1 and self.iter >= 2:
            self.learn.loss = torch.tensor(self.loss)
            self.rate = self.opt.hypers[-1]["lr"]


class Spoil(Callback):
    """A weight that becomes no number in the optimiser's step of a batch."""

    order = 40

    def __init__(self, number, batch):
        self.number, self.at = number, At(self.spoil, batch)

    def spoil(self):
        with torch.no_grad():
            next(self.model.parameters())[0] = self.number
        self.rate = self.opt.hypers[-1]["lr"]

    def after_batch(self):
        self.at.learn = self.learn
        self.at.after_batch()


def kept_checkpoint(checkpoint, run, epoch, batch):
    tensors, facts = read_checkpoint(checkpoint, run.identity)
    assert (facts["step"], facts["epoch"], facts["batch"]) == (0, epoch, batch)
    assert all(tensor.isfinite().all() for tensor in tensors.values())


@pytest.mark.parametrize(("loss", "line"), [("nan", "became nan"), ("inf", "became inf")])
def test_loss_that_is_no_number_stops_the_run(tmp_path, loss, line):
    learn, diverge, checkpoint = lm(), Loss(float(loss)), tmp_path / "m.checkpoint"
    learn.add_cb(diverge)
    run = run_of(learn, checkpoint, minutes=0)
    with pytest.raises(UserError) as caught:
        run.fit()
    assert str(caught.value) == (
        f"the loss {line} at step 1, epoch 2, batch 3 (learning rate {diverge.rate:.2g}): give a "
        f"lower --lr, and --overwrite to ignore the earlier checkpoint {checkpoint}"
    )
    kept_checkpoint(checkpoint, run, epoch=1, batch=2)


def test_loss_that_explodes_stops_the_run(tmp_path):
    learn, diverge, checkpoint = lm(), Loss(80.0), tmp_path / "m.checkpoint"
    learn.add_cb(diverge)
    run = run_of(learn, checkpoint)
    with pytest.raises(UserError) as caught:
        run.fit()
    first, smooth = run.history.watch.first, run.history.watch.mean
    line = re.fullmatch(
        rf"the loss rose from {first:.3g} to (\S+) at step 1, epoch 2, batch (\d) \(learning rate "
        rf"{re.escape(f'{diverge.rate:.2g}')}\): give a lower --lr, and --overwrite to ignore "
        rf"the earlier checkpoint {re.escape(str(checkpoint))}",
        str(caught.value),
    )
    assert float(line[1]) > 5 * first > smooth
    assert 3 < int(line[2]) <= 5  # one odd batch is no explosion
    kept_checkpoint(checkpoint, run, epoch=1, batch=0)


def test_loss_watch_goes_on_after_an_interruption(tmp_path):
    watches = []
    for interrupt in (False, True):
        checkpoint = tmp_path / str(interrupt)
        if interrupt:
            learn = lm()
            learn.add_cb(At(ctrl_c, batch=7))
            with pytest.raises(KeyboardInterrupt):
                run_of(learn, checkpoint).fit()
        run = run_of(lm(), checkpoint)
        run.fit()
        watches.append(run.history.watch)
    assert watches[0] == watches[1]
    assert watches[0].batches == LAST


@pytest.mark.parametrize("number", [float("nan"), float("-inf")])
@pytest.mark.parametrize("batch", [3, 5], ids=["amid an epoch", "at its end"])
def test_weights_that_are_no_numbers_replace_no_checkpoint(tmp_path, number, batch):
    """The loss of the batch was fine, its step was not."""
    learn, spoil, checkpoint = lm(), Spoil(number, batch), tmp_path / "m.checkpoint"
    learn.add_cb(spoil)
    run = run_of(learn, checkpoint, minutes=0)
    with pytest.raises(UserError) as caught:
        run.fit()
    assert str(caught.value) == (
        f"weights became infinite or NaN at step 1, epoch 1, batch {batch} (learning rate "
        f"{spoil.rate:.2g}): give a lower --lr, and --overwrite to ignore the earlier checkpoint "
        f"{checkpoint}"
    )
    kept_checkpoint(checkpoint, run, epoch=0, batch=batch - 1)


@pytest.mark.parametrize("kind", LEARNERS)
def test_validation_that_is_no_number_is_no_row(tmp_path, kind):
    learn, checkpoint = LEARNERS[kind](), tmp_path / "m.checkpoint"

    def spoil():
        with torch.no_grad():
            next(learn.model.parameters()).fill_(float("nan"))

    learn.add_cb(At(spoil, batch=5))
    run = run_of(learn, checkpoint)
    with pytest.raises(UserError) as caught:
        run.fit()
    rate = learn.opt.hypers[-1]["lr"]
    assert str(caught.value) == (
        f"the validation loss became nan at step 1, epoch 1, batch 5 (learning rate {rate:.2g}): "
        "give a lower --lr"
    )
    assert run.history.rows == []
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_keeps_the_last_good_checkpoint(tmp_path):
    learn, checkpoint = lm(), tmp_path / "m.checkpoint"
    learn.add_cbs([Spoil(float("nan"), 8), At(ctrl_c, batch=8)])
    run = run_of(learn, checkpoint)
    with pytest.raises(UserError, match=r"^weights became infinite or NaN at"):
        run.fit()
    kept_checkpoint(checkpoint, run, epoch=1, batch=0)


def watched(losses):
    watch = LossWatch()
    return [watch.problem(loss) for loss in losses]


@pytest.mark.parametrize(
    "losses",
    [
        [0.7] * 5 + [25.0] + [0.7] * 5,  # one odd batch
        [0.01] * 5 + [3.0] * 50,  # from overfitted back to guessing: bad, and no explosion
        [10.0] * 5 + [40.0] * 50,
        [],
    ],
)
def test_what_is_no_explosion(losses):
    assert set(watched(losses)) <= {""}


def test_what_is_one():
    problems = watched([0.7] * 200 + [60.0] * 2)
    assert set(problems[:-1]) == {""}
    assert problems[-1] == "the loss rose from 0.7 to 12"


def test_all_finite():
    whole = {"a": torch.ones(3), "ids": torch.tensor([1]), "half": torch.ones(2).half()}
    assert all_finite(whole | {"empty": torch.ones(0)})
    for bad in ("nan", "inf", "-inf"):
        assert not all_finite(whole | {"b": torch.tensor([1.0, float(bad)])})
    assert not all_finite({"both": torch.tensor([float("inf"), float("-inf")])})
