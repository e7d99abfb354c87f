"""What is odd about labels is named, and other writings of a class are read as the class."""

import re
from collections import Counter

import pandas as pd
import pytest

from ulmfit.base.errors import UserError
from ulmfit.data.label_checks import as_classes, not_classes, remarks, tell_remarks
from ulmfit.data.labels import MULTI, SINGLE, MultiLabels, SingleLabels
from ulmfit.data.load import load_data


def refuses(line):
    return pytest.raises(UserError, match=f"^{re.escape(line)}$")


def frame_of(labels, texts=None, split="train"):
    texts = texts or [f"text {n}" for n in range(len(labels))]
    return pd.DataFrame({"text": texts, "label": labels, "split": split})


def of(*labels, **more):
    return remarks(frame_of([*labels], **more), SINGLE)


def test_plain_labels():
    assert of("pos", "neg", "pos") == of("0", "1") == of("1.0", "0.0") == of("-1", "1") == []
    assert of(None, None) == []


# Labels that are alike


def test_labels_that_differ_by_what_is_not_seen():
    (line,) = of("pos", "Pos", "\u200bpos", "neg", "n  eg", "n\xa0eg")
    assert line == (
        "labels differ by case, white space or invisible characters alone: 'Pos', 'pos', "
        "'\\u200bpos'; 'n  eg', 'n\\xa0eg'; write those that are one class alike"
    )


def test_labels_that_differ_by_the_decimals():
    assert of("1", "1.0", "2") == [
        "labels differ by the decimals of a whole number alone: '1', '1.0'; write those that are "
        "one class alike"
    ]


def test_many_labels_that_are_alike():
    (line,) = of(*"abcdeABCDE")
    assert line.endswith(
        "'A', 'a'; 'B', 'b'; 'C', 'c'; ... (5 in all); write those that are one class alike"
    )


def test_labels_of_test_are_not_looked_at():
    assert remarks(frame_of(["pos", "Pos", "-1"], split="test"), SINGLE) == []


# Labels that are none


@pytest.mark.parametrize("label", ["-1", "nan", "None", "N/A", "?"])
def test_labels_that_look_like_none(label):
    assert of("0", "1", label, label) == [
        f"'{label}' looks like 'no label'; leave the cell empty where a text has none (2 of 4 "
        "labelled rows have it)"
    ]


@pytest.mark.parametrize("label", ["unsup", "Unsupervised", "unlabelled"])
def test_a_class_that_is_called_like_a_split(label):
    assert of("supervised", label) == [
        f"'{label}' is read as a class (1 of 2 labelled rows have it); where it means that "
        "a text has no label, leave the cell empty, or call the folder unsup"
    ]


def test_one_class_and_empty_cells(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,label\na,pos\nb,\nc,pos\n")
    with refuses(
        f"{path}: found one class ('pos') in train, expected two classes at least; check the "
        "column that holds the label (--label-col) and the one that holds the split (--split-col); "
        "1 empty cells are read as no label: name their class"
    ):
        load_data(path)


# Labels that are no classes


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (["0.37", "4.5"] * 5, "2 different labels in 10 train rows, such as '0.37', '4.5'"),
        (["1.5", "2"] * 3, "2 different labels in 6 train rows, such as '1.5'"),
        (["0,5", "1,25"], "2 different labels in 2 train rows, such as '0,5', '1,25'"),
        ([f"{n / 2}" for n in range(8)] * 99, "8 different labels in 792 train rows, such as"),
        ([*map(str, range(12)), "3", "5"], "12 different labels in 14 train rows, such as"),
    ],
)
def test_numbers_to_predict(labels, found):
    line = not_classes(Counter(labels))
    assert line.startswith(found)
    assert line.endswith(
        ": these look like numbers to predict, not classes; cut them into a few ranges with a name "
        "each, such as low and high"
    )


@pytest.mark.parametrize(
    "labels",
    [
        ["1.0", "1.5", "2.0"] * 10,  # steps of a scale
        ["1.0", "0.0"],
        ["1", "2", "3", "4", "5"],
        ["v1.5", "v2.25"],
        [*map(str, range(12))] * 2,
        ["a", "b", "c"],
    ],
)
def test_classes(labels):
    assert not_classes(Counter(labels)) is None


