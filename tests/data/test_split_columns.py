"""Splits of a table: fastai's is_valid, and columns that look like splits and are not read."""

import re

import pandas as pd
import pytest

from ulmfit.base.errors import UserError
from ulmfit.data.load import load_data
from ulmfit.data.spec import DataSpec


def refuses(line):
    return pytest.raises(UserError, match=f"^{re.escape(line)}$")


def table(path, **columns):
    rows = len(next(iter(columns.values())))
    texts = [f"text {n}" for n in range(rows)]
    frame = pd.DataFrame({"text": texts, "label": ["pos", "neg"] * (rows // 2), **columns})
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return path


def splits(path, **how):
    return load_data(DataSpec(path, **how))["split"].tolist()


IS_VALID = ["train", "train", "train", "train", "valid", "valid"]


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
@pytest.mark.parametrize("values", [[False, True], [0, 1]])
def test_is_valid_is_fastais_split(tmp_path, told, ending, values):
    no, yes = values
    path = table(tmp_path / f"a.{ending}", is_valid=[no] * 4 + [yes] * 2)
    assert splits(path) == IS_VALID
    assert told == [
        "no column 'split': 'is_valid' is read in its place, True is valid and False is train: "
        "4 train, 2 valid"
    ]
    told.clear()
    assert splits(path, split_col="is_valid") == IS_VALID
    assert told == []


def test_rows_of_is_valid_without_a_label_are_unsup(tmp_path, told):
    path = table(
        tmp_path / "a.csv", label=["pos", "neg", None, "pos", "neg", None], is_valid=[0, 0, 0] * 2
    )
    text = path.read_text().replace("text 3,pos,0", "text 3,pos,1")
    path.write_text(text.replace("text 4,neg,0", "text 4,neg,1"))
    assert splits(path) == ["train", "train", "unsup", "valid", "valid", "unsup"]
    assert told == [
        "no column 'split': 'is_valid' is read in its place, True is valid and False is train: "
        "2 train, 2 valid, 2 without a label unsup"
    ]
    assert splits(path, split_col="is_valid") == load_data(path)["split"].tolist()


def test_is_valid_beside_split(tmp_path, told):
    path = table(tmp_path / "a.csv", split=IS_VALID, is_valid=[True] * 6)
    assert splits(path) == IS_VALID
    assert told == [
        "found a column 'is_valid', and 'split' is read as the split; pass --split-col is_valid "
        "to use it"
    ]


def test_is_valid_of_other_values(tmp_path, told):
    path = table(tmp_path / "a.csv", is_valid=["yes", "no"] * 3)
    load_data(path)
    assert told[0] == (
        "found a column 'is_valid', which is not read: its values (no, yes) name no split; write "
        "train, valid or test into a column 'split' to use it"
    )
    with refuses(
        f"{path}: found the values 'no', 'yes' in the split column 'is_valid', expected True and "
        "False; rename them, or name another column with --split-col"
    ):
        splits(path, split_col="is_valid")


@pytest.mark.parametrize("name", ["Split", "set", "FOLD", "the part"])
def test_a_column_of_splits_that_is_not_used(tmp_path, told, name):
    path = table(tmp_path / "a.csv", **{name: ["train", "train", "dev", "dev", "test", "test"]})
    load_data(path)
    given = f"'{name}'" if " " in name else name
    assert told[0] == f"found a column '{name}'; pass --split-col {given} to use it"
    told.clear()
    assert splits(path, split_col=name) == ["train"] * 2 + ["valid"] * 2 + ["test"] * 2
    assert told == []


def test_a_column_of_folds(tmp_path, told):
    load_data(table(tmp_path / "a.csv", fold=[3, 1, 2, 3, 1, 2]))
    assert told[0] == (
        "found a column 'fold', which is not read: its values (1, 2, 3) name no split; write "
        "train, valid or test into a column 'split' to use it"
    )


def test_columns_of_other_things_are_not_mentioned(tmp_path, told):
    path = table(tmp_path / "a.csv", split=IS_VALID, fold=[0] * 6, topic=["train", "ship"] * 3)
    load_data(path)
    assert told == []
