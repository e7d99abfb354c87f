"""What the package reports while it works: lines of the logger ``ulmfit``.

A command prints them. Imported from Python the package prints nothing: call `show_progress`, or
configure logging yourself, for example with ``logging.basicConfig(level=logging.INFO)``.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

logger = logging.getLogger("ulmfit")


class _Printer(logging.Handler):
    """Prints each message on the standard output of that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        # Errors are not caught: a command ends with one where its output is not taken.
        print(self.format(record), flush=True)  # noqa: T201


_printer = _Printer()
_muted: ContextVar[bool] = ContextVar("muted", default=False)

logger.addHandler(logging.NullHandler())
logger.addFilter(lambda record: not _muted.get())


def show_progress() -> None:
    """Print the lines of the package, and show progress bars on a terminal, as the commands do."""
    logger.addHandler(_printer)
    logger.setLevel(logging.INFO)


@contextmanager
def quiet() -> Iterator[None]:
    """Drop the lines of the block, for data that is read a second time."""
    before = _muted.set(True)
    try:
        yield
    finally:
        _muted.reset(before)
