"""Recipes: what ships is valid, what is wrong is said, what is given wins."""

from dataclasses import asdict, fields
from pathlib import Path
from typing import get_type_hints

import pytest
from tiny_models import refuses

from ulmfit.base.cli import field_notes
from ulmfit.base.number_formats import PRECISIONS
from ulmfit.model.sizes import SIZES
from ulmfit.text.processor import TOKENIZERS
from ulmfit.training import settings as module
from ulmfit.training.domain_lm import LM_TEXT
from ulmfit.training.settings import (
    STAGE_FILES,
    ClassifierSettings,
    LMSettings,
    PretrainSettings,
    Step,
    load_settings,
    parse_settings,
    recipes,
)

STAGES = list(STAGE_FILES)
SHIPPED = [(stage, recipe) for stage in STAGES for recipe in recipes(stage)]
STEP = {"epochs": 1, "lr": 0.01}
STEP_KEYS = "epochs, lr, groups, share, div, pct_start, weight_decay"


def parse(stage=LMSettings, **table):
    return parse_settings(stage, {"steps": [STEP], **table}, "recipe [mine]")


@pytest.mark.parametrize(("stage", "recipe"), SHIPPED)
def test_shipped_recipes_parse(stage, recipe):
    settings = load_settings(stage, recipe, {})
    assert all(isinstance(step, Step) for step in settings.steps)
    assert asdict(settings) == asdict(parse_settings(stage, asdict(settings), "again"))


def test_every_stage_has_the_default_recipe_and_3_has_those_of_2():
    assert all("demo" in recipes(stage) for stage in STAGES)
    assert set(recipes(LMSettings)) <= set(recipes(ClassifierSettings))


def test_demo_unfreezes_gradually_from_the_head():
    groups = [step.groups for step in load_settings(ClassifierSettings, "demo", {}).steps]
    assert groups[0] == 1
    assert groups[:-1] == sorted(groups[:-1])
    assert groups[-1] == 0


def test_what_is_given_wins_and_none_is_not_given():
    demo = load_settings(LMSettings, "demo", {})
    settings = load_settings(LMSettings, "demo", {"batch_size": 7, "seed": None, "drop_mult": 1})
    assert (settings.batch_size, settings.seed) == (7, demo.seed)
    assert settings.drop_mult == 1
    assert settings.steps == demo.steps


def test_steps_may_be_given_from_python():
    step = Step(2, [1e-4, 1e-3], groups=2)
    assert load_settings(LMSettings, "demo", {"steps": [step]}).steps == [step]
    assert load_settings(LMSettings, "demo", {"steps": [STEP]}).steps == [Step(1, 0.01)]


@pytest.mark.parametrize("step", [Step(1, (0.01, 0.1)), {"epochs": 1, "lr": (0.01, 0.1)}])
def test_rates_may_be_a_tuple_and_a_path_a_path(step):
    given = {"steps": [step], "data": Path("a.csv"), "pretrained": Path("lm")}
    settings = load_settings(LMSettings, "demo", given)
    assert settings.steps == [Step(1, [0.01, 0.1])]
    assert (settings.data, settings.pretrained) == ("a.csv", "lm")


@pytest.mark.parametrize("stage", [*STAGES, Step])
def test_every_field_has_a_note(stage):
    notes = field_notes(stage)
    assert [f.name for f in fields(stage) if not notes.get(f.name)] == []


def test_choices_are_those_of_the_modules_that_know_them():
    kinds = get_type_hints(PretrainSettings, include_extras=True)
    kinds |= get_type_hints(LMSettings, include_extras=True)
    for name, choices in {
        "precision": PRECISIONS,
        "size": SIZES,
        "tokenizer": TOKENIZERS,
        "lm_text": LM_TEXT,
    }.items():
        assert kinds[name].__metadata__[0].expected == f"one of {', '.join(choices)}"


def test_unknown_recipe():
    known = ", ".join(recipes(LMSettings))
    with refuses(f"no recipe 'dmeo' in stage2_lm.toml; it has {known}"):
        load_settings(LMSettings, "dmeo", {})


