"""Names, files and folders become one frame: text, label, split; or one line says why not."""

import re

import pandas as pd
import pytest

from ulmfit.base.errors import UserError
from ulmfit.data.load import load_with_test_labels as load_data
from ulmfit.data.load import same_source, source_name, without_test_labels
from ulmfit.data.spec import DataSpec
from ulmfit.data.splits import divide, keep_labels


def refuses(line):
    return pytest.raises(UserError, match=f"^{re.escape(line)}$")


def csv(path, rows, header="text,label,split"):
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


SPLIT_ROWS = ["a,pos,train", "b,neg,train", "c,pos,valid", "d,neg,test"]


def labels_of(frame):
    return [None if pd.isna(label) else label for label in frame["label"]]


# Columns


def test_frame_has_three_columns_in_the_order_of_the_source(tmp_path, told):
    path = csv(tmp_path / "a.csv", [f"{row},7" for row in SPLIT_ROWS], "text,label,split,id")
    frame = load_data(path)
    assert list(frame.columns) == ["text", "label", "split"]
    assert frame["text"].tolist() == list("abcd")
    assert frame["label"].tolist() == ["pos", "neg", "pos", "neg"]
    assert frame["split"].tolist() == ["train", "train", "valid", "test"]
    assert frame.index.tolist() == [0, 1, 2, 3]
    assert told == []


def test_columns_are_mapped(tmp_path):
    path = csv(tmp_path / "a.csv", SPLIT_ROWS, "review,stars,part")
    frame = load_data(DataSpec(str(path), "review", "stars", "part"))
    assert frame["text"].tolist() == list("abcd")
    assert frame["label"].tolist() == ["pos", "neg", "pos", "neg"]
    assert frame["split"].tolist() == ["train", "train", "valid", "test"]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_validation_rows_that_are_given_stay_what_they_are(tmp_path, seed, told):
    """Whatever the seed, and though test is missing: nothing is drawn."""
    rows = [f"text {n},{n % 2},{'dev' if n in (3, 8) else 'train'}" for n in range(40)]
    path = csv(tmp_path / "a.csv", rows, "text,label,part")
    frame = load_data(DataSpec(path, split_col="part", seed=seed))
    assert frame.index[frame["split"] == "valid"].tolist() == [3, 8]
    assert set(frame["split"]) == {"train", "valid"}
    assert frame.attrs["drawn"] == []
    assert told == []


@pytest.mark.parametrize(
    ("header", "given", "expected", "kind"),
    [
        ("review,label,split", {}, "text", "text"),
        ("text,stars,split", {}, "label", "label"),
        ("text,label,split", {"text_col": "body"}, "body", "text"),
        ("text,label,split", {"split_col": "part"}, "part", "split"),
    ],
)
def test_missing_column(tmp_path, header, given, expected, kind):
    path = csv(tmp_path / "a.csv", SPLIT_ROWS, header)
    with refuses(
        f"{path}: found the columns {header.replace(',', ', ')}; expected one named '{expected}': "
        f"name the one that holds the {kind} with --{kind}-col"
    ):
        load_data(DataSpec(path, **given))


def test_label_column_may_be_missing_where_none_is_required(tmp_path, told):
    path = csv(tmp_path / "a.csv", ["a,train", "b,test"], "text,split")
    frame = load_data(path, labels_required=False)
    assert frame["label"].isna().all()
    assert told == [
        "no valid rows: 10% of train becomes valid, stratified, from seed 42: 1 train, 0 valid, "
        "1 test, 0 unsup; left whole in train, too small to divide: no label (1)"
    ]


def test_flags_that_map_columns_are_for_files(tmp_path):
    with refuses(
        f"{tmp_path}: found --text-col, --split-col, which map the columns of a file, expected "
        "none for a folder or a data set by name; leave them out"
    ):
        load_data(DataSpec(tmp_path, text_col="a", split_col="b"))


def test_no_such_data():
    with refuses(
        "no file or folder nowhere.csv, and no data set of that name; names: imdb, "
        "imdb-sample, emotion, spanish-reviews"
    ):
        load_data("nowhere.csv")


# Texts


def test_missing_texts_become_empty_ones_and_are_told_once(tmp_path, told):
    path = tmp_path / "a.parquet"
    frame = pd.DataFrame(
        {"text": ["a", None, " ", "null"], "label": list("xyxy"), "split": "train"}
    )
    frame.loc[3, "split"] = "valid"
    frame.to_parquet(path)
    assert load_data(path)["text"].tolist() == ["a", "", " ", "null"]
    assert told == ["2 of 4 texts are missing or empty; kept as empty texts"]


