"""The first rows of a csv or tsv: what separates the fields, whether the first line has names."""

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from ulmfit.base.errors import UserError, listed
from ulmfit.data.csv_rows import LONGEST_FIELD, form
from ulmfit.data.dialect import QUOTING, Dialect
from ulmfit.data.text_files import text_lines

SEPARATORS = {",": "','", ";": "';'", "\t": "a tab", "|": "'|'"}
_MOST_LINES = 1000
_MOST_CHARACTERS = 1 << 20
_FITS = 0.9  # share of the rows that have as many fields as the header
_LONG_NAME = 80  # characters
_MANY_WORDS = 8
_SHOWN = 60  # characters of a line in a message


class Head(NamedTuple):
    """What the first lines hold if `Dialect` is right.

    header: the cells of the first row; [] of an empty file.
    rows: those behind it that have as many cells.
    fit: the share of all that has as many cells; 1 where there is none.
    quoted: whether the first name is in quotes.
    """

    header: list[str]
    rows: list[list[str]]
    fit: float
    quoted: bool


def separated(path: Path, usual: str, dialect: Dialect) -> tuple[Dialect, list[str]]:
    """`dialect` with a separator, found in the first lines if it names none, and what to say of it.

    Raises:
        UserError: the header holds another separator than `usual`, and neither fits the rows.
    """
    if dialect.sep:
        return dialect, []
    usual_dialect = replace(dialect, sep=usual)
    lines = list(first_lines(path, dialect.encoding))
    header = next((line for line in lines if line.strip()), "").strip("\r\n")
    others = [sep for sep in SEPARATORS if sep != usual and sep in header]
    if not others:
        return usual_dialect, []
    heads = {sep: _better_head(lines, replace(dialect, sep=sep)) for sep in (usual, *others)}
    fitting = [s for s in others if heads[s].fit >= _FITS and len(heads[s].header) > 1]
    # Of several that fit, what cuts into the most columns: the others stand in names and texts.
    best = max(fitting, key=lambda sep: len(heads[sep].header), default=None)
    found, shown = heads[usual], repr(header[:_SHOWN])
    if best is None:
        if len(found.header) > 1:
            return usual_dialect, []
        if found.fit >= _FITS:
            one_column = (
                f"{path}: read as one column, {shown}, as not all rows fit {_named(others)}; "
                "--sep names what separates the fields"
            )
            return usual_dialect, [one_column] if any(heads[sep].fit for sep in others) else []
        raise UserError(
            f"{path}, line 1: found the header {shown}, which holds {_named(others)} and no "
            f"{SEPARATORS[usual]}, and rows that fit neither; name what separates the fields with "
            "--sep"
        )
    if len(found.header) > 1 and found.fit >= _FITS:
        if len(found.header) >= len(heads[best].header):
            return usual_dialect, []
        if not all(name.startswith(" ") for name in found.header[1:]):
            raise UserError(
                f"{path}, line 1: found the header {shown}, whose fields may be separated by "
                f"{SEPARATORS[usual]} or by {SEPARATORS[best]}; say which with --sep"
            )
    note = (
        f"{path}: the fields are separated by {SEPARATORS[best]}, as the header {shown} says; "
        "--sep names another"
    )
    return replace(dialect, sep=best), [note]


def _named(separators: list[str]) -> str:
    return " and ".join(SEPARATORS[sep] for sep in separators)


def first_lines(path: Path, encoding: str) -> Iterator[str]:
    """The first lines of a file, about a megabyte of them at most."""
    with text_lines(path, "", encoding) as file:
        size = 0
        for line in islice(file, _MOST_LINES):
            yield line
            size += len(line)
            if size > _MOST_CHARACTERS:
                return


def _better_head(lines: list[str], dialect: Dialect) -> Head:
    """What the first lines hold, with quoting or without where `dialect` does not say."""
    kinds = [dialect.quoting] if dialect.quoting else reversed(QUOTING)
    heads = [head_of(lines, replace(dialect, quoting=kind)) for kind in kinds]
    return max(heads, key=lambda head: head.fit)


def head_of(lines: list[str], dialect: Dialect) -> Head:
    """What the first `lines` of a file hold; what is malformed ends it."""
    header: list[str] = []
    rows, count = [], 0
    limit = csv.field_size_limit(LONGEST_FIELD)
    try:
        for row in csv.reader(lines, **form(dialect)):
            if row and header:
                count += 1
                if len(row) == len(header):
                    rows.append(row)
            header = header or row
    except csv.Error:
        count += 1
    finally:
        csv.field_size_limit(limit)
    first = next((line for line in lines if line.strip()), "")
    quoted = first.lstrip(" \ufeff").startswith('"')
    return Head(header, rows, len(rows) / count if count else 1.0, quoted)


def header_notes(path: Path, head: Head) -> list[str]:
    """A line to say where the first line looks like data."""
    odd = [cell for place, cell in enumerate(head.header) if _is_data(cell, place, head)]
    if not odd:
        return []
    return [
        f"{path}: the first line is read as the names of the columns, and looks like data "
        f"({listed(odd)}); if it is data, pass --no-header"
    ]


def _is_data(cell: str, place: int, head: Head) -> bool:
    cell = cell.strip()
    if not cell:
        return False
    if len(cell) > _LONG_NAME or len(cell.split()) > _MANY_WORDS:
        return True
    below = Counter(row[place].strip() for row in head.rows if row != head.header)
    if is_number(cell):
        return bool(below) and all(map(is_number, below)) and not 1900 <= float(cell) <= 2100
    return below[cell] > 0


def is_number(cell: str) -> bool:
    """Whether a cell is a number, as id, label or count is one."""
    try:
        float(cell)
    except ValueError:
        return False
    return cell[-1:].isdigit()
