"""A lock on a folder, so that two runs never write one, which dies with its owner."""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ulmfit.base.atomic import beside, os_errors_as
from ulmfit.base.errors import UserError
from ulmfit.base.log import logger

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

# What a file system answers that has no locks, some network file systems for one.
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)

_held: set[int] = set()  # descriptors of the locks of this process


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Hold the lock of the folder `out`, the file ``<out>.lock``, for the block.

    The system takes the lock back when its owner dies, by ``kill -9`` as well: a file that was
    left behind stops nobody. Missing parents are created, and removed again if they stay empty.
    Where there are no such locks, one line says so and the block runs without.

    Raises:
        UserError: another run holds it, or the file cannot be written.
    """
    path = beside(Path(os.path.realpath(out)), "lock")
    missing = [parent for parent in path.parents if not parent.exists()]
    with os_errors_as(f"cannot write {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _take(path, out)
    try:
        yield
    finally:
        _let_go(descriptor, path, missing)


def _take(path: Path, out: Path) -> int:
    """The descriptor of the lock file, locked."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if not _lock(descriptor):
                logger.info(
                    f"no file locks here: start no second run into {out} before this one ends"
                )
        except BlockingIOError:
            owner = os.read(descriptor, 200).decode(errors="replace").strip()
            os.close(descriptor)
            raise UserError(
                f"{out} is in use by another run ({owner or 'unknown process'}); wait for its end "
                "or stop it, or choose another --out"
            ) from None
        if _is_still(path, descriptor):
            break
        os.close(descriptor)  # its owner removed it after it was opened here
    _held.add(descriptor)
    with suppress(OSError):  # a full disk; the lock holds without its owner's name
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
    return descriptor


def _lock(descriptor: int) -> bool:
    """Whether the file could be locked at all; BlockingIOError if another run holds it."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return False
    return True


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _let_go(descriptor: int, path: Path, missing: list[Path]) -> None:
    if descriptor not in _held:  # a forked child, which holds nothing
        return
    _held.discard(descriptor)
    with suppress(OSError):  # before it is unlocked: afterwards it may be another run's
        path.unlink()
    os.close(descriptor)
    with suppress(OSError):  # one is not empty: it is used by now
        for parent in missing:
            parent.rmdir()


def _forget() -> None:
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    # A lock lives as long as any process has its descriptor: workers must not outlive the owner.
    os.register_at_fork(after_in_child=_forget)
