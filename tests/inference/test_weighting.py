"""Weights of an ensemble: few texts move them little; a member goes only if it clearly hurts."""

import numpy as np
import pytest

from ulmfit.data.labels import MULTI, SingleLabels
from ulmfit.inference.weighting import choose

LABELS = SingleLabels(["neg", "pos"])


def member(truth, right, sure=0.8, seed=0):
    """Probabilities of two classes, right for a share of the texts."""
    rng = np.random.default_rng(seed)
    answers = np.where(rng.random(len(truth)) < right, truth, 1 - truth)
    found = np.full((len(truth), 2), 1 - sure)
    found[np.arange(len(truth)), answers] = sure
    return found


def truth_of(count):
    return np.random.default_rng(9).integers(0, 2, count)


def test_few_texts_leave_weights_nearly_equal():
    shares = {}
    for count in (50, 5000):
        truth = truth_of(count)
        found = {"fwd": member(truth, 0.9, 0.9), "nb": member(truth, 0.75, 0.75, 1)}
        chosen = choose(found, ["nb"], truth, LABELS)
        assert sum(chosen.weights.values()) == pytest.approx(1)
        shares[count] = chosen.weights["fwd"]
    assert 0.5 <= shares[50] < 0.56
    assert shares[5000] > 0.65


def test_a_member_that_hurts_is_left_out():
    truth = truth_of(1000)
    found = {
        "fwd": member(truth, 0.9),
        "bwd": member(truth, 0.4, 0.99, 1),
        "nb": member(truth, 0.85, 0.8, 2),
    }
    chosen = choose(found, ["nb"], truth, LABELS)
    assert set(chosen.weights) == {"fwd", "nb"}
    assert chosen.gains["bwd"] > 0


def test_a_member_that_hurts_within_noise_stays():
    truth = truth_of(40)
    found = {"fwd": member(truth, 0.9), "nb": member(truth, 0.8, seed=1)}
    assert set(choose(found, ["nb"], truth, LABELS).weights) == {"fwd", "nb"}


def test_the_last_of_its_kind_needs_twice_as_clear_a_case():
    # Between one and two standard errors: a second network goes, the only linear member stays.
    truth = np.zeros(60, int)
    good = np.tile([0.8, 0.2], (60, 1))
    bad = good.copy()
    bad[:4] = [0.02, 0.98]
    left = [choose({"a": good, "b": bad}, linear, truth, LABELS).gains for linear in ([], ["b"])]
    assert "b" not in left[1] or "b" in left[0]


def test_one_always_remains():
    truth = truth_of(300)
    found = {name: member(truth, 0.1, 0.99, n) for n, name in enumerate("abc")}
    assert choose(found, [], truth, LABELS).weights
    assert choose({"a": found["a"]}, [], truth, LABELS).weights == {"a": 1.0}


def test_a_temperature_is_fitted_and_few_texts_draw_it_to_1():
    temperatures = []
    for count in (30, 3000):
        truth = truth_of(count)
        truth[0], truth[1] = 0, 1
        temperatures.append(choose({"a": member(truth, 0.8, 0.99)}, [], truth, LABELS).temperature)
    assert 1 < temperatures[0] < temperatures[1]
    truth = truth_of(50)
    assert choose({"a": member(truth, 1.0)}, [], truth, LABELS).temperature == 1.0  # no error


def test_several_labels():
    truth = np.random.default_rng(0).random((200, 3)) < 0.3
    noise = np.random.default_rng(1).random((200, 3))
    good, bad = np.where(truth ^ (noise < 0.1), 0.8, 0.2), 1 - np.where(truth, 0.95, 0.05)
    chosen = choose({"fwd": good, "bwd": bad}, [], truth, MULTI)
    assert chosen.weights == {"fwd": 1.0}
