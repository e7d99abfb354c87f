"""Files block by block: what stands in them comes out again, whatever the kinds and the blocks."""

import datetime
import json
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_models import refuses

from ulmfit.base.errors import UserError
from ulmfit.data import formats_base
from ulmfit.data.formats import ENDINGS, open_table, open_writer
from ulmfit.data.formats_base import cells

ODD = [
    *("a\rb", "c\r\nd", "e\nf", 'q"x"y', "tab\there", "é😀", "  pad ", "", "x\u2028y", "NA"),
    *("null", "1,000", "'", "\\", "#", "=1+1", "007", "1.50", "True"),
]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(formats_base, "MOST_ROWS", 3)


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def write_jsonl(path, rows):
    return write(path, "".join(f"{json.dumps(row)}\n" for row in rows))


def rows_of(path):
    """Every row of a table, and how many each block has."""
    table = open_table(path)
    blocks = [[cells(column) for column in block] for block in table.blocks()]
    rows = [
        dict(zip(table.columns, row, strict=True)) for b in blocks for row in zip(*b, strict=True)
    ]
    return rows, [len(block[0]) for block in blocks]


def copy(source, target):
    """What `predict` does, without predictions."""
    table = open_table(source)
    with open_writer(target, table.columns, table.schema) as writer:
        for block in table.blocks():
            writer.check(block)
        for block in table.blocks():
            writer.write(block)
    return target


# Reading


def test_csv_in_blocks(tmp_path):
    path = write(tmp_path / "a.csv", "id,text\n" + "".join(f"{i:03},t{i}\n" for i in range(8)))
    rows, sizes = rows_of(path)
    assert rows == [{"id": f"{i:03}", "text": f"t{i}"} for i in range(8)]
    assert sizes == [3, 3, 2]
    table = open_table(path)
    assert [len(block[0]) for _ in range(2) for block in table.blocks()] == [3, 3, 2] * 2


def test_long_texts_make_short_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(formats_base, "MOST_CHARACTERS", 100)
    lines = ["a" * 98, "b" * 98, "c", "d", "e", "f"]
    path = write(tmp_path / "a.csv", "text\n" + "\n".join(lines))
    assert rows_of(path)[1] == [2, 3, 1]
    path = write_jsonl(tmp_path / "a.jsonl", [{"text": line} for line in lines])
    assert rows_of(path)[1] == [2, 3, 1]
    path = tmp_path / "a.parquet"
    pd.DataFrame({"text": [line * 50 for line in lines]}).to_parquet(path)
    assert rows_of(path)[1] == [1] * 6


def test_jsonl_has_the_columns_of_all_rows(tmp_path):
    found = [{"text": "a"}, {"text": "b", "n": 1}, {"n": 2.5}, {"x": [1, {"y": None}], "text": "c"}]
    path = write_jsonl(tmp_path / "a.jsonl", found)
    assert open_table(path).columns == ["text", "n", "x"]
    none = dict.fromkeys(["text", "n", "x"])
    assert rows_of(path)[0] == [{**none, **row} for row in found]


def test_parquet_in_blocks_over_row_groups(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [None, *"abcdefg"], "n": range(8)}), path, row_group_size=5)
    rows, sizes = rows_of(path)
    assert [row["text"] for row in rows] == [None, *"abcdefg"]
    assert [row["n"] for row in rows] == list(range(8))
    assert max(sizes) <= 3


