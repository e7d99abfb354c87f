"""Both directions of `python -m ulmfit` at the same time, each in a process of its own."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from tiny_models import refuses
from tiny_stages import stage1, write_general, write_reviews

from ulmfit import __main__ as pipeline
from ulmfit.base.errors import Stopped, UserError
from ulmfit.pipeline.crews import OneByOne, SideBySide, crew_for
from ulmfit.training.options import StageResult

LONG = [{"epochs": 2000, "lr": 1e-3}]  # until it is ended
NAMES = ("fwd", "bwd")


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Texts, and general language models of both directions."""
    folder = tmp_path_factory.mktemp("side")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ULMFIT_CACHE", str(folder / "cache"))
        data = write_reviews(folder / "reviews.csv", n=60, splits=("train", "valid", "test"))
        general = write_general(folder / "general.csv")
        for name in NAMES:
            out = folder / f"wiki-{name}"
            stage1(general, out, backwards=name == "bwd", steps=[{"epochs": 1, "lr": 0.02}])
        yield {"data": data, "pretrained": str(folder / "wiki")}


def weights(folder):
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("encoder.safetensors"))
    }


@pytest.mark.computes
def test_the_models_are_those_of_one_process(start, tmp_path, told):
    given = {**start, "recipe": "demo", "members": list(NAMES)}
    alone = pipeline.main(**given, out=str(tmp_path / "alone"), jobs=1)
    assert not any(line.startswith("backward: ") for line in told)
    beside = pipeline.main(**given, out=str(tmp_path / "beside"), jobs=2)
    assert any(line.startswith("forward:   step 2") for line in told)
    assert any(line.startswith("backward:   step 2") for line in told)
    found = weights(tmp_path / "beside")
    assert len(found) >= 5
    assert found == weights(tmp_path / "alone")
    for name in ("accuracy", "perplexity", "weights", "samples"):
        assert beside[name] == alone[name]
    assert not list(tmp_path.rglob("*.lock"))


def stage(folder, start, name, steps):
    return {
        "recipe": "demo",
        **{"data": start["data"], "pretrained": start["pretrained"], "steps": steps},
        **{"out": str(folder / name), "backwards": name == "bwd", "checkpoint_minutes": 1e-4},
    }


@pytest.mark.computes
def test_a_process_that_is_killed_ends_the_other_and_both_go_on(start, tmp_path):
    crew = SideBySide(2)

    def work(name):
        return crew.train("lm", stage(tmp_path, start, name, LONG))

    def kill():
        while not all((tmp_path / f"{name}.checkpoint").exists() for name in NAMES):
            time.sleep(0.05)
        next(iter(crew._running)).kill()

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(
        UserError,
        match=r"the process of the (for|back)ward direction has died \(signal 9\), perhaps for "
        "want of memory; the same command goes on, and --jobs 1 needs less memory",
    ):
        crew.each(NAMES, work)
    killer.join()
    assert not crew._running
    assert all((tmp_path / f"{name}.checkpoint").exists() for name in NAMES)
    given = {**stage(tmp_path, start, "fwd", LONG), "stop_after": 0.001}
    with pytest.raises(Stopped, match="time is up: saved "):
        SideBySide(2).train("lm", given)


def test_an_error_is_one_line(start, tmp_path):
    given = stage(tmp_path, {**start, "data": str(tmp_path / "none.csv")}, "fwd", LONG)
    with refuses(
        f"no file or folder {given['data']}, and no data set of that name; names: "
        "imdb, imdb-sample, emotion, spanish-reviews"
    ):
        SideBySide(2).train("lm", given)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_the_end_of_the_command_is_the_end_of_its_processes(how, start, tmp_path):
    given = ["--data", start["data"], "--pretrained", start["pretrained"], "--recipe", "few"]
    command = [sys.executable, "-m", "ulmfit", *given, "--out", str(tmp_path / "m"), "--jobs", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        children: list[int] = []
        while len(children) < 2:
            time.sleep(0.1)
            children = children_of(process.pid)
        process.send_signal(how)
        errors = process.communicate(timeout=60)[1].decode()
    assert process.returncode == (130 if how == signal.SIGINT else -how)
    if how == signal.SIGINT:
        assert errors.splitlines()[-1] == "interrupted: the same command goes on"
    for _ in range(300):
        if not any(map(lives, children)):
            return
        time.sleep(0.1)
    raise AssertionError("a process is left")


def children_of(pid):
    if not Path("/proc").exists():
        pytest.skip("needs /proc")
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True
    )
    return [int(word) for word in listed.stdout.split()]


def lives(pid):
    """Whether the process is there, and no zombie that nobody has waited for."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def result(name):
    return StageResult(Path(name), {})


def test_directions_run_at_the_same_time():
    met = threading.Barrier(2, timeout=20)

    def work(name):
        met.wait()
        return result(name)

    assert SideBySide(2).each(NAMES, work) == {name: result(name) for name in NAMES}
    assert list(OneByOne().each(NAMES, result)) == list(NAMES)


@pytest.mark.parametrize("crew", [OneByOne(), SideBySide(2)])
def test_a_cause_is_told_and_not_its_consequence(crew):
    def work(name):
        raise UserError("a cause") if name == "bwd" else Stopped("time is up")

    first = Stopped if isinstance(crew, OneByOne) else UserError
    with pytest.raises(first):
        crew.each(NAMES, work)


def test_one_that_is_out_of_time_lets_the_other_end():
    ended = []

    def work(name):
        if name == "fwd":
            raise Stopped("time is up")
        time.sleep(0.3)
        ended.append(name)
        return result(name)

    with pytest.raises(Stopped):
        SideBySide(2).each(NAMES, work)
    assert ended == ["bwd"]


def test_crews(monkeypatch):
    assert [crew_for(jobs, 2).at_once for jobs in (1, 2, 5)] == [1, 2, 2]
    assert crew_for(2, 1).at_once == 1
    with refuses("found --jobs 0, expected 1 or 2"):
        crew_for(0, 2)
    launched = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "x", "MASTER_PORT": "1"}
    for name, value in launched.items():
        monkeypatch.setitem(os.environ, name, value)
    assert isinstance(crew_for(1, 2), OneByOne)
    with refuses(
        "found --jobs 2 and several processes of torchrun, expected one of them: leave --jobs out"
    ):
        crew_for(2, 2)
