"""What a csv does not say of itself: separator, quoting, header, encoding; found out, and said."""

import csv
import io
import os
import random
from pathlib import Path

import pytest
from tiny_models import refuses

from ulmfit.base.errors import UserError
from ulmfit.data.__main__ import main as look
from ulmfit.data.dialect import Dialect
from ulmfit.data.formats import open_table, read_file

CASES = Path(os.environ.get("ULMFIT_CASES", Path(__file__).parents[3] / "shared" / "cases"))


def write(path, content, encoding="utf-8"):
    path.write_bytes(content.encode(encoding))
    return path


def rows_of(path, dialect=None):
    """The header and the rows, which are the same read whole and in blocks."""
    table, frame = open_table(path, dialect or Dialect()), read_file(path, dialect or Dialect())
    rows = [list(row) for block in table.blocks() for row in zip(*block, strict=True)]
    assert table.columns == list(frame.columns)
    assert rows == frame.to_numpy().tolist()
    return [table.columns, *rows]


def unquoted(sep="\t", first='"So it begins', last='5 feet 3"', count=30):
    """Rows without quoting; a quote begins the text in line 12, and one ends that in line 22."""
    texts = [f"text {n} of a film" for n in range(2, count + 2)]
    texts[10], texts[20] = f"{first} with line 12", f"it was {last}"
    rows = [["text", "label"], *([text, ("pos", "neg")[n % 2]] for n, text in enumerate(texts))]
    return rows, "".join(f"{sep.join(row)}\n" for row in rows)


# Quoting

MERGED = (
    "{}: read without quoting: a quote at line 12 would have merged lines 12 to 22; --quoting "
    "minimal keeps them together"
)
STRAY = (
    "{}: read without quoting: a quote in the row at line 12 does not enclose a field, and every "
    "line is a row; --quoting minimal refuses it"
)
ASKED = (
    "{}, line {}: found a field in quotes that spans lines {} to {}, which look like rows of their "
    "own; pass --quoting none if every line is a row, or --quoting minimal if the field is one text"
)


@pytest.mark.parametrize(("name", "sep"), [("a.tsv", "\t"), ("a.csv", ","), ("b.csv", ";")])
@pytest.mark.parametrize(("last", "line"), [('5 feet 3"', MERGED), ('said "twice" to me', STRAY)])
def test_rows_are_not_merged(tmp_path, told, name, sep, last, line):
    rows, content = unquoted(sep, last=last)
    path = write(tmp_path / name, content)
    assert rows_of(path) == rows
    assert [found for found in told if "quoting" in found] == [line.format(path)] * 2


def test_quoting_as_it_is_said(tmp_path, told):
    rows, content = unquoted()
    path = write(tmp_path / "a.tsv", content)
    assert rows_of(path, Dialect(quoting="none")) == rows
    assert len(rows_of(path, Dialect(quoting="minimal"))) == len(rows) - 10
    assert told == []


def test_classes_that_stand_nowhere_else(tmp_path):
    """The three lines may be one text, and every line of the file may be a row."""
    rows, _ = unquoted()
    rows[11:14] = [['"a', "rare"], ["b", "odd"], ['c"', "pos"]]
    rows[21] = ["d", "neg"]
    path = write(tmp_path / "a.tsv", "".join(f"{a}\t{b}\n" for a, b in rows))
    with refuses(ASKED.format(path, 12, 12, 14)):
        rows_of(path)
    assert rows_of(path, Dialect(quoting="none")) == rows


def test_rows_that_say_nothing_of_each_other(tmp_path):
    """No column has classes or numbers: whether lines are rows nobody knows."""
    rows = [["one", "two"], *([f"a{n}", f"b{n}"] for n in range(20))]
    rows[5][0], rows[9][0] = '"a', 'b"'
    path = write(tmp_path / "a.tsv", "".join(f"{a}\t{b}\n" for a, b in rows))
    with refuses(ASKED.format(path, 6, 6, 10)):
        read_file(path)
    with refuses(ASKED.format(path, 6, 6, 10)):
        open_table(path)


