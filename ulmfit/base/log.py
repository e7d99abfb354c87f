"""Lines of progress and of results, through the logger ``ulmfit``.

Commands print them; with ``--quiet``, those of results, warnings and errors alone. In Python,
nothing is printed until you call `show_progress` or configure logging, for example with
``logging.basicConfig(level=logging.INFO)``.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar

from ulmfit.base.launch import rank

RESULT = 25  # the level of results, between INFO and WARNING

logger = logging.getLogger("ulmfit")
logging.addLevelName(RESULT, "RESULT")


class _Printer(logging.Handler):
    """Prints each message on the current standard output."""

    last = 0.0  # when it printed, by time.time

    def emit(self, record: logging.LogRecord) -> None:
        with bars_aside():
            # Errors are not caught: a command has to end if its output cannot be written.
            print(self.format(record), flush=True)  # noqa: T201
        self.last = record.created


@contextmanager
def bars_aside() -> Iterator[None]:
    """Take progress bars off the terminal during the block, so that no line lands in one."""
    shown = sys.modules.get("tqdm") if sys.stderr.isatty() else None
    if shown is None:
        yield
        return
    with shown.tqdm.external_write_mode(file=sys.stdout):
        yield


_printer = _Printer()
_muted: ContextVar[bool] = ContextVar("muted", default=False)

logger.addHandler(logging.NullHandler())
logger.addFilter(lambda record: not _muted.get())


def last_line() -> float:
    """When the last line was printed, by time.time; 0 before any."""
    return _printer.last


def show_progress() -> None:
    """Print the lines of the package and show progress bars on a terminal, like a command.

    Of several processes that were launched together, only the first one does.
    """
    if rank():
        return
    logger.addHandler(_printer)
    logger.setLevel(logging.INFO)


def show_result(text: str) -> None:
    """Log a result: what the user of a command asked for, in contrast to its progress."""
    logger.log(RESULT, text)


@contextmanager
def output_for(quiet: bool, as_json: bool) -> Iterator[None]:
    """Choose the lines of a command during the block.

    Args:
        quiet: only results, warnings and errors.
        as_json: no results, since the caller prints them as JSON on standard output; all else goes
            to standard error.
    """
    level = logger.level
    if quiet:
        logger.setLevel(RESULT)
    if as_json:
        logger.addFilter(_no_result)
    try:
        with redirect_stdout(sys.stderr if as_json else sys.stdout):
            yield
    finally:
        logger.setLevel(level)
        logger.removeFilter(_no_result)


def _no_result(record: logging.LogRecord) -> bool:
    return record.levelno != RESULT


@contextmanager
def quiet() -> Iterator[None]:
    """Drop the lines of the block, for data that are read a second time."""
    before = _muted.set(True)
    try:
        yield
    finally:
        _muted.reset(before)