def test_unknown_key():
    known = ", ".join(f.name for f in fields(ClassifierSettings))
    with refuses(f"recipe [mine]: unknown key 'bacth_size'; known are {known}"):
        parse(ClassifierSettings, bacth_size=8)
    with refuses(f"step 1 of recipe [mine]: unknown key 'epoch'; known are {STEP_KEYS}"):
        parse(steps=[{**STEP, "epoch": 1}])


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("batch_size", "64", "int"),
        ("batch_size", True, "int"),
        ("batch_size", 64.0, "int"),
        ("drop_mult", "0.5", "float"),
        ("drop_mult", False, "float"),
        ("data", 3, "str"),
        ("steps", "all", "a list of steps"),
        ("batch_size", 0, "1 or more"),
        ("seed", -1, "0 or more"),
        ("drop_mult", 3.0, "0 to 2"),
        ("precision", "half", "one of auto, bfloat16, float32"),
        ("lm_text", "test", "one of train, all"),
    ],
)
def test_wrong_value(name, value, expected):
    with refuses(f"recipe [mine]: {name} is {value!r}, expected {expected}"):
        parse(**{name: value})


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("epochs", True, "int"),
        ("epochs", 0, "1 or more"),
        ("lr", "fast", "float | list[float]"),
        ("lr", ["a", "b"], "float | list[float]"),
        ("lr", 0.0, "a number above 0 or two of them, [lowest, highest]"),
        ("lr", [0.1], "a number above 0 or two of them, [lowest, highest]"),
        ("lr", [0.0, 0.1], "a number above 0 or two of them, [lowest, highest]"),
        ("groups", -1, "0 or more"),
        ("share", 0.0, "more than 0 and at most 1"),
        ("share", 1.5, "more than 0 and at most 1"),
        ("pct_start", 1.0, "between 0 and 1"),
    ],
)
def test_wrong_value_in_a_step(name, value, expected):
    with refuses(f"step 2 of recipe [mine]: {name} is {value!r}, expected {expected}"):
        parse(steps=[STEP, {**STEP, name: value}])


def test_all_problems_are_told_at_once():
    with refuses(
        "recipe [mine]: batch_size is 0, expected 1 or more; min_freq is '2', expected int"
    ):
        parse(min_freq="2", batch_size=0)


def test_classifier_batches_hold_two_documents_at_least():
    with refuses("recipe [mine]: batch_size is 1, expected 2 or more"):
        parse(ClassifierSettings, batch_size=1)
    assert parse(LMSettings, batch_size=1).batch_size == 1


def test_missing_keys():
    with refuses("step 1 of recipe [mine]: key 'epochs' is missing; key 'lr' is missing"):
        parse(steps=[{}])


def test_step_that_is_no_table():
    with refuses("step 1 of recipe [mine]: found 3, expected a table of keys and values"):
        parse(steps=[3])


@pytest.mark.parametrize("table", [{}, {"steps": []}])
def test_no_steps(table):
    line = "recipe [mine] has no steps; add a [[<recipe>.steps]] with epochs and lr"
    with refuses(line):
        parse_settings(PretrainSettings, table, "recipe [mine]")


def test_wrong_settings_given_are_not_blamed_on_the_recipe():
    with refuses("settings given: batch_size is 0, expected 1 or more"):
        load_settings(PretrainSettings, "demo", {"batch_size": 0})


def test_file_that_is_no_toml(tmp_path, monkeypatch):
    package = tmp_path / "ulmfit"
    (package / "stages").mkdir(parents=True)
    file = package / "stages" / "stage2_lm.toml"
    file.write_text("[demo\n")
    monkeypatch.setattr(module, "__file__", str(package / "training" / "settings.py"))
    with refuses(
        f"{file} is not valid TOML: Expected ']' at the end of a table declaration "
        "(at line 1, column 6)"
    ):
        load_settings(LMSettings, "demo", {})
    file.write_text("[[demo.steps]]\nepochs = 1\nlr = 1\n")
    assert load_settings(LMSettings, "demo", {}).steps == [Step(1, 1)]