def test_merged_rows_beside_a_line_that_is_none(tmp_path):
    """Without quoting, line 15 has a field too many; with it, it would vanish into line 12."""
    _, content = unquoted()
    path = write(tmp_path / "a.tsv", content.replace("text 15", "text\t15"))
    with refuses(ASKED.format(path, 12, 12, 22)):
        rows_of(path)


@pytest.mark.parametrize("columns", ["text label", "label text", "id text label", "text one"])
def test_texts_of_several_lines_stay_whole(tmp_path, told, columns):
    """However many commas their lines have: a few lines may look like rows by chance."""
    rng = random.Random(0)

    def text():
        words = [rng.choice(["good", "film", "7", "a,b", ",", "so, I", ", 7"]) for _ in range(9)]
        return "".join(word + rng.choice([" ", " ", "\n"]) for word in words)

    made = {"label": lambda: rng.choice(["pos", "neg"]), "id": lambda: str(rng.randrange(999))}
    rows = [[made.get(name, text)() for name in columns.split()] for _ in range(300)]
    content = io.StringIO(newline="")
    csv.writer(content, lineterminator="\n").writerows([columns.split(), *rows])
    assert rows_of(write(tmp_path / "a.csv", content.getvalue())) == [columns.split(), *rows]
    assert told == []


@pytest.mark.parametrize("quoting", [csv.QUOTE_ALL, csv.QUOTE_MINIMAL])
def test_quoted_rows_that_could_be_lines(tmp_path, told, quoting):
    """The header in quotes, or doubled quotes within them, were written by a program."""
    rows = [["text", "label"], ['she said "no",\nand left', "pos"], ["so", "neg"], ["", "pos"]]
    content = io.StringIO(newline="")
    csv.writer(content, lineterminator="\n", quoting=quoting).writerows(rows)
    path = write(tmp_path / "a.csv", content.getvalue())
    assert rows_of(path) == rows
    note = (
        f"{path}: lines 2 to 3 are read as one text, as the quotes around it say; if every line is "
        "a row, pass --quoting none"
    )
    assert {*told} == ({note} if quoting == csv.QUOTE_MINIMAL else set())


def test_a_quoted_file_that_breaks_off(tmp_path):
    content = 'text,label\n"a ""b"" c",pos\n' * 5 + '"cut of'
    path = write(tmp_path / "a.csv", content)
    with refuses(
        f"{path}, line 11: found 1 fields, expected 2 (text, label); put a field that holds the "
        "separator or a line end in double quotes"
    ):
        read_file(path, Dialect(quoting="none"))
    with refuses(
        f"{path}, line 11: found a malformed row (unexpected end of data); close every double "
        "quote, and double those within a quoted field"
    ):
        read_file(path)
    path = write(path, content + ",pos")
    with refuses(
        f"{path}, line 11: found a malformed row (unexpected end of data); close every double "
        "quote, and double those within a quoted field, or pass --quoting none if quotes are "
        "characters of the text"
    ):
        read_file(path)


def test_one_column_has_no_rows_to_look_like(tmp_path, told):
    path = write(tmp_path / "a.tsv", 'text\na\n"b\nc\n"\nd\n"e\nf"\n')
    assert rows_of(path) == [["text"], ["a"], ["b\nc\n"], ["d"], ["e\nf"]]
    line = (
        f"{path}: lines 3 to 5 are read as one text, as the quotes around it say; if every line is "
        "a row, pass --quoting none"
    )
    assert told == [line] * 2


# Separator


@pytest.mark.parametrize(
    ("name", "sep", "shown"),
    [
        ("a.csv", ";", "';'"),
        ("a.csv", "\t", "a tab"),
        ("a.csv", "|", "'|'"),
        ("a.tsv", ",", "','"),
        ("a.tsv", ";", "';'"),
    ],
)
@pytest.mark.parametrize("text", ["a, b and, c", "no comma", 'q"x'])
def test_separator_that_the_header_has(tmp_path, told, name, sep, shown, text):
    rows = [["text", "label"], *([f"{text} {n}".replace(sep, " "), "pos"] for n in range(8))]
    path = write(tmp_path / name, "".join(f"{sep.join(row)}\n" for row in rows))
    assert rows_of(path) == rows
    header = repr(sep.join(rows[0]))
    line = (
        f"{path}: the fields are separated by {shown}, as the header {header} says; --sep names "
        "another"
    )
    assert told == [line] * 2
    told.clear()
    assert rows_of(path, Dialect(sep=sep)) == rows
    assert told == []