def test_files_without_rows(tmp_path):
    assert open_table(write(tmp_path / "a.csv", "")).columns == []
    assert open_table(write(tmp_path / "b.jsonl", "\n")).columns == []
    assert rows_of(write(tmp_path / "c.tsv", "a\tb\n")) == ([], [])


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        (
            "a.csv",
            "id,text\n" + '1,"a, a"\n' * 9 + '2,"b\n',
            "line 11: found a malformed row (unexpected end of data); close every double quote, "
            "and double those within a quoted field",
        ),
        (
            "a.tsv",
            "id\ttext\n" + "1\ta\n" * 9 + "2\n",
            "line 11: found 1 fields, expected 2 (id, text); put a field that holds the separator "
            "or a line end in double quotes",
        ),
        (
            "a.csv",
            b"text\n" + b"a\n" * 9000 + b"caf\xe9\n",
            "line 9002: found the byte 0xe9, which is not UTF-8; pass --encoding cp1252 "
            "(Windows) if é stands there, or save the file as UTF-8",
        ),
        (
            "a.jsonl",
            '{"text": "a"}\n' * 9 + "{]\n",
            "line 10: found malformed JSON (Expecting property name enclosed in double quotes, "
            "column 2); expected one JSON object a line",
        ),
    ],
)
def test_what_turns_bad_in_the_middle(tmp_path, name, content, line):
    path = write(tmp_path / name, content)
    separator = ", " if line.startswith("line") else ": "
    with refuses(f"{path}{separator}{line}"):
        rows_of(path)


@pytest.mark.parametrize("given", [".csv", ".tsv", ".parquet"])
def test_columns_of_one_name(tmp_path, given):
    """They come out as they went in, where the format can say it."""
    names, rows = ["text", "", "n", ""], [["a", "b", "1", "c"], ["d", "", "2", ""]]
    path = tmp_path / f"in{given}"
    if given == ".parquet":
        columns = [list(column) for column in zip(*rows, strict=True)]
        pq.write_table(pa.table(columns, names=names), path)
    else:
        sep = {".csv": ",", ".tsv": "\t"}[given]
        write(path, "".join(f"{sep.join(row)}\n" for row in [names, *rows]))
    out = copy(path, tmp_path / "out.csv")
    assert out.read_text() == "text,,n,\na,b,1,c\nd,,2,\n"
    for ending in (".jsonl", ".parquet"):
        target = tmp_path / f"out{ending}"
        with refuses(
            f"cannot write {target}: a column of the input has no form there (more than one is "
            "named ''); choose another of .csv, .tsv, .jsonl, .parquet"
        ):
            copy(path, target)
        assert not target.exists()


def test_malformed_parquet(tmp_path):
    path = write(tmp_path / "a.parquet", "PAR1 or so")
    with pytest.raises(UserError, match=r"found a malformed parquet file \(.*\); write it"):
        open_table(path)
    pq.write_table(pa.table({"text": [str(i) * 99 for i in range(2000)]}), path)
    content = bytearray(path.read_bytes())
    content[200:2000] = bytes(1800)
    write(path, bytes(content))
    with pytest.raises(UserError, match=r"found a malformed parquet file \(.*\); write it"):
        rows_of(path)


# Writing


@pytest.mark.parametrize("written", ENDINGS)
@pytest.mark.parametrize("given", ENDINGS)
def test_strings_survive(tmp_path, given, written):
    rows = [{"n": str(i), "text": text} for i, text in enumerate(ODD)]
    source = write_jsonl(tmp_path / "in.jsonl", rows)
    made = copy(copy(source, tmp_path / f"a{given}"), tmp_path / f"b{written}")
    assert rows_of(made)[0] == rows


def test_csv_comes_out_byte_for_byte(tmp_path):
    content = 'id,text,n\n007,"a, b",1.50\n8,"say ""x""",NA\n,"two\nlines",1e5\n9,,TRUE\n'
    source = write(tmp_path / "in.csv", content)
    assert copy(source, tmp_path / "out.csv").read_bytes() == content.encode()


def test_types_of_parquet_survive(tmp_path):
    day = datetime.datetime(2020, 1, 2, 3, 4, 5, 678901)
    table = pa.table(
        {
            "small": pa.array([1, None, 3, 4], pa.int8()),
            "time": pa.array([day, None, day, day], pa.timestamp("ns", "UTC")),
            "money": pa.array([Decimal("1.10")] * 4, pa.decimal128(9, 2)),
            "list": pa.array([[1.5], [], None, [float("nan")]], pa.list_(pa.float32())),
            "kind": pa.array(["a", "b", None, "a"]).dictionary_encode(),
            "bytes": pa.array([b"\xff"] * 4),
        }
    )
    source = tmp_path / "in.parquet"
    pq.write_table(table, source)
    found = pq.read_table(copy(source, tmp_path / "out.parquet"))
    assert found.schema.types == table.schema.types
    assert repr(found.to_pydict()) == repr(table.to_pydict())


