"""Files of rows a block at a time: csv, tsv, jsonl and parquet, in memory that does not grow.

A column has one type in all blocks: csv and tsv give strings, which are what stands in the file;
jsonl gives each cell its own type, and parquet the column's.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from ulmfit.base.errors import UserError
from ulmfit.data.rows import csv_rows, distinct, json_rows

if TYPE_CHECKING:  # takes a while to import, and csv needs none
    import pyarrow as pa

# Column -> its cells: a list of Python's values, an Arrow array, or floats in numpy's.
Block = Mapping[str, Any]
T = TypeVar("T")

# A block ends when it has this many rows, or cells and characters of text, whichever comes first.
# Of so many rows, sorted by length, batches have little padding even where the texts are short.
MOST_ROWS = 1 << 15
MOST_CHARACTERS = 1 << 24


class Table(Protocol):
    """A file of rows; `blocks` may be read more than once."""

    columns: list[str]

    def blocks(self) -> Iterator[Block]:
        """All rows in order, some thousands at a time; raises UserError where the file is bad."""

    def schema(self) -> "pa.Schema":
        """The columns' types in parquet; raises ArrowException if one has none."""


def open_table(path: Path) -> Table:
    """The table in a csv, tsv, jsonl or parquet file.

    Raises:
        UserError: there is no such file, the extension is none of these, the file is malformed
            or not UTF-8, or two columns have the same name.
    """
    if not path.is_file():
        raise UserError(f"no file {path}; --input takes csv, tsv, jsonl or parquet")
    kind = _TABLES.get(path.suffix.lower())
    if kind is None:
        raise UserError(
            f"{path}: found the extension '{path.suffix}', expected one of {', '.join(_TABLES)}"
        )
    return kind(path)


def cells(column: Any) -> list[Any]:
    """The cells of a block's column as Python's values, missing ones as None."""
    if hasattr(column, "to_pylist"):
        return column.to_pylist()
    if isinstance(column, np.ndarray):
        # The shortest decimal that is the same float32, rather than the double next to it.
        return column.astype(str).astype(float).tolist()
    return list(column)


class CsvTable:
    """A csv file; every cell is a string."""

    def __init__(self, path: Path, delimiter: str = ",") -> None:
        self._path, self._delimiter = path, delimiter
        self.columns = next(self._rows(), [])

    def _rows(self) -> Iterator[list[str]]:
        return csv_rows(self._path, self._delimiter)

    def blocks(self) -> Iterator[Block]:
        rows_behind_header = islice(self._rows(), 1, None)
        for rows in _cut(rows_behind_header, lambda row: len(row) + sum(map(len, row))):
            yield dict(zip(self.columns, map(list, zip(*rows, strict=True)), strict=True))

    def schema(self) -> "pa.Schema":
        import pyarrow as pa

        return pa.schema([(name, pa.string()) for name in self.columns])


class JsonTable:
    """A file of one JSON object a line; its columns are all keys, in order of first occurrence."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.columns = list(dict.fromkeys(key for row in json_rows(path) for key in row))

    def blocks(self) -> Iterator[Block]:
        width = len(self.columns)
        for rows in _cut(json_rows(self._path), lambda row: width + _characters(row)):
            yield {name: [row.get(name) for row in rows] for name in self.columns}

    def schema(self) -> "pa.Schema":
        import pyarrow as pa

        schema = pa.schema([(name, pa.null()) for name in self.columns])
        for block in self.blocks():
            found = pa.schema([(name, pa.array(column).type) for name, column in block.items()])
            schema = pa.unify_schemas([schema, found], promote_options="permissive")
        return schema


def _characters(row: Mapping[str, Any]) -> int:
    return sum(len(cell) for cell in row.values() if isinstance(cell, str))


class ParquetTable:
    """A parquet file; its columns stay Arrow's."""

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet as pq

        self._path = path
        with _parquet_errors(path):
            # With a buffer, a row group, of a million rows if pandas wrote it, is not read at once.
            self._file = pq.ParquetFile(path, buffer_size=1 << 20)
        self.columns = distinct(path, self._file.schema_arrow.names)

    def blocks(self) -> Iterator[Block]:
        found = self._file.metadata
        size = sum(found.row_group(i).total_byte_size for i in range(found.num_row_groups))
        rows = max(1, min(MOST_ROWS, MOST_CHARACTERS * found.num_rows // max(1, size)))
        with _parquet_errors(self._path):
            for batch in self._file.iter_batches(batch_size=rows):
                yield dict(zip(self.columns, batch.columns, strict=True))

    def schema(self) -> "pa.Schema":
        return self._file.schema_arrow.remove_metadata()


@contextmanager
def _parquet_errors(path: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{path}: found a malformed parquet file ({reason}); write it again, or save it as csv"
        ) from None


def _cut(rows: Iterable[T], weigh: Callable[[T], int]) -> Iterator[list[T]]:
    """`rows` in lists that have `MOST_ROWS` or weigh `MOST_CHARACTERS`."""
    block: list[T] = []
    weight = 0
    for row in rows:
        block.append(row)
        weight += weigh(row)
        if len(block) >= MOST_ROWS or weight >= MOST_CHARACTERS:
            yield block
            block, weight = [], 0
    if block:
        yield block


_TABLES: dict[str, Callable[[Path], Table]] = {
    ".csv": CsvTable,
    ".tsv": lambda path: CsvTable(path, "\t"),
    ".jsonl": JsonTable,
    ".parquet": ParquetTable,
}
