"""Writing rows block by block as csv, tsv, jsonl or parquet; the cells are those of `tables.py`."""

import csv
import datetime
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ulmfit.base.atomic import atomic_file, os_errors_as
from ulmfit.base.errors import UserError
from ulmfit.data.tables import Block, cells

if TYPE_CHECKING:  # takes a while to import, and csv needs none
    import pyarrow as pa

ENDINGS = (".csv", ".tsv", ".jsonl", ".parquet")


@contextmanager
def open_writer(
    path: Path, columns: Sequence[str], schema: Callable[[], "pa.Schema"]
) -> Iterator["Writer"]:
    """A writer of the kind that the ending of `path` names; the file is complete or absent.

    Args:
        schema: the types of `columns`, asked for if it is a parquet file.

    Raises:
        UserError: a column has no form in this kind of file, or the system refuses to write.
    """
    with atomic_file(path) as file:
        with no_form_told(path), os_errors_as(f"cannot write {path}"):
            writer = _writer(path, file, columns, schema)
        try:
            yield writer
        except BaseException:
            with suppress(Exception):  # how it would have ended is of no interest any more
                writer.close()
            raise
        with os_errors_as(f"cannot write {path}"):
            writer.close()


def _writer(
    path: Path, file: BinaryIO, columns: Sequence[str], schema: Callable[[], "pa.Schema"]
) -> "Writer":
    ending = path.suffix.lower()
    if ending == ".parquet":
        return ParquetWriter(path, file, schema())
    if ending == ".jsonl":
        return JsonWriter(path, file)
    return CsvWriter(path, file, columns, "\t" if ending == ".tsv" else ",")


@contextmanager
def no_form_told(path: Path) -> Iterator[None]:
    """Turn what is raised for a cell that cannot be written to `path` into a UserError."""
    try:
        yield
    except (ValueError, TypeError, OverflowError, NotImplementedError) as error:  # Arrow's, too
        # Values of several types in a column have no form in parquet, bytes none in JSON.
        reason = " ".join(str(error).split())
        raise UserError(
            f"cannot write {path}: a column of the input has no form there ({reason}); "
            "choose another of " + ", ".join(ENDINGS)
        ) from None


class Writer:
    """Appends blocks of rows to a file."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path, self._file = path, file

    def check(self, block: Block) -> None:
        """Raise the UserError that `write` would raise for these columns, all or some."""
        with no_form_told(self._path):
            self._encode(block)

    def write(self, block: Block) -> None:
        """Append the rows of `block`, which has all columns."""
        with no_form_told(self._path):
            encoded = self._encode(block)
        with os_errors_as(f"cannot write {self._path}"):
            self._append(encoded)

    def _encode(self, block: Block) -> Any:
        """The rows as `_append` takes them."""
        raise NotImplementedError

    def _append(self, encoded: Any) -> None:
        self._file.write(encoded)

    def close(self) -> None:
        """Write what stands at the end of the file, if anything does."""


class CsvWriter(Writer):
    """A header, then a line a row; a missing cell is an empty one."""

    def __init__(
        self, path: Path, file: BinaryIO, columns: Sequence[str], delimiter: str = ","
    ) -> None:
        super().__init__(path, file)
        self._delimiter = delimiter
        self._append(self._lines([columns]))

    def _encode(self, block: Block) -> bytes:
        columns = [map(_csv_cell, cells(column)) for column in block.values()]
        return self._lines(zip(*columns, strict=True))

    def _lines(self, rows: Iterable[Sequence[Any]]) -> bytes:
        text = io.StringIO(newline="")
        plain = csv.writer(text, delimiter=self._delimiter, lineterminator="\n")
        quoting = csv.writer(
            text, delimiter=self._delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL
        )
        for row in rows:
            # Not quoted of its own accord, a carriage return would end the row for its reader.
            returns = any(isinstance(cell, str) and "\r" in cell for cell in row)
            (quoting if returns else plain).writerow(row)
        return text.getvalue().encode()


def _csv_cell(cell: Any) -> Any:
    return None if isinstance(cell, float) and math.isnan(cell) else cell


class JsonWriter(Writer):
    """A JSON object a line; a missing cell is null."""

    def _encode(self, block: Block) -> bytes:
        columns = [cells(column) for column in block.values()]
        rows = (dict(zip(block, row, strict=True)) for row in zip(*columns, strict=True))
        return "".join(
            f"{json.dumps(_json_value(row), ensure_ascii=False)}\n" for row in rows
        ).encode()


def _json_value(value: Any) -> Any:
    """`value` in JSON's types: no NaN, no infinity, times as text in ISO 8601."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value]
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal | datetime.timedelta) else value


class ParquetWriter(Writer):
    """A row group a block; the columns' types are the schema's."""

    def __init__(self, path: Path, file: BinaryIO, schema: "pa.Schema") -> None:
        import pyarrow.parquet as pq

        super().__init__(path, file)
        self._schema = schema
        self._parquet = pq.ParquetWriter(file, schema)

    def _encode(self, block: Block) -> "pa.Table":
        import pyarrow as pa

        schema = pa.schema([self._schema.field(name) for name in block])
        arrays = [
            column if isinstance(column, pa.Array) else pa.array(column, field.type)
            for column, field in zip(block.values(), schema, strict=True)
        ]
        return pa.Table.from_arrays(arrays, schema=schema)

    def _append(self, encoded: "pa.Table") -> None:
        self._parquet.write_table(encoded)

    def close(self) -> None:
        """Write the footer."""
        self._parquet.close()
