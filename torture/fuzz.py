"""Thousands of table files as programs write them: the rows that were written, or one clear line.

Each file is read whole (`read_file`) and by blocks (`open_table`). If that does not give the rows
that were written, pandas and DuckDB are asked: a file that both read as it was written must not be
refused, and quotes count as they count them. Rows may differ from what was written only if a line
says how the file was read.
"""

import logging
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import duckdb
import numpy as np
import pandas as pd

from torture._oracles import Table, by_others, fits, has_own_separator, holds_rows
from torture._tables import Written, delimited
from torture._typed_tables import jsonl, parquet
from torture.common import Row
from ulmfit.base.errors import UserError
from ulmfit.base.log import logger
from ulmfit.data import formats_base
from ulmfit.data.corpora import read_corpus
from ulmfit.data.dialect import PLAIN, Dialect
from ulmfit.data.formats import open_table, read_file
from ulmfit.data.formats_base import cells, plain_text
from ulmfit.text.ids import is_empty

LONGEST_LINE = 700  # characters of an error
BLOCK = 7  # rows: tables here are small, and blocks shall end within them


def rows(scale: float, seed: int) -> Iterator[Row]:
    """The rows of the table; `scale` multiplies the number of files."""
    with tempfile.TemporaryDirectory() as name, duckdb.connect() as oracle:
        folder = Path(name)
        yield guessed(folder, oracle, round(2000 * scale), seed)
        yield with_flags(folder, round(1000 * scale), seed)
        yield typed(folder, "jsonl", jsonl, round(600 * scale), seed)
        yield typed(folder, "parquet", parquet, round(400 * scale), seed)


def guessed(folder: Path, oracle: duckdb.DuckDBPyConnection, count: int, seed: int) -> Row:
    """csv and tsv without flags: the program finds separator and quoting, and says so."""
    row = Row("csv and tsv, silently different")

    def check(made: Written, path: Path) -> str:
        with _lines_kept() as told:
            found = read(path)
        if isinstance(found, UserError):
            return _refusal(oracle, made, path, found)
        # Under the name of all columns, one column is in nobody's way.
        one_column = made.flags["sep"].join(made.columns) in found[0]
        if made.refused == "encoding" or (made.refused and not (told or one_column or fits(made))):
            raise _LetIn(f"read in spite of its {made.refused}")
        if made.refused:
            return "faulty, and told"
        if found == written(made):
            return "as written"
        flag = "--sep" if found[0] != made.columns else "--quoting"
        if any(flag in line for line in told):
            return "otherwise, and told"
        # As many rows, and only their enclosing quotes are gone: every reader of csv drops them.
        others = [table for table in by_others(oracle, made, path) if table]
        agreed = others and all(table == found for table in others)
        if len(found[1]) == len(made.rows) and (agreed or [found[0], *found[1]] in fits(made)):
            return "as csv is read elsewhere"
        raise _Different(_difference(found, written(made)))

    _each(row, folder, delimited, count, seed, check)
    return row


def with_flags(folder: Path, count: int, seed: int) -> Row:
    """The same files with separator, quoting and encoding given: nothing is left to guess."""
    row = Row("csv and tsv with flags, silently different")

    def check(made: Written, path: Path) -> str:
        found = read(path, Dialect(**made.flags))
        if isinstance(found, UserError):
            if made.refused:
                return "refused"
            raise _Different(f"refused: {found}")
        if made.refused:
            raise _LetIn(f"read in spite of its {made.refused}")
        if found != written(made):
            raise _Different(_difference(found, written(made)))
        return "as written"

    _each(row, folder, delimited, count, seed, check)
    return row


def typed(
    folder: Path, name: str, make: Callable[[random.Random], Written], count: int, seed: int
) -> Row:
    """jsonl or parquet: every value with its type."""
    row = Row(f"{name}, silently different")

    def check(made: Written, path: Path) -> str:
        found = read(path)
        if isinstance(found, UserError):
            if made.refused:
                return "refused"
            raise _Different(f"refused: {found}")
        if made.refused:
            raise _LetIn(f"read in spite of its {made.refused}")
        if _typed(found) != _typed(written(made)):
            raise _Different(_difference(_typed(found), _typed(written(made))))
        _check_texts(made, path)
        return "as written"

    _each(row, folder, make, count, seed, check)
    return row


def _check_texts(made: Written, path: Path) -> None:
    """Whatever stands in place of a text is the same text for a training and for a prediction."""
    column = [row[0] for row in made.rows]
    expected = ["" if cell is None else str(cell) for cell in column]
    nested = any(isinstance(cell, list | dict) for cell in column)
    if nested or all(map(is_empty, expected)):
        return
    trained = read_corpus(path, made.columns[0]).tolist()  # without empty ones
    predicted = [plain_text(row[0]) for row in _blocks(path, PLAIN)[1]]
    if predicted != expected or trained != [text for text in expected if not is_empty(text)]:
        raise _Different(f"texts {trained!r:.100}, {predicted!r:.100}, expected {expected!r:.100}")


