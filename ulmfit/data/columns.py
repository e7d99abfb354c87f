"""What a source says of each text: the columns of a data set by name, a file or a folder."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ulmfit.base.errors import UserError, listed
from ulmfit.base.log import logger
from ulmfit.base.printable import visible
from ulmfit.data.datasets import NAMES
from ulmfit.data.folders import read_folder, split_name
from ulmfit.data.formats import read_file
from ulmfit.data.formats_base import check_texts
from ulmfit.data.spec import DataSpec
from ulmfit.text.blocks import each
from ulmfit.text.ids import hold_ids, is_empty
from ulmfit.text.ids_file import ids_files, read_ids

SPLITS = ("train", "valid", "test", "unsup")
_LINE_ENDS = re.compile("\\s*[\t\n\r\v\f\x1c-\x1f\x85\u2028\u2029]\\s*")


class Columns(NamedTuple):
    """What a source says, one value a row: texts (or ids), labels and splits, or None for none."""

    texts: pd.Series
    labels: list[str | None] | None
    splits: list[str] | None


def read_columns(spec: DataSpec, *, labels_required: bool = False) -> Columns:
    """The columns of a data set; raises as `ulmfit.data.load_data`."""
    source, table = spec.source, _table(spec)
    text = _column(table, source, "text", spec.text_col, needed=True)
    label = _column(table, source, "label", spec.label_col, needed=labels_required)
    split = _column(table, source, "split", spec.split_col, needed=False)
    return Columns(
        _texts(table[text], source),
        _labels(table[label], source) if label else None,
        _splits(table[split], source) if split else None,
    )


def _table(spec: DataSpec) -> pd.DataFrame:
    source, path = spec.source, Path(spec.source).expanduser()
    if source not in NAMES and (files := ids_files(path)):
        return read_ids(files)
    if source not in NAMES and path.is_file():
        return read_file(path)
    given = {"text": spec.text_col, "label": spec.label_col, "split": spec.split_col}
    flags = [f"--{column}-col" for column, name in given.items() if name is not None]
    if flags and (source in NAMES or path.is_dir()):
        raise UserError(
            f"{source}: found {', '.join(flags)}, which map the columns of a file, expected none "
            "for a folder or a data set by name; leave them out"
        )
    if source in NAMES:
        return NAMES[source]()
    if path.is_dir():
        return read_folder(path)
    raise UserError(
        f"no file or folder {source}, and no data set of that name; names: {', '.join(NAMES)}"
    )


def _column(
    table: pd.DataFrame, source: str, expected: str, given: str | None, *, needed: bool
) -> str | None:
    """The name of the column that holds `expected`, or None where it may be missing and is."""
    name = expected if given is None else given
    if name in table.columns:
        return name
    if table.columns.empty:
        raise UserError(f"{source}: found no rows, expected some with a text; check the path")
    if needed or given is not None:
        found = listed(table.columns)
        raise UserError(
            f"{source}: found the columns {found}; expected one named '{name}': name the one "
            f"that holds the {expected} with --{expected}-col"
        )
    return None


def _plain(column: pd.Series, source: str) -> list[Any]:
    """Values as Python objects, None where missing."""
    values = column.astype(object).where(column.notna(), None).tolist()
    check_texts(values, source, column.name)
    return values


def _texts(column: pd.Series, source: str) -> pd.Series:
    # A column of strings stays one: as Python's strings the texts would be in memory twice.
    if hold_ids(column):
        texts = column
    elif isinstance(column.dtype, pd.StringDtype):
        texts = column.fillna("").reset_index(drop=True)
    else:
        texts = pd.Series(["" if v is None else str(v) for v in _plain(column, source)], dtype=str)
    empty = sum(map(is_empty, each(texts)))
    if empty == len(texts):
        found = f"{empty:,} rows and no text in any of them" if empty else "no rows"
        raise UserError(f"{source}: found {found}, expected some with a text; check the path")
    if empty:
        logger.info(f"{empty:,} of {len(texts):,} texts are missing or empty; kept as empty texts")
    return texts


def _labels(column: pd.Series, source: str) -> list[str | None]:
    # A label is one line: tables, csv files and terminals show it.
    labels = [
        None if value is None else _LINE_ENDS.sub(" ", str(value)).strip()
        for value in _plain(column, source)
    ]
    for row, label in enumerate(labels, 1):
        if label and visible(label) != label:
            raise UserError(
                f"{source}, row {row}: found the label {label[:60]!r}, which has characters that "
                "cannot be shown; correct it, or name another column with --label-col"
            )
    present = [label for label in labels if label]
    # A missing value turns a column of integers into floats: 1.0 is the class 1 then.
    if all(re.fullmatch(r"-?\d+\.0+", label) for label in present):
        labels = [label.partition(".")[0] if label else None for label in labels]
    return [label or None for label in labels]


def _splits(column: pd.Series, source: str) -> list[str]:
    values = ["" if value is None else str(value) for value in _plain(column, source)]
    names = {value: split_name(value) for value in dict.fromkeys(values)}
    unknown = sorted(repr(value) for value, name in names.items() if name is None)
    if unknown:
        raise UserError(
            f"{source}: found the values {first_five(unknown)} in the split column "
            f"'{column.name}', expected {', '.join(SPLITS)}; rename them, or name another column "
            "with --split-col"
        )
    return [names[value] or "" for value in values]


def first_five(names: list[str]) -> str:
    """The first five names: an error or a decision is told in one line."""
    return ", ".join([*names[:5], "..."] if len(names) > 5 else names)
