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


# A command that is no training, of which rank 0 comes last.
REFUSED = """
import os, sys, time
from pathlib import Path
from ulmfit import predict
from ulmfit.base.cli import run_command

other = Path(sys.argv[1])
if os.environ["RANK"] == "1":
    other.touch()
else:
    while not other.exists():
        time.sleep(0.1)
    time.sleep(2)
run_command(predict.main)
"""


def torchrun(*arguments, cache, restarts=0, script=SCRIPT):
    """The end of a script that two processes run."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", "--max-restarts", str(restarts)]
    paths = os.pathsep.join([str(SCRIPT.parent), str(SCRIPT.parents[1])])
    more = {"PYTHONPATH": paths, "ULMFIT_CACHE": str(cache), "ULMFIT_TIMEOUT": "120"}
    return subprocess.run(
        [*command, str(script), *map(str, arguments)],
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


def test_a_command_that_is_no_training_says_so_once(tmp_path):
    script = tmp_path / "refused.py"
    script.write_text(REFUSED)
    ended = torchrun(tmp_path / "rank-1", cache=tmp_path / "cache", script=script)
    assert ended.returncode == 1
    assert [line for line in ended.stderr.splitlines() if line.startswith("error:")] == [
        "error: found 2 processes, expected one: each would do all the work of python -m "
        "ulmfit.predict; start it without torchrun, or without WORLD_SIZE in its environment"
    ], ended.stderr
    assert ended.stdout == ""


@pytest.fixture
def start(tmp_path, monkeypatch):
    """The data and the model that a training starts from."""
    monkeypatch.setenv("ULMFIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ULMFIT_PRECISION", "float32")
    return write_reviews(tmp_path / "reviews.csv"), write_lm(tmp_path / "wiki")


def check_losses(out, start):
    """The model `out` has the loss of a training in one process."""
    alone = out.with_name("alone")
    stage2(*start, alone)
    found = [read_artifact(path).manifest.metrics["after"]["loss"] for path in (out, alone)]
    assert found[0] == pytest.approx(found[1], abs=1e-5)


no_sigkill = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")


@no_sigkill
def test_a_rank_that_dies_and_one_process_that_goes_on(tmp_path, start, told):
    out = tmp_path / "lm"
    ended = torchrun("killed", 1, *start, out, 13, cache=tmp_path / "cache")
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
    stage2(*start, out)
    assert any("going on at step 2, epoch 1" in line for line in told)
    check_losses(out, start)


@no_sigkill
@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_torchrun_restarts_a_training_whose_rank_dies(tmp_path, start, rank):
    out, cache = tmp_path / "lm", tmp_path / "cache"
    ended = torchrun("killed", rank, *start, out, 13, cache=cache, restarts=1)
    assert ended.returncode == 0, ended.stderr
    assert "exitcode: -9" in ended.stderr
    going_on = f"going on at step 2, epoch 1: found {tmp_path / 'lm.checkpoint'}"
    assert going_on in ended.stdout
    check_losses(out, start)
