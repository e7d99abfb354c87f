"""A source's labels in one form: a cell a text, in which `SEPARATOR` stands between labels."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ulmfit.base.errors import UserError, listed
from ulmfit.base.log import logger
from ulmfit.base.printable import visible
from ulmfit.data.formats_base import place_of
from ulmfit.data.labels import SEPARATOR
from ulmfit.data.spec import DataSpec
from ulmfit.data.values import SEQUENCES, first_five, is_nested, nested, values_of

_LINE_ENDS = re.compile("\\s*[\t\n\r\v\f\x1c-\x1f\x85\u2028\u2029]\\s*")
_MARKS = {"1": True, "true": True, "1.0": True, "0": False, "false": False, "0.0": False}
_OF_STRINGS = {
    ".csv",
    ".tsv",
}  # in these, packed or not, an empty string is what stands for a missing value

Cells = list[str | None]


def cells_of_column(column: pd.Series, spec: DataSpec, none: str | None = None) -> Cells:
    """The labels of each text: None where the cell is empty, '' where a list has none.

    Text stays as it is written, but for white space at its ends. A number that the source holds as
    a float loses its `.0`. `none` is what an empty string means: a file of ids has it for a list
    without labels.

    Raises:
        UserError: a cell holds a list and a text has one label, or a label cannot be shown.
    """
    values, name = values_of(column), str(column.name)
    known: dict[tuple[type, Any], str | None] = {}
    cells: Cells = []
    for row, value in enumerate(values, 1):
        if isinstance(value, SEQUENCES) and spec.labels.multi:
            cells.append(_joined(map(_text, _flat(value, spec.source, row, name)), spec, row))
        elif is_nested(value):
            raise _several(value, spec, row, name)
        else:
            key = (type(value), value)
            if key not in known:
                known[key] = _cell(value, spec, row)
            cells.append(none if value == "" else known[key])
    _tell(known, values, spec, name)
    return cells


def cells_of_columns(table: pd.DataFrame, spec: DataSpec) -> Cells:
    """The labels of each text where each of them has a column of its own.

    None where all of these cells are empty; '' where none of the labels applies.

    Raises:
        UserError: a column is missing, or a value is none of 0, 1, true, false and empty.
    """
    names = spec.label_cols
    missing = [name for name in names if name not in table.columns]
    if missing:
        raise UserError(
            f"{spec.source}: found the columns {listed(table.columns)}; expected those of "
            f"--label-cols, of which {listed(missing)} {'is' if len(missing) == 1 else 'are'} "
            "missing; correct the names"
        )
    labels = [_joined([_text(name)], spec, None) for name in names]
    places = [place_of(name, table.columns, spec.source) for name in names]
    marks = [_marks(table.iloc[:, place], spec.source) for place in places]
    return [
        None
        if all(mark is None for mark in row)
        else SEPARATOR.join(label for label, mark in zip(labels, row, strict=True) if mark)
        for row in zip(*marks, strict=True)
    ]


def looks_like_marks(column: pd.Series) -> bool:
    """Whether every value is 0, 1, true, false or empty, and both kinds occur."""
    found = set()
    for value in column:
        text = str(value).strip().lower()
        if text not in _MARKS and text and not pd.isna(value):
            return False
        found.add(_MARKS.get(text))
    return {True, False} <= found


def _marks(column: pd.Series, source: str) -> list[bool | None]:
    marks: list[bool | None] = []
    for row, value in enumerate(values_of(column), 1):
        text = "" if value is None else str(value).strip().lower()
        if text and text not in _MARKS:
            raise UserError(
                f"{source}, row {row}: found {_text(value)[:60]!r} in the column '{column.name}' "
                "of --label-cols, expected 0, 1, true, false or nothing; correct it"
            )
        marks.append(_MARKS.get(text))
    return marks


def _several(value: Any, spec: DataSpec, row: int, name: str) -> UserError:
    if not isinstance(value, SEQUENCES):
        return nested(value, spec.source, row, name)
    way = "give one each" if spec.labels.classes else "pass --multi-label if a text may have more"
    return UserError(
        f"{spec.source}, row {row}: found a list in the column '{name}', expected one label a "
        f"text; {way}"
    )


def _flat(values: Any, source: str, row: int, name: str) -> list[Any]:
    items = values.tolist() if isinstance(values, np.ndarray) else list(values)
    for item in items:
        if is_nested(item):
            raise nested(item, source, row, name)
    return [item for item in items if item is not None]


def _cell(value: Any, spec: DataSpec, row: int) -> str | None:
    if value is None:
        return None
    multi = spec.labels.multi
    parts = str(value).split(spec.separator) if multi and isinstance(value, str) else [value]
    return _joined(map(_text, parts), spec, row) or None


def _text(value: Any) -> str:
    """A label is one line: tables, csv files and terminals show it."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return _LINE_ENDS.sub(" ", str(value)).strip()


def _joined(labels: Iterable[str], spec: DataSpec, row: int | None) -> str:
    """One cell of labels that can be shown and, where a text has several, be told apart."""
    parts = list(dict.fromkeys(label for label in labels if label))
    place = spec.source if row is None else f"{spec.source}, row {row}"
    for label in parts:
        if visible(label) != label:
            raise UserError(
                f"{place}: found the label {label[:60]!r}, which has characters that cannot be "
                "shown; correct it, or name another column with --label-col"
            )
        if spec.labels.multi and SEPARATOR in label:
            raise UserError(
                f"{place}: found a '{SEPARATOR}' in the label {label[:60]!r}, expected none: it "
                "separates labels in what the program writes; write the label without it"
            )
    return SEPARATOR.join(parts)


def _tell(
    known: dict[tuple[type, Any], str | None], values: Sequence[Any], spec: DataSpec, name: str
) -> None:
    """Log what was not read as it stands in the source."""
    whole = [value for kind, value in known if kind is float and value.is_integer()]
    if whole:
        shown = first_five(map(_text, sorted(whole)))
        logger.info(f"whole numbers in the column '{name}' are labels without .0: {shown}")
    writings: dict[str, list[str]] = {}
    for (kind, value), cell in known.items():
        if kind is str and cell and not spec.labels.multi:
            writings.setdefault(cell, []).append(value)
    if merged := [repr(w) for found in writings.values() if len(found) > 1 for w in found]:
        logger.info(
            "labels that differ by white space at their ends alone are read as one: "
            f"{first_five(merged)}"
        )
    blank = sum(isinstance(value, str) and not value.strip() for value in values)
    of_strings = _OF_STRINGS.intersection(Path(spec.source.lower()).suffixes)
    if blank and blank < len(values) and not of_strings:
        logger.info(
            f"{blank:,} labels are empty strings, read as no label; give the class a name where "
            "they mean one"
        )
