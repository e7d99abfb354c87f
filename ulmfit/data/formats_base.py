"""What every format of table files has: a table to read, an encoder to write, blocks of rows."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Protocol, TypeVar

import numpy as np

from ulmfit.base.errors import UserError, listed
from ulmfit.data.dialect import Dialect
from ulmfit.data.values import check_plain
from ulmfit.text.given import is_missing

if TYPE_CHECKING:  # both take a while to import, and csv by blocks needs neither
    import pandas as pd
    import pyarrow as pa

# The cells of each column: a list of Python's values, an Arrow array, or floats in numpy's.
Block = Sequence[Any]
Schema = Callable[[], "pa.Schema"]
T = TypeVar("T")

# A block ends when it has this many rows, or cells and characters of text, whichever comes first.
# Of so many rows, sorted by length, batches have little padding even where the texts are short.
MOST_ROWS = 1 << 15
MOST_CHARACTERS = 1 << 24
_PART = 10_000  # rows of a file read whole that are Python's objects at a time


class Table(Protocol):
    """Rows of a file; `blocks` may be read more than once.

    columns: their names, of which several may be equal; those in use are found by `place_of`.
    notes: what there is to say of how the file was read.
    """

    columns: list[str]
    notes: Sequence[str]

    def blocks(self) -> Iterator[Block]:
        """All rows in order, some thousands at a time; raises UserError where the file is bad."""

    def schema(self) -> "pa.Schema":
        """The columns' types in parquet; raises ArrowException if one has none."""


class Encoder(ABC):
    """Writes blocks of rows into a file; their types are those of `schema`."""

    def __init__(self, file: BinaryIO, columns: Sequence[str], schema: Schema) -> None:
        self._file = file

    @abstractmethod
    def encode(self, block: Block) -> Any:
        """The rows as `append` takes them."""

    def append(self, encoded: Any) -> None:
        """Write rows behind those that are there."""
        self._file.write(encoded)

    def close(self) -> None:  # noqa: B027
        """Write what stands at the end of the file, if anything does."""


class Format(Table):
    """A kind of table file; an instance is one that was opened to be read block by block."""

    ending: ClassVar[str]
    encoder: ClassVar[type[Encoder]]
    notes: Sequence[str] = ()
    dialect_of: ClassVar[tuple[str, ...]] = ()  # what of a `Dialect` there is to say of its files

    def __init__(self, path: Path, dialect: Dialect) -> None:
        """Find the columns; raises UserError where the file is bad."""

    @classmethod
    @abstractmethod
    def read(cls, path: Path, dialect: Dialect) -> "pd.DataFrame":
        """All columns and rows at once; raises UserError where the file is bad."""


def plain_text(cell: Any) -> str:
    """A cell as a text, in training and prediction alike; a missing one is empty.

    A number is written as Python writes it: 7 stays '7', 7.0 '7.0', and true is 'True'.
    """
    if isinstance(cell, str):
        return cell
    return "" if is_missing(cell) else str(cell)


def cells(column: Any) -> list[Any]:
    """The cells of a block's column as Python's values, missing ones as None."""
    if hasattr(column, "to_pylist"):
        return column.to_pylist()
    if isinstance(column, np.ndarray):
        # The shortest decimal that is the same float32, rather than the double next to it.
        return column.astype(str).astype(float).tolist()
    return list(column)


def check_texts(column: Any, source: object, name: object, first: int = 1) -> None:
    """Raise a UserError if a cell of the column `name` is no single value; `first` is its row."""
    if str(getattr(column, "type", "")) in ("string", "large_string"):  # Arrow's: nothing else
        return
    check_plain(cells(column), source, name, first)


def cut(rows: Iterable[T], weigh: Callable[[T], int]) -> Iterator[list[T]]:
    """`rows` in lists that have `MOST_ROWS` or weigh `MOST_CHARACTERS`."""
    block: list[T] = []
    weight = 0
    for row in rows:
        block.append(row)
        weight += weigh(row)
        if len(block) >= MOST_ROWS or weight >= MOST_CHARACTERS:
            yield block
            block, weight = [], 0
    if block:
        yield block


def rows_of_block(rows: int, size: int) -> int:
    """How many of `rows`, which weigh `size` together, make a block."""
    return max(1, min(MOST_ROWS, MOST_CHARACTERS * rows // max(1, size)))


def frame_of(rows: Iterator[Any], columns: list[str] | None = None) -> "pd.DataFrame":
    """A table of `rows`, of which `_PART` at a time are Python's objects.

    Strings become columns part by part. Other columns get a type if all of their values have it;
    else each value keeps its own: beside a missing value or a float, 7 would become 7.0.
    """
    import pandas as pd
    from pandas.api.types import infer_dtype

    parts = []
    # Several columns may have one name: until they are together, they go by their places.
    places = None if columns is None else range(len(columns))
    while part := list(islice(rows, _PART)):
        made = pd.DataFrame(part, columns=places, dtype=object)
        for name in made.columns:
            if infer_dtype(made[name], skipna=True) == "string":
                made[name] = made[name].tolist()  # inferred: pandas 3 has a type for strings
        parts.append(made)
    if not parts:
        return pd.DataFrame(columns=columns, dtype=object)
    frame = pd.concat(parts, ignore_index=True)
    for place in range(frame.shape[1]):
        column = frame.iloc[:, place]
        if infer_dtype(column, skipna=True) == "string" or _of_one_type(column):
            frame.isetitem(place, column.infer_objects())
    if columns is not None:
        frame.columns = pd.Index(columns)
    return frame


def _of_one_type(column: "pd.Series") -> bool:
    from pandas.api.types import infer_dtype

    return infer_dtype(column, skipna=False) in ("integer", "floating", "boolean")


def inferred_schema(columns: Sequence[str], blocks: Iterable[Block]) -> "pa.Schema":
    """The types in parquet of columns whose cells have types of their own."""
    import pyarrow as pa

    schema = pa.schema([(name, pa.null()) for name in columns])
    for block in blocks:
        types = [pa.array(column).type for column in block]
        found = pa.schema(list(zip(columns, types, strict=True)))
        schema = pa.unify_schemas([schema, found], promote_options="permissive")
    return schema


def place_of(name: str, columns: Iterable[Any], source: object) -> int:
    """Where the column `name` stands, which is there; raises UserError if several have the name."""
    places = [place for place, column in enumerate(columns) if column == name]
    if len(places) > 1:
        raise UserError(
            f"{source}: found more than one column named {name!r}, expected one to be read; rename "
            "or remove the others"
        )
    return places[0]


def check_distinct(columns: Sequence[str]) -> None:
    """Raise a ValueError if two columns have the same name, where a format cannot say that."""
    if twice := sorted(name for name, times in Counter(columns).items() if times > 1):
        raise ValueError(f"more than one is named {listed(map(repr, twice))}")
