"""The lines that the package logs, for tests that read them."""

import logging
from contextlib import contextmanager

from ulmfit.base.log import logger


@contextmanager
def lines_told():
    """A list to which the lines of the block come."""
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logger.addHandler(handler)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
