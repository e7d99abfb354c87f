"""Packed files are read as their content is; damaged ones, and kinds of others, end in one line."""

import gzip
import re

import pyarrow as pa
import pytest

from ulmfit.base.errors import UserError
from ulmfit.data.dialect import Dialect
from ulmfit.data.formats import ENDINGS, READ_ENDINGS, open_table, read_file
from ulmfit.data.formats_base import cells

ROWS = 3_000


def refuses(line):
    return pytest.raises(UserError, match=f"^{re.escape(line)}$")


def pack(path, content):
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(content))
    else:
        with pa.CompressedOutputStream(pa.OSFile(str(path), "wb"), "zstd") as file:
            file.write(content)
    return path


CONTENT = {
    ".csv": "\ufefftext,n\r\n" + "".join(f'"é, {i}",{i}\r\n' for i in range(ROWS)),
    ".tsv": "text\tn\n" + "".join(f"é, {i}\t{i}\n" for i in range(ROWS)),
    ".jsonl": "".join(f'{{"text": "é, {i}", "n": {i}}}\n' for i in range(ROWS)),
}


@pytest.mark.parametrize("packed", [".gz", ".zst"])
@pytest.mark.parametrize("ending", CONTENT)
def test_packed_files_are_read_as_their_content(tmp_path, ending, packed):
    path = pack(tmp_path / f"a{ending}{packed}", CONTENT[ending].encode())
    plain = tmp_path / f"a{ending}"
    plain.write_bytes(CONTENT[ending].encode())
    assert read_file(path).equals(read_file(plain))
    assert read_file(path)["text"].tolist() == [f"é, {i}" for i in range(ROWS)]
    blocks = list(open_table(path).blocks())
    assert [cell for block in blocks for cell in cells(block[0])] == [
        f"é, {i}" for i in range(ROWS)
    ]


def test_several_packed_parts_are_one_file(tmp_path):
    path = tmp_path / "A.CSV.GZ"
    path.write_bytes(gzip.compress(b"text\na\n") + gzip.compress(b"b\n"))
    assert read_file(path)["text"].tolist() == ["a", "b"]


def test_flags_count_for_packed_files(tmp_path):
    path = pack(tmp_path / "a.csv.zst", "text;n\ncaf\u00e9;1\n".encode("cp1252"))
    found = read_file(path, Dialect(sep=";", encoding="cp1252"))
    assert found.to_dict("list") == {"text": ["café"], "n": ["1"]}


@pytest.mark.parametrize("packed", [".gz", ".zst"])
def test_line_of_a_wrong_byte_in_a_packed_file(tmp_path, packed):
    path = pack(tmp_path / f"a.csv{packed}", b"text\n" + b"fine\n" * 50_000 + b"caf\xe9\n")
    with pytest.raises(UserError, match=r"line 50002: found the byte 0xe9, which is not UTF-8"):
        read_file(path)


def damaged(content, how):
    half = len(content) // 2
    return {
        "cut": content[:half],
        "changed": content[:half] + b"\0\1\2\3" * 4 + content[half + 16 :],
        "unpacked": b"text\nfine\n" * 10,
    }[how]


@pytest.mark.parametrize("how", ["cut", "changed", "unpacked"])
@pytest.mark.parametrize("packed", [".gz", ".zst"])
def test_damaged_files_end_in_one_line(tmp_path, packed, how):
    path = pack(tmp_path / f"a.csv{packed}", CONTENT[".csv"].encode())
    path.write_bytes(damaged(path.read_bytes(), how))
    for read in (read_file, lambda path: list(open_table(path).blocks())):
        with pytest.raises(UserError) as found:
            read(path)
        if how == "changed":  # the rows may be malformed before the checksum is reached
            assert str(found.value).startswith(str(path))
        else:
            assert str(found.value).startswith(f"{path}: found a damaged {packed} file (")
            assert str(found.value).endswith("); pack it again, or give the unpacked file")


KNOWN = ".csv, .tsv, .jsonl, .parquet, .xlsx, or a folder of .txt files"


@pytest.mark.parametrize(
    ("name", "found", "way"),
    [
        ("a.xls", "'.xls' (a sheet of an old Excel)", "save the sheet as .xlsx or .csv"),
        ("a.ODS", "'.ods' (an OpenDocument sheet)", "save the sheet as .xlsx or .csv"),
        (
            "a.feather",
            "'.feather' (Arrow's Feather)",
            "save it as .parquet; with pandas, pandas.read_feather(...).to_parquet(...) does so",
        ),
        (
            "a.sav",
            "'.sav' (a file of SPSS)",
            "save it as .csv, or with pandas, pandas.read_spss(...).to_parquet(...) does so",
        ),
        (
            "a.pkl",
            "'.pkl' (a pickle, which can run code when it is read)",
            "save the table as .parquet or .csv",
        ),
        (
            "a.json",
            "'.json' (JSON that is one value)",
            "save it as .jsonl, one object a line; with pandas, to_json(..., orient='records', "
            "lines=True) does so",
        ),
        ("a.ndjson", "'.ndjson' (JSON lines)", "rename it to .jsonl"),
        ("a.zip", "'.zip' (an archive)", "unpack it first"),
        ("a.csv.bz2", "'.bz2' (a packed file)", "unpack it first, or pack with gzip"),
        ("a.parquet.gz", "'.parquet.gz'", "unpack it first"),
        ("a.tar.gz", "'.tar.gz' (an archive)", "unpack it first"),
        ("a.gz", "'.gz'", "name it by what is packed, such as reviews.csv.gz"),
    ],
)
def test_other_kinds_are_refused_by_name(tmp_path, name, found, way):
    path = tmp_path / name
    path.write_bytes(b"")
    with refuses(f"{path}: found the extension {found}, expected one of {KNOWN}; {way}"):
        read_file(path)
    with refuses(
        f"{path}: found the extension {found}, expected one of "
        f"{KNOWN.removesuffix(', or a folder of .txt files')}; {way}"
    ):
        open_table(path)


def test_what_is_read_and_what_is_written():
    assert ENDINGS == (".csv", ".tsv", ".jsonl", ".parquet")
    assert set(READ_ENDINGS) == {
        *ENDINGS,
        ".xlsx",
        *(f"{e}{p}" for e in CONTENT for p in (".gz", ".zst")),
    }
