"""Every form of file and folder that is accepted, and every line that refuses one."""

import errno
import os
import re

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ulmfit.base.errors import UserError
from ulmfit.data import formats_base
from ulmfit.data.dialect import Dialect
from ulmfit.data.folders import read_folder, split_name
from ulmfit.data.formats import read_file


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refuses(line):
    return pytest.raises(UserError, match=f"^{re.escape(line)}$")


@pytest.mark.parametrize(
    ("spelling", "split"),
    [
        ("train", "train"),
        ("Training", "train"),
        ("VALIDATION", "valid"),
        ("val", "valid"),
        (" dev ", "valid"),
        ("Test", "test"),
        ("unlabelled", "unsup"),
        ("unlabeled", "unsup"),
        ("unsupervised", "unsup"),
        ("holdout", None),
        ("", None),
    ],
)
def test_split_spellings(spelling, split):
    assert split_name(spelling) == split


def test_csv_keeps_quotes_line_ends_and_words_that_look_missing(tmp_path):
    path = write(
        tmp_path / "a.csv",
        'text,label\r\n"She said ""go"",\nand left",pos\nNA,neg\rnull,\r\n"",pos\n\n'
        'says "hi",neg\n',
    )
    table = read_file(path)
    assert table["text"].tolist() == [
        'She said "go",\nand left',
        "NA",
        "null",
        "",
        'says "hi"',
    ]
    assert table["label"].tolist() == ["pos", "neg", "", "pos", "neg"]


def test_csv_with_byte_order_mark_and_blanks_in_the_header(tmp_path):
    path = write(tmp_path / "a.CSV", b"\xef\xbb\xbftext, label\n\xc3\xa9t\xc3\xa9,x\n")
    assert read_file(path).to_dict("list") == {"text": ["été"], "label": ["x"]}


def test_csv_takes_very_long_fields_and_leaves_the_csv_module_as_it_was(tmp_path):
    import csv

    before = csv.field_size_limit()
    path = write(tmp_path / "a.csv", "text\n" + "long " * 50_000 + "\n")
    assert len(read_file(path)["text"][0]) == 250_000
    assert csv.field_size_limit() == before


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_blank_line_of_one_column_is_an_empty_text(tmp_path, name):
    path = write(tmp_path / name, '\ntext\none\n\n""\r\n\r\ntwo\n')
    assert read_file(path)["text"].tolist() == ["one", "", "", "", "two"]


def test_empty_csv_has_no_columns_and_a_header_alone_no_rows(tmp_path):
    assert read_file(write(tmp_path / "a.csv", "")).shape == (0, 0)
    assert read_file(write(tmp_path / "b.csv", "text,label\n")).shape == (0, 2)


def test_tsv(tmp_path):
    path = write(tmp_path / "a.tsv", 'text\tlabel\none, two\tpos\n"a\ttab"\tneg\n')
    assert read_file(path)["text"].tolist() == ["one, two", "a\ttab"]


def test_jsonl_keeps_types_unicode_line_ends_and_mends_half_an_emoji(tmp_path):
    path = write(
        tmp_path / "a.jsonl",
        '{"text": "one\u2028line", "label": 1}\r\n\n{"text": "cut \\ud83d", "label": null}\n'
        '{"text": "whole \\ud83d\\ude00"}\n',
    )
    table = read_file(path)
    assert table["text"].tolist() == ["one\u2028line", "cut \ufffd", "whole \U0001f600"]
    assert table["label"].isna().tolist() == [False, True, True]


@pytest.mark.parametrize("part", [1, 2, 10_000])
def test_parts_in_which_a_file_is_read_change_nothing(tmp_path, monkeypatch, part):
    monkeypatch.setattr(formats_base, "_PART", part)
    rows = ["text,label", "a,1", '"b\nc",', "d,x", "é,2"]
    table = read_file(write(tmp_path / "a.csv", "\n".join(rows)))
    assert table.to_dict("list") == {"text": ["a", "b\nc", "d", "é"], "label": ["1", "", "x", "2"]}
    assert table.index.tolist() == [0, 1, 2, 3]
    rows = [
        '{"text": "a", "n": 1, "m": 1, "x": 1, "f": 1, "b": true}',
        '{"text": "b", "n": 2, "m": null, "x": "1", "f": 0.5, "b": false}',
        '{"text": null, "n": 3, "m": 2, "x": null, "f": 2, "b": true}',
        '{"text": "d", "n": 4, "x": [], "f": 3, "b": true, "late": "z"}',
    ]
    table = read_file(write(tmp_path / "a.jsonl", "\n".join(rows)))
    found = table.astype(object).where(table.notna(), None).to_dict("list")
    assert repr(found) == repr(
        {
            "text": ["a", "b", None, "d"],
            "n": [1, 2, 3, 4],
            "m": [1, None, 2, None],
            "x": [1, "1", None, []],
            "f": [1, 0.5, 2, 3],
            "b": [True, False, True, True],
            "late": [None, None, None, "z"],
        }
    )


