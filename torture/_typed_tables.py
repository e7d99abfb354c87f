"""jsonl and parquet files for `torture.fuzz`, with values of all types."""

import io
import json
import random
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from torture._tables import ENDS, NAMES, Written, cell_of_text, count_of_rows, packed


def jsonl(rng: random.Random) -> Written:
    """A jsonl file of values of all types, or of texts alone; now and then a faulty one."""
    columns = rng.sample(NAMES, rng.randint(1, 4))
    count, makers = count_of_rows(rng), [rng.choice(_JSON_MAKERS) for _ in columns]
    rows = [[None if rng.random() < 0.1 else make(rng) for make in makers] for _ in range(count)]
    ascii_only, end = rng.random() < 0.5, rng.choice(ENDS[:2])
    lines, kept, seen = [], [], set()
    for row in rows:
        given = dict(zip(columns, row, strict=True))
        left_out = {k for k, v in given.items() if v is None and _boolean(rng)} - {columns[0]}
        shown = {name: value for name, value in given.items() if name not in left_out}
        lines.append(json.dumps(shown, ensure_ascii=ascii_only))
        kept.append(row)
        seen.update(shown)
        if rng.random() < 0.02:
            lines.append("")
    refused = ""
    if kept and rng.random() < 0.05:
        place, refused = rng.randrange(len(lines)), "JSON"
        lines[place] = rng.choice(['{"text": "a"', "[1]", '"text"', "{'text': 1}", "7", "{} {}"])
    text = "".join(f"{line}{end}" for line in lines)
    mark = "\ufeff" if rng.random() < 0.1 else ""
    places = [i for i, name in enumerate(columns) if name in seen]
    return packed(
        rng,
        Written(
            ".jsonl",
            (mark + text).encode(),
            [columns[i] for i in places],
            [[row[i] for i in places] for row in kept],
            refused=refused,
        ),
    )


def parquet(rng: random.Random) -> Written:
    """A parquet file of columns of all types."""
    columns = rng.sample(NAMES, rng.randint(1, 4))
    count = count_of_rows(rng)
    arrays = [_array(rng, *rng.choice(_ARROW_MAKERS), count) for _ in columns]
    file = io.BytesIO()
    pq.write_table(
        pa.table(arrays, names=columns),
        file,
        row_group_size=rng.choice([3, 10, 1000]),
        compression=rng.choice(["none", "snappy", "zstd"]),
        use_dictionary=rng.random() < 0.5,
    )
    rows = [list(row) for row in zip(*(a.to_pylist() for a in arrays), strict=True)]
    return Written(".parquet", file.getvalue(), columns, rows)


def _integer(rng: random.Random) -> int:
    return rng.choice([0, 1, 7, -1, 10**6, 2**53 + 1, -(2**63), rng.randrange(100)])


def _floating(rng: random.Random) -> float:
    return rng.choice([0.0, -0.0, 7.0, 7.5, 1e300, 1e-7, 0.1, rng.random()])


def _boolean(rng: random.Random) -> bool:
    return rng.random() < 0.5


_MAKERS = (cell_of_text, cell_of_text, _integer, _floating, _boolean)
_JSON_MAKERS: tuple[Callable[[random.Random], Any], ...] = (
    *_MAKERS,
    lambda rng: rng.choice(_MAKERS)(rng),
    lambda rng: rng.choice([_integer, _floating])(rng),
    lambda rng: 2 ** rng.randrange(200),
    lambda rng: [cell_of_text(rng) for _ in range(rng.randrange(3))],
    lambda rng: {"a": _integer(rng), "b": [cell_of_text(rng)]},
    lambda rng: None,
)
_ARROW_MAKERS: tuple[tuple[Callable[[random.Random], Any], pa.DataType], ...] = (
    (cell_of_text, pa.string()),
    (cell_of_text, pa.large_string()),
    (cell_of_text, pa.dictionary(pa.int32(), pa.string())),
    (_integer, pa.int64()),
    (lambda rng: rng.randrange(-128, 128), pa.int8()),
    (_floating, pa.float64()),
    (_floating, pa.float32()),
    (_boolean, pa.bool_()),
    (lambda rng: rng.randrange(20_000), pa.date32()),
    (lambda rng: rng.randrange(10**15), pa.timestamp("us")),
    (lambda rng: rng.randrange(10**12), pa.duration("ms")),
    (lambda rng: f"{rng.randrange(10**6)}.50", pa.decimal128(12, 2)),
    (lambda rng: [cell_of_text(rng)], pa.list_(pa.string())),
    (lambda rng: {"a": _integer(rng)}, pa.struct([("a", pa.int64())])),
)


def _array(
    rng: random.Random, make: Callable[[random.Random], Any], kind: pa.DataType, count: int
) -> pa.Array:
    missing = rng.choice([0, 0, 0.2, 1.0])
    values = [None if rng.random() < missing else make(rng) for _ in range(count)]
    if pa.types.is_float32(kind):
        values = [v and min(v, 3e38) for v in values]
    given = pa.string() if pa.types.is_decimal(kind) or pa.types.is_dictionary(kind) else kind
    return pa.array(values, given).cast(kind)
