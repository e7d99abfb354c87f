"""Table files: csv, tsv, jsonl and parquet, read whole or block by block, and written.

xlsx is read, too, and so are packed text files, such as .csv.gz. The ending of a file's name
chooses its format. A new format is a file beside ``formats_csv.py`` and a line in `FORMATS`. Every
error names the file and, where it is known, the line.
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
from ulmfit.data.formats_packed import PACKED, unpacked_name
from ulmfit.data.formats_parquet import Parquet
from ulmfit.data.formats_refused import way_out
from ulmfit.data.formats_xlsx import Xlsx

if TYPE_CHECKING:
    import pandas as pd

FORMATS: dict[str, type[Format]] = {known.ending: known for known in (Csv, Tsv, Jsonl, Parquet)}
ENDINGS = tuple(FORMATS)
_READ: dict[str, type[Format]] = {**FORMATS, Xlsx.ending: Xlsx}  # xlsx is read alone
_PACKABLE = [ending for ending, known in FORMATS.items() if "encoding" in known.dialect_of]
# Of the files that are read; those of `ENDINGS` are written, too.
READ_ENDINGS = (*_READ, *(ending + packed for ending in _PACKABLE for packed in PACKED))


def read_file(path: Path, dialect: Dialect = PLAIN) -> "pd.DataFrame":
    """All columns of a table file, its rows in order.

    csv and tsv give strings only, empty cells as ''; the others give their own types.

    Raises:
        UserError: the extension is none of these, or the file is malformed or in an encoding that
            `dialect` does not say.
    """
    found = _reader_of(path, ", or a folder of .txt files")
    dialect.check_only(found.dialect_of, path, found.ending)
    return found.read(path, dialect)


def open_table(path: Path, dialect: Dialect = PLAIN) -> Table:
    """The table in a file, in memory that does not grow.

    A column has one type in all blocks: csv and tsv give strings, which are what stands in the
    file; jsonl and xlsx give each cell its own type, and parquet the column's.

    Raises:
        UserError: there is no such file, the extension is none of these, or the file is malformed
            or in an encoding that `dialect` does not say.
    """
    if not path.is_file():
        raise UserError(f"no file {path}; --input takes {', '.join(_READ)}")
    found = _reader_of(path)
    dialect.check_only(found.dialect_of, path, found.ending)
    return found(path, dialect)


def read_ending(path: Path, or_else: str = "") -> str:
    """The one of `READ_ENDINGS` that the file has.

    Raises:
        UserError: it has none of these; `or_else` names what is expected besides.
    """
    inner = Path(unpacked_name(path)).suffix.lower()
    packed = path.suffix.lower() if unpacked_name(path) != path.name else ""
    ending = inner + packed
    if ending in READ_ENDINGS:
        return ending
    kind, way = way_out(inner, packed)
    raise UserError(
        f"{path}: found the extension '{ending}'{kind}, expected one of {', '.join(_READ)}"
        f"{or_else}{way}"
    )


def _reader_of(path: Path, or_else: str = "") -> type[Format]:
    return _READ[Path(f"table{read_ending(path, or_else)}").suffixes[0]]


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
            encoder = FORMATS[path.suffix.lower()].encoder(file, columns, schema)
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
        """Raise the UserError that `write` would raise for these columns, all or the first."""
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
