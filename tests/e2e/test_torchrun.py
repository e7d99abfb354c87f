"""Two processes under torchrun train as one does; one of them may die."""

import json
import os
import subprocess
import sys
from pathlib import Path

import launched
import numpy as np
import pytest
from tiny_models import write_lm
from tiny_stages import stage2, write_reviews

from ulmfit.artifacts.directory import read_artifact

SCRIPT = Path(launched.__file__)


def torchrun(*arguments, cache):
    """The end of a script that two processes run."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    paths = os.pathsep.join([str(SCRIPT.parent), str(SCRIPT.parents[1])])
    more = {"PYTHONPATH": paths, "ULMFIT_CACHE": str(cache), "ULMFIT_TIMEOUT": "120"}
    return subprocess.run(
        [*command, "--nproc-per-node", "2", str(SCRIPT), *map(str, arguments)],
        env={**os.environ, **more, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """What one and two processes find, by the kind of the learner."""
    folder = tmp_path_factory.mktemp("two")
    alone = {kind: launched.trained(kind, folder) for kind in launched.LEARNERS}
    for checkpoint in folder.glob("*.checkpoint"):
        checkpoint.unlink()
    ended = torchrun("learners", folder, cache=folder / "cache")
    assert ended.returncode == 0, ended.stderr
    assert "train_loss" not in ended.stdout + ended.stderr  # nobody has asked for lines
    return alone, json.loads((folder / "found.json").read_text())


def distance(ours, theirs):
    return max(
        float(np.abs(np.array(a) - np.array(b)).max()) for a, b in zip(ours, theirs, strict=True)
    )


@pytest.mark.parametrize("kind", launched.LEARNERS)
def test_losses_and_gradients_are_those_of_one_process(both, kind):
    alone, two = (found[kind] for found in both)
    assert len(two["losses"]) == 30
    assert two["losses"] == pytest.approx(alone["losses"], abs=1e-5)
    for ours, theirs in zip(two["gradients"], alone["gradients"], strict=True):
        assert distance(ours, theirs) < 1e-5
    names = alone["weights"].keys() | two["weights"].keys()
    assert (
        distance(*([w[name] for name in sorted(names)] for w in (two["weights"], alone["weights"])))
        < 1e-4
    )


@pytest.mark.parametrize("kind", launched.LEARNERS)
def test_history_is_that_of_one_process(both, kind):
    alone, two = (found[kind]["rows"] for found in both)
    for ours, theirs in zip(two, alone, strict=True):
        for name in ("train_loss", "valid_loss", "accuracy", "lr"):
            assert ours[name] == pytest.approx(theirs[name], abs=1e-5), name


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_rank_that_dies_and_one_process_that_goes_on(tmp_path, monkeypatch, told):
    monkeypatch.setenv("ULMFIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ULMFIT_PRECISION", "float32")
    data, wiki = write_reviews(tmp_path / "reviews.csv"), write_lm(tmp_path / "wiki")
    out, alone = tmp_path / "lm", tmp_path / "alone"
    ended = torchrun("killed", data, wiki, out, 13, cache=tmp_path / "cache")
    lines = [line for line in ended.stderr.splitlines() if line.startswith("error:")]
    checkpoint = tmp_path / "lm.checkpoint"
    assert lines == [
        "error: rank 1 of 2 processes has ended or does not answer; the connection failed; the "
        f"same command goes on from {checkpoint}"
    ] or lines == [
        "error: rank 1 of 2 processes has ended or does not answer; it was told to end (SIGTERM); "
        f"the same command goes on from {checkpoint}"
    ], ended.stderr
    assert checkpoint.exists()
    assert not out.exists()
    stage2(data, wiki, out)
    assert any("going on at step 2, epoch 1" in line for line in told)
    stage2(data, wiki, alone)
    found = [read_artifact(path).manifest.metrics["after"]["loss"] for path in (out, alone)]
    assert found[0] == pytest.approx(found[1], abs=1e-5)
