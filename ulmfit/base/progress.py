"""How far a long loop is: a bar on a terminal, a line a minute elsewhere."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 60.0

T = TypeVar("T")


class Progress:
    """Tells whoever waits how much of `total` is done, and how fast where a `unit` is given.

    `advance` takes parts of a unit, too: of two models each does half of a text's work.
    """

    def __init__(
        self, total: int, name: str, unit: str = "", say: Callable[[str], None] = print
    ) -> None:
        self.total, self.name, self.unit = total, name, unit
        self.done = 0.0
        self._say = say
        self._began = self._said = time.monotonic()
        self._bar = None
        if sys.stderr.isatty():
            # No bar for what is done within a second: a text or two to classify.
            self._bar = tqdm(
                desc=name, total=total, leave=False, unit=f" {unit or 'batch'}", delay=1.0
            )

    def advance(self, count: float = 1) -> None:
        """`count` more are done."""
        self.done += count
        if self._bar is not None:
            self._bar.update(round(self.done) - self._bar.n)
            if self._bar.n >= self.total:
                self._bar.close()
        elif round(self.done) < self.total:
            self._tell()

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._said > SECONDS_BETWEEN_LINES:
            self._said = now
            seconds = now - self._began
            speed = f"{self.done / seconds:,.0f} {self.unit} a second, " if self.unit else ""
            left = (self.total / self.done - 1) * seconds / 60
            self._say(f"  {self.name}: {self.done / self.total:4.0%}, {speed}{left:.1f} min left")


def progress(
    items: Iterable[T], total: int, name: str, say: Callable[[str], None] = print
) -> Iterator[T]:
    """Yield the `total` `items` one by one and show the progress of `name`."""
    shown = Progress(total, name, say=say)
    for item in items:
        yield item
        shown.advance()
