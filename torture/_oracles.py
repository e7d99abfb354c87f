"""What pandas, DuckDB and Python's csv make of a file of `torture._tables`."""

import csv
import gzip
import io
import re
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa

from torture._tables import Written

Table = tuple[list[str], list[list[Any]]]


def by_others(oracle: duckdb.DuckDBPyConnection, made: Written, path: Path) -> list[Table | None]:
    """The file as pandas and DuckDB read it, with what only its writer knows; None if they do not.

    The quoting is not told: both take double quotes for quotes. The header is read as a row,
    because names may be missing or stand twice.
    """
    sep = made.flags["sep"]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of lost data, which is no reading
            frame = pd.read_csv(
                path,
                header=None,
                sep=sep,
                dtype=str,
                na_filter=False,
                encoding=made.flags["encoding"],
                skip_blank_lines=len(made.columns) > 1,
                index_col=False,
            )
        header, *rows = frame.to_numpy().tolist()
        by_pandas: Table | None = header, rows
    except (ValueError, Warning):  # pandas' own errors are ValueErrors
        by_pandas = None
    try:
        relation = oracle.read_csv(
            str(path),
            header=False,
            sep=sep,
            quotechar='"',
            escapechar='"',
            all_varchar=True,
            auto_detect=False,
            columns={f"c{i}": "VARCHAR" for i in range(len(made.columns))},
        )
        header, *rows = [["" if c is None else c for c in row] for row in relation.fetchall()]
        by_duckdb: Table | None = header, rows
    except duckdb.Error:
        by_duckdb = None
    return [by_pandas, by_duckdb]


def fits(made: Written) -> list[list[list[str]]]:
    """The readings, quoted and not, under which all rows have as many fields as the header."""
    sep, encoding = made.flags["sep"], made.flags["encoding"]
    text = _unpacked(made).decode(encoding, "replace").removeprefix("\ufeff")
    plain = [line.split(sep) for line in re.split("\r\n|\n|\r", text)]
    quoted: list[list[str]] = []
    limit = csv.field_size_limit(len(text) + 1)
    with suppress(csv.Error):
        quoted = list(csv.reader(io.StringIO(text, newline=""), delimiter=sep, strict=True))
    csv.field_size_limit(limit)
    found: list[list[list[str]]] = []
    for table in (plain, quoted):
        filled = [row for row in table if row not in ([], [""])]
        if filled and len({len(row) for row in filled}) == 1 and filled not in found:
            found.append(filled)
    return found


def holds_rows(made: Written) -> bool:
    """Whether a text has several lines that have as many fields as the header."""
    sep, width = made.flags["sep"], len(made.columns)
    lines = (
        [line.count(sep) + 1 for line in cell.splitlines()] for row in made.rows for cell in row
    )
    return any(fields.count(width) > 1 for fields in lines)


def has_own_separator(made: Written) -> bool:
    """Whether the fields are separated as the program expects without a flag."""
    return made.flags["sep"] in (",;" if made.ending.startswith(".csv") else "\t")


def _unpacked(made: Written) -> bytes:
    if made.ending.endswith(".gz"):
        return gzip.decompress(made.content)
    if made.ending.endswith(".zst"):
        with pa.CompressedInputStream(pa.BufferReader(made.content), "zstd") as file:
            return file.read()
    return made.content
