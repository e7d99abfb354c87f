"""A short form of ``python -m torture kills``: some deaths, and proof that the count can fail."""

import os
from dataclasses import replace

import pytest

from torture import kills
from torture.common import Row, table


def forget_random_state():
    from ulmfit.training import checkpoint

    checkpoint.restore_random_state = lambda tensors: None


def lock_nothing():
    import fcntl

    fcntl.flock = lambda descriptor, how: None


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("kills")


@pytest.fixture(scope="module")
def stage(place):
    return kills.prepared(place, 1)


def clean(row: Row, tried: int) -> bool:
    assert row.told == []
    assert row.tried == tried
    return row.clean


def test_killed_by_the_clock(stage, place):
    assert clean(kills.killed_by_the_clock(stage, place, 2, seed=0), 2)


def test_killed_at_events(stage, place):
    assert clean(kills.killed_at_events(stage, place, 1, seed=0), 1)


def test_full_disk(stage, place):
    assert clean(kills.disk_full(stage, place, 2, seed=0), 2)


def test_read_only_directory(stage, place):
    row = kills.read_only(stage, place, 1, seed=0)
    if row.skipped:
        pytest.skip(row.skipped)
    assert clean(row, 1)


def test_what_cannot_be_tried_is_told(stage, place, monkeypatch):
    monkeypatch.setattr(kills, "_mount", lambda *arguments: False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    row = kills.read_only(stage, place, 1, seed=0)
    assert row.skipped == "root writes where it likes, and may not mount here"
    assert table([row]).splitlines()[1].split()[-4:] == ["skipped", "0", "0", "0"]


def test_started_twice(stage, place):
    assert clean(kills.started_twice(stage, place, 1, seed=0), 1)


def test_other_weights_are_counted(stage, place, monkeypatch):
    monkeypatch.setattr(kills, "events", lambda *arguments: [stage.events // 2])
    row = kills.killed_at_events(replace(stage, sabotage=forget_random_state), place, 1, seed=0)
    assert (row.tried, row.lost, row.crashed, row.let_in) == (1, 1, 0, 0)
    assert row.told[0].endswith(": other weights than those of a run that was left alone")


def test_a_second_run_that_is_let_in_is_counted(stage, place):
    row = kills.started_twice(replace(stage, sabotage=lock_nothing), place, 1, seed=0)
    assert row.let_in == 1
