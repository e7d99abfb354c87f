"""Duplicates, the figures of the pre-flight command, its report and its warnings."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from ulmfit.data.__main__ import main
from ulmfit.data.duplicates import exact_groups, near_duplicate_groups, normalise
from ulmfit.data.preflight import examples, preflight, report
from ulmfit.text.processor import TextProcessor

LONG = (
    "the ferry left the harbour at dawn and nobody on the quay waved because the fog had already "
    "hidden the rail the flags and the faces of the forty people who would not come back before "
    "the winter was over and the ice had gone"
)


def split(processor, texts):
    """Stands in for the tokenizer of the text processor."""
    assert processor.kind == "word"
    return [["xxbos", *text.split()] for text in texts]


@pytest.fixture(autouse=True)
def quick_tokens(monkeypatch):
    monkeypatch.setattr(TextProcessor, "tokenize", split)


def frame_of(*rows):
    return pd.DataFrame(rows, columns=["text", "label", "split"])


# Duplicates


def test_normalise():
    assert normalise(" Two<br /><BR>words\n here ") == "two words here"


def test_exact_groups():
    texts = ["A  b", "c", "a<br/>b", "", " ", "C"]
    assert exact_groups(texts).tolist() == [0, 1, 0, 3, 3, 1]


def test_near_duplicates_are_transitive_and_named_by_the_first():
    words = LONG.split()
    texts = [
        "something else altogether was said about the ferry",
        LONG,
        " ".join([*words[2:], "again"]),
        " ".join([*words[4:], "again", "at", "last"]),
        LONG.upper() + "!",
        " ".join(reversed(words)),
    ]
    assert near_duplicate_groups(texts).tolist() == [0, 1, 1, 1, 1, 5]


def test_near_duplicates_of_short_and_odd_texts():
    texts = ["good film", "good film!", "good", "", "!!!", "???", "film good", "!!!"]
    assert near_duplicate_groups(texts).tolist() == [0, 0, 2, 3, 4, 5, 6, 4]


def test_near_duplicates_without_spaces_between_words():
    one = "".join(chr(0x4E00 + 7 * n) for n in range(60))
    other = "".join(chr(0x6E00 + 7 * n) for n in range(60))
    assert near_duplicate_groups([one, other, one[:-1]]).tolist() == [0, 1, 0]


@pytest.mark.parametrize("texts", [[], ["one"]])
def test_near_duplicates_of_next_to_nothing(texts):
    groups = near_duplicate_groups(texts)
    assert groups.tolist() == list(range(len(texts)))
    assert groups.dtype == np.int64


def test_near_duplicates_are_those_of_comparing_all_pairs():
    rng = np.random.default_rng(0)
    texts = []
    for _ in range(60):
        words = rng.integers(0, 1000, 60).astype(str)
        texts.append(" ".join(words))
        words[rng.integers(0, 60, rng.integers(0, 6))] = "changed"
        texts.append(" ".join(words))

    def shingles(text):
        words = text.split()
        return {tuple(words[n : n + 5]) for n in range(len(words) - 4)}

    sets = [shingles(text) for text in texts]
    expected = list(range(len(texts)))
    for row in range(1, len(texts), 2):
        one, other = sets[row - 1], sets[row]
        if len(one & other) / len(one | other) >= 0.7:
            expected[row] = row - 1
    assert 20 < sum(n != row for row, n in enumerate(expected)) < 50
    assert near_duplicate_groups(pd.Series(texts, index=range(7, 127))).tolist() == expected


def test_near_duplicates_are_kept(tmp_path, monkeypatch):
    texts = ["a film about the sea again", "A film about the sea again!", "good", "Good", ""]
    expected = near_duplicate_groups(texts).tolist()
    assert near_duplicate_groups(texts, tmp_path).tolist() == expected == [0, 0, 2, 2, 4]

    def search(texts):
        raise LookupError

    monkeypatch.setattr("ulmfit.data.duplicates._shingles", search)
    assert near_duplicate_groups(pd.Series(texts), tmp_path).tolist() == expected
    with pytest.raises(LookupError):
        near_duplicate_groups(texts[1:], tmp_path)


# Figures


def test_figures():
    frame = frame_of(
        ("one two", "pos", "train"),
        ("three", "neg", "train"),
        ("Three", "neg", "train"),
        ("", None, "train"),
        ("ONE  two", "pos", "valid"),
        (LONG, None, "test"),
        (" ", None, "unsup"),
        (LONG + " now", None, "unsup"),
    )
    figures = preflight(frame)
    assert figures["rows"] == 8
    assert figures["splits"] == {"train": 4, "valid": 1, "test": 1, "unsup": 2}
    assert figures["labels"] == {"train": {"": 1, "neg": 2, "pos": 1}, "valid": {"pos": 1}}
    assert figures["lengths"]["train"] == {
        "characters": {"median": 5, "p90": 6, "max": 7},
        "words": {"median": 1, "p90": 1, "max": 2},
    }
    assert (figures["empty"], figures["repeated"]) == (2, 2)
    assert figures["overlap"] == {
        "train-test": {"exact": 0, "near": 0},
        "train-valid": {"exact": 1, "near": 0},
        "valid-test": {"exact": 0, "near": 0},
        "unsup-test": {"exact": 0, "near": 1},
    }
    assert figures["warnings"] == [
        "1 train rows have no label; a classifier refuses them",
        "3 labelled train rows are few; expect unsteady scores",
        "fewer than 10 train rows in some classes: neg, pos",
        "train and valid share texts: scores flatter the model; drop the repeated rows",
        "2 texts are empty; drop those rows",
    ]


def test_labels_of_test_are_not_read():
    frame = frame_of(("a", "pos", "train"), ("b", "secret", "test"))
    figures = preflight(frame)
    assert "secret" not in repr(figures) + report("x", figures)


def test_one_line_names_all_splits_that_share_texts():
    rows = [(f"text {n} {split}", "a", split) for split in ("train", "valid") for n in range(9)]
    same = [("the same", "a", split) for split in ("train", "valid", "test")]
    assert preflight(frame_of(*rows, *same))["warnings"][-1] == (
        "train and test, train and valid, valid and test share texts: scores flatter the model; "
        "drop the repeated rows"
    )


@pytest.mark.parametrize(
    ("counts", "line"),
    [
        (
            {},
            "no labelled train rows: enough for a language model, not for a classifier; "
            "--label-col names the column of the labels",
        ),
        ({"pos": 200}, "train has one class only ('pos'); a classifier needs two"),
        (
            {"pos": 221, "neg": 20},
            "classes are unbalanced, 11 to 1 ('pos' 221, 'neg' 20); judge by macro F1, not by "
            "accuracy",
        ),
    ],
)
def test_warnings_of_labels(counts, line):
    rows = [(f"{label} {n}", label, "train") for label in counts for n in range(counts[label])]
    assert preflight(frame_of(*rows, ("x", None, "unsup")))["warnings"] == [line]


def test_nothing_to_warn_of():
    rows = [(f"{label} {n}", label, "train") for label in ("a", "b") for n in range(60)]
    figures = preflight(frame_of(*rows))
    assert figures["warnings"] == []
    assert report("x", figures).endswith("\n\nnothing to warn of")


# Report and command


def test_warnings_on_labels():
    rows = [(f"text {n}", f"{n / 4}", "train") for n in range(1, 9)]
    warnings = preflight(frame_of(*rows, ("TEXT 1", "Nan", "valid")))["warnings"]
    assert warnings[0] == (
        "found 8 different labels in 8 train rows, such as '0.25', '0.5', '0.75': these look like "
        "numbers to predict, not classes; cut them into a few ranges with a name each, such as low "
        "and high; stage 3 refuses them"
    )
    assert warnings[-2:] == [
        "1 text has different labels in different rows, 2 in all, such as rows 1 and 9; correct "
        "the labels, or drop those rows",
        "train and valid share texts: scores flatter the model; drop the repeated rows",
    ]
    assert any(line.startswith("'Nan' looks like 'no label'") for line in warnings)


def test_labels_of_the_report_show_what_is_invisible():
    figures = preflight(frame_of(("a", "pos", "train"), ("b", "\u200bpos", "train")))
    assert "\n\\u200bpos      1\n" in report("x", figures)


def test_examples_are_spread_over_train_and_skip_empty_texts():
    rows = [("", "a", "train"), *((f"text {n}", "a", "train") for n in range(9))]
    shown = examples(frame_of(*rows, ("other", None, "unsup")), 3)
    assert shown == [("train, a", f"text {n}", ["xxbos", "text", str(n)]) for n in (0, 4, 8)]
    assert examples(frame_of(("only", None, "unsup")), 3)[0][0] == "unsup"
    assert examples(frame_of(*rows), 0) == []


def test_command_prints_a_report_and_returns_the_figures(tmp_path, capsys):
    path = tmp_path / "a.csv"
    rows = ["text,label,split", "one two,pos,train", "three,neg,train", "one two,pos,dev"]
    path.write_text("\n".join([*rows, "five six,neg,test"]))
    figures = main(data=str(path), rows=1)
    assert (
        capsys.readouterr().out
        == f"""{path}: 4 texts

