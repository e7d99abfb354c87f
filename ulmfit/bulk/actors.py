"""Ray's actors at work: each has one part at a time, and dead ones are replaced."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeVar

from ulmfit.base.errors import UserError
from ulmfit.base.log import logger
from ulmfit.base.processes import first_line

_TRIES = 3  # of a shard whose workers die, and of a start
_PATIENCE = 60.0  # seconds without a worker until a line says so, and the cluster is checked


class Part(Protocol):
    """A part of the work that a worker does at once; it can be pickled.

    about: names it in a line. advice: what to do where it ends its workers.
    """

    @property
    def number(self) -> int: ...
    @property
    def about(self) -> str: ...
    @property
    def advice(self) -> str: ...


P = TypeVar("P", bound=Part)
C = TypeVar("C", bound=Part, contravariant=True)
R = TypeVar("R", covariant=True)


class Job(Protocol[C, R]):
    """What a worker does with any part; it can be pickled."""

    def run(self, part: C, /) -> R: ...


class _Worker:
    """What runs in an actor; Ray has set the number of threads to that of its CPUs, 1."""

    def __init__(self, job: Job[Any, Any]) -> None:
        self._job = job

    def begin(self) -> None:
        """Answers when the actor has started."""

    def run(self, part: Part) -> Any:
        return self._job.run(part)


class Pool(Generic[P, R]):
    """Actors, and which part each has.

    An actor gets a part when it has started: where a cluster loses machines, new actors wait for a
    core, and the parts go to those that are there.
    """

    def __init__(self, ray: Any, job: Job[P, R], workers: int) -> None:
        self._ray, self._job = ray, job
        # A dead actor is replaced here and not by Ray, which would repeat its part for ever.
        self._kind = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(_Worker)
        self._starting: dict[Any, Any] = {}
        self._idle: list[Any] = []
        self._running: dict[Any, tuple[Any, P]] = {}
        self._again: list[P] = []
        self._tries: dict[int, int] = {}
        self._workers, self._failed_starts = workers, 0
        for _ in range(workers):
            self._start()

    def _start(self) -> None:
        actor = self._kind.remote(self._job)
        self._starting[actor.begin.remote()] = actor

    def run(self, parts: Iterable[P]) -> Iterator[R]:
        coming, told = iter(parts), False
        upcoming = next(coming, None)
        while self._running or self._again or upcoming is not None:
            while self._idle and (self._again or upcoming is not None):
                if self._again:
                    part = self._again.pop()
                else:
                    assert upcoming is not None
                    part, upcoming = upcoming, next(coming, None)
                actor = self._idle.pop()
                self._running[actor.run.remote(part)] = actor, part
            ready, _ = self._ray.wait([*self._running, *self._starting], timeout=_PATIENCE)
            if not ready and not self._running:
                self._check_cluster()
                if not told:
                    logger.info(
                        "no worker has started yet: all cores of the cluster are in use; waiting"
                    )
                told = True
            for reference in ready:
                if reference in self._starting:
                    self._begun(reference)
                else:
                    yield from self._result(reference)

    def _begun(self, reference: Any) -> None:
        """An actor has started, or has failed to."""
        actor = self._starting.pop(reference)
        try:
            self._ray.get(reference)
        except self._deaths() as error:
            self._failed_starts += 1
            if self._failed_starts >= _TRIES * self._workers:
                raise UserError(
                    f"{self._failed_starts} workers have died at their start, perhaps for want of "
                    f"memory ({_reason(error)}); give fewer --workers, and install the same "
                    "version of ulmfit on every machine"
                ) from None
            self._start()
            return
        self._failed_starts = 0
        self._idle.append(actor)

    def _check_cluster(self) -> None:
        """Raise a UserError if no machine of the cluster is left."""
        try:
            alive = any(
                node["Alive"] and node["Resources"].get("CPU") for node in self._ray.nodes()
            )
        except Exception:  # nobody answers: Ray raises errors of several libraries
            alive = False
        if not alive:
            raise UserError(
                "the Ray cluster has no machine left; start it again and give the same command, "
                "which keeps what is finished"
            )

    def _deaths(self) -> tuple[type[Exception], ...]:
        errors = self._ray.exceptions
        return (
            errors.RayActorError,
            errors.WorkerCrashedError,
            errors.OutOfMemoryError,
            errors.ObjectLostError,  # of a result, with the machine that held it
        )

    def _result(self, reference: Any) -> list[R]:
        """What is finished; nothing if its worker is dead, and the part waits again."""
        actor, part = self._running.pop(reference)
        try:
            done: R = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, (UserError, OSError)):
                raise UserError(str(error.cause)) from None
            raise
        except self._deaths() as error:
            with suppress(Exception):  # it is dead, or out of reach: then it must not go on
                self._ray.kill(actor)
            self._count_try(part, error)
            self._again.append(part)
            self._start()
            self._ask_idle()
            return []
        self._idle.append(actor)
        return [done]

    def _ask_idle(self) -> None:
        """Have the idle actors answer before they get a part: their machine may be lost."""
        for actor in self._idle:
            self._starting[actor.begin.remote()] = actor
        self._idle.clear()

    def _count_try(self, part: P, error: Exception) -> None:
        tried = self._tries[part.number] = self._tries.get(part.number, 0) + 1
        if tried >= _TRIES:
            raise UserError(
                f"{tried} workers have died on {part.about}, perhaps for want of memory "
                f"({first_line(error)}); {part.advice}"
            ) from None
        logger.info(f"a worker has died; another one takes {part.about}")


def _reason(error: Exception) -> str:
    """The cause of an actor's death: the last line of its own error, else Ray's first line."""
    if getattr(error, "actor_init_failed", False):
        return str(error).strip().splitlines()[-1]
    return first_line(error)
