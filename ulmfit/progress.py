"""How far a long loop is: a bar on a terminal, a line a minute elsewhere."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 60.0

T = TypeVar("T")


def progress(
    items: Iterable[T], total: int, name: str, say: Callable[[str], None] = print
) -> Iterator[T]:
    """`items`, `total` in number, one by one, while whoever waits is told how far `name` is."""
    if sys.stderr.isatty():
        # No bar for what is done within a second: a text or two to classify.
        yield from tqdm(items, name, total, leave=False, unit="batch", delay=1.0)
        return
    began = said = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if done and now - said > SECONDS_BETWEEN_LINES:
            said = now
            left = (total / done - 1) * (now - began)
            say(f"  {name}: {done / total:4.0%}, {left / 60:.1f} min left")
        yield item