def test_texts_that_are_no_strings(tmp_path):
    frame = pd.DataFrame({"text": [1, 2], "label": ["x", "y"], "split": ["train", "test"]})
    frame.to_parquet(tmp_path / "a.parquet")
    read = load_data(tmp_path / "a.parquet", labels_required=False)
    assert read["text"].tolist() == ["1", "2"]


def test_texts_stay_a_column(tmp_path, monkeypatch, told):
    csv(tmp_path / "a.csv", SPLIT_ROWS * 1000)
    taken, tolist = [], pd.Series.tolist
    load_data(tmp_path / "a.csv").to_parquet(tmp_path / "a.parquet")
    monkeypatch.setattr(
        pd.Series,
        "tolist",
        lambda s: taken.append(len(s)) or tolist(s) if s.name == "text" else tolist(s),
    )
    assert load_data(tmp_path / "a.parquet")["text"].tolist()[:2] == ["a", "b"]
    assert sorted(set(taken)) == [1000, 4000]  # 4,000: the line above
    assert told == []


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("", "no rows"),
        ("text,label\n", "no rows"),
        ('text,label\n"",pos\n" ",neg\n', "2 rows and no text in any of them"),
    ],
)
def test_no_texts(tmp_path, content, found):
    path = tmp_path / "a.csv"
    path.write_text(content)
    with refuses(f"{path}: found {found}, expected some with a text; check the path"):
        load_data(path)


def test_texts_that_are_lists(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a", "label": 1}\n{"text": ["b", "c"], "label": 0}\n')
    with refuses(
        f"{path}, row 2: found a list in the column 'text', expected one string a row; convert it "
        "or name another column"
    ):
        load_data(path)


# Labels


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ("[0, 1, 1]", ["0", "1", "1"]),
        ("[0, 1, null]", ["0", "1", None]),
        ("[1.5, 1.0, 2.0]", ["1.5", "1", "2"]),
        ("[true, false, null]", ["True", "False", None]),
        ('["1.0", "0.0", ""]', ["1.0", "0.0", None]),
        ('[" pos", "neg", " "]', ["pos", "neg", None]),
    ],
)
def test_labels_become_strings(tmp_path, values, labels):
    import json

    rows = [{"text": "t", "split": "test", "label": label} for label in json.loads(values)]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    assert labels_of(load_data(path, labels_required=False)) == labels


def test_categories_and_nullable_integers_of_parquet(tmp_path):
    frame = pd.DataFrame({"text": list("abc"), "split": "test"})
    frame["label"] = pd.array([1, None, 0], dtype="Int64")
    frame.to_parquet(tmp_path / "a.parquet")
    assert labels_of(load_data(tmp_path / "a.parquet", labels_required=False)) == ["1", None, "0"]
    frame["label"] = pd.Categorical(["x", None, "y"])
    frame.to_parquet(tmp_path / "a.parquet")
    assert labels_of(load_data(tmp_path / "a.parquet", labels_required=False)) == ["x", None, "y"]


def test_labels_are_lines_that_can_be_shown(tmp_path):
    path = tmp_path / "a.parquet"
    frame = pd.DataFrame({"text": list("ab"), "label": ["very\r\n good\t", "bad\xa0one"]})
    frame.assign(split="test").to_parquet(path)
    found = load_data(path, labels_required=False)
    assert found["label"].tolist() == ["very good", "bad\xa0one"]
    frame.assign(label=["good", "\x1b[2Jbad"], split="test").to_parquet(path)
    with refuses(
        f"{path}, row 2: found the label '\\x1b[2Jbad', which has characters that cannot be shown; "
        "correct it, or name another column with --label-col"
    ):
        load_data(path, labels_required=False)


def test_unsup_rows_lose_their_label_which_is_told(tmp_path, told):
    rows = [*SPLIT_ROWS, "e,pos,unsupervised", "f,unsup,unsup", "g,,unlabelled"]
    frame = load_data(csv(tmp_path / "a.csv", rows))
    assert frame["split"].tolist()[4:] == ["unsup"] * 3
    assert labels_of(frame)[4:] == [None] * 3
    assert told == ["1 rows have a label and are in split unsup: it is not read"]


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
@pytest.mark.parametrize("name", ["unsup", "Unsupervised", "unlabelled", "train", "test"])
def test_a_class_may_be_called_like_a_split(tmp_path, ending, name):
    rows = pd.DataFrame({"text": list("abcd"), "label": ["other", name] * 2})
    for columns in ({}, {"split": ["train", "train", "valid", "valid"]}):
        frame, path = rows.assign(**columns), tmp_path / f"a.{ending}"
        if ending == "jsonl":
            frame.to_json(path, orient="records", lines=True)
        elif ending == "parquet":
            frame.to_parquet(path)
        else:
            frame.to_csv(path, index=False, sep="\t" if ending == "tsv" else ",")
        found = load_data(path)
        assert found["label"].tolist() == ["other", name] * 2
        assert "unsup" not in found["split"].tolist()


