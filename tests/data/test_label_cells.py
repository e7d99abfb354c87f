"""Labels of a source as cells: as they are written, of lists, of one column a label."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from ulmfit.base.errors import UserError
from ulmfit.data.columns import read_columns
from ulmfit.data.labels import MULTI, SingleLabels
from ulmfit.data.spec import DataSpec


def refuses(line):
    return pytest.raises(UserError, match=f"^{re.escape(line)}$")


def table(path, values, column="label"):
    """A file of one text for each value, in the format that the ending of `path` names."""
    rows = pd.DataFrame({"text": [f"text {n}" for n in range(len(values))], column: values})
    if path.suffix == ".jsonl":
        lines = ({"text": f"text {n}", column: value} for n, value in enumerate(values))
        path.write_text("\n".join(map(json.dumps, lines)))
    elif path.suffix == ".parquet":
        rows.to_parquet(path)
    else:
        rows.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return path


def labels(path, **how):
    return read_columns(DataSpec(path, **how)).labels


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_text_stays_as_it_is_written(tmp_path, told, ending):
    written = ["1.0", "0", "0.0", "1.50", "01"]
    assert labels(table(tmp_path / f"a.{ending}", written)) == written
    assert told == []


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_whole_floats_lose_their_decimals_whatever_the_others_are(tmp_path, told, ending):
    assert labels(table(tmp_path / f"a.{ending}", [1.0, 1.5, 2.0])) == ["1", "1.5", "2"]
    assert told == ["whole numbers in the column 'label' are labels without .0: 1, 2"]


def test_white_space_at_the_ends_is_told_where_it_makes_labels_one(tmp_path, told):
    assert labels(table(tmp_path / "a.csv", [" neg", " pos", " neg"])) == ["neg", "pos", "neg"]
    assert told == []
    assert labels(table(tmp_path / "b.csv", ["neg", "pos", "neg\xa0"])) == ["neg", "pos", "neg"]
    assert told == [
        "labels that differ by white space at their ends alone are read as one: 'neg', 'neg\\xa0'"
    ]


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_empty_strings_are_asked_about(tmp_path, told, ending):
    assert labels(table(tmp_path / f"a.{ending}", ["pos", "", None, " "])) == ["pos", *[None] * 3]
    assert told == [
        "2 labels are empty strings, read as no label; give the class a name where they mean one"
    ]


def test_empty_cells_of_csv_are_missing_labels(tmp_path, told):
    assert labels(table(tmp_path / "a.csv", ["pos", "", None])) == ["pos", None, None]
    assert told == []


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_lists_are_several_labels(tmp_path, ending):
    path = table(tmp_path / f"a.{ending}", [["b", " a", "b"], [], ["c"], None])
    assert labels(path, labels=MULTI) == ["b;a", "", "c", None]


def test_lists_of_numbers_and_cells_beside_them(tmp_path):
    path = table(tmp_path / "a.jsonl", [[1, 2.0], "x; y", 3, [None]])
    assert labels(path, labels=MULTI) == ["1;2", "x;y", "3", ""]


@pytest.mark.parametrize(("ending", "kind"), [("jsonl", "list"), ("parquet", "list")])
def test_lists_where_a_text_has_one_label(tmp_path, ending, kind):
    path = table(tmp_path / f"a.{ending}", [["a"], ["b"]])
    with refuses(
        f"{path}, row 1: found a {kind} in the column 'label', expected one label a text; pass "
        "--multi-label if a text may have more"
    ):
        labels(path)
    with refuses(
        f"{path}, row 1: found a {kind} in the column 'label', expected one label a text; give one "
        "each"
    ):
        labels(path, labels=SingleLabels(["a", "b"]))


def test_objects_are_no_labels(tmp_path):
    path = table(tmp_path / "a.jsonl", ["a", {"b": 1}])
    with refuses(
        f"{path}, row 2: found a dict in the column 'label', expected one string a row; convert it "
        "or name another column"
    ):
        labels(path)
    path = table(tmp_path / "b.jsonl", [["a", ["b"]]])
    with refuses(
        f"{path}, row 1: found a list in the column 'label', expected one string a row; convert it "
        "or name another column"
    ):
        labels(path, labels=MULTI)


@pytest.mark.parametrize("separator", ["|", ",", " ", " / "])
def test_another_separator(tmp_path, separator):
    path = table(tmp_path / "a.csv", [separator.join("xy"), "y", ""])
    assert labels(path, labels=MULTI, label_sep=separator) == ["x;y", "y", None]


def test_labels_that_hold_the_separator_of_the_output(tmp_path):
    path = table(tmp_path / "a.csv", ["a|b", "c;d"])
    with refuses(
        f"{path}, row 2: found a ';' in the label 'c;d', expected none: it separates labels in "
        "what the program writes; write the label without it"
    ):
        labels(path, labels=MULTI, label_sep="|")
    assert labels(path) == ["a|b", "c;d"]


def test_a_separator_for_one_label(tmp_path):
    path = table(tmp_path / "a.csv", ["a,b"])
    with refuses(
        "found --label-sep, which is for several labels a text, without --multi-label; pass both, "
        "or neither"
    ):
        labels(path, label_sep=",")
    with refuses(
        "found --label-sep, which is for several labels a text, and the classifier gives one; "
        "leave it out"
    ):
        labels(path, label_sep=",", labels=SingleLabels(["a", "b"]))


# One column a label


def marked(path, *columns):
    names = ["toxic", "rude", "odd one"][: len(columns)]
    columns = dict(zip(names, columns, strict=True))
    frame = pd.DataFrame({"text": [f"text {n}" for n in range(len(columns["toxic"]))], **columns})
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_csv(path, index=False)
    return path


def of_columns(path, *names):
    return labels(path, label_cols=names or ("toxic", "rude"), labels=MULTI)


def test_one_column_a_label(tmp_path):
    path = marked(tmp_path / "a.csv", ["1", "0", "true", ""], ["1", "FALSE", "0.0", ""], [9] * 4)
    assert of_columns(path) == ["toxic;rude", "", "toxic", None]


@pytest.mark.parametrize("kind", [bool, int, float, "Int64"])
def test_one_column_a_label_in_parquet(tmp_path, kind):
    toxic, rude = (pd.Series(values).astype(kind) for values in ([1, 0, 0], [1, 0, 1]))
    assert of_columns(marked(tmp_path / "a.parquet", toxic, rude)) == ["toxic;rude", "", "rude"]


@pytest.mark.parametrize(("value", "shown"), [("2", "2"), ("-1", "-1"), ("yes", "yes")])
def test_other_values_in_a_column_of_a_label(tmp_path, value, shown):
    path = marked(tmp_path / "a.csv", ["1", "0", value], ["1", "0", "1"])
    with refuses(
        f"{path}, row 3: found '{shown}' in the column 'toxic' of --label-cols, expected 0, 1, "
        "true, false or nothing; correct it"
    ):
        of_columns(path)


def test_columns_of_labels_that_are_missing(tmp_path):
    path = marked(tmp_path / "a.csv", ["1"], ["0"])
    with refuses(
        f"{path}: found the columns text, toxic, rude; expected those of --label-cols, of which "
        "mild are missing; correct the names".replace("are", "is")
    ):
        of_columns(path, "toxic", "mild")


def test_columns_of_labels_beside_a_column_of_labels(tmp_path):
    path = marked(tmp_path / "a.csv", ["1"], ["0"])
    with refuses(
        "found --label-cols and --label-col, expected one of them: with --label-cols each label "
        "has a column of its own"
    ):
        labels(path, label_cols=["toxic"], label_col="rude", labels=MULTI)


def test_columns_of_labels_are_for_files(tmp_path):
    with refuses(
        f"{tmp_path}: found --label-cols, which map the columns of a file, expected none for a "
        "folder or a data set by name; leave them out"
    ):
        of_columns(tmp_path)


def test_columns_that_may_be_labels_are_mentioned(tmp_path, told):
    columns = (np.tile([0, 1], 3), ["true", "false"] * 3, [""] * 6)
    path = marked(tmp_path / "a.csv", *columns)
    assert labels(path) is None
    assert told == [
        "found columns that hold 0 and 1 alone; pass --label-cols toxic rude if each is a label"
    ]
    with refuses(
        f"{path}: found the columns text, toxic, rude, odd one; expected one named 'label': name "
        "the one that holds the label with --label-col, or pass --label-cols toxic rude if each "
        "of these is a label"
    ):
        read_columns(DataSpec(path), labels_required=True)


@pytest.mark.parametrize("name", ["Label", "labels", "Class"])
def test_a_column_that_may_be_the_label_is_mentioned(tmp_path, told, name):
    assert labels(table(tmp_path / "a.csv", ["pos", "neg"], name)) is None
    assert told == [f"found a column '{name}'; pass --label-col {name} if it holds the labels"]
