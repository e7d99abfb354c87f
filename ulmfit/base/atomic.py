"""Files and directories that are either complete or absent, also after a crash."""

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ulmfit.base.errors import UserError


@contextmanager
def os_errors_as(action: str) -> Iterator[None]:
    """Turn an OSError in the block into a UserError: `action`, a colon, the system's reason."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{action}: {error.strerror or error}") from error


def beside(out: Path, ending: str) -> Path:
    """The path ``<out>.<ending>``, beside the model directory `out`."""
    named = out.resolve() if out.name in ("", "..") else out  # "." and ".." name nothing
    return named.with_name(f"{named.name}.{ending}")


def check_parent(path: Path) -> None:
    """Raise a UserError before hours of work if `path` cannot be written; create nothing.

    The nearest existing ancestor must be a writable directory.
    """
    parent = Path(os.path.realpath(path)).parent
    while not os.path.exists(parent):
        parent = parent.parent
    if not parent.is_dir():
        raise UserError(f"cannot write {path}: {parent} is no directory")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise UserError(f"cannot write {path}: {parent} is not writable")


def atomic_write(path: Path, content: bytes | str) -> None:
    """Replace the file `path` by `content` (text as UTF-8) in one step; create missing parents.

    Raises UserError if the system refuses to write; an existing file is then unchanged.
    """
    data = content.encode() if isinstance(content, str) else content
    with atomic_file(path) as file, os_errors_as(f"cannot write {path}"):
        file.write(data)


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a new file that replaces `path` at the end of the block.

    If the block raises, the new file and the parents created for it are removed. Raises UserError
    if the system refuses to write.
    """
    temporary = _beside(path, "tmp")
    missing = [parent for parent in path.parents if not parent.exists()]
    try:
        with os_errors_as(f"cannot write {path}"):
            path.parent.mkdir(parents=True, exist_ok=True)
            # Not `tempfile`: its files are private, a model should follow the user's umask.
            file = temporary.open("xb")
        try:
            yield file
            with os_errors_as(f"cannot write {path}"):
                file.flush()
                os.fsync(file.fileno())
        finally:
            with suppress(OSError):  # closing writes again; a full disk is already reported
                file.close()
        with os_errors_as(f"cannot write {path}"):
            os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        remove_empty(missing)
        raise


def remove_empty(folders: list[Path]) -> None:
    """Remove `folders`, the innermost first, up to the first one that is in use."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


@contextmanager
def atomic_directory(target: Path, overwrite: bool) -> Iterator[Path]:
    """Yield an empty directory that replaces `target` at the end of the block.

    If the block raises, the new directory is removed and `target` is unchanged. Missing parents
    are created; a link is followed. Raises UserError if `target` is a file, if it is a non-empty
    directory and `overwrite` is false, or if the system refuses to write.
    """
    real = Path(os.path.realpath(target))  # a renamed link would leave its target behind
    temporary = _beside(real, "tmp")
    try:
        with os_errors_as(f"cannot write {target}"):
            _check_target(target, overwrite)
            real.parent.mkdir(parents=True, exist_ok=True)
            temporary.mkdir()
        yield temporary
        with os_errors_as(f"cannot write {target}"):
            _sync(temporary)
            _move_onto(temporary, real, overwrite)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_leftovers(path: Path) -> None:
    """Remove temporary files of killed processes that wrote `path`; restore what they moved aside.

    No other process may be writing `path`. Raises UserError if the system refuses.
    """
    named = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}\.(tmp|old)")  # see `_beside`
    with os_errors_as(f"cannot tidy up {path.parent}"):
        for entry in [e for e in path.parent.iterdir() if named.fullmatch(e.name)]:
            if entry.suffix == ".old" and not path.exists():
                os.rename(entry, path)
            elif entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink()


def _beside(path: Path, suffix: str) -> Path:
    # A rename is atomic only within one file system, so the name is in the same directory.
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.{suffix}")


def _sync(directory: Path) -> None:
    """Write the files to disk before the directory gets its name, in case of a power cut."""
    for file in directory.rglob("*"):
        if file.is_file():
            with file.open("rb+" if os.name == "nt" else "rb") as opened:  # may be read-only
                os.fsync(opened.fileno())


def _check_target(target: Path, overwrite: bool) -> None:
    if target.exists() and not target.is_dir():
        raise UserError(f"{target} is a file, a directory was expected")
    if not overwrite and target.is_dir() and any(target.iterdir()):
        raise UserError(f"{target} exists and is not empty")


def _move_onto(temporary: Path, target: Path, overwrite: bool) -> None:
    aside = _beside(target, "old")
    try:
        if overwrite and target.exists():
            os.rename(target, aside)
        elif target.exists():
            target.rmdir()  # the system refuses if another process has put a file there
        os.rename(temporary, target)
    finally:
        # The disk decides, not a variable: Ctrl-C may come between any two lines above.
        if target.exists():
            shutil.rmtree(aside, ignore_errors=True)
        elif aside.exists():
            os.rename(aside, target)
