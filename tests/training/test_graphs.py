"""Recorded training steps, with a recorder for the CPU that keeps a graph's rules.

It runs nothing while it records, and its replays write loss, gradients and state into fixed places.
"""

import pytest
import torch
from tiny_learners import STEPS, lm, rows_of, run_of, same, weights

from ulmfit.base.errors import Stopped
from ulmfit.model.lm_loss import LMLoss
from ulmfit.training.graphs import GraphLearner, RecordedStep, learner_class

CPU, GPU = torch.device("cpu"), torch.device("cuda")


class CPUStep(RecordedStep):
    """A step whose replay runs it again, into the places of the recording."""

    replays = 0

    def _recorded(self):
        step = self._step
        random, hidden = torch.get_rng_state(), [(h.clone(), c.clone()) for h, c in self.state]
        step()
        torch.set_rng_state(random)
        self._keep(hidden)
        self.learn.autocast.before_batch()  # `step` has ended it, and a replay here computes anew
        loss, places = self.loss, [weight.grad for weight in self.weights]

        def replay():
            self.replays += 1
            step()
            loss.copy_(self.loss)
            self.loss = loss
            for place, weight in zip(places, self.weights, strict=True):
                place.copy_(weight.grad)

        return replay


@pytest.fixture
def recorded(monkeypatch):
    """`lm` with recorded steps; the list of recordings."""
    made = []

    def step(learn):
        made.append(CPUStep(learn))
        return made[-1]

    monkeypatch.setattr("ulmfit.training.graphs.RecordedStep", step)
    monkeypatch.setattr("ulmfit.training.learner.learner_class", lambda loss, device: GraphLearner)
    return made


def test_a_training_with_recorded_steps_is_the_same(tmp_path, recorded, monkeypatch):
    replayed = lm()
    one = run_of(replayed, tmp_path / "one.checkpoint")
    one.fit()
    monkeypatch.undo()
    plain = lm()
    other = run_of(plain, tmp_path / "other.checkpoint")
    other.fit()
    assert rows_of(one) == rows_of(other)
    assert same(weights(replayed), weights(plain))
    # One recording for each set of weights that train. The first batch of an epoch and the last,
    # shorter one run as usual, and so do three before a recording.
    assert len(recorded) == len(STEPS)
    assert all(recording.replays > 2 for recording in recorded)


def test_a_training_in_pieces_is_the_same(tmp_path, recorded):
    whole = lm()
    run_of(whole, tmp_path / "whole.checkpoint").fit()
    number = [0]

    def deadline():  # every seventh batch
        number[0] += 1
        return number[0] % 7 == 0

    pieces = 0
    while True:
        learn = lm()
        run = run_of(learn, tmp_path / "m.checkpoint")
        keeper = "ulmfit.training.checkpoint.CheckpointKeeper._late"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(keeper, lambda keeper: deadline())
            try:
                run.fit()
                break
            except Stopped:
                pieces += 1
    assert pieces > 2
    assert same(weights(learn), weights(whole))


def test_graphs_are_for_an_exact_softmax_on_one_gpu():
    assert learner_class(LMLoss(), GPU) is GraphLearner
    assert learner_class(LMLoss(4096), GPU) is not GraphLearner
    assert learner_class(LMLoss(), CPU) is not GraphLearner
    assert learner_class(torch.nn.CrossEntropyLoss(), GPU) is not GraphLearner
