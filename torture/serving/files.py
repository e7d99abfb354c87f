"""Uploaded files: names that are paths, contents that expand, malformed parquet."""

import gzip
import io
import json
import random
import re
import zipfile
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from torture.common import Row
from torture.serving.forms import MULTIPART, file_part, part, whole
from torture.serving.target import Answer, Target, judge

_CSV = b"text\nA great film.\n"
# In the server itself, of a file of 10 MB: a block of its rows as strings, and their tokens. The
# process that unpacks them has 1 GB and is gone afterwards.
_MOST_MB = 300
_NAMES = (
    "../../evil.csv",
    "..\\..\\evil.csv",
    "/etc/cron.d/evil.csv",
    "C:\\Windows\\evil.csv",
    "....//....//evil.csv",
    "a.csv/../../evil.csv",
    "%2e%2e%2fevil.csv",
    "..",
    ".",
    ".csv",
    "-rf.csv",
    "a\x00.csv",
    "a.csv\x00.exe",
    "a.exe\x00.csv",
    "a\tb\x01\x1b[31m.csv",
    "x" * 3_000 + ".csv",
    "a." + "y" * 3_000,
    "a\u202evsc.exe",
    "\u5f71\u8a55\U0001f3ac.csv",
    "CON.csv",
    "a%0d%0aX-Injected: 1.csv",
    "a\u0d0a\u010d\u010aX-Injected: 1.csv",
    "a.csv; filename*=utf-8''b.csv",
    "$(touch evil).csv",
    "`touch evil`.csv",
    "~root/.ssh/a.csv",
    "stderr",
)


def upload(target: Target, name: str, data: bytes, *parts: bytes) -> Answer | None:
    """The reply to a file, sent like a browser."""
    return target.ask("POST", "/score", whole(file_part(name, data), *parts), MULTIPART)


def names(target: Target) -> Row:
    """Files with these names write nothing elsewhere, and their reply has a harmless name."""
    row = Row("server: path tricks in names of uploads")
    around = sorted(target.files.parent.rglob("*"))
    for name in _NAMES:
        answer = upload(target, name, _CSV)
        judge(row, f"the name {name[:60]!r}", answer, (200, 400))
        shown = answer.headers.get("content-disposition", "") if answer else ""
        bad = re.search(r"[\x00-\x1f\x7f/\\]|%0d|%0a|%2f|%5c|%00", shown, re.IGNORECASE)
        if bad or (answer and "x-injected" in answer.headers):
            row.fail("let_in", f"the name {name[:60]!r} came back as {shown!r}")
    target.left_behind(row)
    if (now := sorted(target.files.parent.rglob("*"))) != around:
        row.fail("let_in", f"written: {set(now) - set(around)}")
    target.settle(row)
    return row


def contents(target: Target, tries: int, seed: int) -> Row:
    """Files that expand, and parquet with `tries` random faults."""
    row = Row("server: uploads that expand, malformed files")
    before = target.memory("VmHWM")
    cases = [*_large(), *parquet_bombs(), *packed_bombs(), *_malformed(), *_faults(tries, seed)]
    for what, name, data, allowed in cases:
        judge(row, what, upload(target, name, data), allowed)
    grown = target.memory("VmHWM") - before
    if grown > _MOST_MB:
        row.fail("let_in", f"memory grew by {grown:.0f} MB, expected {_MOST_MB} at most")
    column = part(b"c" * 500_000, 'Content-Disposition: form-data; name="text_col"')
    judge(row, "a column of 500,000 characters", upload(target, "a.csv", _CSV, column), (400,))
    target.left_behind(row)
    target.settle(row)
    return row


Case = tuple[str, str, bytes, tuple[int, ...]]


def _large() -> Iterator[Case]:
    yield "a million rows", "a.csv", b"text\n" + b"a\n" * 1_000_000, (400,)
    yield "4 million blank lines", "a.csv", b"text\n" * 1 + b"\n" * 4_000_000, (400,)
    yield "100,000 columns", "a.csv", ",".join(map(str, range(100_000))).encode(), (400,)
    wide = b"".join(b'{"c%d": 1}\n' % i for i in range(50_000)) + b'{"text": "a"}\n'
    yield "50,000 rows, each of another column", "a.jsonl", wide, (400,)
    yield "a field of 9 MB", "a.csv", b"text\n" + b"a" * 9_000_000, (400,)
    yield "a quote without end", "a.csv", b'text\n"' + b"a,\n" * 1_000_000, (400,)
    yield "a million quotes", "a.csv", b"text\n" + b'"' * 1_000_000, (400,)
    yield "a list 1,000,000 deep", "a.jsonl", b"[" * 1_000_000, (400,)
    yield "a number of 1,000,000 digits", "a.jsonl", b'{"text": ' + b"9" * 1_000_000 + b"}", (400,)
    deep = b'{"text": "a", "more": ' + b"[" * 900 + b"]" * 900 + b"}"
    yield "a cell 900 deep", "a.jsonl", deep, (200, 400)


