"""Two runs into one directory: the second is refused, until the first has ended or died."""

import errno
import fcntl
import multiprocessing
import os
import signal
import subprocess
import sys

import pytest
from tiny_models import refuses
from tiny_stages import stage1, write_general

from ulmfit.base import lock
from ulmfit.base.atomic import remove_leftovers
from ulmfit.base.lock import locked
from ulmfit.training.stage import writing

HOLDER = """
import sys
from pathlib import Path
from ulmfit.base.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


@pytest.fixture
def other(tmp_path):
    """Another process that holds the lock of ``m``."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "m")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def in_use(folder, pid):
    return refuses(
        f"{folder} is in use by another run (process {pid} on {lock.socket.gethostname()}); wait "
        "for its end or stop it, or choose another --out"
    )


def test_second_run_is_refused_and_admitted_when_the_first_was_killed(tmp_path, other):
    corpus = write_general(tmp_path / "general.csv")
    before = names(tmp_path)
    with in_use(tmp_path / "m", other.pid):
        stage1(corpus, tmp_path / "m")
    assert names(tmp_path) == before
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert "m.lock" in names(tmp_path)  # left behind, and in nobody's way
    with locked(tmp_path / "m"):
        pass
    assert names(tmp_path) == ["general.csv"]


def test_first_run_ends_and_leaves_nothing(tmp_path, other):
    other.communicate(timeout=60)
    assert names(tmp_path) == []


def test_by_another_name(tmp_path, other):
    (tmp_path / "m").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "m")
    with in_use(tmp_path / "link", other.pid), locked(tmp_path / "link"):
        pass


def test_within_one_process(tmp_path):
    with locked(tmp_path / "m"):
        with in_use(tmp_path / "m", os.getpid()), locked(tmp_path / "m"):
            pass
        with locked(tmp_path / "other"):
            pass
    with locked(tmp_path / "m"):
        pass
    assert names(tmp_path) == []


def test_parents_are_made_and_removed_if_nothing_came(tmp_path):
    with locked(tmp_path / "a" / "b" / "m"):
        assert names(tmp_path / "a" / "b") == ["m.lock"]
    assert names(tmp_path) == []
    with locked(tmp_path / "a" / "m"):
        (tmp_path / "a" / "m").mkdir()
    assert names(tmp_path / "a") == ["m"]


def test_a_child_holds_nothing(tmp_path):
    """Workers may outlive a run that was killed; the lock may not."""
    context = multiprocessing.get_context("fork")
    ended = context.Event()
    with locked(tmp_path / "m"):
        child = context.Process(target=ended.wait)
        child.start()
    try:
        with locked(tmp_path / "m"):
            assert child.is_alive()
    finally:
        ended.set()
        child.join()


def test_lock_file_that_its_owner_removes_meanwhile(tmp_path, monkeypatch):
    """Opened before the owner removed it, locked after: the lock of a file that is none."""
    flock, calls = fcntl.flock, []

    def late(descriptor, how):
        if not calls:
            (tmp_path / "m.lock").unlink()
        calls.append(descriptor)
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with locked(tmp_path / "m"):
        assert len(calls) == 2
        assert names(tmp_path) == ["m.lock"]


def test_where_there_are_no_locks(tmp_path, monkeypatch, told):
    def refuse(descriptor, how):
        raise OSError(errno.ENOLCK, "No locks available")

    expected = f"no file locks here: start no second run into {tmp_path / 'm'} before this one ends"
    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", refuse)
        with locked(tmp_path / "m"):
            pass
    assert told == [expected]
    assert names(tmp_path) == []


def test_what_killed_runs_left_goes(tmp_path):
    """A checkpoint half written, a model half written, a model moved aside and not replaced."""
    (tmp_path / ".m.checkpoint.0123abcd.tmp").write_bytes(b"half")
    (tmp_path / ".m.0123abcd.tmp").mkdir()
    (tmp_path / ".m.0123abcd.tmp" / "encoder.safetensors").write_bytes(b"half")
    (tmp_path / ".m.4567cdef.old").mkdir()
    (tmp_path / ".m.4567cdef.old" / "theirs").write_bytes(b"whole")
    others = [".m.txt", ".mm.0123abcd.tmp", ".m.0123abcd.tmp.txt", ".m.checkpoint.tmp"]
    for name in others:
        (tmp_path / name).write_bytes(b"of others")
    remove_leftovers(tmp_path / "m.checkpoint")
    remove_leftovers(tmp_path / "m")
    assert names(tmp_path) == sorted([*others, "m"])
    assert names(tmp_path / "m") == ["theirs"]
    (tmp_path / ".m.4567cdef.old").mkdir()
    with writing(tmp_path / "new", overwrite=False):  # in the same folder: none of its business
        pass
    assert ".m.4567cdef.old" in names(tmp_path)
    remove_leftovers(tmp_path / "m")
    assert names(tmp_path) == sorted([*others, "m"])


def test_ctrl_c_after_the_training_tells_how_to_go_on(tmp_path):
    (tmp_path / "m.checkpoint").write_bytes(b"hours of work")
    with (
        pytest.raises(KeyboardInterrupt) as caught,
        writing(tmp_path / "m", overwrite=False),
    ):
        raise KeyboardInterrupt
    assert str(caught.value) == f"the same command goes on from {tmp_path / 'm.checkpoint'}"
    with pytest.raises(KeyboardInterrupt, match=r"^$"), writing(tmp_path / "n", overwrite=False):
        raise KeyboardInterrupt
