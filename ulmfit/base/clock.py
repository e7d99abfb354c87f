"""A clock on a terminal while a command computes and shows neither a line nor a bar."""

import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ulmfit.base.log import last_line, logger

_SILENCE = 3.0  # seconds after which the clock comes
_TICK = 0.5


def bars_shown() -> bool:
    """Whether to show bars: standard error is a terminal and the logger is on."""
    return sys.stderr.isatty() and logger.isEnabledFor(logging.INFO)


@contextmanager
def clock_when_silent() -> Iterator[None]:
    """Show on a terminal how long the block has been silent, from some seconds on.

    The clock goes when a line or a bar comes. It is the sign of life of work whose length is not
    known, such as the imports or one long batch.
    """
    if not bars_shown():
        yield
        return
    over = threading.Event()
    watch = threading.Thread(target=_watch, args=(over,), name="clock", daemon=True)
    watch.start()
    try:
        yield
    finally:
        over.set()
        watch.join()


def _watch(over: threading.Event) -> None:
    clock: Any = None
    sign_of_life = time.time()
    while not over.wait(_TICK):
        now = time.time()
        sign_of_life = now if _bar_is_shown(clock) else max(sign_of_life, last_line())
        if now - sign_of_life < _SILENCE:
            _close(clock)
            clock = None
        else:
            clock = _made() if clock is None else clock
            clock.set_description_str(f"working, {now - sign_of_life:.0f} s")
    _close(clock)


def _made() -> Any:
    from tqdm import tqdm  # takes a while: short commands do without

    return tqdm(bar_format="{desc}", leave=False)


def _close(clock: Any) -> None:
    if clock is not None:
        clock.close()


def _bar_is_shown(clock: Any) -> bool:
    """Whether a bar other than `clock` is on the terminal; one that waits to be shown is not."""
    loaded = sys.modules.get("tqdm")
    if not hasattr(loaded, "tqdm"):  # not imported yet, or not to its end
        return False
    kind: Any = loaded.tqdm  # type: ignore[union-attr]
    with kind.get_lock():
        bars = [bar for bar in getattr(kind, "_instances", ()) if bar is not clock]
    return any(not bar.disable and bar.last_print_t >= bar.start_t + bar.delay for bar in bars)