def _written(table: pa.Table, **options: object) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file.getvalue()


def parquet_bombs() -> Iterator[Case]:
    """Files of some kilobytes that expand to hundreds of megabytes."""
    one = pa.array(["a"] * 2_000)
    often = pa.DictionaryArray.from_arrays(pa.array([0] * 2_000, pa.int32()), ["b" * 1_000_000])
    tables: list[tuple[str, dict[str, Any], str]] = [
        ("one word of 1 MB, 2,000 times", {"text": often}, "snappy"),
        ("the same in a column beside", {"text": one, "b": often}, "snappy"),
        ("a cell of 150 MB", {"text": pa.array(["b" * 150_000_000])}, "zstd"),
        ("the same, in gzip", {"text": pa.array(["b" * 150_000_000])}, "gzip"),
        ("3 million rows", {"text": one.take(pa.array([0] * 3_000_000))}, "snappy"),
        (
            "100 MB of nested cells",
            {"text": one, "n": pa.array([["c" * 1_000] * 60] * 2_000)},
            "zstd",
        ),
        ("1,500 columns", {"text": one, **{f"c{i}": one for i in range(1_500)}}, "snappy"),
    ]
    for what, columns, compression in tables:
        yield what, "a.parquet", _written(pa.table(columns), compression=compression), (400,)


def packed_bombs() -> Iterator[Case]:
    """Packed text files and sheets of less than a megabyte that expand to hundreds."""
    rows, line = b"text\n" + b"a\n" * 100_000_000, b"text\n" + b"a" * 200_000_000
    yield "100 million rows in gzip", "a.csv.gz", gzip.compress(rows, 1), (400,)
    yield "a line of 200 MB in gzip", "a.csv.gz", gzip.compress(line, 1), (400,)
    yield "the same in zstd", "a.tsv.zst", pa.compress(line, "zstd", asbytes=True), (400,)
    yield (
        "the same in JSON",
        "a.jsonl.gz",
        gzip.compress(b'{"text": "' + line[5:] + b'"}', 1),
        (400,),
    )
    row = b"<row><c><v>1</v></c></row>"
    yield "500,000 rows of a sheet", "a.xlsx", _sheet(row * 500_000), (400,)
    text = b"<row><c t='inlineStr'><is><t>" + line[5:] + b"</t></is></c></row>"
    yield "a cell of 200 MB of a sheet", "a.xlsx", _sheet(text), (400,)


def _sheet(rows: bytes) -> bytes:
    """A workbook whose only sheet has a column `text` and these rows."""
    from openpyxl import Workbook

    space = b"http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    names = b"<row><c t='inlineStr'><is><t>text</t></is></c></row>"
    start, end = b"<worksheet xmlns='" + space + b"'><sheetData>", b"</sheetData></worksheet>"
    made, changed = io.BytesIO(), io.BytesIO()
    Workbook().save(made)
    with zipfile.ZipFile(made) as book, zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in book.namelist():
            is_sheet = name.endswith("sheet1.xml")
            new.writestr(
                name, start + names + rows + end if is_sheet else book.read(name), compresslevel=1
            )
    return changed.getvalue()


def _malformed() -> Iterator[Case]:
    for data in (b"", b"PAR1", b"PAR1" * 1_000, b"PAR1" + b"\xff" * 8 + b"PAR1", b"PK\x03\x04"):
        yield f"{data[:12]!r} as parquet", "a.parquet", data, (400,)
    for data in (b"", b"\xff\xfe", b"\x00" * 1_000, b"\xef\xbb\xbf", b"text\n\xff\n"):
        yield f"{data[:12]!r} as csv", "a.csv", data, (200, 400)
    yield "a workbook", "a.xlsx", b"PK\x03\x04", (400,)
    yield "a packed csv that is none", "a.csv.gz", b"text\na\n", (400,)
    yield "the same in zstd", "a.csv.zst", b"text\na\n", (400,)
    yield (
        "surrogates",
        "a.jsonl",
        json.dumps({"text": "\ud800", "\udfff": ["\ud800"]}).encode(),
        (
            200,
            400,
        ),
    )


def _faults(tries: int, seed: int) -> Iterator[Case]:
    rng = random.Random(seed)
    valid = _written(pa.table({"text": ["A great film.", None, "dull"], "n": [1, 2, 3]}))
    for i in range(tries):
        data = bytearray(valid)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        if rng.random() < 0.3:
            del data[rng.randrange(len(data)) :]
        yield f"seed {seed}, fault {i} of parquet", "a.parquet", bytes(data), (200, 400)