split  rows  characters: median  90%  max  words: median  90%  max
train     2                   6    6    7              1    1    2
valid     1                   7    7    7              2    2    2
test      1                   8    8    8              2    2    2

label  train  valid
neg        1      0
pos        1      1
The labels of test are left unread: evaluate alone reads them.

empty texts: 0; repeated texts: 1

texts of one split in another  equal  nearly equal
test in train                      0             0
valid in train                     1             0
test in valid                      0             0

0.0 % of the tokens are unknown to wiki-en-small; from 20 % on, this is a warning

[train, pos]
  one two
  3 tokens, as the model sees them:
  xxbos one two

warning: 2 labelled train rows are few; expect unsteady scores
warning: fewer than 10 train rows in some classes: neg, pos
warning: train and valid share texts: scores flatter the model; drop the repeated rows
"""
    )
    assert figures["splits"] == {"train": 2, "valid": 1, "test": 1}
    assert figures["unknown"] == {"model": "wiki-en-small", "share": 0.0, "fits": True}


FOREIGN = {
    "这部电影很好看": (
        "the texts have no spaces between words, and 100.0 % of the tokens are unknown to "
        "wiki-en-small: ulmfit train and ulmfit lm train on these texts alone, in subwords"
    ),
    "Η ταινία ήταν πολύ καλή": (
        "100.0 % of the tokens are unknown to wiki-en-small: ulmfit train and ulmfit lm train on "
        "these texts alone, in subwords"
    ),
    "the film was ταινία": (
        "25.0 % of the tokens are unknown to wiki-en-small; ulmfit train --recipe own-text "
        "starts from no other model and trains on these texts alone, in subwords"
    ),
}


@pytest.mark.parametrize("text", FOREIGN)
def test_texts_that_the_general_model_does_not_know_are_warned_of(tmp_path, text, capsys):
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["text,label", *[f"{text},{label}" for label in "ab" * 20]]))
    figures = main(data=str(path), rows=0)
    assert FOREIGN[text] in figures["warnings"]
    said = capsys.readouterr().out
    assert said.count("unknown to") == 1
    assert f"warning: {FOREIGN[text]}" in said.splitlines()


def test_invisible_texts_count_as_empty(tmp_path):
    path = tmp_path / "a.jsonl"
    texts = ["\u200b", "\u3000\ufeff", "<br />", "good", "bad"]
    path.write_text("\n".join(json.dumps({"text": text}) for text in texts))
    assert main(data=str(path), rows=0)["empty"] == 3


def test_long_texts_are_cut(capsys):
    figures = preflight(frame_of(("word " * 200, "a", "train")))
    text = report("x", figures, [("train, a", "word " * 200, ["word"] * 200)])
    assert "200 tokens, as the model sees them:" in text
    assert text.count(" ...") == 2
    assert max(map(len, text.splitlines())) <= 100


def test_command_line_refuses_in_one_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "ulmfit.data", "--data", "nowhere.csv"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: no file or folder nowhere.csv, and no data set of that name; names: imdb, "
        "imdb-sample, emotion, spanish-reviews\n"
    )
