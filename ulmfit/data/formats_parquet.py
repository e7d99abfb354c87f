"""parquet: its columns have types and stay Arrow's."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ulmfit.base.errors import UserError
from ulmfit.data.dialect import Dialect
from ulmfit.data.formats_base import (
    Block,
    Encoder,
    Format,
    Schema,
    check_distinct,
    rows_of_block,
)

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


class _ParquetEncoder(Encoder):
    """A row group a block; the columns' types are the schema's."""

    def __init__(self, file: BinaryIO, columns: Sequence[str], schema: Schema) -> None:
        import pyarrow.parquet as pq

        super().__init__(file, columns, schema)
        check_distinct(columns)
        self._schema = schema()
        self._parquet = pq.ParquetWriter(file, self._schema)

    def encode(self, block: Block) -> "pa.Table":
        import pyarrow as pa

        schema = pa.schema([self._schema.field(place) for place in range(len(block))])
        arrays = [
            column if isinstance(column, pa.Array) else pa.array(column, field.type)
            for column, field in zip(block, schema, strict=True)
        ]
        return pa.Table.from_arrays(arrays, schema=schema)

    def append(self, encoded: "pa.Table") -> None:
        self._parquet.write_table(encoded)

    def close(self) -> None:
        self._parquet.close()


class Parquet(Format):
    """Columns of one type each."""

    ending, encoder = ".parquet", _ParquetEncoder

    def __init__(self, path: Path, dialect: Dialect) -> None:
        import pyarrow.parquet as pq

        self._path = path
        with _errors(path):
            # With a buffer, a row group, of a million rows if pandas wrote it, is not read at once.
            self._file = pq.ParquetFile(path, buffer_size=1 << 20)
        self.columns = self._file.schema_arrow.names

    @classmethod
    def read(cls, path: Path, dialect: Dialect) -> "pd.DataFrame":
        import pyarrow as pa
        import pyarrow.parquet as pq

        with _errors(path):
            names = pq.read_schema(path).names
            if len(set(names)) < len(names):  # read_table looks columns up by their names
                file = pq.ParquetFile(path, buffer_size=1 << 20)
                return file.read(use_threads=False).to_pandas(ignore_metadata=True)
            # No partitioning: a folder named a=b on the way to the file is not a column of it.
            # Piece by piece: else compressed and decoded texts are all in memory at once.
            table = pq.read_table(
                path, partitioning=None, pre_buffer=False, use_threads=False, buffer_size=1 << 20
            )
            pa.default_memory_pool().release_unused()
            return _frame(table)

    def blocks(self) -> Iterator[Block]:
        found = self._file.metadata
        size = sum(found.row_group(i).total_byte_size for i in range(found.num_row_groups))
        with _errors(self._path):
            for batch in self._file.iter_batches(rows_of_block(found.num_rows, size)):
                yield batch.columns

    def schema(self) -> "pa.Schema":
        return self._file.schema_arrow.remove_metadata()


def _frame(table: "pa.Table") -> "pd.DataFrame":
    """The table in pandas, values as `blocks` gives them: 7 stays an integer beside a null."""
    import pandas as pd

    kept = [place for place, column in enumerate(table.columns) if _same_in_pandas(column)]
    frame = table.select(kept).to_pandas(ignore_metadata=True)
    for place in sorted({*range(table.num_columns)} - {*kept}):
        values = pd.Series(table.column(place).to_pylist(), dtype=object, index=frame.index)
        frame.insert(place, table.column_names[place], values, allow_duplicates=True)
    return frame


def _same_in_pandas(column: "pa.ChunkedArray") -> bool:
    from pyarrow import types

    kind = column.type
    if types.is_integer(kind) or types.is_boolean(kind):
        return not column.null_count
    texts = (types.is_string, types.is_large_string, types.is_dictionary)
    return types.is_floating(kind) or any(is_text(kind) for is_text in texts)


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{path}: found a malformed parquet file ({reason}); write it again, or save it as csv"
        ) from None
