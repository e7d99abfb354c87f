"""xlsx: the first sheet of an Excel file; a cell has a type of its own."""

import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ulmfit.base.errors import UserError, listed
from ulmfit.base.log import logger
from ulmfit.data.dialect import Dialect
from ulmfit.data.formats_base import Block, Format, cut, frame_of, inferred_schema

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


class Xlsx(Format):
    """A header, then rows; formulas count by the value that was saved with them."""

    ending = ".xlsx"

    def __init__(self, path: Path, dialect: Dialect) -> None:
        self._path, self.notes = path, _told(path)
        self.columns = next(_rows(path), [])

    @classmethod
    def read(cls, path: Path, dialect: Dialect) -> "pd.DataFrame":
        _told(path)
        rows = _rows(path)
        return frame_of(rows, next(rows, None))

    def blocks(self) -> Iterator[Block]:
        rows = _rows(self._path)
        next(rows, None)
        for block in cut(rows, lambda row: sum(len(c) if isinstance(c, str) else 1 for c in row)):
            yield list(map(list, zip(*block, strict=True)))

    def schema(self) -> "pa.Schema":
        return inferred_schema(self.columns, self.blocks())


def _rows(path: Path) -> Iterator[list[Any]]:
    """The header, then the rows, as many cells each; rows without a cell at the end are left out.

    Raises:
        UserError: the file is malformed, or a row has more cells than the header.
    """
    names: list[str] = []
    blank = 0  # rows without a cell since the last one with some
    with _workbook(path) as book:
        for number, row in enumerate(_cells(book.worksheets[0]), 1):
            if not row:
                blank += bool(names)
            elif not names:
                names = ["" if cell is None else str(cell).strip() for cell in row]
                yield names
            else:
                yield from ([None] * len(names) for _ in range(blank))
                blank = 0
                if len(row) > len(names):
                    raise UserError(
                        f"{path}, row {number}: found {len(row)} cells, expected {len(names)} "
                        f"({listed(names)}); name every column in the first row"
                    )
                yield [*row, *[None] * (len(names) - len(row))]


def _cells(sheet: Any) -> Iterator[list[Any]]:
    """The rows of a sheet, each up to its last cell that has a value."""
    sheet.reset_dimensions()  # some programs state too few
    for row in sheet.iter_rows(values_only=True):
        filled = [place for place, cell in enumerate(row, 1) if cell is not None]
        yield [_cell(cell) for cell in row[: filled[-1] if filled else 0]]


def _cell(cell: Any) -> Any:
    from openpyxl.utils.escape import unescape

    return unescape(cell) if isinstance(cell, str) and "_x" in cell else cell


def _told(path: Path) -> list[str]:
    """What there is to say of the file, which is logged: other sheets are left out."""
    with _workbook(path) as book:
        sheets = [sheet.title for sheet in book.worksheets]
    if len(sheets) < 2:
        return []
    note = (
        f"{path}: read the first of {len(sheets)} sheets, {sheets[0]!r}; save another one as .csv "
        "to read it"
    )
    logger.info(note)
    return [note]


@contextmanager
def _workbook(path: Path) -> Iterator[Any]:
    try:
        from openpyxl import load_workbook
    except ImportError:
        raise UserError(
            f"{path}: reading .xlsx needs openpyxl; pip install 'ulmfit[excel]' brings it, or "
            "save the sheet as .csv"
        ) from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles, which are not read
            book = load_workbook(path, read_only=True, data_only=True)
        if not book.worksheets:
            raise ValueError("it has no sheet of cells")
    except Exception as error:  # whatever the readers of zip and XML raise
        raise _malformed(path, error) from None
    try:
        yield book
    except (SyntaxError, LookupError, ValueError, OSError, EOFError, zlib.error) as error:
        raise _malformed(path, error) from None
    finally:
        book.close()


def _malformed(path: Path, error: Exception) -> UserError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return UserError(
        f"{path}: found a malformed xlsx file ({reason}); save it again, or save the sheet as .csv"
    )
