"""The tables of docs/scale.md are those of `benchmarks.scale`, and what it reckons with holds."""

import json
import tomllib
from pathlib import Path

import pytest

from benchmarks import processes, scale
from ulmfit.model.build import build_lm
from ulmfit.model.sizes import encoder_config

PAGE = Path(__file__).parents[2] / "docs" / "scale.md"
QUIET = {"compute": 0.0, "link": 0.0}
LINK = {"bandwidth": 1e9, "latency": 1e-5}


def test_tables_and_figures():
    text, figures = scale.tables(tomllib.loads(scale.INPUTS.read_text()))
    page = PAGE.read_text()
    for table in text.split("\n\n"):
        assert table in page
    assert json.loads(scale.RESULTS.read_text()) == json.loads(json.dumps(figures))


def test_a_ring_without_jitter_is_the_formula():
    for ranks in (2, 8, 64):
        step = scale.simulate(0.5, 4e8, ranks, LINK, QUIET)
        rounds = 2 * (ranks - 1)
        expected = rounds * (4e8 / ranks / LINK["bandwidth"] + LINK["latency"])
        assert step.all_reduce == pytest.approx(expected)
        assert step.seconds == pytest.approx(0.5 + expected)


def test_slow_ranks_and_links_cost_time():
    quiet = scale.simulate(0.5, 4e8, 16, LINK, QUIET)
    assert scale.simulate(0.5, 4e8, 16, LINK, {"compute": 0.1, "link": 0.0}).seconds > quiet.seconds
    assert scale.simulate(0.5, 4e8, 16, LINK, {"compute": 0.0, "link": 0.3}).seconds > quiet.seconds


def test_parameters_are_those_of_the_model():
    model = build_lm(encoder_config("tiny", 100))
    assert scale.parameters("tiny", 100) == sum(weight.numel() for weight in model.parameters())


def test_speed_goes_through_what_was_measured():
    speed = scale.Speed.through([256, 512], [846_000, 1_053_000], 80)
    assert 256 * 80 / speed.seconds(256) == pytest.approx(846_000)
    assert 512 * 80 / speed.seconds(512) == pytest.approx(1_053_000)
    assert speed.fixed > 0


def measurement(ranks, step_seconds, losses, **more):
    return {
        "step_seconds": step_seconds,
        "step_tokens": 1000,
        "per_second": 1000 / step_seconds,
        "per_cpu_second": 500.0,
        "step_bytes": 4e7 if ranks > 1 else 0,
        "peak_megabytes": [900.0 + rank for rank in range(ranks)],
        "threads": [1] * ranks,
        "losses": losses,
        **more,
    }


def test_several_processes_stand_beside_the_cost_model():
    network = {"sum_bytes": 4e7, "sum_seconds": 0.1, "short_sum_seconds": 0.002}
    measured = {
        (2, "float32", 1): [measurement(1, 0.5, [5.0, 4.0])],
        (2, "float32", 4): [
            measurement(4, seconds, [5.0, 4.25], **network) for seconds in (0.7, 0.6, 1.5)
        ],
    }
    alone, four = rows = processes.rows_of(measured)
    assert "predicted_per_second" not in alone
    assert four["per_second"] == 1000 / 0.7
    assert four["predicted_all_reduce_seconds"] == pytest.approx(0.1, rel=0.2)
    # The slowest of four ranks with 5 % jitter, then the sum.
    assert 1000 / 0.68 < four["predicted_per_second"] < 1000 / 0.6
    assert four["largest_loss_difference"] == 0.25
    lines = processes.table(rows).splitlines()
    assert lines[2] == "| 2 | float32 | 1 | 2,000 |  | 500 |  | 900 |  |"
    assert lines[3].startswith("| 2 | float32 | 4 | 1,429 | 1,")
    assert lines[3].endswith(" | 500 | 40.0 | 900 to 903 | 2e-01 |")
