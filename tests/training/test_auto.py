"""The recipe `auto`: facts of data sets, and the settings that follow from them."""

from dataclasses import replace

import pandas as pd
import pytest
from tiny_models import refuses

from ulmfit.data.labels import MULTI
from ulmfit.data.spec import DataSpec
from ulmfit.pipeline.plan import Plan
from ulmfit.training.auto import EFFORTS, Effort, choose
from ulmfit.training.budget import (
    PLAN,
    Speeds,
    check_minutes,
    earlier_effort,
    effort_for,
    keep_effort,
    measured_speeds,
    tell_effort,
)
from ulmfit.training.facts import Facts, facts_of
from ulmfit.training.settings import ClassifierSettings, LMSettings, load_settings, recipe_for

TWEETS = Facts(labelled=500, unlabelled=15_500, classes=6, length=17, words=300_000)
REVIEWS = Facts(labelled=1_800, unlabelled=1_000, classes=2, length=230, words=650_000)
SPEEDS = Speeds(lm=5_000, classifier=8_000)


def frame(rows):
    return pd.DataFrame(rows, columns=["text", "label", "split"])


def test_facts_count_what_is_read():
    found = facts_of(
        frame(
            [
                ("one two three", "a", "train"),
                ("one", "b", "train"),
                ("", "b", "train"),
                ("one two three four five", None, "unsup"),
                ("one two", "c", "valid"),
                ("one", None, "test"),
            ]
        ),
        DataSpec("x.csv"),
    )
    assert found == Facts(labelled=2, unlabelled=1, classes=2, length=2, words=11)
    assert found.line() == "2 labelled texts of 2 classes, 1 without a label, 2 words each"


def test_facts_of_several_labels_and_of_some_labels_alone():
    rows = [("a b", "x;y", "train"), ("c", "y", "train"), ("d", "", "valid")]
    assert facts_of(frame(rows), DataSpec("x.csv", labels=MULTI)).classes == 2
    some = frame([("a b", "xy"[i % 2], "train") for i in range(10)])
    few = facts_of(some, DataSpec("x.csv"), labels=4)
    assert (few.labelled, few.unlabelled) == (4, 6)


def test_facts_without_labels():
    found = facts_of(frame([("a b", None, "unsup")]), DataSpec("x.csv"))
    assert (found.labelled, found.classes) == (0, 0)
    assert choose(found, "wiki-en-small").rounds == 0


@pytest.mark.parametrize(
    ("facts", "passes", "epochs", "rounds"),
    [
        (TWEETS, 4, 25, 2),
        (replace(TWEETS, labelled=100), 4, 60, 2),
        (replace(TWEETS, labelled=16_000, unlabelled=0), 4, 4, 0),
        (REVIEWS, 2, 4, 0),
        (replace(REVIEWS, unlabelled=5_000), 2, 4, 1),
        (replace(REVIEWS, words=30_000_000), 1, 4, 0),
    ],
)
def test_lengths_follow_from_the_facts(facts, passes, epochs, rounds):
    found = choose(facts, "wiki-en-small")
    assert found.lm["steps"][-1]["epochs"] == passes
    assert found.classifier["steps"][-1]["epochs"] == epochs
    assert found.rounds == rounds
    for kind, given in ((LMSettings, found.lm), (ClassifierSettings, found.classifier)):
        load_settings(kind, "auto", given)
    load_settings(ClassifierSettings, "auto", found.student)
    load_settings(ClassifierSettings, "auto", found.again)


def test_a_part_of_very_many_texts_is_read_and_told_of():
    found = choose(replace(REVIEWS, words=160_000_000), "wiki-en-small")
    assert found.lm["steps"][-1]["share"] == pytest.approx(0.1)
    assert "1 pass over 10 % of the texts; classifier" in found.lines(2, 3)


def test_few_texts_have_small_batches():
    sizes = [choose(replace(TWEETS, words=w), "x").lm["batch_size"] for w in (2_000, 30_000, 10**6)]
    assert sizes == [4, 8, 32]


def test_texts_that_no_model_fits_are_read_in_subwords():
    found = choose(REVIEWS, "none").lm
    own = load_settings(LMSettings, "own-text", {})
    assert (found["pretrained"], found["tokenizer"]) == ("none", "subword")
    assert found["steps"][-1]["epochs"] == own.steps[-1].epochs
    assert load_settings(LMSettings, "auto", found).max_vocab == own.max_vocab


def test_the_line_says_what_was_chosen():
    assert choose(TWEETS, "wiki-en-small").lines(2, 3, whole=True) == (
        "auto: 500 labelled texts of 6 classes, 15,500 without a label, 17 words each: "
        "language model (stage 2) from wiki-en-small, 4 passes; classifier (stage 3), 25 epochs; "
        "2 rounds of self-training; all labels at the end"
    )


@pytest.mark.parametrize(("labelled", "learnt"), [(5_000, True), (5_001, False), (0, False)])
def test_the_labels_of_valid_are_learnt_where_there_are_few(labelled, learnt):
    assert choose(replace(TWEETS, labelled=labelled), "wiki-en-small").all_labels == learnt


