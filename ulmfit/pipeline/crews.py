"""Who trains the networks of `python -m ulmfit`: this process, or a process for each direction.

On two cores, one direction after the other on both is as fast as two at the same time, on a core
each (`python -m benchmarks.directions`). So this process trains, unless the user wants otherwise.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ALL_COMPLETED, FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from contextvars import copy_context
from pathlib import Path
from threading import Lock, Thread
from typing import IO, Any, Protocol, TypeVar

import torch

import ulmfit
from ulmfit.artifacts.directory import read_metrics
from ulmfit.artifacts.manifest import direction
from ulmfit.base.bars import PassedOn
from ulmfit.base.errors import Stopped, UserError
from ulmfit.base.launch import launched
from ulmfit.base.log import logger
from ulmfit.base.precision import use_all_cores
from ulmfit.pipeline.child import OUT_OF_TIME, STOP
from ulmfit.pipeline.followers import stage_in_all
from ulmfit.training.options import StageResult

T = TypeVar("T")
_ERROR = "error: "  # before the line of a UserError


class Crew(Protocol):
    """Trains networks."""

    at_once: int  # directions that are trained at the same time

    def each(self, names: Collection[str], work: Callable[[str], T]) -> dict[str, T]:
        """What `work` returns for each of the directions `names`.

        Raises:
            Stopped, UserError: the first that `work` raises.
        """

    def train(self, stage: str, given: Mapping[str, Any]) -> StageResult:
        """Train a stage, by its verb and the arguments of its command."""


class OneByOne:
    """This process trains, and those of `torchrun` with it: one direction after the other."""

    at_once = 1

    def each(self, names: Collection[str], work: Callable[[str], T]) -> dict[str, T]:
        """As `Crew.each`."""
        return {name: work(name) for name in names}

    def train(self, stage: str, given: Mapping[str, Any]) -> StageResult:
        """As `Crew.train`."""
        return stage_in_all(stage, dict(given))


class SideBySide:
    """A process for each direction trains, on its share of the threads.

    Ctrl-C, and an error of one process, interrupt the others: they write their checkpoints. If this
    process is killed, they end, too.
    """

    def __init__(self, at_once: int) -> None:
        self.at_once = at_once
        self._threads = 1
        self._running: set[subprocess.Popen[str]] = set()
        self._lock, self._ends = Lock(), False

    def each(self, names: Collection[str], work: Callable[[str], T]) -> dict[str, T]:
        """As `Crew.each`, at the same time."""
        at_once = max(1, min(self.at_once, len(names)))
        use_all_cores()
        self._threads = max(1, torch.get_num_threads() // at_once)
        with ThreadPoolExecutor(at_once) as pool:
            made = {name: pool.submit(copy_context().run, work, name) for name in names}
            try:
                _wait(made.values(), FIRST_EXCEPTION)
                if any(not isinstance(error, Stopped) for error in _errors(made.values())):
                    self._stop()
                _wait(made.values(), ALL_COMPLETED)  # one that is out of time lets the others end
            except BaseException:  # Ctrl-C
                self._stop()
                try:
                    _wait(made.values(), ALL_COMPLETED)
                except BaseException:  # a second one
                    self._kill()
                    raise
                raise KeyboardInterrupt("the same command goes on") from None
        errors = sorted(_errors(made.values()), key=_rank)
        if errors:
            raise errors[0]
        return {name: future.result() for name, future in made.items()}

    def train(self, stage: str, given: Mapping[str, Any]) -> StageResult:
        """As `Crew.train`, in a new process."""
        name = direction(given["backwards"])
        with self._lock:
            if self._ends:
                raise KeyboardInterrupt
            bars = PassedOn(name)
            process = self._start(bars.environment())
            self._running.add(process)
        last: list[str] = []
        with process:  # closes its pipes
            assert process.stdin
            assert process.stdout
            assert process.stderr
            read = copy_context().run
            reader = Thread(target=read, args=(_read, process.stderr, name, last))
            reader.start()
            with suppress(BrokenPipeError):  # it has died; its status says how
                process.stdin.write(json.dumps([stage, dict(given)]) + "\n")
                process.stdin.flush()
            for line in process.stdout:
                if not bars.takes(line) and line.strip():
                    logger.info(f"{name}: {line.rstrip()}")
            reader.join()
        bars.close()
        with self._lock:
            self._running.discard(process)
        line = "".join(last)
        if process.returncode:
            raise _error(process.returncode, name, line)
        if line:
            logger.warning(f"{name}: {line}")
        return StageResult(Path(given["out"]), read_metrics(Path(given["out"])))

    def _start(self, environment: Mapping[str, str]) -> subprocess.Popen[str]:
        package = str(Path(ulmfit.__file__).parents[1])
        paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
        more = {"OMP_NUM_THREADS": str(self._threads), "PYTHONPATH": os.pathsep.join(paths)}
        debug = ["--debug"] if "--debug" in sys.argv[1:] else []
        return subprocess.Popen(
            [sys.executable, "-m", "ulmfit.pipeline.child", *debug],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            env={**os.environ, **more, **environment, "PYTHONIOENCODING": "utf-8"},
            start_new_session=True,  # the parent passes Ctrl-C on
        )

    def _stop(self) -> None:
        with self._lock:
            self._ends = True
            for process in self._running:
                assert process.stdin
                with suppress(OSError):  # it has ended
                    process.stdin.write(STOP.decode())
                    process.stdin.flush()

    def _kill(self) -> None:
        with self._lock:
            for process in self._running:
                process.kill()


def crew_for(jobs: int, directions: int) -> Crew:
    """The crew for `jobs` of the `directions` at the same time.

    Raises:
        UserError: `jobs` is less than one, or several processes were launched together as well.
    """
    if jobs < 1:
        raise UserError(f"found --jobs {jobs}, expected 1 or 2")
    if launched() and jobs > 1:
        raise UserError(
            f"found --jobs {jobs} and several processes of torchrun, expected one of them: "
            "leave --jobs out"
        )
    at_once = min(jobs, directions)
    return SideBySide(at_once) if at_once > 1 else OneByOne()


def _wait(futures: Collection[Future[Any]], until: str) -> None:
    """As `wait`; with a pause now and then, so that Ctrl-C is heard on Windows."""
    while True:
        done, missing = wait(futures, timeout=1.0, return_when=until)
        failed = until == FIRST_EXCEPTION and any(future.exception() for future in done)
        if failed or not missing:
            return


def _errors(futures: Collection[Future[Any]]) -> list[BaseException]:
    errors = (future.exception() for future in futures if future.done())
    return [error for error in errors if error is not None]


def _rank(error: BaseException) -> int:
    """A cause comes before its consequences: other processes were interrupted for it."""
    return 2 if isinstance(error, KeyboardInterrupt) else isinstance(error, Stopped)


def _read(pipe: IO[str], name: str, last: list[str]) -> None:
    """Log the lines of standard error, but for the last one, which may be the error."""
    with suppress(ValueError):  # closed, because nobody reads our own lines any more
        for line in pipe:
            if last:
                logger.warning(f"{name}: {last.pop()}")
            last.append(line.rstrip())


def _error(status: int, name: str, line: str) -> BaseException:
    """The exception that ended a process of `status`, whose last line of errors is `line`."""
    if status == OUT_OF_TIME:
        return Stopped(line)
    if status == 130:
        return KeyboardInterrupt()
    if status == 1 and line.startswith(_ERROR):
        return UserError(line.removeprefix(_ERROR))
    if status < 0:
        return UserError(
            f"the process of the {name} direction has died (signal {-status}), perhaps for want of "
            "memory; the same command goes on, and --jobs 1 needs less memory"
        )
    return RuntimeError(f"the process of the {name} direction failed: {line}")