@pytest.mark.parametrize(("split", "of"), [("train", 3), ("valid", 2)])
def test_missing_labels(tmp_path, split, of):
    path = csv(tmp_path / "a.csv", [*SPLIT_ROWS, f"e,,{split}"])
    with refuses(
        f"{path}: found 1 of {of} {split} rows without a label (the first is row 5), expected "
        "none; label them, or set their split to unsup"
    ):
        load_data(path)
    assert len(load_data(path, labels_required=False)) == 5


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        (["a,pos,train", "b,pos,train", "c,neg,test"], "one class ('pos')"),
        (["a,pos,test", "b,neg,test"], "no labelled rows"),
    ],
)
def test_train_without_two_classes(tmp_path, rows, found):
    path = csv(tmp_path / "a.csv", rows)
    with refuses(
        f"{path}: found {found} in train, expected two classes at least; check the column that "
        "holds the label (--label-col) and the one that holds the split (--split-col)"
    ):
        load_data(path)
    assert len(load_data(path, labels_required=False)) == len(rows)


def test_valid_with_other_classes(tmp_path):
    path = csv(tmp_path / "a.csv", [*SPLIT_ROWS, "e,meh,valid"])
    with refuses(
        f"{path}: found labels in valid that train lacks (meh), expected the same classes; correct "
        "them or move some of their rows to train"
    ):
        load_data(path)


def test_test_rows_need_no_label(tmp_path, told):
    frame = load_data(csv(tmp_path / "a.csv", [*SPLIT_ROWS, "e,,test"]))
    assert labels_of(frame)[-2:] == ["neg", None]
    assert told == []


def test_without_test_labels_hides_those_alone(tmp_path):
    frame = load_data(csv(tmp_path / "a.csv", SPLIT_ROWS))
    hidden = without_test_labels(frame)
    assert labels_of(hidden) == ["pos", "neg", "pos", None]
    assert labels_of(frame) == ["pos", "neg", "pos", "neg"]


# Splits


def test_unknown_split(tmp_path):
    path = csv(tmp_path / "a.csv", [*SPLIT_ROWS, "e,pos,holdout", "f,pos,"])
    with refuses(
        f"{path}: found the values '', 'holdout' in the split column 'split', expected train, "
        "valid, test, unsup; rename them, or name another column with --split-col"
    ):
        load_data(path)


def test_many_unknown_splits_are_cut_short(tmp_path):
    path = csv(tmp_path / "a.csv", [f"a,pos,{n}" for n in range(9)])
    with pytest.raises(UserError, match=r"found the values '0', '1', '2', '3', '4', \.\.\. in"):
        load_data(path)


def unsplit(tmp_path, **counts):
    rows = [f"text {label} {n},{label}" for label, count in counts.items() for n in range(count)]
    return csv(tmp_path / "a.csv", [*rows, "more,", "and more,"], "text,label")


def test_split_is_made_stratified_told_and_the_same_again(tmp_path, told):
    path = unsplit(tmp_path, pos=100, neg=50)
    frame = load_data(path)
    assert told == [
        "no split column: made one, stratified, from seed 42: 120 train, 15 valid, 15 test, 2 unsup"
    ]
    counts = frame.groupby(["split", "label"]).size().to_dict()
    assert counts == {
        ("test", "neg"): 5,
        ("test", "pos"): 10,
        ("train", "neg"): 40,
        ("train", "pos"): 80,
        ("valid", "neg"): 5,
        ("valid", "pos"): 10,
    }
    assert frame["split"].tolist()[-2:] == ["unsup", "unsup"]
    assert frame.equals(load_data(path))
    assert not frame.equals(load_data(DataSpec(path, seed=1)))


def test_small_classes_stay_in_train(tmp_path, told):
    frame = load_data(unsplit(tmp_path, pos=10, odd=2, rare=1, few=3))
    assert told == [
        "no split column: made one, stratified, from seed 42: 12 train, 2 valid, 2 test, 2 unsup; "
        "left whole in train, too small to divide: odd (2), rare (1)"
    ]
    assert set(frame["split"][frame["label"].isin(["odd", "rare"])]) == {"train"}
    assert sorted(frame["split"][frame["label"] == "few"]) == ["test", "train", "valid"]


def test_many_small_classes_are_cut_short(tmp_path, told):
    load_data(unsplit(tmp_path, **dict.fromkeys("abcdefg", 1)))
    assert told[0].endswith("to divide: a (1), b (1), c (1), d (1), e (1), ...")


