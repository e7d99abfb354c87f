"""What the comparisons make of their figures: tables, plots, and going on after a stop."""

import json

import pytest

from benchmarks import ablations, few_labels, schedules, step
from benchmarks.trials import Trials
from ulmfit.training.settings import ClassifierSettings, load_settings

FOUND = {
    "ULMFiT, 100 labels, seed 1": {"accuracy": 0.8, "train_documents": 100},
    "ULMFiT, 100 labels, seed 2": {"accuracy": 0.9, "train_documents": 100},
    "ULMFiT, all labels, seed 1": {"accuracy": 0.93, "train_documents": 22_500},
    f"{few_labels.TFIDF}, 100 labels, seed 1": {"accuracy": 0.7, "train_documents": 100},
}


def test_table_of_few_labels():
    lines = few_labels.table(few_labels.summary(FOUND)).splitlines()
    assert lines[0] == f"| labels | {' | '.join(few_labels.METHODS)} |"
    assert lines[2] == "| 100 | 85.0 % (80.0 to 90.0) |  | 70.0 % |  |"
    assert lines[3] == "| 22,500 | 93.0 % |  |  |  |"


def test_plot_of_few_labels(tmp_path):
    from matplotlib import pyplot as plt

    few_labels.draw(few_labels.summary(FOUND), tmp_path / "plot.png")
    assert plt.imread(tmp_path / "plot.png").shape == (675, 1050, 4)


def test_seeds():
    assert [len(few_labels.seeds(count)) for count in (100, 2000, 8000, 0)] == [3, 3, 1, 1]


def test_table_of_ablations():
    found = {
        "all parts, seed 1": {"valid_accuracy": 0.9, "perplexity": 70.04},
        "all parts, seed 2": {"valid_accuracy": 0.8, "perplexity": 70.04},
        "neither stage 1 nor 2, seed 1": {"valid_accuracy": 0.7},
    }
    lines = ablations.table(found).splitlines()
    assert lines[2:] == [
        "| all parts | 85.0 % | 80.0 to 90.0 | 70.0 |",
        "| neither stage 1 nor 2 | 70.0 % | 70.0 to 70.0 |  |",
    ]


def test_table_of_schedules():
    first, second = list(schedules.VARIANTS)[:2]
    found = {
        schedules.name_of(500, second, 1): {"valid_accuracy": 0.6},
        schedules.name_of(500, second, 2): {"valid_accuracy": 0.7},
        schedules.name_of(2000, first, 1): {"valid_accuracy": 0.8},
    }
    assert schedules.table(found, [500, 2000]).splitlines() == [
        "| schedule | 500 labels | 2,000 labels |",
        "|---|---:|---:|",
        f"| {first} |  | 80.0 % |",
        f"| {second} | 65.0 % |  |",
    ]


@pytest.mark.parametrize("variant", schedules.VARIANTS)
def test_schedules_are_settings_of_stage_3(variant):
    given = load_settings(ClassifierSettings, schedules.RECIPE, schedules.VARIANTS[variant])
    assert given.steps[-1].groups == 0  # in the end all layers learn


def test_trials_are_made_once_and_kept(tmp_path):
    file = tmp_path / "found.json"
    first = Trials(file).get("a", lambda: {"accuracy": 0.5})
    assert first["accuracy"] == 0.5
    assert {"hardware", "versions", "seconds"} <= first.keys()
    again = Trials(file)
    assert again.get("a", lambda: pytest.fail("made twice")) == json.loads(file.read_text())["a"]

    def stopped():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        again.get("b", stopped)
    assert list(json.loads(file.read_text())) == ["a"]


def test_a_step_is_measured():
    found = step.measure("tiny", 100, 4, 8, 3, "float32")
    assert found["tokens_per_second"] > 0
    assert 0 < found["products"] < 1
    assert found["products"] + sum(found["others"].values()) <= 1 + 1e-9