def test_a_name_for_each_text():
    assert not_classes(Counter(f"id {n}" for n in range(10))) == (
        "10 different labels in 10 train rows, such as 'id 0', 'id 1', 'id 2': these look like "
        "names or ids, not classes; name the column that holds the class with --label-col"
    )


def test_steps_of_a_scale_are_mentioned():
    assert of("1.0", "1.5", "2.0") == [
        "the labels are numbers (1.0, 1.5, 2.0): each is a class, and their order is not learned"
    ]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_numbers_are_refused_for_a_classifier_alone(tmp_path, ending):
    frame = frame_of([n / 7 for n in range(1, 7)]).drop(columns="split")
    path = tmp_path / f"a.{ending}"
    if ending == "csv":
        frame.to_csv(path, index=False)
    elif ending == "jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_parquet(path)
    with pytest.raises(UserError, match="these look like numbers to predict, not classes"):
        load_data(path)
    assert len(load_data(path, labels_required=False)) == 6


# Several labels


def test_a_separator_without_the_flag():
    assert of("a;b", "a", "b") == [
        "1 of 3 classes have a ; in their name; where it separates labels of one text, pass "
        "--multi-label"
    ]


def test_the_flag_without_a_separator():
    start = "--multi-label: found no text with more than one label"
    assert remarks(frame_of(["a", "b", ""]), MULTI) == [
        f"{start}; name what separates labels with --label-sep, or leave --multi-label out if no "
        "text can have several"
    ]
    assert remarks(frame_of(["a|b", "b"]), MULTI) == [
        f"{start}, and '|' in 1 of 2 labels; where it separates labels, pass --label-sep '|'"
    ]
    assert remarks(frame_of(["a;b", "b"]), MULTI) == []


# Contradictions


def test_texts_with_different_labels_are_counted():
    texts = ["one", "two", "ONE ", "one", "three", "two", "", " "]
    labels = ["pos", "neg", "neg", "pos", "pos", "neg", "pos", "neg"]
    assert of(*labels, texts=texts) == [
        "1 text has different labels in different rows, 3 in all, such as rows 1 and 3; correct "
        "the labels, or drop those rows"
    ]


def test_sets_of_labels_that_differ(told):
    frame = frame_of(["a;b", "a", "a;b", "b"], ["one", "one", "two", "TWO"])
    tell_remarks(frame, MULTI)
    assert told == [
        "2 texts have different labels in different rows, 4 in all, such as rows 1 and 2; correct "
        "the labels, or drop those rows"
    ]


# Other writings of the classes


@pytest.mark.parametrize(
    ("classes", "label", "expected"),
    [
        (["0.0", "1.0"], "1", "1.0"),
        (["0", "1"], "1.0", "1"),
        (["neg", "pos"], "POS", "pos"),
        (["Very Good", "bad"], "very  good", "Very Good"),
        (["neg", "pos"], "\u200bpos", "pos"),
        (["False", "True"], "true", "True"),
    ],
)
def test_another_writing_of_a_class(told, classes, label, expected):
    frame = as_classes(frame_of([label, classes[0], None]), SingleLabels(classes))
    assert frame["label"].tolist()[:2] == [expected, classes[0]]
    assert pd.isna(frame["label"][2])
    assert told == [
        f"labels of another writing are read as the classifier's classes: {label!r} as {expected!r}"
    ]


@pytest.mark.parametrize(
    ("classes", "label"),
    [(["Pos", "pos"], "POS"), (["1", "1.0"], "1.00"), (["0", "1"], "1.5"), (["a", "b"], "c")],
)
def test_what_is_not_unambiguous_stays(told, classes, label):
    frame = as_classes(frame_of([label, *classes]), SingleLabels(classes))
    assert frame["label"].tolist() == [label, *classes]
    assert told == []


def test_another_writing_among_several_labels():
    frame = as_classes(frame_of(["B;a", "", "b"]), MultiLabels(["a", "b"]))
    assert frame["label"].tolist() == ["a;b", "", "b"]
