"""Texts in blocks, so that a column never becomes one list of strings."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Union

if TYPE_CHECKING:  # pandas takes a while to import
    import numpy as np
    import pandas as pd

# A list or a column. pandas stores a column of strings outside of Python's objects.
Texts = Union[Sequence[str], "pd.Series"]


def in_blocks(texts: Texts, size: int) -> Iterator[list[str]]:
    """`texts` in order, `size` at a time."""
    by_place = getattr(texts, "iloc", texts)  # of a Series
    for start in range(0, len(texts), size):
        block = by_place[start : start + size]
        yield block.tolist() if hasattr(block, "tolist") else list(block)


def each(texts: Texts, size: int = 1000) -> Iterator[str]:
    """`texts` one by one; only `size` texts of a column are Python strings at a time."""
    for block in in_blocks(texts, size):
        yield from block


def at(texts: Texts, rows: "np.ndarray") -> list[str]:
    """The texts at some places, as Python strings."""
    by_place = getattr(texts, "iloc", None)  # of a Series
    return [texts[row] for row in rows] if by_place is None else by_place[rows].tolist()


def spread(texts: Texts, count: int) -> Texts:
    """`count` of `texts`, spread evenly over all of them; all if there are no more."""
    if len(texts) <= count:
        return texts
    places = [i * (len(texts) - 1) // (count - 1) for i in range(count)]
    by_place = getattr(texts, "iloc", None)
    return [texts[i] for i in places] if by_place is None else by_place[places]