def test_decimal_commas_and_a_comma_in_the_header(tmp_path):
    rows = [["Preis, EUR", "text", "label"], ["1,50", "gut, sehr gut", "pos"], ["2,00", "x", "neg"]]
    content = "".join(f"{';'.join(row)}\r\n" for row in rows)
    assert rows_of(write(tmp_path / "a.csv", content)) == rows
    rows = [["Preis, EUR", "text"], ["1,50", "gut"], ["2,00", "schlecht"]]
    content = "\ufeff" + "".join(f"{';'.join(row)}\r\n" for row in rows)
    found = rows_of(write(tmp_path / "b.csv", content), Dialect(sep=";"))
    assert found == rows


def test_a_separator_within_names_and_texts_stays_there(tmp_path, told):
    rows = [["text", "topic; sub|topic"], ["one; two", "a"], ["three", "b; c"]]
    path = write(tmp_path / "a.csv", "".join(f"{','.join(row)}\n" for row in rows))
    assert rows_of(path) == rows
    path = write(tmp_path / "b.csv", "text; raw\none\ntwo; three; four\n")
    assert rows_of(path) == [["text; raw"], ["one"], ["two; three; four"]]
    assert told == []


def test_separator_that_nobody_can_tell(tmp_path):
    path = write(tmp_path / "a.csv", "text;label\na, b\nc;d;e\nf\n")
    with refuses(
        f"{path}, line 1: found the header 'text;label', which holds ';' and no ',', and rows that "
        "fit neither; name what separates the fields with --sep"
    ):
        read_file(path)
    path = write(tmp_path / "b.csv", "text,a;b;c\nfine,1;0;1\nbad,0;0;1\n")
    with refuses(
        f"{path}, line 1: found the header 'text,a;b;c', whose fields may be separated by ',' or "
        "by ';'; say which with --sep"
    ):
        read_file(path)
    assert rows_of(path, Dialect(sep=","))[0] == ["text", "a;b;c"]


# Header


@pytest.mark.parametrize(
    ("first", "odd"),
    [
        ("a fine film,pos", "pos"),
        (
            "I had never before seen so long a first line,class",
            "I had never before seen so long a ",
        ),
        ("a film,1", "1"),
    ],
)
def test_a_first_line_that_looks_like_data(tmp_path, told, first, odd):
    labels = ["0", "1"] if first.endswith("1") else ["pos", "neg"]
    rows = "".join(f"text {n},{labels[n % 2]}\n" for n in range(8))
    path = write(tmp_path / "a.csv", f"{first}\n{rows}")
    read_file(path)
    (line,) = told
    assert line.startswith(
        f"{path}: the first line is read as the names of the columns, and looks like data ({odd}"
    )
    assert line.endswith("); if it is data, pass --no-header")
    told.clear()
    found = rows_of(path, Dialect(no_header=True))
    assert found[:2] == [["0", "1"], first.split(",")]
    assert len(found) == 10
    assert told == []


def test_names_do_not_look_like_data(tmp_path, told):
    read_file(write(tmp_path / "a.csv", "text,2019,,\na,1,,\nb,2,,\n"))
    read_file(write(tmp_path / "b.csv", "text,label\n"))
    assert told == []


def test_columns_without_names_are_named_by_number(tmp_path, told):
    rows = "".join(f"a film of {n} parts,{('pos', 'neg')[n % 2]}\n" for n in range(40))
    path = str(write(tmp_path / "a.csv", rows))
    with refuses(
        f"{path}: found the columns 0, 1; expected one named 'text': name the one that holds the "
        "text with --text-col, and the one of the labels, if there is one, with --label-col"
    ):
        look(path, no_header=True)
    figures = look(path, no_header=True, text_col="0", label_col="1")
    assert figures["rows"] == 40
    assert list(figures["labels"]["train"]) == ["neg", "pos"]