@pytest.mark.parametrize(
    ("given", "recipe"),
    [
        ((None, None), "demo"),
        ((None, "imdb-sample"), "demo"),
        ((None, "imdb"), "demo"),
        ((None, "emotion"), "auto"),
        ((None, "reviews.csv"), "auto"),
        (("few", "reviews.csv"), "few"),
        (("auto", "imdb"), "auto"),
    ],
)
def test_default_recipe(given, recipe):
    assert recipe_for(*given) == recipe


# --- a budget -----------------------------------------------------------------------------------


def choices():
    return [choose(TWEETS, "wiki-en-small", effort) for effort in EFFORTS]


def test_each_effort_is_shorter_than_the_one_before():
    used = [min(2, effort.directions) for effort in EFFORTS]
    times = [SPEEDS.seconds(one, n) for one, n in zip(choices(), used, strict=True)]
    assert times == sorted(times, reverse=True)
    assert len(set(times)) == len(times)


def test_the_largest_effort_that_fits_is_taken():
    full, seconds = effort_for(0, choices(), SPEEDS, 2)
    assert full == EFFORTS[0]
    assert effort_for(seconds / 60, choices(), SPEEDS, 2)[0] == EFFORTS[0]
    less, shorter = effort_for(seconds / 60 - 0.1, choices(), SPEEDS, 2)
    assert less == EFFORTS[1]
    assert shorter < seconds
    assert effort_for(0.001, choices(), SPEEDS, 2)[0] == EFFORTS[-1]


def test_directions_side_by_side_take_the_time_of_one_and_none_is_left_out():
    beside = SPEEDS._replace(at_once=2)
    assert beside.seconds(choices()[0], 2) == SPEEDS.seconds(choices()[0], 1)
    _, seconds = effort_for(0, choices(), beside, 2)
    for minutes in (seconds / 60, seconds / 120, seconds / 240):
        effort, taken = effort_for(minutes, choices(), beside, 2)
        assert effort.directions == 2
        assert taken <= 60 * minutes
    assert effort_for(0.001, choices(), beside, 2)[0].directions == 0


def test_an_effort_is_kept_for_the_same_budget_and_texts(tmp_path):
    keep_effort(tmp_path / "new", TWEETS, 5, EFFORTS[3])
    assert earlier_effort(tmp_path / "new", TWEETS, 5) == EFFORTS[3]
    assert earlier_effort(tmp_path / "new", TWEETS, 6) is None
    assert earlier_effort(tmp_path / "new", REVIEWS, 5) is None
    assert earlier_effort(tmp_path, TWEETS, 5) is None
    (tmp_path / PLAN).write_text('{"facts": 3}')
    assert earlier_effort(tmp_path, TWEETS, 5) is None


def tell(effort, seconds, minutes, facts=TWEETS, directions=2):
    both = choose(facts, "x"), choose(facts, "x", effort)
    tell_effort(effort, seconds, minutes, both, directions)


def test_what_was_cut_is_told(told):
    tell(EFFORTS[1], 290, 5)
    tell(EFFORTS[5], 290, 5)
    tell(EFFORTS[0], 290, 0)
    tell(EFFORTS[0], 290, 9)
    tell(EFFORTS[-1], 20, 0.1)
    assert told == [
        "about 5 min on this machine; shortened for --minutes 5: 1 of 2 rounds of self-training",
        "about 5 min on this machine; shortened for --minutes 5: no self-training, the "
        "labels of valid are not learnt, 50 % of the passes, the forward direction alone",
        "about 5 min on this machine; --minutes shortens it",
        "about 5 min on this machine",
        "0.1 minutes are too few for a language model of these texts: the linear classifiers alone "
        "are trained; give more --minutes",
    ]


def test_what_the_full_training_lacks_is_not_told_as_cut(told):
    many = replace(TWEETS, labelled=16_000, unlabelled=0)
    tell(EFFORTS[5], 290, 5, many, directions=1)
    assert told == ["about 5 min on this machine; shortened for --minutes 5: 50 % of the passes"]


def test_both_directions_are_no_cut_where_they_train_at_once(told):
    tell(replace(EFFORTS[6], directions=2), 290, 5)
    assert told == [
        "about 5 min on this machine; shortened for --minutes 5: no self-training, the labels of "
        "valid are not learnt, 25 % of the passes"
    ]


@pytest.mark.parametrize("minutes", [-1, float("nan"), float("inf")])
def test_a_budget_is_a_number_of_minutes(minutes):
    line = f"found --minutes {minutes:g}, expected minutes, or 0 for as long as it takes"
    with refuses(line):
        check_minutes(minutes)


def test_a_budget_goes_with_the_recipe_auto():
    with refuses(
        "found --minutes with the recipe demo, expected it with auto, which chooses the lengths; "
        "add --recipe auto, or leave it out"
    ):
        Plan.of(None, {"data": None}, None, minutes=3)


@pytest.mark.computes
def test_speeds_are_measured():
    speeds = measured_speeds("auto")
    assert 0 < speeds.lm < float("inf")
    assert 0 < speeds.classifier < float("inf")


def test_an_effort_without_directions_needs_a_linear_member():
    plan = Plan.of(None, {"data": "x.csv"}, None, minutes=1, members=("fwd",))
    with refuses("1 minutes are too few for fwd; give more --minutes, or add nb to --members"):
        plan.with_choice(choose(TWEETS, "wiki-en-small"), Effort(rounds=0, directions=0))
