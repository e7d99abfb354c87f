"""The first sheet of an Excel file: values with their types, or one line that says why not."""

import datetime
import re
import sys
from contextlib import suppress

import pytest

from ulmfit.base.errors import UserError
from ulmfit.data.dialect import Dialect
from ulmfit.data.formats import open_table, open_writer, read_file
from ulmfit.data.formats_base import cells
from ulmfit.data.load import load_data

openpyxl = pytest.importorskip("openpyxl")


def refuses(line):
    return pytest.raises(UserError, match=f"^{re.escape(line)}$")


def write(path, rows, sheets=("Reviews",)):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name in sheets:
        sheet = book.create_sheet(name)
        for row in rows if name == sheets[0] else [["other"]]:
            sheet.append(row)
    book.save(path)
    return path


ROWS = [
    ["text", " label ", "n"],
    ["two\nlines, é 😀", "pos", 7],
    [None, None, None],
    ["", "neg", 7.5],
    [12, "NA", True],
    ["_x0041_", None, datetime.datetime(2024, 5, 1)],
    [None, None, None],
]
FOUND = [
    ["two\nlines, é 😀", "pos", 7],
    [None, None, None],
    [None, "neg", 7.5],
    [12, "NA", True],
    ["A", None, datetime.datetime(2024, 5, 1)],
]


def test_values_keep_their_types(tmp_path, told):
    path = write(tmp_path / "a.xlsx", ROWS)
    frame = read_file(path)
    assert list(frame) == ["text", "label", "n"]
    assert frame.astype(object).where(frame.notna(), None).to_numpy().tolist() == FOUND
    assert [type(n) for n in frame["n"]][::3] == [int, bool]
    table = open_table(path)
    (block,) = table.blocks()
    assert [list(row) for row in zip(*map(cells, block), strict=True)] == FOUND
    assert told == []


def test_numbers_are_one_text(tmp_path):
    path = write(tmp_path / "a.xlsx", [["text"], [7], [7.5], ["b"]])
    assert load_data(path, labels_required=False)["text"].tolist() == ["7", "7.5", "b"]


def test_the_first_of_several_sheets_is_read_and_told(tmp_path, told):
    path = write(tmp_path / "a.xlsx", [["text"], ["a"]], ["Reviews", "Notes"])
    line = f"{path}: read the first of 2 sheets, 'Reviews'; save another one as .csv to read it"
    assert read_file(path)["text"].tolist() == ["a"]
    assert told == [line]
    table = open_table(path)
    assert len(list(table.blocks())) == len(list(table.blocks())) == 1
    assert told == [line, line]


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_a_sheet_goes_into_every_format(tmp_path, ending):
    table = open_table(write(tmp_path / "a.xlsx", [["text", "n"], ["a", 7], ["b", None]]))
    target = tmp_path / f"b{ending}"
    with open_writer(target, table.columns, table.schema) as writer:
        for block in table.blocks():
            writer.write(block)
    assert read_file(target)["text"].tolist() == ["a", "b"]
    assert str(read_file(target)["n"][0]) == "7"


def test_too_few_stated_cells_are_not_believed(tmp_path, monkeypatch):
    path = write(tmp_path / "a.xlsx", [["text", "n"], ["a", 1], ["b", 2]])
    from zipfile import ZipFile

    with ZipFile(path) as book:
        parts = {name: book.read(name) for name in book.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    assert b'<dimension ref="A1:B3"' in parts[sheet]
    parts[sheet] = parts[sheet].replace(b'<dimension ref="A1:B3"', b'<dimension ref="A1"')
    with ZipFile(path, "w") as book:
        for name, content in parts.items():
            book.writestr(name, content)
    assert read_file(path).to_dict("list") == {"text": ["a", "b"], "n": [1, 2]}


def test_rows_longer_than_the_header(tmp_path):
    path = write(tmp_path / "a.xlsx", [["text", "n"], ["a", 1], ["b", 2, "note"]])
    with refuses(
        f"{path}, row 3: found 3 cells, expected 2 (text, n); name every column in the first row"
    ):
        read_file(path)


def test_empty_sheets(tmp_path):
    assert read_file(write(tmp_path / "a.xlsx", [])).shape == (0, 0)
    assert read_file(write(tmp_path / "b.xlsx", [["text", "n"]])).shape == (0, 2)
    assert list(open_table(tmp_path / "b.xlsx").blocks()) == []


@pytest.mark.parametrize("content", [b"", b"text\na\n", b"PK\3\4" + bytes(100)])
def test_malformed_files(tmp_path, content):
    path = tmp_path / "a.xlsx"
    path.write_bytes(content)
    with pytest.raises(UserError) as found:
        open_table(path)
    assert str(found.value).startswith(f"{path}: found a malformed xlsx file (")
    assert str(found.value).endswith("); save it again, or save the sheet as .csv")


def test_damage_anywhere_ends_in_one_line_or_is_harmless(tmp_path):
    path = write(tmp_path / "a.xlsx", [["text"], *([f"text {i}"] for i in range(50))])
    content = path.read_bytes()
    for place in range(0, len(content), 97):
        path.write_bytes(content[:place] + b"\xff\0\xff" + content[place + 3 :])
        with suppress(UserError):  # anything else fails the test
            read_file(path)


def test_flags_of_text_files_are_refused(tmp_path):
    path = write(tmp_path / "a.xlsx", [["text"], ["a"]])
    with pytest.raises(UserError, match="found --sep"):
        read_file(path, Dialect(sep=";"))


def test_without_openpyxl(tmp_path, monkeypatch):
    path = write(tmp_path / "a.xlsx", [["text"], ["a"]])
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with refuses(
        f"{path}: reading .xlsx needs openpyxl; pip install 'ulmfit[excel]' brings it, or save "
        "the sheet as .csv"
    ):
        read_file(path)
