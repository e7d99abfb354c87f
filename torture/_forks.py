"""Commands in children of a process with all imports done: a start costs milliseconds.

A child runs ``python -m ulmfit.<stage>`` after its imports. A kill or a full disk can be tied to an
event: the n-th time that the child opens a file for writing, or renames, creates or removes
something in its folder. The events are the same in every run of a command.
"""

import importlib
import itertools
import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from torture.common import ROOT, SECONDS, Ended

STAGES = ("ulmfit.stage1_pretrain", "ulmfit.stage2_lm", "ulmfit.stage3_clf")
_LARGEST = 20_000  # largest file, as a replacement for a full disk; a log is smaller
_context = multiprocessing.get_context("forkserver")
_LAZY = ("spacy.lang.en", "matplotlib.figure", "matplotlib.backends.backend_agg")
_context.set_forkserver_preload([*STAGES, *_LAZY, "torture._forks"])
_numbers = itertools.count()


@dataclass(frozen=True)
class Fate:
    """A sabotage: the child does `does` ("kill" or "fill") at its `event`-th event (from 1)."""

    does: str
    event: int


@dataclass(frozen=True)
class Command:
    """``python -m module arguments...`` on files in `folder`; `sabotage` is called before."""

    module: str
    arguments: Sequence[str]
    folder: Path
    sabotage: Callable[[], None] | None = None

    def start(self, fate: Fate | None = None) -> "Child":
        """Start a child that runs the command."""
        return Child(self, fate)

    def run(self, fate: Fate | None = None) -> Ended:
        """Run the command to its end."""
        return self.start(fate).end()


class Child:
    """A process that runs a command."""

    def __init__(self, command: Command, fate: Fate | None) -> None:
        self._files = command.folder.parent / f"{command.folder.name}-run{next(_numbers)}"
        self._process = _context.Process(target=_run, args=(command, fate, str(self._files)))
        before = {name: os.environ.get(name) for name in ("PYTHONPATH", "OMP_NUM_THREADS")}
        # The first start starts the fork server; its children inherit its environment.
        os.environ |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        try:
            self._process.start()
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
        self.pid = self._process.pid

    def send(self, number: int) -> None:
        """Send a signal if the process is alive."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def killed_after(self, seconds: float) -> Ended:
        """Kill the process after `seconds` unless it ends earlier."""
        self._process.join(seconds)
        self.send(signal.SIGKILL)
        return self.end()

    def wait_for(self, path: Path) -> None:
        """Wait until `path` exists or the child ends."""
        while not path.exists() and self._process.is_alive():
            time.sleep(0.002)

    def end(self, seconds: float = SECONDS) -> Ended:
        """Wait for the end of the process."""
        self._process.join(seconds)
        status = self._process.exitcode
        if status is None:
            self._process.kill()
        output, errors = (_text(f"{self._files}.{name}") for name in ("out", "err"))
        return Ended(status, output, errors)

    def events(self) -> int:
        """The number of events of a child that ended by itself."""
        return int(_text(f"{self._files}.events"))


def _text(path: str) -> str:
    return Path(path).read_text(encoding="utf-8", errors="replace") if Path(path).exists() else ""


def _run(command: Command, fate: Fate | None, files: str) -> None:
    from ulmfit.base.cli import run_command

    signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream, name in ((1, "out"), (2, "err")):
        opened = os.open(f"{files}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, stream)
        os.close(opened)
    os.environ["ULMFIT_CACHE"] = str(command.folder / "cache")
    sys.argv = [command.module, *command.arguments]
    if command.sabotage:
        command.sabotage()
    events = _Events(command.folder, fate)
    sys.addaudithook(events)
    run_command(importlib.import_module(command.module).main)
    Path(f"{files}.events").write_text(str(events.count))


class _Events:
    """Counts a process's changes of a folder and triggers the sabotage."""

    def __init__(self, folder: Path, fate: Fate | None) -> None:
        self.folder, self.fate, self.count = str(folder) + os.sep, fate, 0

    def __call__(self, name: str, arguments: tuple) -> None:
        if name == "open":
            if not (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return
        elif name not in ("os.rename", "os.remove", "os.mkdir", "os.rmdir"):
            return
        if not str(arguments[0]).startswith(self.folder):
            return
        self.count += 1
        if self.fate and self.count == self.fate.event:
            if self.fate.does == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            fill(Path(self.folder))


def fill(folder: Path) -> None:
    """Fill the file system mounted at `folder`; without a mount, limit the size of files."""
    if not os.path.ismount(folder):
        resource.setrlimit(resource.RLIMIT_FSIZE, (_LARGEST, _LARGEST))
        return
    with (folder / "filler").open("ab", buffering=0) as file, suppress(OSError):
        for size in (1 << 16, 1):
            with suppress(OSError):
                while file.write(b"\0" * size):
                    pass
