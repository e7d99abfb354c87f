"""Shared by all torture scripts: a row of the table, and running a command."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 120.0  # default time after which a command counts as hanging


@dataclass
class Row:
    """One line of the table: what was tried, how often, and counts that must stay zero.

    lost: results, rows or checkpoints that were lost or changed. crashed: tracebacks, deaths by an
    unexpected signal, and hangs. let_in: inputs that were wrongly accepted. `told` has one line for
    each failure, with the data to repeat it. skipped: why nothing was tried.
    """

    what: str
    tried: int = 0
    lost: int = 0
    crashed: int = 0
    let_in: int = 0
    told: list[str] = field(default_factory=list)
    skipped: str = ""

    def fail(self, kind: str, line: str) -> None:
        """Count one failure of `kind`: "lost", "crashed" or "let_in"."""
        setattr(self, kind, getattr(self, kind) + 1)
        self.told.append(f"{self.what}: {kind}: {line}")

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, crashed or let in."""
        return not (self.lost or self.crashed or self.let_in)


@dataclass(frozen=True)
class Ended:
    """How a command ended; status is negative after a signal, None after a hang."""

    status: int | None
    output: str
    errors: str

    @property
    def crashed(self) -> bool:
        """A hang, a traceback, or a death by a signal other than those sent here on purpose."""
        if self.status is None or "Traceback" in self.errors:
            return True
        return self.status < 0 and -self.status not in (signal.SIGKILL, signal.SIGINT)

    @property
    def one_line_error(self) -> bool:
        """Exit status 1 with one line ``error: ...`` and nothing else, as commands promise."""
        lines = self.errors.strip().splitlines()
        return self.status == 1 and len(lines) == 1 and lines[0].startswith("error: ")


def run(arguments: Sequence[str], seconds: float = SECONDS) -> Ended:
    """Run ``python arguments...`` on one thread and wait for its end."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *arguments]
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        return Ended(None, "", f"no end after {seconds:.0f} seconds")
    return Ended(done.returncode, done.stdout, done.stderr)


def table(rows: Sequence[Row]) -> str:
    """The rows as aligned text, the sum below."""
    head = ("what was tried", "times", "lost", "crashed", "let in")
    total = Row("all")
    for row in rows:
        for name in ("tried", "lost", "crashed", "let_in"):
            setattr(total, name, getattr(total, name) + getattr(row, name))
    cells = [
        (
            r.what,
            "skipped" if r.skipped else f"{r.tried:,}",
            *map(str, (r.lost, r.crashed, r.let_in)),
        )
        for r in [*rows, total]
    ]
    widths = [max(len(line[i]) for line in [head, *cells]) for i in range(len(head))]
    return "\n".join(
        line[0].ljust(widths[0])
        + "".join(f"  {cell.rjust(widths[i])}" for i, cell in enumerate(line[1:], 1))
        for line in [head, *cells]
    )
