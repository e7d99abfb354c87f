"""How rates move over a step, and what the variants of a recipe's steps are."""

import numpy as np
import pytest
import torch
from tiny_learners import STEPS, classifier, run_of

from ulmfit.training.schedules import courses, steps_of
from ulmfit.training.settings import ClassifierSettings, LMSettings, PretrainSettings, Step

RATES = np.array([0.001, 0.01])
MOMENTUM = (0.8, 0.7, 0.8)
GRADUAL = [Step(1, 0.02, groups=1), Step(2, [0.004, 0.01], groups=2), Step(3, [5e-4, 5e-3])]


def rates_at(schedule, *shares):
    course = courses(schedule, RATES, Step(1, 0.01), MOMENTUM)
    return [course["lr"](share) for share in shares], [course["mom"](share) for share in shares]


def test_one_cycle():
    lr, momentum = rates_at("one-cycle", 0.0, 0.25, 1.0)
    np.testing.assert_allclose(lr, [RATES / 25, RATES, RATES / 1e5])
    assert momentum == pytest.approx([0.8, 0.7, 0.8])


def test_slanted_triangular():
    """Up from 1/32 over the first tenth, then down along a line (ULMFiT section 3.2)."""
    lr, momentum = rates_at("slanted", 0.0, 0.05, 0.1, 0.55, 1.0)
    low = RATES / 32
    middle = (low + RATES) / 2
    np.testing.assert_allclose(lr, [low, middle, RATES, middle, low], rtol=1e-6)
    assert momentum == [0.7] * 5


def test_constant():
    lr, momentum = rates_at("constant", 0.0, 0.5, 1.0)
    np.testing.assert_array_equal(lr, [RATES] * 3)
    assert momentum == [0.7] * 3


def settings_of(kind=ClassifierSettings, **given):
    return kind(steps=GRADUAL, **given)


def test_steps_as_the_recipe_has_them():
    assert steps_of(settings_of()) == GRADUAL
    assert steps_of(settings_of(LMSettings)) == GRADUAL
    assert steps_of(settings_of(PretrainSettings)) == GRADUAL


def test_all_layers_from_the_start():
    assert steps_of(settings_of(unfreeze="all")) == [Step(6, [5e-4, 5e-3])]


def test_the_head_alone():
    assert steps_of(settings_of(unfreeze="last")) == [Step(6, 0.02, groups=1)]


@pytest.mark.parametrize("kind", [ClassifierSettings, LMSettings])
def test_equal_rates(kind):
    steps = steps_of(settings_of(kind, rates="equal"))
    assert [step.lr for step in steps] == [0.02, 0.01, 5e-3]
    assert [step.groups for step in steps] == [1, 2, 0]


@pytest.mark.parametrize("schedule", ["slanted", "constant"])
def test_a_run_follows_its_schedule(tmp_path, schedule):
    def trained(**more):
        learn = classifier()
        run = run_of(learn, tmp_path / f"{len(more)}.checkpoint", STEPS[1:], **more)
        run.fit()
        return learn.opt.hypers[-1]["lr"], torch.cat(
            [weight.flatten() for weight in learn.model[1].parameters()]
        )

    last, weights = trained(schedule=schedule)
    highest = STEPS[1].lr[1]
    # fastai's scheduler sets the rate before a batch: the last one stands at 19 of 20.
    expected = {"constant": highest, "slanted": highest * (1 - 31 / 32 * (0.95 - 0.1) / 0.9)}
    assert last == pytest.approx(expected[schedule])
    assert not torch.equal(weights, trained()[1])


def test_epochs_and_rate_of_the_last_step():
    steps = steps_of(settings_of(epochs=7, lr="1e-2"))
    assert [step.epochs for step in steps] == [1, 2, 7]
    assert steps[-1].lr == pytest.approx([1e-3, 1e-2])
    assert steps[0].lr == pytest.approx(0.04)  # twice as high, as the last one
    assert steps[1].lr == pytest.approx([0.008, 0.02])


def test_rate_of_the_finder():
    assert steps_of(settings_of(lr="auto"), 1e-2) == steps_of(settings_of(lr="1e-2"))
    assert steps_of(settings_of(lr="auto")) == GRADUAL
