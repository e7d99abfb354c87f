"""One shard: read its rows, classify them, write them with their predictions."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ulmfit.base.atomic import atomic_file, os_errors_as
from ulmfit.base.errors import UserError
from ulmfit.base.version import __version__
from ulmfit.bulk.plan import Plan, Shard, footer_of, malformed, parquet
from ulmfit.bulk.predictor import BatchPredictor
from ulmfit.bulk.storage import Place, new_file
from ulmfit.data.formats_base import cells, check_texts, plain_text
from ulmfit.inference.scoring import EMPTY, schema_with
from ulmfit.inference.student import teacher_key

if TYPE_CHECKING:
    import pyarrow as pa

_KEY = "ulmfit"  # of what the footer of a shard says


@dataclass(frozen=True)
class Done:
    """A finished shard: its number, its rows, and the notes on them."""

    number: int
    rows: int = 0
    empty: int = 0
    unknown: int = 0
    precision: str = ""

    def more(self, notes: list[str]) -> "Done":
        """With the rows of one more block."""
        empty = notes.count(EMPTY)
        unknown = sum(bool(note) for note in notes) - empty
        return replace(
            self,
            rows=self.rows + len(notes),
            empty=self.empty + empty,
            unknown=self.unknown + unknown,
        )


@dataclass(frozen=True)
class Task:
    """What a worker needs for any shard; it can be pickled.

    folder, out: the folders of the input and of the output. run_key, version, model: of the plan.
    """

    folder: Place
    out: Place
    predictor: BatchPredictor
    run_key: str
    version: str
    model: str

    @classmethod
    def of(cls, plan: Plan, folder: Place, out: Place, predictor: BatchPredictor) -> "Task":
        """The part of a plan that is the same for all shards."""
        return cls(folder, out, predictor, plan.key, plan.version, plan.model)

    def run(self, shard: Shard, tell: Callable[[int], object] | None = None) -> Done:
        """Write one shard; `tell` gets the number of rows of each block.

        The file appears whole or not at all. A second run of the same shard replaces it by an
        equal one.

        Raises:
            UserError: this machine has other models, another version or another input than the
                plan, a cell is no text, or a file cannot be read or written.
        """
        self._check_worker()
        source = shard.source
        place = self.folder.beside(source.name)
        if footer_of(place) != (source.size, source.footer):
            raise UserError(f"{place.text} has changed since the run began; start a new one")
        with parquet(place) as file, new_file(self.out.beside(shard.name)) as path:
            read = blocks(file, shard, source.block, place)
            return self._write(path, shard, read, place.text, tell)

    def _check_worker(self) -> None:
        if self.version != __version__:
            raise UserError(
                f"a worker has version {__version__} of ulmfit, the run {self.version}; "
                "install the same on every machine"
            )
        if teacher_key(self.predictor.classifier) != self.model:
            raise UserError(
                "a worker found other models than the run under the same names; put the same "
                "directories on every machine"
            )

    def _write(
        self,
        path: Path,
        shard: Shard,
        read: "Iterator[pa.Table]",
        source: str,
        tell: Callable[[int], object] | None = None,
    ) -> Done:
        done = Done(shard.number, precision=self.predictor.classifier.precision)
        with atomic_file(path) as file, os_errors_as(f"cannot write {path}"):
            writer = None
            for block in read:
                made, notes = self._scored(block, source, shard.start + done.rows + 1)
                done = done.more(notes)
                writer = writer or _writer(file, made.schema)
                writer.write_table(made)
                if tell:
                    tell(len(notes))
            if done.rows != shard.rows or writer is None:
                raise UserError(f"{source}: found {done.rows:,} rows, expected {shard.rows:,}")
            writer.add_key_value_metadata({_KEY: _said(self.run_key, done)})
            writer.close()
        return done

    def _scored(self, block: "pa.Table", source: str, first: int) -> "tuple[pa.Table, list[str]]":
        """A block with the new columns, and the note on each row."""
        import pyarrow as pa

        column = block.column(self.predictor.text_column)
        check_texts(column, source, self.predictor.text_column, first)
        texts = [plain_text(cell) for cell in cells(column)]
        added, answers = self.predictor.columns(texts, block.column_names)
        schema = schema_with(block.schema, list(added))
        new = [
            pa.array(values, schema.field(block.num_columns + i).type)
            for i, values in enumerate(added.values())
        ]
        return pa.Table.from_arrays([*block.columns, *new], schema=schema), answers.notes


def _writer(file: Any, schema: "pa.Schema") -> Any:
    import pyarrow.parquet as pq

    return pq.ParquetWriter(file, schema)


def blocks(file: Any, shard: Shard, size: int, place: Place) -> "Iterator[pa.Table]":
    """The rows of a shard, `size` at a time, from the open parquet file.

    Row groups before and behind them are not read.

    Raises:
        UserError: the file is malformed.
    """
    import pyarrow as pa

    groups, skip = _groups(file.metadata, shard)
    left, waiting = shard.rows, pa.table({})
    try:
        batches = file.iter_batches(size, row_groups=groups, use_threads=False)
        for batch in batches:
            rows = batch.slice(skip)
            skip = max(0, skip - batch.num_rows)
            if not rows.num_rows:
                continue
            fresh = pa.Table.from_batches([rows]).replace_schema_metadata()
            waiting = pa.concat_tables([waiting, fresh]) if waiting.num_rows else fresh
            while left and waiting.num_rows >= min(size, left):
                taken = min(size, left)
                yield waiting.slice(0, taken).combine_chunks()
                waiting, left = waiting.slice(taken), left - taken
            if not left:
                return
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise malformed(place, error) from None


def _groups(metadata: Any, shard: Shard) -> tuple[list[int], int]:
    """The row groups that have rows of a shard, and how many rows before it they have."""
    found: list[int] = []
    first = skip = 0
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group).num_rows
        if rows and first < shard.start + shard.rows and shard.start < first + rows:
            skip = skip if found else shard.start - first
            found.append(group)
        first += rows
    return found, skip


def _said(run: str, done: Done) -> str:
    return json.dumps({"run": run, **done.__dict__})


def finished(place: Place, run: str, shard: Shard) -> Done | None:
    """What a file says of itself if it is this shard of the run; None if it is not or is bad."""
    try:
        with parquet(place) as file:
            said = json.loads(file.metadata.metadata[_KEY.encode()])
            rows = file.metadata.num_rows
    except (UserError, KeyError, TypeError, ValueError):
        return None
    if said.pop("run", None) != run or rows != shard.rows:
        return None
    return Done(**said)
