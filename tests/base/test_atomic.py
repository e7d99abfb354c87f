"""Complete or absent: files and directories of `ulmfit.base.atomic`."""

import errno
import os
import subprocess
import sys

import pytest

from ulmfit.base.atomic import atomic_directory, atomic_write, check_parent
from ulmfit.base.errors import UserError

BELOW_A_FILE = f"({os.strerror(errno.EEXIST)}|{os.strerror(errno.ENOTDIR)})"


def names(directory):
    return sorted(entry.name for entry in directory.iterdir())


def replace(target, during, overwrite=False):
    """Run `during`, which may raise, in the block of `atomic_directory`."""
    with atomic_directory(target, overwrite) as directory:
        (directory / "a").write_text("2")
        during()


def test_write_creates_parents_and_replaces(tmp_path):
    file = tmp_path / "a" / "b.txt"
    atomic_write(file, "é\n")
    assert file.read_bytes() == "é\n".encode()
    atomic_write(file, b"\x00")
    assert file.read_bytes() == b"\x00"
    assert names(file.parent) == ["b.txt"]


def test_written_file_follows_the_umask(tmp_path):
    atomic_write(tmp_path / "a", "")
    (tmp_path / "b").write_text("")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    file = tmp_path / "a.txt"
    file.write_text("old")

    def refuse(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(UserError, match=rf"^cannot write .*a\.txt: {os.strerror(errno.ENOSPC)}$"):
        atomic_write(file, "new")
    assert file.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


FULL_DISK = """
import resource, sys
from pathlib import Path
from ulmfit.base.atomic import atomic_file, os_errors_as
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # as good as a full disk
path, piece = Path(sys.argv[1]), int(sys.argv[2])
with atomic_file(path) as file, os_errors_as(f"cannot write {path}"):
    for _ in range(0, 50_000, piece):
        file.write(bytes(piece))
"""


@pytest.mark.parametrize("piece", [50_000, 1000])
def test_full_disk_leaves_the_old_file(tmp_path, piece):
    """What the buffer still holds is not tried again when the file is closed, with an OSError."""
    file = tmp_path / "a.txt"
    file.write_text("old")
    command = [sys.executable, "-c", FULL_DISK, str(file), str(piece)]
    errors = subprocess.run(command, capture_output=True, text=True).stderr
    assert errors.splitlines()[-1] == (
        f"ulmfit.base.errors.UserError: cannot write {file}: {os.strerror(errno.EFBIG)}"
    )
    assert file.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_write_below_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=rf"^cannot write .*x: {BELOW_A_FILE}$"):
        atomic_write(tmp_path / "file" / "x", "")


def test_directory_appears_only_at_the_end(tmp_path):
    target = tmp_path / "models" / "new"
    with atomic_directory(target, overwrite=False) as directory:
        assert directory.parent == target.parent
        (directory / "a").write_text("1")
        assert not target.exists()
    assert names(tmp_path / "models") == ["new"]
    assert names(target) == ["a"]


def test_files_are_on_the_disk_before_the_directory_has_its_name(tmp_path, monkeypatch):
    synced = []

    def noted(descriptor):
        assert not (tmp_path / "new").exists()
        synced.append(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fsync", noted)
    with atomic_directory(tmp_path / "new", overwrite=False) as directory:
        for name in ("a", "b"):
            (directory / name).write_text(name)
    assert sorted(synced) == sorted(path.stat().st_ino for path in (tmp_path / "new").iterdir())


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_exception_leaves_nothing(tmp_path, failure):
    def during():
        raise failure

    with pytest.raises(failure):
        replace(tmp_path / "new", during)
    assert names(tmp_path) == []


def test_exception_leaves_the_old_directory(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "a").write_text("1")

    def during():
        assert (tmp_path / "old" / "a").read_text() == "1"
        raise RuntimeError

    with pytest.raises(RuntimeError):
        replace(tmp_path / "old", during, overwrite=True)
    assert (tmp_path / "old" / "a").read_text() == "1"
    assert names(tmp_path) == ["old"]


def test_overwrite_replaces_the_whole_directory(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "a").write_text("1")
    with atomic_directory(tmp_path / "old", overwrite=True) as new:
        (new / "b").write_text("2")
    assert names(tmp_path) == ["old"]
    assert names(tmp_path / "old") == ["b"]


@pytest.mark.parametrize("failing", [1, 2])
def test_failed_rename_restores_the_old_directory(tmp_path, monkeypatch, failing):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "a").write_text("1")
    rename, calls = os.rename, []

    def fail_once(source, target):
        calls.append(source)
        if len(calls) == failing:
            raise OSError(16, "Device or resource busy")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail_once)
    with (
        pytest.raises(UserError, match=r"^cannot write .*old: Device or resource busy$"),
        atomic_directory(tmp_path / "old", overwrite=True),
    ):
        pass
    assert (tmp_path / "old" / "a").read_text() == "1"
    assert names(tmp_path) == ["old"]


def test_empty_directory_is_taken(tmp_path):
    (tmp_path / "empty").mkdir()
    with atomic_directory(tmp_path / "empty", overwrite=False) as new:
        (new / "a").write_text("1")
    assert names(tmp_path / "empty") == ["a"]


def test_full_directory_is_refused(tmp_path):
    (tmp_path / "a").write_text("1")
    with (
        pytest.raises(UserError, match=r" exists and is not empty$"),
        atomic_directory(tmp_path, overwrite=False),
    ):
        pass


def test_what_appears_meanwhile_is_not_deleted(tmp_path):
    target = tmp_path / "new"

    def during():
        target.mkdir()
        (target / "theirs").write_text("1")

    with pytest.raises(UserError, match=r"^cannot write .*new: Directory not empty$"):
        replace(target, during)
    assert names(target) == ["theirs"]
    assert names(tmp_path) == ["new"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_directory_on_a_file_is_refused(tmp_path, overwrite):
    (tmp_path / "file").write_text("1")
    with (
        pytest.raises(UserError, match=r"file is a file, a directory was expected$"),
        atomic_directory(tmp_path / "file", overwrite),
    ):
        pass
    assert (tmp_path / "file").read_text() == "1"


def test_directory_below_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UserError, match=rf"^cannot write .*x: {BELOW_A_FILE}$"),
        atomic_directory(tmp_path / "file" / "x", overwrite=False),
    ):
        pass


def test_link_is_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a").write_text("1")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with atomic_directory(tmp_path / "link", overwrite=True) as new:
        (new / "a").write_text("2")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "a").read_text() == "2"


def test_check_parent(tmp_path, monkeypatch):
    check_parent(tmp_path / "a" / "b" / "c")
    assert names(tmp_path) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"^cannot write .*/file/x/y: .*/file is no directory$"):
        check_parent(tmp_path / "file" / "x" / "y")
    # Permissions do not bind root, who may run these tests.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(UserError, match=r"^cannot write .*/a/b: .* is not writable$"):
        check_parent(tmp_path / "a" / "b")
