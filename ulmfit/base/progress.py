"""Progress of a long loop: a bar on a terminal, a line a minute elsewhere."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from ulmfit.base.bars import new_bar
from ulmfit.base.log import logger

SECONDS_BETWEEN_LINES = 60.0

T = TypeVar("T")


class Progress:
    """Shows how much of `total` is done and, with a `unit`, the speed.

    Args:
        even: the parts take much the same time. Otherwise the time left is from the mean of all
            parts, and no speed is shown.
    """

    def __init__(self, total: float, name: str, unit: str = "", even: bool = True) -> None:
        self.total, self.name, self.unit = total, name, unit if even else ""
        self.done = 0.0
        self._began = self._logged = time.monotonic()
        # No bar for a loop of less than a second, such as a text or two to classify.
        self._bar = new_bar(
            desc=name,
            total=round(total),
            leave=False,
            unit=f" {unit or 'batch'}",
            delay=1.0 if even else 0.0,
            smoothing=0.3 if even else 0.0,
        )

    def advance(self, count: float = 1) -> None:
        """Add `count`, which may be a fraction: each of two models does half of a text's work."""
        self.done += count
        if self._bar is not None:
            self._bar.update(round(self.done) - self._bar.n)
            if self._bar.n >= round(self.total):
                self._bar.close()
        elif round(self.done) < round(self.total):
            self._log()

    def close(self) -> None:
        """Take the bar away, even if the work was not finished."""
        if self._bar is not None:
            self._bar.close()

    def _log(self) -> None:
        now = time.monotonic()
        if self.done and now - self._logged > SECONDS_BETWEEN_LINES:
            self._logged = now
            seconds = now - self._began
            speed = f"{self.done / seconds:,.0f} {self.unit} a second, " if self.unit else ""
            left = (self.total / self.done - 1) * seconds / 60
            share = f"{self.done / self.total:4.0%}"
            logger.info(f"  {self.name}: {share}, {speed}{left:.1f} min left")


def progress(
    items: Iterable[T], total: int, name: str, unit: str = "", even: bool = True
) -> Iterator[T]:
    """Yield the `total` `items` one by one and show the progress of `name`, as `Progress` does."""
    shown = Progress(total, name, unit, even)
    try:
        for item in items:
            yield item
            shown.advance()
    finally:
        shown.close()