def test_valid_is_cut_from_train(tmp_path, told):
    rows = [f"text {n},{n % 2},train" for n in range(40)] + ["x,0,test"]
    frame = load_data(csv(tmp_path / "a.csv", rows))
    assert told == [
        "no valid rows: 10% of train becomes valid, stratified, from seed 42: 36 train, 4 valid, "
        "1 test, 0 unsup"
    ]
    assert sorted(frame["label"][frame["split"] == "valid"]) == ["0", "0", "1", "1"]


def test_texts_without_labels_are_all_unsup(tmp_path, told):
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "b.txt").write_text("two")
    frame = load_data(tmp_path, labels_required=False)
    assert told == ["no split column and no labels: all 2 rows are unsup"]
    assert frame["split"].tolist() == ["unsup", "unsup"]


def test_divide_draws_each_row_once():
    labels = {row: "ab"[row % 2] for row in range(5, 65)}
    drawn, small = divide(labels, {"valid": 0.1, "test": 0.3}, seed=3)
    assert {split: len(rows) for split, rows in drawn.items()} == {"valid": 6, "test": 18}
    assert len({*drawn["valid"], *drawn["test"]}) == 24
    assert small == {}


def test_which_splits_were_drawn(tmp_path):
    rows = pd.DataFrame({"text": ["a", "b"] * 20, "label": ["x", "y"] * 20})
    rows.to_csv(tmp_path / "none.csv")
    rows.assign(split=["train", "train", "test", "test"] * 10).to_csv(tmp_path / "some.csv")
    rows.assign(split=["train", "train", "test", "valid"] * 10).to_csv(tmp_path / "all.csv")
    found = {
        name: load_data(tmp_path / f"{name}.csv", labels_required=False)
        for name in ("none", "some", "all")
    }
    assert {name: frame.attrs["drawn"] for name, frame in found.items()} == {
        "none": ["test", "valid"],
        "some": ["valid"],
        "all": [],
    }
    assert without_test_labels(found["none"]).attrs["drawn"] == ["test", "valid"]


def test_names_and_paths_of_sources(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert source_name("imdb") == "imdb"
    assert source_name("../secret/reviews.csv") == "reviews.csv"
    assert source_name(".") == tmp_path.name
    assert same_source("reviews.csv", f"{tmp_path}/reviews.csv")
    assert same_source("imdb", "imdb")
    assert not same_source("imdb", "./imdb")
    assert not same_source("a.csv", "b.csv")


def labelled(**counts):
    """A frame of train and valid rows, `counts` of each class in both, and some unlabelled."""
    rows = [
        {"text": f"{split} {label} {i}", "label": label, "split": split}
        for split in ("train", "valid")
        for label, count in counts.items()
        for i in range(count)
    ]
    return pd.DataFrame([*rows, {"text": "more", "label": None, "split": "unsup"}])


def test_few_labels_are_drawn_stratified_and_the_others_become_unsup():
    frame = labelled(neg=30, pos=60)
    kept = keep_labels(frame, 10, seed=1)
    train = kept[kept["split"] == "train"]
    assert train["label"].value_counts().to_dict() == {"pos": 7, "neg": 3}
    assert (kept["split"] == "valid").sum() == 10
    rest = kept[kept["split"] == "unsup"]
    assert len(rest) == 181 - 20
    assert rest["label"].isna().all()
    pd.testing.assert_series_equal(kept["text"], frame["text"])
    assert (frame["split"] == "train").sum() == 90  # the frame that was given is as it was


def test_few_labels_depend_on_the_seed():
    frame = labelled(neg=30, pos=30)
    drawn = [set(keep_labels(frame, 10, s).query("split == 'train'").index) for s in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_all_labels():
    frame = labelled(neg=3, pos=3)
    assert keep_labels(frame, 0, seed=1) is frame
    assert labels_of(keep_labels(frame, 6, seed=1)) == labels_of(frame)


def test_valid_may_have_fewer_labels():
    frame = labelled(neg=30, pos=30)
    frame = frame[(frame["split"] != "valid") | frame["text"].str.endswith("0")]
    kept = keep_labels(frame.reset_index(drop=True), 20, seed=1)
    assert (kept["split"] == "valid").sum() == 6


def test_more_labels_than_there_are():
    with refuses(
        "found 6 labelled rows in train, expected the 7 of --labels at least; lower it, or give 0 "
        "for all"
    ):
        keep_labels(labelled(neg=3, pos=3), 7, seed=1)


def test_too_few_labels_for_a_class():
    with refuses(
        "of 3 labels drawn, the class 'rare' would get none; it has 1 of 101 rows: raise --labels"
    ):
        keep_labels(labelled(neg=50, pos=50, rare=1), 3, seed=1)
