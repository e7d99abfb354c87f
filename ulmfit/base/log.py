"""Lines of progress, through the logger ``ulmfit``.

Commands print them. In Python, nothing is printed until you call `show_progress` or configure
logging, for example with ``logging.basicConfig(level=logging.INFO)``.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

logger = logging.getLogger("ulmfit")


class _Printer(logging.Handler):
    """Prints each message on the current standard output."""

    def emit(self, record: logging.LogRecord) -> None:
        # Errors are not caught: a command has to end if its output cannot be written.
        print(self.format(record), flush=True)  # noqa: T201


_printer = _Printer()
_muted: ContextVar[bool] = ContextVar("muted", default=False)

logger.addHandler(logging.NullHandler())
logger.addFilter(lambda record: not _muted.get())


def show_progress() -> None:
    """Print the lines of the package and show progress bars on a terminal, like a command."""
    logger.addHandler(_printer)
    logger.setLevel(logging.INFO)


@contextmanager
def quiet() -> Iterator[None]:
    """Drop the lines of the block, for data that are read a second time."""
    before = _muted.set(True)
    try:
        yield
    finally:
        _muted.reset(before)
