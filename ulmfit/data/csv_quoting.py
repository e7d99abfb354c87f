"""Whether the quotes of a csv or tsv quote, or are characters of its texts.

A file written without quotes has a row on every line. Read with them, a quote at the beginning of
one text and one at the end of a later text make one field of all lines between the two. So a field
of several lines is looked at: do they look like rows of their own? If they do, and every line of
the file is a row without quoting, that is how it is read; if the one or the other is so, nobody
knows, and the user is asked.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from ulmfit.base.errors import UserError
from ulmfit.data.csv_head import Head, is_number
from ulmfit.data.csv_rows import csv_rows
from ulmfit.data.dialect import Dialect

_LINE_END = re.compile("\r\n|\n|\r")
_FEWEST = 5  # rows that tell what a column holds
_REPEATED = 3  # how often a value of a column of classes occurs, in the mean
_QUOTED = 0.5  # share of lines with a whole field in quotes from which on quotes quote


class Unquoted(Exception):
    """The file is to be read without quoting; the note says why."""

    def __init__(self, note: str) -> None:
        super().__init__(note)
        self.note = note


class _Plain(NamedTuple):
    """The file without quoting: whether every line is a row, whether it shows whole quoted fields.

    A field in quotes that hold doubled ones was written by a program that quotes.
    """

    rows: bool
    quoted: bool


class QuoteWatch:
    """A `Watch` over a file that is read with quoting, though nobody said so.

    It raises `Unquoted` where the other reading is the right one, and a UserError where either may
    be.
    """

    def __init__(self, path: Path, dialect: Dialect, head: Head) -> None:
        self._path, self._dialect, self._quoted = path, dialect, head.quoted
        self._columns = {
            place: values
            for place, column in enumerate(zip(*head.rows, strict=True))
            if (values := _what_it_holds(column)) is not None
        }
        self.notes: list[str] = []

    def spans(self, row: list[str], width: int, first: int, last: int) -> None:
        """Look at a row of several lines."""
        # Without the quotes, the separators of each line are where they were.
        lines = [line for line in _LINE_END.split(self._dialect.sep.join(row)) if line.strip()]
        cells = [line.split(self._dialect.sep) for line in lines]
        whole = [line for line in cells if len(line) == width]
        plain = len(whole) == len(lines) and self._plain.rows
        # Names in quotes, or doubled quotes: a program wrote it that quotes.
        quoted = self._quoted or any('"' in cell and _LINE_END.search(cell) for cell in row)
        if not quoted and width > 1 and len(lines) > 1 and len(whole) > len(lines) / 2:
            like_rows = 2 * sum(map(self._is_like_rows, whole)) > len(lines)
            unquoted = plain and not self._plain.quoted
            if unquoted and like_rows:
                raise Unquoted(
                    f"{self._path}: read without quoting: a quote at line {first} would have "
                    f"merged lines {first} to {last}; --quoting minimal keeps them together"
                )
            if unquoted or like_rows:
                raise UserError(
                    f"{self._path}, line {first}: found a field in quotes that spans lines {first} "
                    f"to {last}, which look like rows of their own; pass --quoting none if every "
                    "line is a row, or --quoting minimal if the field is one text"
                )
        if plain and not self._quoted and not self.notes:
            self.notes.append(
                f"{self._path}: lines {first} to {last} are read as one text, as the quotes around "
                "it say; if every line is a row, pass --quoting none"
            )

    def malformed(self, error: UserError, line: int) -> None:
        """Look at a file that cannot be read with quoting."""
        if self._quoted or not self._plain.rows:
            return
        if self._plain.quoted:
            raise UserError(f"{error}, or pass --quoting none if quotes are characters of the text")
        raise Unquoted(
            f"{self._path}: read without quoting: a quote in the row at line {line} does not "
            "enclose a field, and every line is a row; --quoting minimal refuses it"
        )

    def _is_like_rows(self, cells: Sequence[str]) -> bool:
        """Whether a line has in every column what the rows elsewhere have there."""
        return bool(self._columns) and all(
            cells[place].strip(' "') in values if values else is_number(cells[place].strip(' "'))
            for place, values in self._columns.items()
        )

    @cached_property
    def _plain(self) -> _Plain:
        """The file without quoting; read once, up to the first line that is no row."""
        lines = quoted = 0
        doubled = False
        try:
            for row in csv_rows(self._path, replace(self._dialect, quoting="none")):
                fields = [c for c in row if len(c) > 1 and c[0] == c[-1] == '"']
                doubled = doubled or any(f == '""' or '""' in f[1:-1] for f in fields)
                quoted += bool(fields)
                lines += 1
        except UserError:
            return _Plain(rows=False, quoted=doubled)
        return _Plain(rows=lines > 0, quoted=doubled or quoted > _QUOTED * lines)


def _what_it_holds(column: Sequence[str]) -> frozenset[str] | None:
    """The classes of a column, none where it holds numbers; None if it says nothing of a row."""
    cells = [cell.strip() for cell in column if not _LINE_END.search(cell)]
    if len(cells) < max(_FEWEST, len(column) / 2):
        return None
    values = frozenset(cells)
    if values != {""} and len(values) * _REPEATED <= len(cells):
        return values
    return frozenset() if all(map(is_number, values)) else None
