"""csv and tsv: every cell is a string, an empty one too."""

import csv
import io
import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ulmfit.base.log import logger
from ulmfit.data.csv_head import first_lines, head_of, header_notes, separated
from ulmfit.data.csv_quoting import QuoteWatch, Unquoted
from ulmfit.data.csv_rows import csv_rows
from ulmfit.data.dialect import Dialect
from ulmfit.data.formats_base import Block, Encoder, Format, Schema, cells, cut, frame_of
from ulmfit.data.formats_packed import open_bytes

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


class _CsvEncoder(Encoder):
    """A header, then a line a row; a missing cell is an empty one."""

    delimiter = ","

    def __init__(self, file: BinaryIO, columns: Sequence[str], schema: Schema) -> None:
        super().__init__(file, columns, schema)
        self.append(self._lines([columns]))

    def encode(self, block: Block) -> bytes:
        columns = [map(_csv_cell, cells(column)) for column in block]
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
    """A header, then rows; what separates and quotes their cells is found out if it is not said."""

    ending, delimiter, encoder = ".csv", ",", _CsvEncoder
    dialect_of = ("sep", "quoting", "encoding", "no_header")

    def __init__(self, path: Path, dialect: Dialect) -> None:
        reading = _Reading(path, self.delimiter, dialect)
        try:
            # Blocks cannot be taken back: the file is known before the first one.
            if reading.watch and _has_quote(path):
                deque(reading.rows(), maxlen=0)
        except Unquoted as found:
            reading = reading.unquoted(found)
        self.notes = reading.told()
        self._reading = reading.settled()
        self.columns = next(self._reading.rows(), [])

    @classmethod
    def read(cls, path: Path, dialect: Dialect) -> "pd.DataFrame":
        reading = _Reading(path, cls.delimiter, dialect)
        try:
            frame = reading.frame()
        except Unquoted as found:
            reading = reading.unquoted(found)
            frame = reading.frame()
        reading.told()
        return frame

    def blocks(self) -> Iterator[Block]:
        rows_behind_header = islice(self._reading.rows(), 1, None)
        for rows in cut(rows_behind_header, lambda row: len(row) + sum(map(len, row))):
            yield list(map(list, zip(*rows, strict=True)))

    def schema(self) -> "pa.Schema":
        import pyarrow as pa

        return pa.schema([(name, pa.string()) for name in self.columns])


class Tsv(Csv):
    """The same with tabs."""

    ending, delimiter, encoder = ".tsv", "\t", _TsvEncoder


class _Reading:
    """How a file is read: with what a dialect says, and what is found where it says nothing."""

    def __init__(self, path: Path, usual: str, dialect: Dialect) -> None:
        self._path = path
        self.dialect, self._notes = separated(path, usual, dialect)
        head = head_of(list(first_lines(path, dialect.encoding)), self.dialect)
        if not dialect.no_header:
            self._notes += header_notes(path, head)
        self.watch = None if dialect.quoting else QuoteWatch(path, self.dialect, head)

    def rows(self) -> Iterator[list[str]]:
        """The header, then the rows; raises `Unquoted` where they are to be read without quotes."""
        return csv_rows(self._path, self.dialect, self.watch)

    def frame(self) -> "pd.DataFrame":
        rows = self.rows()
        return frame_of(rows, next(rows, None))

    def unquoted(self, found: Unquoted) -> "_Reading":
        """The other reading."""
        self._notes.append(found.note)
        self.dialect, self.watch = replace(self.dialect, quoting="none"), None
        return self

    def settled(self) -> "_Reading":
        """This one without a watch, which has seen all."""
        self.watch = None
        return self

    def told(self) -> list[str]:
        """What there is to say of it, which is logged."""
        notes = [*self._notes, *(self.watch.notes if self.watch else [])]
        for note in notes:
            logger.info(note)
        return notes


def _has_quote(path: Path) -> bool:
    # Far quicker than the rows; in UTF-16 the byte is there, too.
    with open_bytes(path) as file:
        return any(b'"' in part for part in iter(lambda: file.read(1 << 20), b""))
