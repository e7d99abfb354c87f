"""Files of other people that went wrong once: what `python -m ulmfit.data` says of each."""

import os
from pathlib import Path

import pytest

from ulmfit.base.errors import UserError
from ulmfit.data.__main__ import main

# They lie beside a checkout, not in it: the texts are other people's.
CASES = Path(os.environ.get("ULMFIT_CASES", Path(__file__).parents[3] / "shared" / "cases"))
TOXIC = {"text_col": "comment_text", "label_cols": ["toxic", "obscene", "threat"]}
TOPICS = ["reinforcement", "supervised", "unsupervised"]

if not CASES.is_dir():
    pytest.skip(f"no folder {CASES} with the files", allow_module_level=True)


def look(name, capsys, **flags):
    """Labels of train and valid, and the lines of the report."""
    figures = main(data=str(CASES / name), rows=0, **flags)
    labels = sorted(set().union(*figures["labels"].values()))
    return labels, figures["splits"], capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "flags", "labels", "splits", "lines"),
    [
        (
            "c01_is_valid.csv",
            {},
            ["neg", "pos"],
            {"train": 80, "valid": 20},
            ["no column 'split': 'is_valid' is read in its place"],
        ),
        (
            "c03_onehot.csv",
            {"text_col": "comment_text"},
            [],
            {"unsup": 100},
            ["pass --label-cols toxic obscene threat if each is a label"],
        ),
        (
            "c03_onehot.csv",
            TOXIC,
            ["", "obscene", "threat", "toxic"],
            {"train": 82, "valid": 9, "test": 9},
            [],
        ),
        (
            "c04_half_train.csv",
            {},
            ["1.0", "1.5", "2.0"],
            {"train": 81, "valid": 9},
            ["the labels are numbers (1.0, 1.5, 2.0): each is a class"],
        ),
        ("c04_half_test.csv", {}, [], {"test": 20}, []),
        ("c04b_versions.csv", {}, ["0.0", "1.0"], {"train": 96, "valid": 12, "test": 12}, []),
        (
            "c05_topics.csv",
            {},
            TOPICS,
            {"train": 72, "valid": 9, "test": 9},
            ["'unsupervised' is read as a class"],
        ),
        ("c05b_topics_split.csv", {}, TOPICS, {"train": 45, "valid": 15, "test": 30}, []),
        (
            "c05c_topics_multi.csv",
            {},
            sorted([*TOPICS, *(f"{topic};deep" for topic in TOPICS)]),
            {"train": 66, "valid": 12, "test": 12},
            ["3 of 6 classes have a ; in their name", "pass --multi-label"],
        ),
        (
            "c05c_topics_multi.csv",
            {"multi_label": True},
            ["deep", *TOPICS],
            {"train": 72, "valid": 9, "test": 9},
            [],
        ),
        (
            "c06b_minus1_nosplit.csv",
            {},
            ["-1", "0", "1"],
            {"train": 80, "valid": 10, "test": 10},
            ["'-1' looks like 'no label'; leave the cell empty where a text has none"],
        ),
        (
            "c11_list.jsonl",
            {"multi_label": True},
            ["", "a", "b", "c"],
            {"train": 80, "valid": 10, "test": 10},
            [],
        ),
        (
            "c14_case.csv",
            {},
            ["Neg", "Pos", "neg", "pos", "\u200bneg", "\u200bpos"],
            {"train": 118, "valid": 16, "test": 16},
            [
                "labels that differ by white space at their ends alone are read as one: 'pos', ",
                "differ by case, white space or invisible characters alone: 'Neg', 'neg', "
                "'\\u200bneg'; 'Pos', 'pos', '\\u200bpos'",
            ],
        ),
        (
            "c31_Split.csv",
            {},
            ["neg", "pos"],
            {"train": 96, "valid": 12, "test": 12},
            ["found a column 'Split'; pass --split-col Split to use it"],
        ),
        (
            "c31_Split.csv",
            {"split_col": "Split"},
            ["neg", "pos"],
            {"train": 72, "valid": 24, "test": 24},
            [],
        ),
    ],
)
def test_what_is_said(capsys, name, flags, labels, splits, lines):
    found, counts, said = look(name, capsys, **flags)
    assert (found, counts) == (labels, splits)
    assert [line for line in lines if line not in said] == []


def test_lists_name_the_flag():
    with pytest.raises(UserError, match=r"found a list in the column 'label'.* --multi-label"):
        main(data=str(CASES / "c11_list.jsonl"))