def test_line_of_a_byte_far_into_a_file(tmp_path):
    path = write(tmp_path / "a.csv", b"text\n" + b"fine\n" * 50_000 + b"caf\xe9\n")
    with refuses(
        f"{path}, line 50002: found the byte 0xe9, which is not UTF-8; pass --encoding cp1252 "
        "(Windows) if é stands there, or save the file as UTF-8"
    ):
        read_file(path)


def test_parquet_reads_the_file_alone(tmp_path):
    path = tmp_path / "part=1" / "a.parquet"
    path.parent.mkdir()
    pd.DataFrame({"text": ["a", None], "label": [1, 0]}).to_parquet(path)
    table = read_file(path)
    assert list(table.columns) == ["text", "label"]
    assert table["text"].isna().tolist() == [False, True]


def test_unknown_extension(tmp_path):
    path = write(tmp_path / "a.exe", "")
    with refuses(
        f"{path}: found the extension '.exe', expected one of .csv, .tsv, .jsonl, .parquet, "
        ".xlsx, or a folder of .txt files"
    ):
        read_file(path)


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl"])
def test_not_utf8(tmp_path, name):
    path = write(tmp_path / name, b'{"text": "fine"}\n{"text": "caf\xe9"}\n')
    with refuses(
        f"{path}, line 2: found the byte 0xe9, which is not UTF-8; pass --encoding cp1252 "
        "(Windows) if é stands there, or save the file as UTF-8"
    ):
        read_file(path)


def test_unreadable_file(tmp_path):
    (tmp_path / "a.csv").mkdir()
    with refuses(
        f"{tmp_path / 'a.csv'}: cannot be read ({os.strerror(errno.EISDIR)}); check the file's "
        "permissions"
    ):
        read_file(tmp_path / "a.csv")


@pytest.mark.parametrize(("row", "count"), [("good, very good,pos", 3), ("good", 1)])
def test_csv_row_of_another_length(tmp_path, row, count):
    path = write(tmp_path / "a.csv", f'text,label\n"two\nlines",pos\n{row}\n')
    with refuses(
        f"{path}, line 4: found {count} fields, expected 2 (text, label); put a field that holds "
        "the separator or a line end in double quotes"
    ):
        read_file(path)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ('"never closed,pos\nx,y', "unexpected end of data"),
        ('"a" b,pos', "',' expected after '\"'"),
    ],
)
def test_csv_malformed_quotes(tmp_path, row, reason):
    path = write(tmp_path / "a.csv", f"text,label\nfine,pos\n{row}\n")
    with refuses(
        f"{path}, line 3: found a malformed row ({reason}); close every double quote, and double "
        "those within a quoted field"
    ):
        read_file(path, Dialect(quoting="minimal"))
    assert len(read_file(path)) == row.count("\n") + 2  # not quoted, every line is a row


@pytest.mark.parametrize("rows", [[["a", "b", "c"]] * 3, []])
def test_columns_of_one_name_are_kept(tmp_path, rows):
    lines = "".join(f"{','.join(row)}\n" for row in rows)
    found = [read_file(write(tmp_path / "a.csv", f"text,,text\n{lines}"))]
    path = tmp_path / "a.parquet"
    arrays = [pa.array([row[i] for row in rows], pa.string()) for i in range(3)]
    pq.write_table(pa.Table.from_arrays(arrays, names=["text", "", "text"]), path)
    found.append(read_file(path))
    for table in found:
        assert list(table.columns) == ["text", "", "text"]
        assert table.to_numpy().tolist() == rows


