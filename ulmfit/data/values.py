"""The cells of a table's column as Python's values."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from ulmfit.base.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

SEQUENCES = (list, tuple, np.ndarray)
_NESTED = (*SEQUENCES, dict, bytes)


def values_of(column: "pd.Series") -> list[Any]:
    """Values as Python objects, None where missing."""
    return column.astype(object).where(column.notna(), None).tolist()


def plain_values(column: "pd.Series", source: str) -> list[Any]:
    """As `values_of`.

    Raises:
        UserError: one is a list, an object or bytes.
    """
    values = values_of(column)
    check_plain(values, source, column.name)
    return values


def check_plain(values: Iterable[Any], source: object, name: object, first: int = 1) -> None:
    """Raise a UserError if one of `values` is nested; `first` is the row of the first."""
    for row, value in enumerate(values, first):
        if isinstance(value, _NESTED):
            raise nested(value, source, row, name)


def nested(value: Any, source: object, row: int, name: object) -> UserError:
    """The error for a value that holds several."""
    found = "list" if isinstance(value, np.ndarray) else type(value).__name__
    return UserError(
        f"{source}, row {row}: found a {found} in the column "
        f"'{name}', expected one string a row; convert it or name another column"
    )


def is_nested(value: Any) -> bool:
    """Whether a value is a list, an object or bytes."""
    return isinstance(value, _NESTED)


def first_five(names: Iterable[str]) -> str:
    """The first five names: an error or a decision is told in one line."""
    shown = list(names)
    return ", ".join([*shown[:5], "..."] if len(shown) > 5 else shown)
