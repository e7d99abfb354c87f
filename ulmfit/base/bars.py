"""Progress bars: on the terminal, or passed on to the process that started this one.

A process whose output another one reads has no terminal. With `PASSED_ON` in its environment, it
writes each state of a bar as a line of its standard output, and the reader shows it (`PassedOn`).
"""

import os
import shutil
import sys
from typing import Any

from tqdm import tqdm

from ulmfit.base.clock import bars_shown

PASSED_ON = "ULMFIT_BARS_PASSED_ON"  # the environment variable; its value is the bars' width
_MARK = "\x01"  # before the text of a bar, which may be empty
_SECONDS_BETWEEN = 0.5  # of the states of a bar that is passed on


def new_bar(**given: Any) -> tqdm | None:
    """A bar with tqdm's arguments; None where nobody would see it."""
    if width := os.environ.get(PASSED_ON):
        lines: Any = _BarLines()
        return tqdm(**given, file=lines, ncols=int(width), mininterval=_SECONDS_BETWEEN)
    return tqdm(**given) if bars_shown() else None


class _BarLines:
    """A file for tqdm: each state of a bar becomes a line with a mark."""

    encoding = "utf-8"  # tqdm asks whether it may draw with blocks

    def write(self, text: str) -> None:
        """Write what tqdm draws; a cursor that it only moves is nothing."""
        if text.strip("\r\n"):
            print(f"{_MARK}{text.strip()}", flush=True)  # noqa: T201

    def flush(self) -> None:
        """Nothing waits."""


class PassedOn:
    """Shows the bars that another process passes on, each after the `name` of the process."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._bar: tqdm | None = None

    def environment(self) -> dict[str, str]:
        """What lets a process pass its bars on; nothing where they would not be seen."""
        if not bars_shown():
            return {}
        columns = shutil.get_terminal_size().columns - len(self.name) - len(": ") - 1
        return {PASSED_ON: str(max(20, columns))}

    def takes(self, line: str) -> bool:
        """Whether `line` was a bar's; it is shown."""
        if not line.startswith(_MARK):
            return False
        text = line.removeprefix(_MARK).strip()
        if not text:
            self.close()
            return True
        if self._bar is None:
            self._bar = tqdm(bar_format="{desc}", leave=False, file=sys.stderr)
        self._bar.set_description_str(f"{self.name}: {text}")
        return True

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
