"""What a source says of each text: the columns of a data set by name, a file or a folder."""

import shlex
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ulmfit.base.errors import UserError, listed
from ulmfit.base.log import logger
from ulmfit.data.datasets import NAMES
from ulmfit.data.folders import read_folder
from ulmfit.data.formats import read_file
from ulmfit.data.formats_base import place_of, plain_text
from ulmfit.data.label_cells import cells_of_column, cells_of_columns, looks_like_marks
from ulmfit.data.spec import DataSpec
from ulmfit.data.split_columns import (
    IS_VALID,
    splits_of_column,
    splits_of_is_valid,
    tell_unused,
)
from ulmfit.data.values import plain_values
from ulmfit.text.blocks import each
from ulmfit.text.ids import hold_ids, is_empty
from ulmfit.text.ids_file import ids_files, read_ids

_LIKE_LABELS = ("label", "labels", "class", "category", "target")


class Columns(NamedTuple):
    """What a source says, one value a row: texts (or ids), labels and splits, or None for none.

    A label is a cell: see `label_cells`.
    """

    texts: pd.Series
    labels: list[str | None] | None
    splits: list[str] | None


def read_columns(spec: DataSpec, *, labels_required: bool = False) -> Columns:
    """The columns of a data set; raises as `ulmfit.data.load_data`."""
    _check_label_flags(spec)
    source, table = spec.source, _table(spec)
    text = _column(table, source, "text", spec.text_col, needed=True)
    texts = _texts(table[text], source)
    if spec.label_cols:
        label = None
        labels: list[str | None] | None = cells_of_columns(table, spec)
    else:
        label = _column(table, source, "label", spec.label_col, needed=labels_required)
        none = "" if spec.labels.multi and hold_ids(texts) else None
        labels = cells_of_column(table[label], spec, none) if label else None
    others = {text, label, *spec.label_cols}
    if labels is None and source not in NAMES:
        _tell_unused_labels(table, others)
    return Columns(texts, labels, _splits(table, spec, labels, others))


def _check_label_flags(spec: DataSpec) -> None:
    given = [
        flag
        for flag, value in (
            ("--label-cols", spec.label_cols),
            ("--label-col", spec.label_col),
            ("--label-sep", spec.label_sep),
        )
        if value
    ]
    if spec.label_cols and len(given) > 1:
        raise UserError(
            f"found {' and '.join(given)}, expected one of them: with --label-cols each label has "
            "a column of its own"
        )
    if spec.labels.multi or not (spec.label_cols or spec.label_sep):
        return
    if spec.labels.classes:
        raise UserError(
            f"found {given[-1]}, which is for several labels a text, and the classifier gives one; "
            "leave it out"
        )
    raise UserError(
        f"found {given[-1]}, which is for several labels a text, without --multi-label; pass both, "
        "or neither"
    )


def _splits(
    table: pd.DataFrame, spec: DataSpec, labels: list[str | None] | None, others: set[Any]
) -> list[str] | None:
    split = _column(table, spec.source, "split", spec.split_col, needed=False)
    splits = splits_of_column(table, split, spec.source, labels) if split else None
    if split is None and (splits := splits_of_is_valid(table, labels)):
        split = IS_VALID
    if spec.split_col is None and spec.source not in NAMES:
        tell_unused(table, split, others)
    return splits


def _tell_unused_labels(table: pd.DataFrame, others: set[Any]) -> None:
    """Log what may be the labels where no column of the expected name is there."""
    for name in table.columns:
        if str(name).strip().lower() in _LIKE_LABELS and name not in others:
            logger.info(
                f"found a column '{name}'; pass --label-col {shlex.quote(str(name))} if it holds "
                "the labels"
            )
    if way := _marked(table, others):
        logger.info(f"found columns that hold 0 and 1 alone; pass {way} if each is a label")


def _marked(table: pd.DataFrame, others: set[Any]) -> str:
    """The flag for columns that look like one column a label; '' where there are not two."""
    names = [
        str(name)
        for name, column in table.items()  # two columns that nobody reads may have one name
        if name not in others and str(name) != IS_VALID and looks_like_marks(column)
    ]
    return f"--label-cols {' '.join(map(shlex.quote, names))}" if len(names) > 1 else ""


def _table(spec: DataSpec) -> pd.DataFrame:
    source, path = spec.source, Path(spec.source).expanduser()
    if source not in NAMES and (files := ids_files(path)):
        spec.dialect.check_only((), source, "a file of ids")
        return read_ids(files)
    if source not in NAMES and path.is_file():
        return read_file(path, spec.dialect)
    given = {"text": spec.text_col, "label": spec.label_col, "split": spec.split_col}
    flags = [f"--{column}-col" for column, name in given.items() if name is not None]
    flags += ["--label-cols"] if spec.label_cols else []
    if flags and (source in NAMES or path.is_dir()):
        raise UserError(
            f"{source}: found {', '.join(flags)}, which map the columns of a file, expected none "
            "for a folder or a data set by name; leave them out"
        )
    if source in NAMES:
        spec.dialect.check_only((), source, "a data set by name")
        return NAMES[source]()
    if path.is_dir():
        spec.dialect.check_only(("encoding",), source, "a folder")
        return read_folder(path, spec.dialect.encoding)
    raise UserError(
        f"no file or folder {source}, and no data set of that name; names: {', '.join(NAMES)}"
    )


def _column(
    table: pd.DataFrame, source: str, expected: str, given: str | None, *, needed: bool
) -> str | None:
    """The name of the column that holds `expected`, or None where it may be missing and is."""
    name = expected if given is None else given
    if name in table.columns:
        place_of(name, table.columns, source)
        return name
    if table.columns.empty:
        raise UserError(f"{source}: found no rows, expected some with a text; check the path")
    if needed or given is not None:
        found = listed(table.columns)
        marked = _marked(table, set()) if expected == "label" else ""
        more = f", or pass {marked} if each of these is a label" if marked else ""
        if expected == "text" and "label" not in table.columns:
            more = ", and the one of the labels, if there is one, with --label-col"
        raise UserError(
            f"{source}: found the columns {found}; expected one named '{name}': name the one "
            f"that holds the {expected} with --{expected}-col{more}"
        )
    return None


def texts_of(column: pd.Series, source: str) -> pd.Series:
    """The cells of a column as texts, missing ones empty; ids stay ids.

    Raises:
        UserError: a cell holds a list, an object or bytes.
    """
    if hold_ids(column):
        return column
    # A column of strings stays one: as Python's strings the texts would be in memory twice.
    if isinstance(column.dtype, pd.StringDtype):
        return column.fillna("").reset_index(drop=True)
    return pd.Series([plain_text(cell) for cell in plain_values(column, source)], dtype=str)


def _texts(column: pd.Series, source: str) -> pd.Series:
    texts = texts_of(column, source)
    empty = sum(map(is_empty, each(texts)))
    if empty == len(texts):
        found = f"{empty:,} rows and no text in any of them" if empty else "no rows"
        raise UserError(f"{source}: found {found}, expected some with a text; check the path")
    if empty:
        logger.info(f"{empty:,} of {len(texts):,} texts are missing or empty; kept as empty texts")
    return texts
