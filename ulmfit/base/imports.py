"""Imports of large libraries, without a search for garbage meanwhile."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing() -> Iterator[None]:
    """A block that imports torch and the like, in four fifths of the time.

    Python searches its objects for garbage whenever many of them are new. An import makes hundreds
    of thousands, and they stay: they are left out of this search and of all later ones. If torch is
    there already, nothing is different.
    """
    if "torch" in sys.modules or not gc.isenabled():
        yield
        return
    gc.collect()  # what is garbage now is not to stay
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
