"""An uploaded file as a table with limits of rows, cells, characters and bytes."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ulmfit.base.errors import UserError, listed
from ulmfit.data.dialect import Dialect
from ulmfit.data.formats import open_table
from ulmfit.data.formats_base import Block, Table, cells, place_of, plain_text
from ulmfit.data.formats_packed import PACKED
from ulmfit.serve.limits import Limits

if TYPE_CHECKING:
    import pyarrow as pa

_UNPACKED = (".parquet", ".xlsx", *PACKED)  # small files that may hold large tables


def open_limited(
    source: Path, text_col: str, limits: Limits, go_on: Callable[[], object]
) -> "LimitedTable":
    """The table in `source`; parquet, xlsx and packed files are unpacked beside it.

    Args:
        go_on: called now and then; it raises to end the work.

    Raises:
        UserError: as `open_table`; there is no column `text_col`, or the table is too large.
    """
    if source.suffix in _UNPACKED:
        source, notes = _unpacked(source, text_col, limits, go_on)
        table: Table = open_table(source, Dialect(sep=",", quoting="minimal"))
    else:
        table = open_table(source)
        notes = list(table.notes)
    if text_col not in table.columns:
        raise UserError(
            f"{source} has no column {text_col!r}; it has {listed(table.columns) or 'none'}"
        )
    return LimitedTable(source, table, notes, text_col, limits, go_on)


class LimitedTable:
    """A table that raises UserError when it exceeds `limits`."""

    def __init__(
        self,
        source: Path,
        table: Table,
        notes: Sequence[str],
        text_col: str,
        limits: Limits,
        go_on: Callable[[], object],
    ) -> None:
        self.columns = table.columns
        self.notes: Sequence[str] = notes
        self._source, self._table = source, table
        self.rows = 0  # as soon as all blocks were read once
        self._place = place_of(text_col, table.columns, source)
        self._limits, self._go_on = limits, go_on
        if source.suffix == ".jsonl":
            # A row may name one column of thousands and then has a cell in each: refuse before even
            # a block of such rows.
            self._check_cells(_lines(source))

    def _check_cells(self, rows: int) -> None:
        if rows * len(self.columns) > self._limits.cells:
            raise UserError(
                f"{self._source} has {rows:,} rows of {len(self.columns):,} columns, expected at "
                f"most {self._limits.cells:,} cells; send it in parts, or without other columns"
            )

    def blocks(self) -> Iterator[Block]:
        rows = 0
        for block in self._table.blocks():
            self._go_on()
            texts = cells(block[self._place])
            for i, text in enumerate(texts):
                self._limits.check_text(plain_text(text), f"the text of row {rows + i + 1}")
            rows += len(texts)
            if rows > self._limits.rows:
                raise UserError(
                    f"{self._source} has more than {self._limits.rows:,} rows, the most that are "
                    "taken here; send it in parts, or start the server with a higher --max-rows"
                )
            self._check_cells(rows)
            yield block
        self.rows = rows

    def schema(self) -> "pa.Schema":
        return self._table.schema()


def _lines(source: Path) -> int:
    """The largest possible number of rows."""
    with source.open("rb") as file:
        return 1 + sum(part.count(b"\n") for part in iter(lambda: file.read(1 << 20), b""))


def _unpacked(
    source: Path, text_col: str, limits: Limits, go_on: Callable[[], object]
) -> tuple[Path, list[str]]:
    """A csv of the file, and notes on how it was read.

    A process with limits makes it, which may be killed. Some hundred bytes of a file can unpack to
    gigabytes, and its stated sizes may be wrong.
    """
    target = source.with_suffix(".csv")
    files = [str(source), str(target)]
    most = [str(limits.unpacked_bytes), str(limits.rows), text_col]
    command = [sys.executable, "-m", "ulmfit.serve.unpack", *files, *most]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            while True:
                try:
                    notes, errors = process.communicate(timeout=0.2)
                    break
                except subprocess.TimeoutExpired:
                    go_on()
        except BaseException:
            process.kill()
            raise
    if process.returncode == 0:
        return target, [note for note in notes.splitlines() if note]
    lines = errors.strip().splitlines()
    if process.returncode == 1 and len(lines) == 1 and lines[0].startswith("error: "):
        raise UserError(lines[0].removeprefix("error: "))
    raise UserError(
        f"{source} has more than {limits.unpacked_bytes:,} bytes when it is unpacked, or takes too "
        "long to read; send it in parts, or as csv"
    )
