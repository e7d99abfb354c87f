"""A lock on a folder against a second run. It ends with its owner's process."""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ulmfit.base.atomic import beside, os_errors_as, remove_empty
from ulmfit.base.errors import UserError
from ulmfit.base.log import logger

# Errors of a file system without locks, such as some network file systems.
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
# Seconds. A second try is needed if the owner removes the lock file at the same time.
_TIMEOUT, _PAUSE = 0.1, 0.01
_POLL = 0.2  # of a wait for another process that may take minutes


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Hold the lock of the folder `out`, the file ``<out>.lock``, for the block.

    The system releases the lock when its owner dies, also after ``kill -9``; a leftover file is no
    lock. Missing parents are created, and removed again if they stay empty. On a file system
    without locks, a line warns and the block runs without a lock. Raises UserError if another run
    holds it, or the file cannot be written.
    """
    path = beside(Path(os.path.realpath(out)), "lock")
    missing = [parent for parent in path.parents if not parent.exists()]
    lock = FileLock(path, _TIMEOUT, poll_interval=_PAUSE, on_acquired=_write_owner)
    with os_errors_as(f"cannot write {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except Timeout:
            raise UserError(
                f"{out} is in use by another run ({_owner(path)}); wait for its end "
                "or stop it, or choose another --out"
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            logger.info(f"no file locks here: start no second run into {out} before this one ends")
    process = os.getpid()
    try:
        yield
    finally:
        if os.getpid() == process:  # a forked child does not hold the lock
            with suppress(OSError):  # before the release: afterwards it may be another run's file
                path.unlink()  # refused by Windows, where `release` does it
            lock.release()
            remove_empty(missing)


@contextmanager
def in_turn(path: Path, waits: bool = True) -> Iterator[bool]:
    """Hold the lock file `path` for the block; wait for a process that has it.

    It saves work that another process is doing, and nothing else depends on it: on a file system
    without locks, or where it cannot be written, the block runs at once.

    Args:
        waits: without it, the block runs at once, too, and gets False if another process has it.
    """
    lock = FileLock(path, -1 if waits else 0, poll_interval=_POLL)
    ours = True
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except Timeout:  # an OSError as well
            ours = False
    try:
        yield ours
    finally:
        if lock.is_locked:
            with suppress(OSError):
                path.unlink()
            lock.release()


def _write_owner(descriptor: int) -> None:
    with suppress(OSError):  # a full disk; the lock holds without its owner's name
        os.ftruncate(descriptor, 0)
        # The name begins at the second byte: Windows locks the first one, also against reading.
        os.write(descriptor, f"\nprocess {os.getpid()} on {socket.gethostname()}\n".encode())


def _owner(path: Path) -> str:
    name = ""
    with suppress(OSError), path.open("rb", buffering=0) as file:
        file.seek(1)
        name = file.read(200).decode(errors="replace").strip()
    return name or "unknown process"
