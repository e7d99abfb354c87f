"""Table files: csv, tsv, jsonl and parquet, read whole or block by block, and written.

The ending of a file's name chooses its format. A new format is a file beside ``formats_csv.py`` and
a line in `FORMATS`. Every error names the file and, where it is known, the line.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ulmfit.base.atomic import atomic_file, os_errors_as
from ulmfit.base.errors import UserError
from ulmfit.data.dialect import PLAIN, Dialect
from ulmfit.data.formats_base import Block, Encoder, Format, Schema, Table
from ulmfit.data.formats_csv import Csv, Tsv
from ulmfit.data.formats_jsonl import Jsonl
from ulmfit.data.formats_parquet import Parquet

if TYPE_CHECKING:
    import pandas as pd

FORMATS: dict[str, type[Format]] = {known.ending: known for known in (Csv, Tsv, Jsonl, Parquet)}
ENDINGS = tuple(FORMATS)


def read_file(path: Path, dialect: Dialect = PLAIN) -> "pd.DataFrame":
    """All columns of a csv, tsv, jsonl or parquet file, its rows in order.

    csv and tsv give strings only, empty cells as ''; the others give their own types.

    Raises:
        UserError: the extension is none of these, the file is malformed or not UTF-8, or two
            columns have the same name.
    """
    found = _format_of(path, ", or a folder of .txt files")
    dialect.check_only(found.dialect_of, path, found.ending)
    return found.read(path, dialect)


def open_table(path: Path, dialect: Dialect = PLAIN) -> Table:
    """The table in a csv, tsv, jsonl or parquet file, in memory that does not grow.

    A column has one type in all blocks: csv and tsv give strings, which are what stands in the
    file; jsonl gives each cell its own type, and parquet the column's.

    Raises:
        UserError: there is no such file, the extension is none of these, the file is malformed
            or not UTF-8, or two columns have the same name.
    """
    if not path.is_file():
        raise UserError(f"no file {path}; --input takes csv, tsv, jsonl or parquet")
    found = _format_of(path)
    dialect.check_only(found.dialect_of, path, found.ending)
    return found(path, dialect)


def _format_of(path: Path, or_else: str = "") -> type[Format]:
    found = FORMATS.get(path.suffix.lower())
    if found is None:
        raise UserError(
            f"{path}: found the extension '{path.suffix}', expected one of "
            f"{', '.join(ENDINGS)}{or_else}"
        )
    return found


@contextmanager
def open_writer(path: Path, columns: Sequence[str], schema: Schema) -> Iterator["Writer"]:
    """A writer of the kind that the ending of `path` names; the file is complete or absent.

    Args:
        schema: the types of `columns`, asked for if it is a parquet file.

    Raises:
        UserError: a column has no form in this kind of file, or the system refuses to write.
    """
    with atomic_file(path) as file:
        with _no_form_told(path), os_errors_as(f"cannot write {path}"):
            encoder = _format_of(path).encoder(file, columns, schema)
        try:
            yield Writer(path, encoder)
        except BaseException:
            with suppress(Exception):  # how it would have ended is of no interest any more
                encoder.close()
            raise
        with os_errors_as(f"cannot write {path}"):
            encoder.close()


class Writer:
    """Appends blocks of rows to a file."""

    def __init__(self, path: Path, encoder: Encoder) -> None:
        self._path, self._encoder = path, encoder

    def check(self, block: Block) -> None:
        """Raise the UserError that `write` would raise for these columns, all or some."""
        with _no_form_told(self._path):
            self._encoder.encode(block)

    def write(self, block: Block) -> None:
        """Append the rows of `block`, which has all columns."""
        with _no_form_told(self._path):
            encoded = self._encoder.encode(block)
        with os_errors_as(f"cannot write {self._path}"):
            self._encoder.append(encoded)


@contextmanager
def _no_form_told(path: Path) -> Iterator[None]:
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