def _refusal(oracle: duckdb.DuckDBPyConnection, made: Written, path: Path, error: UserError) -> str:
    """Whether the file was refused with good reason.

    There is none if it can be read in one way alone and none of its texts looks like rows.
    """
    readable = made.flags["encoding"] in ("utf-8", "utf-8-sig") and has_own_separator(made)
    if made.refused or not readable or len(fits(made)) > 1 or holds_rows(made):
        return "refused"
    if by_others(oracle, made, path) == [written(made)] * 2:
        raise _Different(f"refused, though pandas and DuckDB read it: {error}")
    return "refused"


class _Different(Exception):
    """Other rows than were written, and no word about it."""


class _LetIn(Exception):
    """A faulty file was read."""


def _each(
    row: Row,
    folder: Path,
    make: Callable[[random.Random], Written],
    count: int,
    seed: int,
    check: Callable[[Written, Path], str],
) -> None:
    """Make `count` files, each from a number of its own, and count what becomes of them."""
    ends: Counter[str] = Counter()
    for i in range(max(1, count)):
        made = make(random.Random(f"{make.__name__} {seed} {i}"))
        path = folder / f"table{made.ending}"
        path.write_bytes(made.content)
        row.tried += 1
        kind, what = "", ""
        with patch.object(formats_base, "MOST_ROWS", BLOCK):
            try:
                ends[check(made, path)] += 1
            except _Different as wrong:
                kind, what = "lost", str(wrong)
            except _LetIn as wrong:
                kind, what = "let_in", str(wrong)
            except Exception as wrong:
                kind, what = "crashed", f"{type(wrong).__name__}: {wrong}"
        if kind:
            row.fail(kind, f"{make.__name__} {i} of seed {seed}: {what}"[:600])
    counts = ", ".join(f"{count:,} {end}" for end, count in ends.most_common())
    row.told.insert(0, counts)


@contextmanager
def _lines_kept() -> Iterator[list[str]]:
    """What the program tells in the block."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


# --- what the program makes of a file -----------------------------------------------------------


def read(path: Path, dialect: Dialect = PLAIN) -> Table | UserError:
    """Columns and rows of the file, or the line that refuses it; whole and by blocks alike."""
    whole = _attempt(lambda: _whole(path, dialect))
    blocks = _attempt(lambda: _blocks(path, dialect))
    if isinstance(whole, UserError) or isinstance(blocks, UserError):
        if str(whole) != str(blocks):
            raise _Different(f"whole: {str(whole)[:200]}; by blocks: {str(blocks)[:200]}")
        if "\n" in str(whole) or len(str(whole)) > LONGEST_LINE:
            raise RuntimeError(f"not one line: {str(whole)!r}")
        return whole
    if _typed(whole) != _typed(blocks):
        raise _Different(f"whole and by blocks: {_difference(_typed(whole), _typed(blocks))}")
    return whole


def _attempt(reading: Callable[[], Table]) -> Table | UserError:
    try:
        return reading()
    except UserError as error:
        return error


def _whole(path: Path, dialect: Dialect) -> Table:
    frame = read_file(path, dialect)
    columns = [frame.iloc[:, i].astype(object).tolist() for i in range(frame.shape[1])]
    return list(frame), _rows_of([[_plain(cell) for cell in column] for column in columns])


def _blocks(path: Path, dialect: Dialect) -> Table:
    table = open_table(path, dialect)
    made = [_rows_of(list(map(cells, block))) for block in table.blocks()]
    return table.columns, [row for block in made for row in block]


def _rows_of(columns: list[list[Any]]) -> list[list[Any]]:
    return [list(row) for row in zip(*columns, strict=True)]


def _plain(cell: Any) -> Any:
    """A cell of a data frame as Python's value, None where it is missing."""
    if isinstance(cell, np.ndarray):
        return cell.tolist()
    if pd.api.types.is_scalar(cell) and pd.isna(cell):
        return None
    return cell.item() if isinstance(cell, np.generic) else cell


def written(made: Written) -> Table:
    """What the file holds."""
    return made.columns, made.rows


def _typed(table: Table) -> Table:
    """Rows whose values equal only those of their type; columns in the order of the alphabet."""
    columns, found = table
    order = sorted(range(len(columns)), key=columns.__getitem__)
    return [columns[i] for i in order], [
        [f"{type(row[i]).__name__} {row[i]!r}" for i in order] for row in found
    ]


def _difference(found: Table, expected: Table) -> str:
    if found[0] != expected[0]:
        return f"columns {found[0]}, expected {expected[0]}"
    for i, (row, wanted) in enumerate(zip(found[1], expected[1], strict=False)):
        if row != wanted:
            counts = f"{len(found[1])} rows of {len(expected[1])}"
            return f"{counts}; row {i}: {row!r:.150}, {wanted!r:.150}"
    return f"{len(found[1])} rows, expected {len(expected[1])}"
