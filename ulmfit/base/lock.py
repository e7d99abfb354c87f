"""A lock on a folder, so that two runs never write one, which dies with its owner."""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ulmfit.base.atomic import beside, os_errors_as
from ulmfit.base.errors import UserError
from ulmfit.base.log import logger

# What a file system answers that has no locks, some network file systems for one.
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
# Seconds: a lock file that its owner removes meanwhile takes a second try.
_TIMEOUT, _PAUSE = 0.1, 0.01
# Where the owner's name begins: Windows locks the first byte, which nobody else can read then.
_NAME_AT = 1


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
        if os.getpid() == process:  # a forked child holds nothing
            _let_go(lock, path, missing)


def _write_owner(descriptor: int) -> None:
    with suppress(OSError):  # a full disk; the lock holds without its owner's name
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"\nprocess {os.getpid()} on {socket.gethostname()}\n".encode())


def _owner(path: Path) -> str:
    name = ""
    with suppress(OSError), path.open("rb", buffering=0) as file:
        file.seek(_NAME_AT)
        name = file.read(200).decode(errors="replace").strip()
    return name or "unknown process"


def _let_go(lock: FileLock, path: Path, missing: list[Path]) -> None:
    with suppress(OSError):  # before it is unlocked: afterwards it may be another run's
        path.unlink()  # refused by Windows, where `release` does it
    lock.release()
    with suppress(OSError):  # one is not empty: it is used by now
        for parent in missing:
            parent.rmdir()
