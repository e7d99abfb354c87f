"""The processes of one training, started by `torchrun` or `accelerate launch`.

`base.joining` connects them and `current` is their `Group`. A process by itself has the group
`ALONE`, whose methods do nothing. Sums of tensors go through `torch.distributed` (gloo on CPUs,
NCCL on GPUs); all else goes through its key-value store as JSON or bytes, never as a pickle.
"""

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ulmfit.base.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

SECONDS = 300.0  # to wait for another process
_PAUSE = 0.05
_GRACE = 5.0  # seconds for the others to say that they are alive


class Lost(UserError):
    """Another process has ended or does not answer; `Group.error_of` finds out which."""


@dataclass
class Group:
    """The processes of a training.

    rank: the number of this process. count: of the processes. store: keys and values that all see.
    seconds: to wait for another process. phase: how often all have met (see `exchange`).
    said: how often the first one has spoken (see `say`).
    """

    rank: int = 0
    count: int = 1
    store: Any = None
    seconds: float = SECONDS
    phase: int = 0
    said: int = 0

    @property
    def first(self) -> bool:
        """Whether this process writes files and lines."""
        return self.rank == 0

    # --- tensors ----------------------------------------------------------------------------------

    def add(self, tensors: Sequence["Tensor"]) -> None:
        """Replace each tensor by its sum over the processes."""
        if self.count == 1:
            return
        import torch.distributed as dist

        with _answers():
            works = [dist.all_reduce(tensor, async_op=True) for tensor in tensors]
            for work in works:
                work.wait()

    def copy_first(self, tensors: Sequence["Tensor"]) -> None:
        """Replace each tensor by that of the first process."""
        if self.count == 1:
            return
        import torch.distributed as dist

        with _answers():
            for tensor in tensors:
                dist.broadcast(tensor, 0)

    def gathered(self, tensor: "Tensor", dim: int = 0) -> "Tensor":
        """The tensors of all processes, of one shape, one after the other along `dim`."""
        if self.count == 1:
            return tensor
        import torch
        import torch.distributed as dist

        own = tensor.contiguous()
        parts = [torch.empty_like(own) for _ in range(self.count)]
        with _answers():
            dist.all_gather(parts, own)
        return torch.cat(parts, dim)

    def sums(self, *values: float) -> list[float]:
        """The sum of each value over the processes, in float64."""
        if self.count == 1:
            return list(values)
        import torch

        numbers = torch.tensor(values, dtype=torch.float64)
        self.add([numbers])
        return numbers.tolist()

    # --- facts and bytes --------------------------------------------------------------------------

    def exchange(self, mine: Any) -> list[Any]:
        """What each process gives, plain JSON, in their order; waits for all of them."""
        if self.count == 1:
            return [mine]
        self.phase += 1
        self.store.set(self._report(self.rank), json.dumps(mine))
        until, found = time.monotonic() + self.seconds, []
        for rank in range(self.count):
            if not self._wait([self._report(rank)], until, rank):
                raise Lost(f"no answer within {self.seconds:g} s")
            found.append(json.loads(self.store.get(self._report(rank))))
        return found

    @contextmanager
    def after_first(self, name: str) -> Iterator[None]:
        """The first process runs the block, then the others do; `name` says what the block makes.

        A process with another name than the first one does not wait for ever: the next `exchange`
        of the first process ends its waiting.
        """
        if self.count > 1 and not self.first:
            self._wait([name, self._report(0, ahead=1)], math.inf, 0)
        yield
        if self.count > 1 and self.first:
            self.store.set(name, "made")

    def of_first(self, name: str, make: Callable[[], bytes]) -> bytes:
        """What `make` returns in the first process; the others wait for it."""
        if self.count == 1:
            return make()
        key = f"{name}/{self.phase}"
        if self.first:
            made = make()
            self.store.set(key, made)
            return made
        self._wait([key, self._report(0, ahead=1)], math.inf, 0)
        if not self.store.check([key]):
            raise UserError(f"rank 0 makes no {name}; give every process the same command")
        return bytes(self.store.get(key))

    def tell(self, name: str, what: Any) -> None:
        """Say something to the other processes, once for each name."""
        if self.count > 1:
            self.store.set(name, json.dumps(what))

    def told(self, name: str) -> Any:
        """What the first process says by `tell`, however long it takes."""
        self._wait([name], math.inf, 0)
        return json.loads(self.store.get(name))

    def say(self, what: Any) -> None:
        """The next thing that the first process says; the others take it by `heard`."""
        if self.count > 1:
            self.tell(f"said/{self.said}", what)
            self.said += 1

    def heard(self) -> Any:
        """The next thing that the first process says, however long it takes."""
        self.said += 1
        return self.told(f"said/{self.said - 1}")

    def _report(self, rank: int, ahead: int = 0) -> str:
        return f"report/{self.phase + ahead}/{rank}"

    def _wait(self, keys: list[str], until: float, of: int) -> bool:
        """Wait for any of `keys`; False after the time `until`. Raises Lost if rank `of` left."""
        with _answers():
            while not any(self.store.check([key]) for key in keys):
                if self.store.check([f"left/{of}"]):
                    raise Lost("it has left")
                if time.monotonic() > until:
                    return False
                time.sleep(_PAUSE)
        return True

    # --- the end ----------------------------------------------------------------------------------

    def leave(self, why: str) -> None:
        """Tell the other processes that this one ends, and its error, if it has one."""
        with suppress(RuntimeError):  # the store may be gone
            self.store.set(f"left/{self.rank}", why)

    def error_of(self, lost: Lost) -> UserError:
        """The error of the first process after another one was lost: it names that one."""
        until, silent, why = time.monotonic() + _GRACE, set(range(1, self.count)), {}
        with suppress(RuntimeError):
            while silent and time.monotonic() < until:
                for rank in [r for r in silent if self.store.check([f"left/{r}"])]:
                    silent.discard(rank)
                    if message := self.store.get(f"left/{rank}").decode():
                        why[rank] = message
                time.sleep(_PAUSE)
        if why:
            rank, message = min(why.items())
            return UserError(f"rank {rank} of {self.count} processes: {message}")
        if silent:
            names = ", ".join(map(str, sorted(silent)))
            ranks = f"rank {names}" if len(silent) == 1 else f"ranks {names}"
            verb = "has ended or does" if len(silent) == 1 else "have ended or do"
            return UserError(f"{ranks} of {self.count} processes {verb} not answer; {lost}")
        return UserError(f"the {self.count} processes were ended or lost each other; {lost}")


ALONE = Group()
CURRENT: ContextVar[Group] = ContextVar("group", default=ALONE)


def current() -> Group:
    """The group of this process: that of the block of `joined`, else `ALONE`."""
    return CURRENT.get()


@contextmanager
def _answers() -> Iterator[None]:
    """torch's errors of connections, as `Lost`."""
    try:
        yield
    except RuntimeError as error:
        raise Lost("the connection failed") from error


def first_line(error: BaseException) -> str:
    """The first line of another library's error."""
    return next(iter(str(error).splitlines()), type(error).__name__)[:200]
