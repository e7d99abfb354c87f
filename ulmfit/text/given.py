"""Texts that a program passes: what is no sequence of texts is refused, never converted."""

from collections.abc import Iterable, Iterator, Mapping
from numbers import Number
from typing import Any

from ulmfit.base.errors import UserError, listed


def each_text(texts: Iterable[str | None], call: str) -> Iterator[str]:
    """The texts one by one; a missing one (None, nan, NA) is an empty text.

    Args:
        call: the name of the method that takes them, for messages.

    Raises:
        UserError: `texts` is no sequence of texts, or one of its items is no text.
    """
    if hasattr(texts, "__array__") and not isinstance(texts, Iterable):
        texts = texts.__array__()  # scikit-learn takes whatever can become an array
    _check_whole(texts, call)
    return (_text(item, place) for place, item in enumerate(texts))


def is_missing(value: Any) -> bool:
    """Whether `value` stands for no text: None, nan, NA, NaT."""
    if value is None:
        return True
    import pandas as pd  # takes a while, and a string is never missing

    return bool(pd.api.types.is_scalar(value) and pd.isna(value))


def _check_whole(texts: Any, call: str) -> None:
    if isinstance(texts, str):
        raise UserError(f"found one text, expected a list of texts; call {call}([text])")
    if isinstance(texts, (bytes, bytearray)):
        raise UserError(
            f"found {_kind(texts)}, expected a list of texts; decode it: {call}([data.decode()])"
        )
    if hasattr(texts, "columns"):  # a table of pandas, polars or Arrow
        names = list(getattr(texts, "column_names", texts.columns))
        column = "text" if "text" in names or not names else names[0]
        raise UserError(
            f"found {_kind(texts)} with the columns {listed(names) or 'none'}, expected one "
            f"column of texts; pass one column, e.g. frame[{column!r}]"
        )
    if type(texts).__module__.startswith("scipy.sparse"):
        raise UserError(
            f"found a sparse {type(texts).__name__} of numbers, expected a list of texts; pass "
            "the texts themselves"
        )
    if isinstance(texts, Mapping):
        raise UserError(
            f"found {_kind(texts)}, expected a list of texts; pass its texts alone, e.g. "
            "list(texts.values())"
        )
    if isinstance(texts, (set, frozenset)):
        raise UserError(
            f"found {_kind(texts)}, which has no order, expected a list of texts; pass a list"
        )
    shape = getattr(texts, "shape", (0,))
    if isinstance(shape, tuple) and len(shape) != 1:
        remedy = "pass one column, e.g. texts[:, 0]" if shape else "pass a list of strings"
        raise UserError(f"found an array of shape {shape}, expected one dimension; {remedy}")
    if not (isinstance(texts, Iterable) or hasattr(texts, "__getitem__")):
        raise UserError(f"found {_kind(texts)}, expected a list of texts; pass a list of strings")


def _text(item: Any, place: int) -> str:
    if isinstance(item, str):
        return item
    if isinstance(item, (bytes, bytearray)):
        remedy = "decode it, e.g. with .decode()"
    elif isinstance(item, Mapping):
        remedy = "pass the text in it, e.g. [row['text'] for row in rows]"
    elif isinstance(item, Iterable):
        remedy = "pass one flat list of texts, with the tokens of a text joined by spaces"
    elif is_missing(item):
        return ""
    elif isinstance(item, Number):
        remedy = "pass it as a text, e.g. str(number)"
    else:
        remedy = "pass a list of strings"
    raise UserError(f"texts[{place}] is {_kind(item)}, expected a string; {remedy}")


def _kind(value: Any) -> str:
    name = type(value).__name__
    if value is None or isinstance(value, (bytes, bytearray)):
        return "None" if value is None else name
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
