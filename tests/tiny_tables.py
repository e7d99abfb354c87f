"""Parquet files of small texts, and what `predict` says of them in one process."""

import pyarrow as pa
import pyarrow.parquet as pq
from tiny_models import TEXTS

from ulmfit import predict


def rows(count, first=0):
    """Different texts beside a number; some have no known word, and some are empty."""
    texts = [
        f"{TEXTS[i % len(TEXTS)]} {TEXTS[i // 5 % 2]} {i}" if i % 7 else ""
        for i in range(first, first + count)
    ]
    schema = pa.schema([("id", pa.int64()), ("text", pa.string())])
    return pa.table({"id": range(first, first + count), "text": texts}, schema)


def write_parts(folder, sizes, group=7):
    """Files of `sizes` rows in small row groups."""
    folder.mkdir(parents=True, exist_ok=True)
    first = 0
    for number, size in enumerate(sizes):
        table = rows(size, first)
        pq.write_table(table, folder / f"in-{number}.parquet", row_group_size=group)
        first += size
    return folder


def predicted(clf, folder, out, **more):
    """All rows as `predict` writes them from one file in one process, in float32."""
    whole = out / "whole.parquet"
    out.mkdir(parents=True, exist_ok=True)
    files = sorted(folder.glob("*.parquet"))
    pq.write_table(pa.concat_tables([pq.read_table(file) for file in files]), whole)
    path = predict.main(
        clf=clf,
        input=str(whole),
        output=str(out / "predicted.parquet"),
        precision="float32",
        **more,
    )
    return pq.read_table(path)


def shards_of(folder):
    """The rows of all shards, in order."""
    files = sorted(folder.glob("part-*.parquet"))
    return pa.concat_tables([pq.read_table(file).replace_schema_metadata() for file in files])


def assert_same(found, expected, tolerance=1e-6):
    """Equal rows in equal order; probabilities to `tolerance`, since batches are cut otherwise."""
    assert found.schema.equals(expected.schema)
    for name in expected.column_names:
        ours, theirs = found.column(name).to_pylist(), expected.column(name).to_pylist()
        if expected.schema.field(name).type == pa.float32():
            assert len(ours) == len(theirs)
            assert max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) <= tolerance
        else:
            assert ours == theirs
