"""The engine of a cluster: Ray's actors, each with one thread and models of its own.

The actors get descriptions of shards, not texts: they read and write files themselves. So no block
of texts goes through Ray's object store, whose size is limited (ray#45928), and a shard that is
written twice is the same file.
"""

import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import Any

from ulmfit.base.cores import cores
from ulmfit.base.errors import UserError
from ulmfit.base.log import logger
from ulmfit.bulk.plan import Shard
from ulmfit.bulk.shards import Done, Task

_STARTS = 3  # a busy machine is too slow for Ray's own limit of 15 seconds (ray#62883, ray#65983)
_TRIES = 3  # of a shard whose workers die
_STORE = 100 << 20  # bytes of the object store; Ray demands 75 MB, and we put nothing into it
_PATIENCE = 60.0  # seconds until a line says that no worker has begun
_ANSWER = 10.0  # seconds for an address to answer


def check_ray() -> None:
    """Raise a UserError unless Ray is installed."""
    if find_spec("ray") is None:
        raise UserError(
            "--engine ray needs ray, which was not found; pip install 'ulmfit[ray]' installs it"
        )


def check_address(address: str | None) -> None:
    """Raise a UserError if nobody listens at ``host:port`` or ``ray://host:port``."""
    if address in (None, "auto", "local"):
        return
    host, _, port = str(address).removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise UserError(
            f"--address is {address}, expected auto, HOST:PORT or ray://HOST:PORT of a cluster"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWER).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(
            f"no Ray cluster answers at --address {address} ({reason}); start one with ray start "
            "--head, or leave --address out to compute on this machine"
        ) from None


class _Worker:
    """What runs in an actor; Ray has set the number of threads to that of its CPUs, 1."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def run(self, shard: Shard) -> Done:
        return self._task.run(shard)


def on_ray(
    workers: int | None,
    address: str | None,
    task: Task,
    shards: Sequence[Shard],
    tell: Callable[[int], object],
) -> Iterator[Done]:
    """Shards in the order in which they are finished.

    If a worker dies, its shard goes to another one, which writes it from the beginning.

    Args:
        workers: None is the number of free cores, at most that of the shards.
        address: of a running cluster, as `ray.init` takes it; None starts Ray on this machine.

    Raises:
        UserError: Ray does not start or has no such number of cores, a shard ended three workers,
            or as `Task.run`.
    """
    with _session(address, min(workers or cores(), len(shards))) as ray:
        pool = _Pool(ray, task, _count(ray, workers, len(shards)))
        for done in pool.run(shards):
            tell(done.rows)
            yield done


class _Pool:
    """Actors, and which shard each has."""

    def __init__(self, ray: Any, task: Task, workers: int) -> None:
        self._ray, self._task = ray, task
        # A dead actor is replaced here and not by Ray, which would repeat its shard for ever.
        self._kind = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(_Worker)
        self._idle = [self._kind.remote(task) for _ in range(workers)]
        self._running: dict[Any, tuple[Any, Shard]] = {}
        self._tries: dict[int, int] = {}

    def run(self, shards: Sequence[Shard]) -> Iterator[Done]:
        waiting, begun = deque(shards), False
        while waiting or self._running:
            while waiting and self._idle:
                actor, shard = self._idle.pop(), waiting.popleft()
                self._running[actor.run.remote(shard)] = actor, shard
            ready, _ = self._ray.wait(list(self._running), timeout=None if begun else _PATIENCE)
            if not ready and not begun:
                logger.info("no shard is finished after a minute; a busy cluster starts no workers")
                begun = True
            for reference in ready:
                begun = True
                done = self._result(reference, waiting)
                if done is not None:
                    yield done

    def _result(self, reference: Any, waiting: deque[Shard]) -> Done | None:
        """The finished shard; None if its worker is dead, and the shard waits again."""
        errors = self._ray.exceptions
        actor, shard = self._running.pop(reference)
        try:
            done: Done = self._ray.get(reference)
        except errors.RayTaskError as error:
            if isinstance(error.cause, (UserError, OSError)):
                raise UserError(str(error.cause)) from None
            raise
        except (errors.RayActorError, errors.WorkerCrashedError, errors.OutOfMemoryError) as error:
            with suppress(Exception):  # it is dead, or out of reach: then it must not go on
                self._ray.kill(actor)
            self._count_try(shard, error)
            waiting.appendleft(shard)
            self._idle.append(self._kind.remote(self._task))
            return None
        self._idle.append(actor)
        return done

    def _count_try(self, shard: Shard, error: Exception) -> None:
        tried = self._tries[shard.number] = self._tries.get(shard.number, 0) + 1
        rows = f"rows {shard.start + 1:,} to {shard.start + shard.rows:,} of {shard.source.name}"
        if tried >= _TRIES:
            raise UserError(
                f"{tried} workers have died on {rows}, perhaps for want of memory "
                f"({str(error).splitlines()[0]}); the other finished shards are kept: try fewer "
                "--workers or a smaller --shard-rows"
            ) from None
        logger.info(f"a worker has died; another one takes {rows}")


def _count(ray: Any, workers: int | None, shards: int) -> int:
    """The number of actors to start."""
    there = int(ray.cluster_resources().get("CPU", 0))
    if (workers or 1) > there:
        raise UserError(
            f"--workers is {workers or 1}, and the Ray cluster has {there} CPUs; give at most that"
        )
    return min(workers or max(1, int(ray.available_resources().get("CPU", 1))), shards)


@contextmanager
def _session(address: str | None, workers: int) -> Iterator[Any]:
    """Ray, connected to a cluster or started here; ended afterwards."""
    check_ray()
    # Ray reads it when it is imported, and its workers inherit it.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address in (None, "local"):
        _start_here(ray, workers, quiet)
    else:
        try:
            ray.init(address, **quiet)
        except Exception as error:  # Ray raises ConnectionError, RuntimeError and others
            raise UserError(
                f"no Ray cluster answers at --address {address} ({_first_line(error)}); start one "
                "with ray start --head, or leave --address out to compute on this machine"
            ) from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _start_here(ray: Any, workers: int, quiet: dict[str, Any]) -> None:
    for tried in range(1, _STARTS + 1):
        try:
            ray.init(
                "local",
                num_cpus=workers,
                include_dashboard=False,
                object_store_memory=_STORE,
                **quiet,
            )
            return
        except Exception as error:  # a bare Exception if it was too slow
            ray.shutdown()
            reason = _first_line(error)
        logger.info(f"Ray did not start ({reason}); try {tried} of {_STARTS}")
    raise UserError(
        f"Ray did not start on this machine ({reason}); end other programs and try again, or use "
        "--engine local with --workers"
    )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
