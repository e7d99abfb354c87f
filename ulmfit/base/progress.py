"""Progress of a long loop: a bar on a terminal, a line a minute elsewhere."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

from ulmfit.base.log import logger

SECONDS_BETWEEN_LINES = 60.0

T = TypeVar("T")


def bars_shown() -> bool:
    """Whether to show bars: standard error is a terminal and the logger is on."""
    return sys.stderr.isatty() and logger.isEnabledFor(logging.INFO)


class Progress:
    """Shows how much of `total` is done and, with a `unit`, the speed."""

    def __init__(self, total: int, name: str, unit: str = "") -> None:
        self.total, self.name, self.unit = total, name, unit
        self.done = 0.0
        self._began = self._logged = time.monotonic()
        self._bar = None
        if bars_shown():
            unit = f" {unit or 'batch'}"
            # No bar for a loop of less than a second, such as a text or two to classify.
            self._bar = tqdm(desc=name, total=total, leave=False, unit=unit, delay=1.0)

    def advance(self, count: float = 1) -> None:
        """Add `count`, which may be a fraction: each of two models does half of a text's work."""
        self.done += count
        if self._bar is not None:
            self._bar.update(round(self.done) - self._bar.n)
            if self._bar.n >= self.total:
                self._bar.close()
        elif round(self.done) < self.total:
            self._log()

    def _log(self) -> None:
        now = time.monotonic()
        if now - self._logged > SECONDS_BETWEEN_LINES:
            self._logged = now
            seconds = now - self._began
            speed = f"{self.done / seconds:,.0f} {self.unit} a second, " if self.unit else ""
            left = (self.total / self.done - 1) * seconds / 60
            share = f"{self.done / self.total:4.0%}"
            logger.info(f"  {self.name}: {share}, {speed}{left:.1f} min left")


def progress(items: Iterable[T], total: int, name: str) -> Iterator[T]:
    """Yield the `total` `items` one by one and show the progress of `name`."""
    shown = Progress(total, name)
    for item in items:
        yield item
        shown.advance()