def test_jsonl_malformed(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"text": "a"}\n{"text": "b"\n')
    with refuses(
        f"{path}, line 2: found malformed JSON (Expecting ',' delimiter, column 13); expected one "
        "JSON object a line"
    ):
        read_file(path)


def test_jsonl_of_something_else(tmp_path):
    path = write(tmp_path / "a.jsonl", '["a", "b"]\n')
    with refuses(
        f"{path}, line 1: found a JSON list, expected one JSON object a line, such as "
        '{"text": "...", "label": "..."}'
    ):
        read_file(path)


@pytest.mark.parametrize("content", [b"", b"text,label\na,b\n", b"PAR1 cut short PAR1"])
def test_parquet_malformed(tmp_path, content):
    path = write(tmp_path / "a.parquet", content)
    start = re.escape(f"{path}: found a malformed parquet file (")
    with pytest.raises(UserError, match=rf"^{start}.+\); write it again, or save it as csv$"):
        read_file(path)


def test_folder_of_splits_as_aclimdb_has_it(tmp_path):
    for name in (
        "train/pos/1_9",
        "train/pos/0_8",
        "train/neg/0_2",
        "train/unsup/0_0",
        "test/pos/5",
    ):
        write(tmp_path / f"{name}.txt", f"text of {name}\n")
    write(tmp_path / "README", "not a text")
    write(tmp_path / "imdbEr.txt", "not a text")
    write(tmp_path / "train/urls_pos.txt", "not a text either")
    write(tmp_path / "tmp_lm/model.pkl", "nor this")
    table = read_folder(tmp_path)
    assert table.astype(object).where(table.notna(), None).to_numpy().tolist() == [
        ["text of test/pos/5\n", "pos", "test"],
        ["text of train/neg/0_2\n", "neg", "train"],
        ["text of train/pos/0_8\n", "pos", "train"],
        ["text of train/pos/1_9\n", "pos", "train"],
        ["text of train/unsup/0_0\n", None, "unsup"],
    ]


def test_a_class_in_a_folder_of_splits_may_be_called_like_a_split(tmp_path):
    for name in ("train/supervised/1", "train/unsupervised/1", "test/unsup/1"):
        write(tmp_path / f"{name}.txt", name)
    table = read_folder(tmp_path)
    assert table["split"].tolist() == ["unsup", "train", "train"]
    assert table["label"].tolist()[1:] == ["supervised", "unsupervised"]


def test_folder_of_splits_with_unlabelled_texts_beside_them(tmp_path):
    for name in ("train/a/1", "train/b/1", "Dev/a/1", "unsup/1"):
        write(tmp_path / f"{name}.txt", name)
    table = read_folder(tmp_path)
    assert sorted(table["split"]) == ["train", "train", "unsup", "valid"]
    assert table["label"].isna().tolist() == (table["split"] == "unsup").tolist()


def test_folder_of_classes(tmp_path, told):
    for name in ("good/1", "good/more/2", "bad/1", "unlabelled/1", "unsup/1", ".cache/1"):
        write(tmp_path / f"{name}.txt", name)
    table = read_folder(tmp_path)
    assert list(table.columns) == ["text", "label"]
    assert table["text"].tolist() == ["bad/1", "good/1", "good/more/2", "unlabelled/1", "unsup/1"]
    assert table["label"].tolist()[:-1] == ["bad", "good", "good", "unlabelled"]
    assert table["label"].isna().tolist() == [False] * 4 + [True]
    assert told == ["the 1 texts in the folder 'unsup' have no label"]


def test_folder_of_classes_and_texts(tmp_path):
    for name in ("good/1", "bad/1", "2", "10"):
        write(tmp_path / f"{name}.txt", name)
    with refuses(
        f"{tmp_path}: found .txt files (10.txt) beside folders of .txt files (bad), expected one "
        "or the other; move the files or the folders away"
    ):
        read_folder(tmp_path)


def test_folder_of_texts_alone(tmp_path):
    write(tmp_path / "b.txt", "second")
    write(tmp_path / "a.txt", b"\xef\xbb\xbffirst")
    table = read_folder(tmp_path)
    assert table["text"].tolist() == ["first", "second"]
    assert table["label"].isna().all()


def test_folder_without_texts(tmp_path):
    with refuses(
        f"{tmp_path}: found no .txt files in this folder; expected split folders that hold class "
        "folders (train/pos, test/neg), one folder a class, or the path of a csv, tsv, jsonl, "
        "parquet or xlsx file"
    ):
        read_folder(tmp_path)


def test_folder_that_names_no_split(tmp_path):
    for name in ("train/a/1", "holdout/a/1"):
        write(tmp_path / f"{name}.txt", name)
    with refuses(
        f"{tmp_path / 'holdout'}: found this folder of .txt files beside folders that name splits; "
        "expected train, valid, test or unsup: rename it or move it away"
    ):
        read_folder(tmp_path)


def test_folder_with_a_text_that_is_not_utf8(tmp_path):
    path = write(tmp_path / "a" / "1.txt", b"one\ntwo\n\xff")
    with refuses(
        f"{path}, line 3: found the byte 0xff, which is not UTF-8; pass --encoding cp1252 "
        "(Windows) if ÿ stands there, or save the file as UTF-8"
    ):
        read_folder(tmp_path)


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl"])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16(tmp_path, name, encoding):
    path = write(tmp_path / name, '\ufeff{"text": "a"}\n'.encode(encoding))
    with refuses(
        f"{path}: found UTF-16, expected UTF-8; pass --encoding utf-16, or save the file as UTF-8"
    ):
        read_file(path)


def test_utf16_without_a_mark(tmp_path):
    path = write(tmp_path / "a.csv", "text,label\na,b\n".encode("utf-16-le"))
    with refuses(
        f"{path}, line 1: found NUL characters in the names of the columns, as a file in UTF-16 "
        "has, expected UTF-8; pass --encoding utf-16-le or utf-16-be, or save the file as UTF-8"
    ):
        read_file(path)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_of_a_byte_whatever_ends_the_lines(tmp_path, end):
    path = write(
        tmp_path / "a.csv", end.join(["text", "a", "b", "caf\xe9", "d", ""]).encode("latin-1")
    )
    with refuses(
        f"{path}, line 4: found the byte 0xe9, which is not UTF-8; pass --encoding cp1252 "
        "(Windows) if é stands there, or save the file as UTF-8"
    ):
        read_file(path)


def test_names_of_columns_are_told_in_one_line(tmp_path):
    names = ["a", '"b\nc"', "d" * 50, *map(str, range(20))]
    path = write(tmp_path / "a.csv", ",".join(names) + "\nx\n")
    with refuses(
        f"{path}, line 3: found 1 fields, expected 23 (a, b\\nc, {'d' * 40}..., 0, 1, 2, 3, 4, 5, "
        "6, ... (23 in all)); put a field that holds the separator or a line end in double quotes"
    ):
        read_file(path)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (
            "[" * 100_000 + "]" * 100_000,
            "JSON nested more than 100 levels deep, expected an object of texts and numbers; "
            "flatten it",
        ),
        (
            '{"a": ' * 100 + "1" + "}" * 100,
            "JSON nested more than 100 levels deep, expected an object of texts and numbers; "
            "flatten it",
        ),
        (
            "9" * 5000,
            "a number of thousands of digits, expected a number or a text; put it in double quotes",
        ),
    ],
)
def test_json_beyond_measure(tmp_path, value, found):
    path = write(tmp_path / "a.jsonl", f'{{"text": "a"}}\n{{"text": "b", "x": {value}}}\n')
    with refuses(f"{path}, line 2: found {found}"):
        read_file(path)


def test_json_of_99_levels_within_an_object(tmp_path):
    path = write(tmp_path / "a.jsonl", f'{{"text": "a", "x": {"[" * 99 + "]" * 99}}}\n')
    assert read_file(path)["text"].tolist() == ["a"]


def test_jsonl_of_a_new_key_in_every_row(tmp_path):
    rows = "".join(f'{{"text": "a", "k{i}": 1}}\n' for i in range(10_001))
    path = write(tmp_path / "a.jsonl", rows)
    with refuses(
        f"{path}, line 10000: found more than 10,000 different keys, expected the same few in "
        "every object; put what differs into one of them"
    ):
        read_file(path)


def test_halves_of_emoji_within_keys_and_lists_are_mended(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"text": "a", "\\ud83d": ["\\ud83d", {"b\\ud83d": 1}]}\n')
    assert read_file(path).to_dict("list") == {
        "text": ["a"],
        "\ufffd": [["\ufffd", {"b\ufffd": 1}]],
    }