# Encoding


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "utf-16", "utf-16-le", "utf-8-sig"])
@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl"])
def test_encodings(tmp_path, encoding, ending):
    texts = ["£5 für Élan", "plain"]
    lines = {".jsonl": [f'{{"text": "{text}"}}' for text in texts]}.get(ending, ["text", *texts])
    path = write(tmp_path / f"a{ending}", "\n".join(lines) + "\n", encoding)
    assert read_file(path, Dialect(encoding=encoding))["text"].tolist() == texts
    path = write(path, "\ufeff" + "\n".join(lines) + "\n", "utf-16-be")
    assert read_file(path, Dialect(encoding="utf-16-be"))["text"].tolist() == texts


def test_encoding_of_a_folder(tmp_path):
    for name in ("pos", "neg"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "1.txt", "für", "cp1252")
    assert look(str(tmp_path), encoding="cp1252")["rows"] == 2


@pytest.mark.parametrize(
    ("content", "encoding", "line"),
    [
        (b"text\na\nb\x81\n", "cp1252", "line 3: found bytes that are not cp1252"),
        (b"text\na\nb\xe9\n", "utf-8", "line 3: found the byte 0xe9, which is not UTF-8"),
        (b"text\na\n", "utf-16", "line 1: found bytes that are not utf-16"),
        (b"text\n\xe9\n", "ascii", "line 2: found bytes that are not ascii"),
        (b"text\n\x81\n", "", "line 2: found the byte 0x81, which is not UTF-8; name its encoding"),
    ],
)
def test_a_wrong_encoding(tmp_path, content, encoding, line):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        read_file(path, Dialect(encoding=encoding))
    assert str(error.value).startswith(f"{path}, {line}")
    assert "--encoding" in str(error.value)


# Where they mean nothing


@pytest.mark.parametrize(
    ("name", "given", "flags"),
    [
        ("a.parquet", {"sep": ";", "encoding": "cp1252"}, "--sep, --encoding"),
        ("a.jsonl", {"no_header": True}, "--no-header"),
    ],
)
def test_formats_without_a_dialect(tmp_path, name, given, flags):
    path = write(tmp_path / name, "")
    for read in (read_file, open_table):
        with refuses(
            f"{path}: found {flags}, expected no such flag for {path.suffix}; leave it out"
        ):
            read(path, Dialect(**given))


def test_a_data_set_by_name_has_no_dialect():
    with refuses(
        "imdb-sample: found --sep, expected no such flag for a data set by name; leave it out"
    ):
        look("imdb-sample", sep=";")


# The files of public bug reports, where they are

needs_cases = pytest.mark.skipif(
    not CASES.is_dir(), reason=f"no {CASES}; ULMFIT_CASES names the folder"
)
SPAM = {"text_col": "v2", "label_col": "v1"}


@needs_cases
@pytest.mark.parametrize(
    ("name", "given", "line"),
    [
        ("c02_unquoted.tsv", {}, MERGED),
        ("c02b_unquoted_inner.tsv", {}, STRAY),
        ("c02c_unquoted.csv", {}, MERGED),
        ("c07_spam.csv", SPAM, None),
        ("c07b_spam_latin1.csv", {**SPAM, "encoding": "cp1252"}, None),
        ("c08_semicolon.csv", {}, "{}: the fields are separated by ';', as the header"),
        ("c08b_semicolon_nocomma.csv", {}, "{}: the fields are separated by ';', as the header"),
    ],
)
def test_files_that_went_wrong(told, name, given, line):
    path = str(CASES / name)
    assert look(path, **given)["rows"] == 60
    notes = [found for found in told if found.startswith(f"{path}: ") and "60 texts" not in found]
    assert [note[: len(line.format(path))] for note in notes] == (
        [line.format(path)] if line else []
    )


@needs_cases
def test_a_wrong_byte_of_windows():
    path = CASES / "c07b_spam_latin1.csv"
    with refuses(
        f"{path}, line 2: found the byte 0xa3, which is not UTF-8; pass --encoding cp1252 "
        "(Windows) if £ stands there, or save the file as UTF-8"
    ):
        look(str(path), **SPAM)