def test_types_of_jsonl_are_those_of_the_whole_file(tmp_path):
    rows = [{"n": None, "m": 1, "t": "a"}] * 4 + [{"n": 2**53, "m": 2.5, "k": True, "o": {"a": 1}}]
    found = pq.read_table(copy(write_jsonl(tmp_path / "a.jsonl", rows), tmp_path / "b.parquet"))
    assert [str(t) for t in found.schema.types] == [
        *("int64", "double", "string", "bool"),
        "struct<a: int64>",
    ]
    assert found.column("m").to_pylist() == [1, 1, 1, 1, 2.5]


def test_values_in_json(tmp_path):
    row = {
        "day": datetime.date(2020, 1, 2),
        "time": datetime.datetime(2020, 1, 2, 3, 4),
        "money": Decimal("1.10"),
        "list": [1.0, float("nan"), float("inf")],
        "whole": 1,
        "none": None,
    }
    source = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist([row]), source)
    assert json.loads(copy(source, tmp_path / "b.jsonl").read_text()) == {
        "day": "2020-01-02",
        "time": "2020-01-02T03:04:00",
        "money": "1.10",
        "list": [1.0, None, None],
        "whole": 1,
        "none": None,
    }


def test_missing_values_in_csv(tmp_path):
    rows = [{"n": 1, "x": float("nan"), "t": None}, {"n": None, "x": 1.0, "t": "a"}]
    source = write_jsonl(tmp_path / "a.jsonl", rows)
    assert copy(source, tmp_path / "b.csv").read_text() == "n,x,t\n1,,\n,1.0,a\n"


def test_the_shortest_digits_of_a_float32():
    column = np.array([0.1, 1e-7, 1, 0.24247460067272186], np.float32)
    assert cells(column) == [0.1, 1e-7, 1.0, 0.2424746]
    assert np.array_equal(np.array(cells(column), np.float32), column)


@pytest.mark.parametrize(
    ("rows", "target"),
    [
        ([{"x": 1}, {"x": "one"}], "b.parquet"),  # within a block
        ([{"x": 1}] * 4 + [{"x": "one"}], "b.parquet"),  # in two
        ([{"x": {}}], "b.parquet"),
        ([{"x": 2**70}], "b.parquet"),
    ],
)
def test_what_has_no_form(tmp_path, rows, target):
    source = write_jsonl(tmp_path / "a.jsonl", rows)
    with pytest.raises(UserError) as caught:
        copy(source, tmp_path / target)
    line = str(caught.value)
    assert line.startswith(f"cannot write {tmp_path / target}: a column of the input has no form")
    assert line.endswith("; choose another of .csv, .tsv, .jsonl, .parquet")
    assert [p.name for p in tmp_path.iterdir()] == ["a.jsonl"]


def test_bytes_have_no_form_in_json(tmp_path):
    source = tmp_path / "a.parquet"
    pq.write_table(pa.table({"x": [b"\xff"]}), source)
    with pytest.raises(UserError, match="a column of the input has no form there"):
        copy(source, tmp_path / "b.jsonl")


@pytest.mark.parametrize("ending", ENDINGS)
def test_nothing_is_left_of_a_file_that_was_not_finished(tmp_path, ending):
    source = write(tmp_path / "a.csv", "text\na\n")
    table = open_table(source)
    target = tmp_path / "new" / "er" / f"b{ending}"

    def interrupted():
        with open_writer(target, table.columns, table.schema) as writer:
            writer.write(next(table.blocks()))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]
