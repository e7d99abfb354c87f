"""The engine of a cluster: Ray's actors, each with one thread and models of its own.

For a prediction, the actors get descriptions of shards, not texts: they read and write files
themselves. So no block of texts goes through Ray's object store, whose size is limited (ray#45928),
and a shard that is written twice is the same file. To tokenise, they get some texts at a time.
"""

import logging
import os
import socket
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from importlib.util import find_spec
from typing import Any

from ulmfit.base.cores import cores
from ulmfit.base.errors import UserError
from ulmfit.base.log import logger
from ulmfit.base.processes import first_line
from ulmfit.bulk.actors import Job, P, Pool, R
from ulmfit.bulk.plan import Shard
from ulmfit.bulk.shards import Done, Task

_STARTS = 3  # a busy machine is too slow for Ray's own limit of 15 seconds (ray#62883, ray#65983)
_STORE = 100 << 20  # bytes of the object store; Ray demands 75 MB, and we put little into it
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


def on_ray(
    workers: int | None,
    address: str | None,
    task: Task,
    shards: Sequence[Shard],
    tell: Callable[[int], object],
) -> Iterator[Done]:
    """Shards in the order in which they are finished; raises as `in_actors` and `Task.run`."""
    with closing(in_actors(workers, address, task, shards, len(shards))) as finished:
        for done in finished:
            tell(done.rows)
            yield done


def in_actors(
    workers: int | None, address: str | None, job: Job[P, R], parts: Iterable[P], count: int
) -> Generator[R]:
    """What `job` makes of `parts`, in the order in which they are finished.

    If a worker dies, its part goes to another one, which does it from the beginning. A part is
    taken when a worker is free for it.

    Args:
        workers: None is the number of free cores, at most `count`.
        address: of a running cluster, as `ray.init` takes it; None starts Ray on this machine.
        count: of the parts.

    Raises:
        UserError: Ray does not start or has no such number of cores, a part ended three workers,
            or as `job.run`.
    """
    with _session(address, min(workers or cores(), count)) as ray:
        yield from Pool(ray, job, _count(ray, workers, count)).run(parts)


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

    _mute(ray)
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address in (None, "local"):
        _start_here(ray, workers, quiet)
    else:
        try:
            ray.init(address, **quiet)
        except Exception as error:  # Ray raises ConnectionError, RuntimeError and others
            raise UserError(
                f"no Ray cluster answers at --address {address} ({first_line(error)}); start one "
                "with ray start --head, or leave --address out to compute on this machine"
            ) from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _mute(ray: Any) -> None:
    """Keep Ray from printing pages about a lost machine to standard output; a line says it."""
    with suppress(AttributeError):  # a version of Ray without this private function prints them
        ray._private.worker.print_to_stdstream = lambda *given, **more: None


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
            reason = first_line(error)
        logger.info(f"Ray did not start ({reason}); try {tried} of {_STARTS}")
    raise UserError(
        f"Ray did not start on this machine ({reason}); end other programs and try again, or use "
        "--engine local with --workers"
    )
