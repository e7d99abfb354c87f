"""The plan of a bulk prediction: which rows of which file make which shard of the output.

The same input, models and settings give the same plan on every machine. The plan stands in
``_manifest.json`` of the output folder; its key stands in every shard.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ulmfit.base.errors import UserError, listed
from ulmfit.bulk import storage
from ulmfit.bulk.storage import Found, Place
from ulmfit.data.formats_base import place_of, rows_of_block

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 1
SHARD_ROWS = 1 << 15  # as many rows as a block of `predict` has at most
_MAGIC = 4  # bytes of PAR1 at the end of a parquet file, after four bytes of the footer's length


@dataclass(frozen=True)
class Source:
    """A file of the input.

    block: rows that are classified together, as `predict` would. footer: sha256 of the footer,
    which has the sizes, places and extremes of all columns.
    """

    name: str
    size: int
    rows: int
    block: int
    footer: str


@dataclass(frozen=True)
class Shard:
    """A file of the output: `rows` rows of the file `source`, from `start` on."""

    number: int
    source: Source
    start: int
    rows: int

    @property
    def name(self) -> str:
        """Names in the order of the rows."""
        return f"part-{self.number:06d}.parquet"

    @property
    def about(self) -> str:
        """The rows, for a line."""
        return f"rows {self.start + 1:,} to {self.start + self.rows:,} of {self.source.name}"

    @property
    def advice(self) -> str:
        """For a line about workers that die."""
        kept = "the other finished shards are kept"
        return f"{kept}: try fewer --workers or a smaller --shard-rows"


@dataclass(frozen=True)
class Plan:
    """All of the work. model: a hash of models and weights (`teacher_key`)."""

    version: str
    model: str
    labels: list[str]
    text_column: str
    precision: str
    shard_rows: int
    sources: list[Source]

    @property
    def key(self) -> str:
        """Equal for equal plans."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    @property
    def rows(self) -> int:
        """Of all files."""
        return sum(source.rows for source in self.sources)

    def shards(self) -> list[Shard]:
        """In the order of the rows; each has rows of one file. A file without rows has none."""
        return list(self._shards())

    def _shards(self) -> Iterator[Shard]:
        number = 0
        for source in self.sources:
            # Whole blocks, so that a text meets the same neighbours as in `predict`.
            rows = max(1, self.shard_rows // source.block) * source.block
            for start in range(0, source.rows, rows):
                yield Shard(number, source, start, min(rows, source.rows - start))
                number += 1

    def as_json(self) -> dict[str, Any]:
        """What stands in the manifest."""
        return {"format_version": FORMAT, "key": self.key, **asdict(self)}


def sources_of(found: Found, text_column: str, shard_rows: int) -> list[Source]:
    """The files, from their footers alone.

    Raises:
        UserError: a file is malformed, has no column of texts, or has other columns than the first.
    """
    sources: list[Source] = []
    shared: pa.Schema | None = None
    for name in found.names:
        place = found.folder.beside(name)
        with parquet(place) as file:
            schema = file.schema_arrow.remove_metadata()
            sources.append(_source(name, place, file, shard_rows))
        if shared is None:
            shared = schema
            _check_columns(schema, text_column, place)
        elif not schema.equals(shared):
            raise UserError(
                f"{place.text}: found the columns {_described(schema)}, and "
                f"{_described(shared)} in {found.names[0]}; expected the same in every file: write "
                "them alike, or predict them by themselves"
            )
    return sources


class parquet:
    """A context with an open parquet file; errors name it."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def __enter__(self) -> Any:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._file = storage.opened(self._place)
        try:
            # With a buffer, a row group is not read at once.
            return pq.ParquetFile(self._file, buffer_size=1 << 20)
        except (pa.ArrowException, OSError) as error:
            self._file.close()
            raise malformed(self._place, error) from None

    def __exit__(self, *raised: object) -> None:
        self._file.close()


def malformed(place: Place, error: Exception) -> UserError:
    """The error for a file that Arrow cannot read."""
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return UserError(f"{place.text}: found a malformed parquet file ({reason}); write it again")


def footer_of(place: Place) -> tuple[int, str]:
    """The size of a parquet file, and the sha256 of its footer."""
    with storage.opened(place) as file:
        size = file.size()
        file.seek(max(0, size - _MAGIC - 4))
        length = int.from_bytes(file.read(4), "little")
        file.seek(max(0, size - _MAGIC - 4 - length))
        return size, hashlib.sha256(file.read(length)).hexdigest()


def _source(name: str, place: Place, file: Any, shard_rows: int) -> Source:
    found = file.metadata
    weight = sum(found.row_group(i).total_byte_size for i in range(found.num_row_groups))
    block = min(shard_rows, rows_of_block(found.num_rows, weight))
    size, footer = footer_of(place)
    return Source(name, size, found.num_rows, block, footer)


def _check_columns(schema: "pa.Schema", text_column: str, place: Place) -> None:
    from pyarrow import types

    names = schema.names
    if text_column not in names:
        raise UserError(
            f"{place.text} has no column {text_column!r}; it has {listed(names) or 'none'}: "
            "name the one with the texts with --text-col"
        )
    place_of(text_column, names, place.text)
    kind = schema.field(text_column).type
    if types.is_nested(kind) or types.is_binary(kind) or types.is_large_binary(kind):
        raise UserError(
            f"{place.text}: the column {text_column!r} has the type {kind}, expected one string a "
            "row; convert it or name another column with --text-col"
        )
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(
            f"{place.text}: found more than one column named {listed(map(repr, twice))}; rename or "
            "remove the others"
        )


def _described(schema: "pa.Schema") -> str:
    return listed(f"{field.name} ({field.type})" for field in schema)


def check_same(found: dict[str, Any], plan: Plan, out: Place) -> None:
    """Raise a UserError if the manifest of an output folder is of another plan."""
    if found.get("key") == plan.key:
        return
    wanted, names = plan.as_json(), ("version", "model", "text_column", "precision", "shard_rows")
    other = [name for name in names if found.get(name) != wanted[name]]
    if found.get("sources") != wanted["sources"]:
        other.append("input files")
    raise UserError(
        f"{out.text} holds the output of another run (it differs in {listed(other) or 'format'}); "
        "choose another --output, or pass --overwrite to replace it"
    )


def check_shard_rows(shard_rows: int) -> None:
    """Raise a UserError for a number that makes no shard."""
    if shard_rows < 1:
        raise UserError(f"--shard-rows is {shard_rows}, expected 1 or more")
