"""csv and tsv: every cell is a string, an empty one too.

Python's csv rather than pandas: it knows the line of an error, and pandas takes a row of too few
or too many fields without a word.
"""

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ulmfit.base.errors import UserError, listed
from ulmfit.data.dialect import PLAIN, Dialect
from ulmfit.data.formats_base import Block, Encoder, Format, Schema, cells, cut, distinct, frame_of
from ulmfit.data.text_files import text_lines

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

LONGEST_FIELD = 2**31 - 1  # characters; the csv module's own limit of 131,072 is under a long text


class _CsvEncoder(Encoder):
    """A header, then a line a row; a missing cell is an empty one."""

    delimiter = ","

    def __init__(self, file: BinaryIO, columns: Sequence[str], schema: Schema) -> None:
        super().__init__(file, columns, schema)
        self.append(self._lines([columns]))

    def encode(self, block: Block) -> bytes:
        columns = [map(_csv_cell, cells(column)) for column in block.values()]
        return self._lines(zip(*columns, strict=True))

    def _lines(self, rows: Iterable[Sequence[Any]]) -> bytes:
        text = io.StringIO(newline="")
        form: Any = {"delimiter": self.delimiter, "lineterminator": "\n"}
        plain, quoting = csv.writer(text, **form), csv.writer(text, quoting=csv.QUOTE_ALL, **form)
        for row in rows:
            # Not quoted of its own accord, a carriage return would end the row for its reader.
            returns = any(isinstance(cell, str) and "\r" in cell for cell in row)
            (quoting if returns else plain).writerow(row)
        return text.getvalue().encode()


def _csv_cell(cell: Any) -> Any:
    return None if isinstance(cell, float) and math.isnan(cell) else cell


class _TsvEncoder(_CsvEncoder):
    delimiter = "\t"


class Csv(Format):
    """A header, then rows."""

    ending, delimiter, encoder = ".csv", ",", _CsvEncoder
    dialect_of = ("sep", "quoting", "encoding", "no_header")

    def __init__(self, path: Path, dialect: Dialect) -> None:
        self._path, self._dialect = path, dialect
        self.columns = next(self._rows(), [])

    @classmethod
    def read(cls, path: Path, dialect: Dialect) -> "pd.DataFrame":
        rows = csv_rows(path, cls.delimiter, dialect)
        return frame_of(rows, next(rows, None))

    def _rows(self) -> Iterator[list[str]]:
        return csv_rows(self._path, self.delimiter, self._dialect)

    def blocks(self) -> Iterator[Block]:
        rows_behind_header = islice(self._rows(), 1, None)
        for rows in cut(rows_behind_header, lambda row: len(row) + sum(map(len, row))):
            yield dict(zip(self.columns, map(list, zip(*rows, strict=True)), strict=True))

    def schema(self) -> "pa.Schema":
        import pyarrow as pa

        return pa.schema([(name, pa.string()) for name in self.columns])


class Tsv(Csv):
    """The same with tabs."""

    ending, delimiter, encoder = ".tsv", "\t", _TsvEncoder


def csv_rows(path: Path, delimiter: str, dialect: Dialect = PLAIN) -> Iterator[list[str]]:
    """The header, then the rows, as many strings each; nothing if the file is empty.

    `delimiter` separates the fields where `dialect` says nothing.

    Raises:
        UserError: a row is malformed or of another length, two columns have the same name, or
            the file is not UTF-8.
    """
    quoting: Any = csv.QUOTE_NONE if dialect.quoting == "none" else csv.QUOTE_MINIMAL
    form: Any = {"delimiter": dialect.sep or delimiter, "quoting": quoting, "strict": True}
    limit = csv.field_size_limit(LONGEST_FIELD)
    try:
        # \n, \r\n and \r all end a row.
        with text_lines(path, "", dialect.encoding) as lines:
            rows = _equal_rows(path, csv.reader(lines, **form))
            for header in rows:
                if dialect.no_header:
                    yield [str(number) for number in range(len(header))]
                    yield header
                else:
                    yield _names(path, header)
                yield from rows
    finally:
        csv.field_size_limit(limit)


def _names(path: Path, header: list[str]) -> list[str]:
    if any("\0" in name for name in header):
        raise UserError(
            f"{path}, line 1: found NUL characters in the names of the columns, as a file in "
            "UTF-16 has, expected UTF-8; save the file as UTF-8"
        )
    return distinct(path, [name.strip() for name in header])


def _equal_rows(path: Path, reader: Any) -> Iterator[list[str]]:
    header: list[str] = []
    start = 1  # line on which the row begins
    try:
        for row in reader:
            if row and header and len(row) != len(header):
                raise UserError(
                    f"{path}, line {start}: found {len(row)} fields, expected {len(header)} "
                    f"({listed(header)}); put a field that holds the separator or a line end "
                    "in double quotes"
                )
            header = header or row
            if row:
                yield row
            elif len(header) == 1:
                yield [""]  # of one column, a blank line is a row whose text is empty
            start = reader.line_num + 1
    except csv.Error as error:
        raise UserError(
            f"{path}, line {start}: found a malformed row ({error}); close every double quote, "
            "and double those within a quoted field"
        ) from None
