"""Figures of classifiers on a split: what is measured, where it is kept, what is refused."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score
from tiny_models import WORDS, refuses, write_classifier

from ulmfit.artifacts.directory import read_artifact
from ulmfit.data.fingerprints import labelled_fingerprint
from ulmfit.data.labels import SingleLabels
from ulmfit.data.load import load_data
from ulmfit.data.spec import DataSpec
from ulmfit.evaluate import main
from ulmfit.inference.baseline import baseline_names
from ulmfit.inference.ensemble import Classifier
from ulmfit.inference.evaluation import figures_table, measure_baselines


def data_frame(rows=40):
    """Texts of three splits and labels that no model has seen."""
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS.split(), rng.integers(1, 20))) for _ in range(rows)]
    splits = np.array(["train", "valid", "test", "test"])[np.arange(rows) % 4]
    return pd.DataFrame({"text": texts, "label": rng.choice(["neg", "pos"], rows), "split": splits})


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "data.csv"
    data_frame().to_csv(path, index=False)
    return path


@pytest.fixture
def folders(tmp_path, data):
    """A pair of classifiers whose manifests name `data`."""
    recipe = {"data": str(data)}
    return [
        str(write_classifier(tmp_path / "fwd", recipe=recipe)),
        str(write_classifier(tmp_path / "bwd", backwards=True, seed=1, recipe=recipe)),
    ]


def metrics_of(folder):
    with open(f"{folder}/metrics.json", encoding="utf-8") as file:
        return json.load(file)


def test_figures_are_those_of_the_predictions(folders, data, capsys):
    named = main(clf=folders, data=str(data), precision="float32")
    assert list(named) == [*folders, "ensemble"]
    test = data_frame().query("split == 'test'")
    for name, loaded in zip(named, [folders[:1], folders[1:], folders], strict=True):
        scores = Classifier.load(*loaded, precision="float32").predict(test["text"].tolist())
        figures = named[name]
        assert figures["documents"] == 20
        assert figures["accuracy"] == accuracy_score(test["label"], scores["label"])
        assert figures["f1"] == f1_score(test["label"], scores["label"], average="macro")
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "20 texts, split test"
    assert printed[1:] == figures_table(named).splitlines()
    assert printed[1].split() == ["accuracy", "macro", "F1", "ECE", "log", "loss"]
    assert printed[4].split()[:2] == ["ensemble", f"{named['ensemble']['accuracy']:.4f}"]


def test_texts_that_the_training_had_are_also_left_out(folders, tmp_path, capsys):
    frame = data_frame()
    train = frame.loc[frame["split"] == "train", "text"].iloc[0]
    rows = frame.index[frame["split"] == "test"][:3]
    frame.loc[rows, "text"] = [train, train.upper(), f" {train}  "]
    frame.to_csv(tmp_path / "repeated.csv", index=False)
    named = main(clf=folders, data=str(tmp_path / "repeated.csv"), precision="float32")
    rest = frame[frame["split"] == "test"].drop(rows)
    for name, loaded in zip(named, [folders[:1], folders[1:], folders], strict=True):
        scores = Classifier.load(*loaded, precision="float32").predict(rest["text"].tolist())
        figures = named[name]["without_repeated"]
        assert figures["documents"] == 17
        assert figures["accuracy"] == accuracy_score(rest["label"], scores["label"])
    printed = capsys.readouterr().out
    assert "without 3 that also stand in the labelled texts of the training" in printed


def test_texts_that_the_training_had_nearly_are_left_out_as_well(folders, tmp_path, capsys):
    frame = data_frame()
    long = " ".join(f"word{i}" for i in range(40))
    train = frame.index[frame["split"] == "train"][0]
    rows = frame.index[frame["split"] == "test"][:3]
    frame.loc[[train, *rows], "text"] = [long, f"{long} more", long.upper(), f"But {long}!"]
    frame.to_csv(tmp_path / "near.csv", index=False)
    target = tmp_path / "figures.json"
    given = {"data": str(tmp_path / "near.csv"), "precision": "float32"}
    (figures,) = main(clf=folders[0], output=str(target), **given).values()
    assert figures["overlap"] == {"exact": 1, "near": 2}
    assert figures["without_repeated"]["documents"] == 19
    assert figures["without_near_duplicates"]["documents"] == 17
    rest = frame[frame["split"] == "test"].drop(rows)
    scores = Classifier.load(folders[0], precision="float32").predict(rest["text"].tolist())
    accuracy = accuracy_score(rest["label"], scores["label"])
    assert figures["without_near_duplicates"]["accuracy"] == accuracy
    (written,) = json.loads(target.read_text())["figures"].values()
    assert written == figures
    printed = capsys.readouterr().out
    assert "without 1 that also stand in the labelled texts of the training" in printed
    assert "without 2 more that stand there in nearly the same words" in printed


def test_figures_as_a_file(folders, data, tmp_path):
    target = tmp_path / "figures.json"
    named = main(clf=folders, data=str(data), output=str(target))
    written = json.loads(target.read_text())
    assert written["figures"] == {Path(name).name: figures for name, figures in named.items()}
    assert [model["direction"] for model in written["models"]] == ["forward", "backward"]
    assert {"hardware", "versions", "seconds", "data", "split"} <= written.keys()
    assert str(tmp_path) not in target.read_text().replace(str(data), "")


def test_figures_are_kept_beside_the_manifest(folders, data):
    named = main(clf=folders, data=str(data), precision="float32")
    for folder in folders:
        kept = metrics_of(folder)
        assert kept["evaluation"] == {"data.csv": {"test": named[folder]}}
        assert kept["made_by"] == "a test"
        read_artifact(Path(folder))  # still whole: metrics.json is not hashed
    main(clf=folders[0], data=str(data), split="valid")
    assert list(metrics_of(folders[0])["evaluation"]["data.csv"]) == ["valid"]


def test_one_classifier_has_no_ensemble(folders, data):
    assert list(main(clf=folders[0], data=str(data), split="valid")) == folders[:1]
    assert list(main(clf=folders[1:], data=str(data), split="train")) == folders[1:]


# Which data


def test_without_data_the_manifest_says_which(folders, data):
    expected = main(clf=folders[0], data=str(data), precision="float32")
    assert main(clf=folders[0], precision="float32") == expected


def test_columns_are_the_manifests_or_given(tmp_path):
    path = tmp_path / "data.csv"
    names = {"text": "review", "label": "stars", "split": "part"}
    data_frame().rename(columns=names).to_csv(path, index=False)
    given = {"text_col": "review", "label_col": "stars", "split_col": "part"}
    folder = str(write_classifier(tmp_path / "clf", recipe={"data": str(path), **given}))
    named = main(clf=folder)
    assert named[folder]["documents"] == 20
    assert main(clf=folder, data=str(path), **given) == named
    with refuses(
        f"{path}: found the columns review, stars, part; expected one named 'text': name the one "
        "that holds the text with --text-col, and the one of the labels, if there is one, with "
        "--label-col"
    ):
        main(clf=folder, data=str(path))


def test_data_without_splits_is_divided_as_in_training(tmp_path, capsys):
    path = tmp_path / "data.csv"
    data_frame(100)[["text", "label"]].to_csv(path, index=False)
    for seed in (1, 2):
        folder = trained_on(path, tmp_path / f"clf{seed}", seed)
        assert main(clf=folder)[folder]["documents"] == 10
        assert f"stratified, from seed {seed}: " in capsys.readouterr().out


def trained_on(path, out, seed=1):
    """A classifier whose manifest says that it was trained on what `path` holds now."""
    recipe = {"data": str(path), "seed": seed}
    found = labelled_fingerprint(load_data(DataSpec(path, seed=seed)))
    return str(write_classifier(out, recipe=recipe, data_fingerprint=found))


@pytest.mark.parametrize("given", [{}, {"data": "../here/data.csv"}])
def test_data_that_changed_since_the_training_is_not_divided_again(tmp_path, monkeypatch, given):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    frame = data_frame(100)[["text", "label"]]
    frame.to_csv("data.csv", index=False)
    folder = trained_on("data.csv", Path("clf"))
    assert main(clf=folder, **given)[folder]["documents"] == 10
    pd.concat([frame, data_frame(12)[["text", "label"]]]).to_csv("data.csv", index=False)
    name = given.get("data", "data.csv")
    for split in ("test", "valid"):
        with refuses(
            f"{name} has changed since clf was trained on it, so split {split} would contain texts "
            "of the training; train again, or give the data with a split column"
        ):
            main(clf=folder, split=split, **given)
    # Other data may be divided, and a split column says for itself what is test.
    frame.assign(text="new").to_csv("other.csv", index=False)
    assert main(clf=folder, data="other.csv")[folder]["documents"] == 10
    data_frame(80).to_csv("data.csv", index=False)
    assert main(clf=folder)[folder]["documents"] == 40


def test_paths_from_python(folders, data):
    named = main(clf=folders, data=str(data))
    assert main(clf=[Path(folder) for folder in folders], data=data) == named
    assert main(clf=Path(folders[0]), data=data) == {folders[0]: named[folders[0]]}


def test_a_file_of_test_rows_alone(folders, tmp_path):
    path = tmp_path / "test.csv"
    data_frame().query("split == 'test'").to_csv(path, index=False)
    assert main(clf=folders[0], data=str(path))[folders[0]]["documents"] == 20


@pytest.mark.parametrize(
    ("classes", "written"),
    [(("0.0", "1.0"), ("0", "1")), (("0", "1"), ("0.0", "1.0")), (("neg", "pos"), ("Neg", "POS "))],
)
def test_labels_of_another_writing_are_the_classes(tmp_path, capsys, classes, written):
    folder = str(write_classifier(tmp_path / "clf", labels=classes))
    named = {}
    for name, labels in (("same", classes), ("other", written)):
        path = tmp_path / f"{name}.csv"
        data_frame().replace(dict(zip(("neg", "pos"), labels, strict=True))).to_csv(path)
        named[name] = main(clf=folder, data=str(path), precision="float32")[folder]
    assert named["same"] == named["other"]
    shown = ", ".join(f"{w.strip()!r} as {c!r}" for w, c in zip(written, classes, strict=True))
    line = f"labels of another writing are read as the classifier's classes: {shown}"
    assert capsys.readouterr().out.count(line) == 1


def test_data_of_a_model_whose_labels_were_written_in_another_way_are_divided_again(tmp_path):
    path, frame = tmp_path / "data.csv", data_frame(100)[["text", "label"]]
    found = {}
    for number in ("{}", "{}.0"):
        labels = {"neg": number.format(0), "pos": number.format(1)}
        frame.replace(labels).to_csv(path, index=False)
        if not found:
            found = {"data_fingerprint": labelled_fingerprint(load_data(DataSpec(path, seed=1)))}
    recipe = {"data": str(path), "seed": 1}
    folder = str(write_classifier(tmp_path / "clf", recipe=recipe, labels=("0", "1"), **found))
    assert main(clf=folder)[folder]["documents"] == 10


def test_flags_of_several_labels_for_a_classifier_of_one(folders, data):
    with refuses(
        "found --label-cols, which is for several labels a text, and the classifier gives one; "
        "leave it out"
    ):
        main(clf=folders[0], data=str(data), label_cols=["neg", "pos"])


# What is refused


def test_no_model():
    with refuses("no model given; --clf DIR [DIR ...] names classifiers, as ulmfit train writes"):
        main()


def test_unknown_split():
    with refuses("--split is 'unsup', expected one of train, valid, test"):
        main(clf="none", split="unsup")


def test_split_that_the_data_lacks(folders, tmp_path):
    path = tmp_path / "data.csv"
    data_frame().query("split != 'test'").to_csv(path, index=False)
    with refuses(
        f"{path} has no texts in split test; it has train, valid: choose one with --split"
    ):
        main(clf=folders[0], data=str(path))


def test_missing_labels(folders, tmp_path):
    path = tmp_path / "data.csv"
    frame = data_frame()
    frame.loc[frame.query("split == 'test'").index[:3], "label"] = None
    frame.to_csv(path, index=False)
    with refuses(
        f"3 of 20 texts in split test of {path} have no label; evaluation needs one for each"
    ):
        main(clf=folders[0], data=str(path))


def test_unknown_label(folders, tmp_path):
    path = tmp_path / "data.csv"
    data_frame().replace("pos", "good").to_csv(path, index=False)
    with refuses(f"{path} has the label 'good' in split test; the classifier knows neg, pos"):
        main(clf=folders[0], data=str(path))


def test_what_makes_no_pair(folders, tmp_path):
    with refuses(f"{folders[0]} and {folders[0]} make no ensemble: they are the same model twice"):
        main(clf=[folders[0], folders[0]])
    other = write_classifier(tmp_path / "other", labels=("a", "b"))
    with refuses(f"{folders[0]} and {other} make no ensemble: labels neg, pos against a, b"):
        main(clf=[folders[0], str(other)])


def test_damaged_metrics_are_found_before_the_work(folders, data, monkeypatch):
    with open(f"{folders[0]}/metrics.json", "w") as file:
        file.write("{")
    monkeypatch.setattr(Classifier, "answers", None)
    with refuses(f"{folders[0]}/metrics.json is missing or damaged; copy or train the model again"):
        main(clf=folders[0], data=str(data))


# The baseline


def test_baseline_is_measured_on_test():
    words = {"neg": "bad sad", "pos": "good fine"}
    labels = ["neg", "pos"] * 20
    splits = ["train"] * 24 + ["valid"] * 6 + ["test"] * 10
    texts = [words[label] for label in labels]
    frame = pd.DataFrame({"text": texts, "label": labels, "split": splits})
    measured = measure_baselines(frame, SingleLabels(["neg", "pos"]))
    assert list(measured) == list(baseline_names())
    for found in measured.values():
        assert found["documents"] == 10
        assert found["accuracy"] == found["f1"] == 1.0
    swapped = frame["label"].map({"neg": "pos", "pos": "neg"})
    wrong = frame.assign(label=frame["label"].where(frame["split"] != "test", swapped))
    for found in measure_baselines(wrong, SingleLabels(["neg", "pos"])).values():
        assert found["accuracy"] == 0.0
