"""The rows of a csv or tsv, as many cells each as the header; anything else is an error.

Python's csv rather than pandas: it knows the line of an error, and pandas takes a row of too few
or too many fields without a word.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from ulmfit.base.errors import UserError, listed
from ulmfit.data.dialect import Dialect
from ulmfit.data.text_files import text_lines

LONGEST_FIELD = 2**31 - 1  # characters; the csv module's own limit of 131,072 is under a long text


class Watch(Protocol):
    """Looks at what may speak against the reading, while the rows are read."""

    def spans(self, row: list[str], width: int, first: int, last: int) -> None:
        """A row of several lines, in a file of `width` columns; may raise."""

    def malformed(self, error: UserError, line: int) -> None:
        """The row that begins in `line` cannot be read; may raise, or else `error` is raised."""


def csv_rows(path: Path, dialect: Dialect, watch: Watch | None = None) -> Iterator[list[str]]:
    """The header, then the rows, as many strings each; nothing if the file is empty.

    `dialect` has the separator; quotes quote unless its quoting is none.

    Raises:
        UserError: a row is malformed or of another length, or the file is in another encoding.
    """
    limit = csv.field_size_limit(LONGEST_FIELD)
    try:
        # \n, \r\n and \r all end a row.
        with text_lines(path, "", dialect.encoding) as lines:
            rows = _equal_rows(path, csv.reader(lines, strict=True, **form(dialect)), watch)
            for header in rows:
                if dialect.no_header:
                    yield [str(number) for number in range(len(header))]
                    yield header
                else:
                    yield names(path, header)
                yield from rows
    finally:
        csv.field_size_limit(limit)


def form(dialect: Dialect) -> dict[str, Any]:
    """The dialect as the csv module takes it."""
    plain = dialect.quoting == "none"
    return {
        "delimiter": dialect.sep,
        "quoting": csv.QUOTE_NONE if plain else csv.QUOTE_MINIMAL,
        "quotechar": None if plain else '"',
    }


def names(path: Path, header: list[str]) -> list[str]:
    """The names of the columns in the first row of a file."""
    if any("\0" in name for name in header):
        raise UserError(
            f"{path}, line 1: found NUL characters in the names of the columns, as a file in "
            "UTF-16 has, expected UTF-8; pass --encoding utf-16-le or utf-16-be, or save the file "
            "as UTF-8"
        )
    return [name.strip() for name in header]


def _equal_rows(path: Path, reader: Any, watch: Watch | None) -> Iterator[list[str]]:
    width = 0
    header: list[str] = []
    start = 1  # line on which the row begins
    try:
        for row in reader:
            if row and width and len(row) != width:
                raise _told(
                    watch,
                    start,
                    (
                        f"{path}, line {start}: found {len(row)} fields, expected {width} "
                        f"({listed(header)}); put a field that holds the separator or a line end "
                        "in double quotes"
                    ),
                )
            if not width:
                header, width = row, len(row)
            if row:
                if watch and reader.line_num > start:
                    watch.spans(row, width, start, reader.line_num)
                yield row
            elif width == 1:
                yield [""]  # of one column, a blank line is a row whose text is empty
            start = reader.line_num + 1
    except csv.Error as error:
        raise _told(
            watch,
            start,
            (
                f"{path}, line {start}: found a malformed row ({error}); close every double quote, "
                "and double those within a quoted field"
            ),
        ) from None


def _told(watch: Watch | None, line: int, message: str) -> UserError:
    """The error, if `watch` raises nothing else."""
    error = UserError(message)
    if watch:
        watch.malformed(error, line)
    return error
