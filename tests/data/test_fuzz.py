"""A short form of `make torture`'s table files, and that each of its checks can fail."""

import duckdb
import pytest

from torture import fuzz
from torture._tables import Written, delimited
from torture._typed_tables import jsonl, parquet
from ulmfit.data import formats_base, formats_csv
from ulmfit.data.csv_quoting import QuoteWatch

COUNT, SEED = 60, 3


@pytest.fixture(scope="module")
def oracle():
    with duckdb.connect() as connection:
        yield connection


def clean(row, count=COUNT):
    assert row.tried == count
    assert row.clean, row.told
    return row.told[0]


def test_csv_and_tsv(tmp_path, oracle):
    counts = clean(fuzz.guessed(tmp_path, oracle, COUNT, SEED))
    read, _, rest = counts.partition(" as written, ")
    assert int(read) > COUNT / 2
    assert "refused" in rest


def test_csv_and_tsv_with_flags(tmp_path):
    assert "as written" in clean(fuzz.with_flags(tmp_path, COUNT, SEED))


def test_jsonl(tmp_path):
    assert "as written" in clean(fuzz.typed(tmp_path, "jsonl", jsonl, COUNT, SEED))


def test_parquet(tmp_path):
    assert clean(fuzz.typed(tmp_path, "parquet", parquet, COUNT, SEED)) == f"{COUNT} as written"


def test_a_file_is_the_same_each_time():
    from random import Random

    for make in (delimited, jsonl, parquet):
        assert make(Random("a 1")) == make(Random("a 1")) != make(Random("a 2"))


# Every check can fail


def one(made, check, tmp_path, monkeypatch, *others):
    """The row of a file."""
    monkeypatch.setattr(fuzz, "delimited", lambda rng: made)
    fuzz.delimited.__name__ = "delimited"
    return check(tmp_path, *others, 1, 0)


# Two texts with a quote each: at the beginning of one, at the end of a later one.
UNQUOTED = [["1", '"a'], ["2", "b"], ["3", 'c"']]
PLAIN = {"sep": ",", "quoting": "none", "encoding": "utf-8"}


def unquoted(rows=UNQUOTED, refused=""):
    content = "\n".join(map(",".join, [["id", "text"], *rows])) + "\n"
    return Written(".csv", content.encode(), ["id", "text"], rows, PLAIN, refused)


def test_merged_rows_are_found(tmp_path, oracle, monkeypatch):
    assert one(unquoted(), fuzz.guessed, tmp_path, monkeypatch, oracle).clean
    monkeypatch.setattr(QuoteWatch, "spans", lambda *_: None)
    row = one(unquoted(), fuzz.guessed, tmp_path, monkeypatch, oracle)
    assert row.lost == 1
    assert "1 rows of 3" in row.told[1]


def test_a_needless_refusal_is_found(tmp_path, oracle, monkeypatch):
    made = unquoted([["1", "a"], ["2", "b"]])
    assert one(made, fuzz.guessed, tmp_path, monkeypatch, oracle).told[0] == "1 as written"

    def refuse(*_):
        raise formats_base.UserError("no")

    monkeypatch.setattr(formats_csv, "csv_rows", refuse)
    row = one(made, fuzz.guessed, tmp_path, monkeypatch, oracle)
    assert row.lost == 1
    assert "refused, though pandas and DuckDB read it" in row.told[1]


def test_quotes_count_as_pandas_and_duckdb_count_them(tmp_path, oracle, monkeypatch):
    row = one(unquoted([["1", '"a"']]), fuzz.guessed, tmp_path, monkeypatch, oracle)
    assert row.clean
    assert row.told[0] == "1 as csv is read elsewhere"


def test_faulty_files_that_are_read_are_found(tmp_path, oracle, monkeypatch):
    made = unquoted([["1", "a"], ["2", "b"]], refused="encoding")
    assert one(made, fuzz.guessed, tmp_path, monkeypatch, oracle).let_in == 1
    assert one(made, fuzz.with_flags, tmp_path, monkeypatch).let_in == 1


def test_crashes_and_errors_of_several_lines_are_found(tmp_path, oracle, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(formats_csv, "csv_rows", fail)
        assert one(unquoted(), fuzz.with_flags, tmp_path, patch).crashed == 1
    with monkeypatch.context() as patch:
        patch.setattr(fuzz, "LONGEST_LINE", 10)
        made = unquoted([["1", "a"], ["2"]], refused="ragged")
        assert one(made, fuzz.with_flags, tmp_path, patch).crashed == 1


def test_values_that_lose_their_types_are_found(tmp_path, monkeypatch):
    monkeypatch.setattr(formats_base, "_of_one_type", lambda column: True)
    row = fuzz.typed(tmp_path, "jsonl", jsonl, 20, SEED)
    assert row.lost > 0
    assert "float" in "".join(row.told)
