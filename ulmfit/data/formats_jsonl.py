"""jsonl: one JSON object a line; a cell has a type of its own."""

import datetime
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ulmfit.base.errors import UserError
from ulmfit.data.dialect import Dialect
from ulmfit.data.formats_base import (
    Block,
    Encoder,
    Format,
    Schema,
    cells,
    check_distinct,
    cut,
    frame_of,
    inferred_schema,
)
from ulmfit.data.text_files import text_lines

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_MOST_KEYS = 10_000  # of all rows of a file of JSON: each is a column
_DEEPEST = 100  # levels of a JSON value


class _JsonEncoder(Encoder):
    """A JSON object a line; a missing cell is null."""

    def __init__(self, file: BinaryIO, columns: Sequence[str], schema: Schema) -> None:
        super().__init__(file, columns, schema)
        check_distinct(columns)
        self._columns = columns

    def encode(self, block: Block) -> bytes:
        columns, names = [cells(column) for column in block], self._columns[: len(block)]
        rows = (dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True))
        return "".join(
            f"{json.dumps(_json_value(row), ensure_ascii=False)}\n" for row in rows
        ).encode()


def _json_value(value: Any) -> Any:
    """`value` in JSON's types: no NaN, no infinity, times as text in ISO 8601."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value]
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal | datetime.timedelta) else value


class Jsonl(Format):
    """Objects; all of their keys are columns, in order of first occurrence."""

    ending, encoder = ".jsonl", _JsonEncoder
    dialect_of = ("encoding",)

    def __init__(self, path: Path, dialect: Dialect) -> None:
        self._path, self._encoding = path, dialect.encoding
        self.columns = list(dict.fromkeys(key for row in self._rows() for key in row))

    @classmethod
    def read(cls, path: Path, dialect: Dialect) -> "pd.DataFrame":
        return frame_of(json_rows(path, dialect.encoding))

    def _rows(self) -> Iterator[dict[str, Any]]:
        return json_rows(self._path, self._encoding)

    def blocks(self) -> Iterator[Block]:
        width = len(self.columns)
        for rows in cut(self._rows(), lambda row: width + _characters(row)):
            yield [[row.get(name) for row in rows] for name in self.columns]

    def schema(self) -> "pa.Schema":
        return inferred_schema(self.columns, self.blocks())


def _characters(row: Mapping[str, Any]) -> int:
    return sum(len(cell) for cell in row.values() if isinstance(cell, str))


def json_rows(path: Path, encoding: str = "") -> Iterator[dict[str, Any]]:
    """The object of each line that is not blank.

    Raises:
        UserError: a line holds no JSON object, or the file is not UTF-8.
    """
    keys: set[str] = set()
    with text_lines(path, "\n", encoding) as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                found = _json_object(path, number, line.removesuffix("\n"))
                keys.update(found)
                if len(keys) > _MOST_KEYS:
                    raise UserError(
                        f"{path}, line {number}: found more than {_MOST_KEYS:,} different keys, "
                        "expected the same few in every object; put what differs into one of them"
                    )
                yield found


def _json_object(path: Path, number: int, line: str) -> dict[str, Any]:
    place = f"{path}, line {number}: found"
    try:
        found = json.loads(line)
        deep = line.count("[") + line.count("{") > _DEEPEST and _depth(found) > _DEEPEST
    except json.JSONDecodeError as error:
        raise UserError(
            f"{place} malformed JSON ({error.msg}, column {error.colno}); "
            "expected one JSON object a line"
        ) from None
    except RecursionError:
        found, deep = {}, True
    except ValueError:  # Python's limit on the digits of an integer
        raise UserError(
            f"{place} a number of thousands of digits, expected a number or a text; put it in "
            "double quotes"
        ) from None
    if not isinstance(found, dict):
        raise UserError(
            f"{place} a JSON {type(found).__name__}, expected one JSON "
            'object a line, such as {"text": "...", "label": "..."}'
        )
    if deep:
        raise UserError(
            f"{place} JSON nested more than {_DEEPEST} levels deep, expected an "
            "object of texts and numbers; flatten it"
        )
    return _mend(found) if "\\ud" in line.lower() else found


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level:
        depth += 1
        inner = (v.values() if isinstance(v, dict) else v for v in level)
        level = [item for part in inner for item in part if isinstance(item, dict | list)]
    return depth


def _mend(value: Any) -> Any:
    # Half a surrogate pair, as a cut emoji leaves it, cannot be encoded again: U+FFFD instead.
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_mend(key): _mend(item) for key, item in value.items()}
    return [_mend(item) for item in value] if isinstance(value, list) else value
