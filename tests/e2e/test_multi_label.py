"""Several labels a text, or none: from the data to every command that reads a classifier."""

import json
import random
from dataclasses import replace
from importlib import util

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit, logit
from sklearn.metrics import (
    accuracy_score,
    classification_report,
    f1_score,
    hamming_loss,
    multilabel_confusion_matrix,
)
from sklearn.multiclass import OneVsRestClassifier
from tiny_models import refuses, write_classifier
from tiny_stages import SETTINGS_2, SETTINGS_3, stage3, write_csv, write_reviews
from torch.nn.functional import binary_cross_entropy, binary_cross_entropy_with_logits

from ulmfit import __main__, calibrate, evaluate, export, predict, stage3_clf
from ulmfit.artifacts.config import ClassifierConfig
from ulmfit.artifacts.directory import check_pair, read_artifact, read_metrics
from ulmfit.base.cli import run_command
from ulmfit.data.__main__ import main as look
from ulmfit.data.labels import MULTI, MultiLabels
from ulmfit.data.load import load_with_test_labels as load_data
from ulmfit.data.spec import DataSpec
from ulmfit.data.splits import keep_labels
from ulmfit.explain import main as explain_main
from ulmfit.inference import baseline
from ulmfit.inference.calibration import fit_temperature
from ulmfit.inference.ensemble import Classifier
from ulmfit.inference.explanation import explain
from ulmfit.inference.loaded import LoadedModel
from ulmfit.inference.metrics import class_figures, classification_metrics
from ulmfit.model.multi_label_loss import MultiLabelLoss
from ulmfit.onnx_classifier import OnnxClassifier
from ulmfit.report import __main__ as report
from ulmfit.report import data as report_data
from ulmfit.report import features as report_features
from ulmfit.training import settings

TOPICS = {
    "food": ["soup", "bread", "salad", "dessert"],
    "price": ["costly", "cheap", "bill", "coins"],
    "staff": ["waiter", "cook", "polite", "rude"],
}
LABELS = MultiLabels(list(TOPICS))
PLAIN = ["we", "came", "on", "monday", "and", "sat", "outside"]
ASKED = ["Soup, bread and salad.", "A rude waiter, a costly bill.", "We sat outside.", " ", None]


def meals(n=200, seed=0):
    """Rows of text, label cell, split; some labels apply, or none."""
    rng = random.Random(seed)
    rows = []
    for i in range(n):
        labels = [name for name in TOPICS if rng.random() < 0.4]
        words = rng.choices(PLAIN, k=4)
        words += [word for name in labels for word in rng.choices(TOPICS[name], k=4)]
        rng.shuffle(words)
        split = ("train", "train", "train", "valid", "test")[i % 5]
        rows.append([f"{' '.join(words)}.", " ; ".join(reversed(labels)), split])
    return [*rows, ["we came for soup", "", "unsup"]]


HEADER = ["text", "label", "split"]
MORE = {"batch_size": 16, "hidden": 20, "drop_mult": 0.0}


def drawn(texts=300, classes=4, seed=0):
    """Probabilities that are right oftener than not, and which labels apply."""
    rng = np.random.default_rng(seed)
    truth = rng.random((texts, classes)) < [0.5, 0.3, 0.1, 0.6][:classes]
    return expit(rng.normal(2.0 * truth - 1, 1.5)), truth


# Cells


def test_cells():
    assert MULTI.split(" price;food ; ;food") == ["price", "food"]
    assert MULTI.split("") == MULTI.split(" ; ") == []
    matrix = LABELS.encode(["staff;food", "", "price"])
    assert matrix.tolist() == [[True, False, True], [False] * 3, [False, True, False]]
    assert LABELS.decode(matrix) == ["food;staff", "", "price"]


def test_probability_of_an_answer():
    # Of those given the lowest; of none, that the most probable one is wrong.
    found = MULTI.confidence(np.array([[0.9, 0.6, 0.1], [0.3, 0.2, 0.4], [0.5, 0.0, 0.0]]))
    np.testing.assert_allclose(found, [0.6, 0.6, 0.5])


# Data


def test_an_empty_cell_says_that_no_label_applies(tmp_path):
    data = write_csv(tmp_path / "meals.csv", HEADER, meals())
    frame = load_data(DataSpec(data, labels=MULTI))
    assert frame["label"].isna().sum() == 1  # of unsup
    assert set(frame["label"].dropna()) == {
        *("", "food", "price", "staff", "food;price", "food;staff", "price;staff"),
        "food;price;staff",
    }
    with refuses(
        f"{data}: found 32 of 120 train rows without a label (the first is row 1), expected none; "
        "label them, or set their split to unsup; where ; separates labels, pass --multi-label"
    ):
        load_data(data)


def test_without_a_split_column_an_empty_cell_is_not_labelled(tmp_path, told):
    rows = [["bread", "food"], ["bill", "price"], ["cook", "staff;food"]] * 20 + [["monday", ""]]
    data = write_csv(tmp_path / "meals.csv", ["text", "label"], rows)
    frame = load_data(DataSpec(data, labels=MULTI))
    assert told[0] == (
        "1 rows without a label are read as not labelled; where they mean that no label applies, "
        "give the data with a split column"
    )
    assert frame["split"].iloc[-1] == "unsup"


def test_drawn_splits_hold_the_sets_of_labels_and_train_has_every_label(tmp_path, told):
    rows = [["soup", "food"]] * 50 + [["soup and bill", "price;food"]] * 30
    rows += [["rare", f"rare{n};food"] for n in range(12)]
    data = write_csv(tmp_path / "meals.csv", ["text", "label"], rows)
    frame = load_data(DataSpec(data, labels=MULTI))
    # One row of each label stays in train: 50 - 1 and 30 - 1 rows are divided, and no rare one.
    counts = frame.groupby(["label", "split"]).size()
    assert counts["food"].to_dict() == {"test": 5, "train": 40, "valid": 5}
    assert counts["food;price"].to_dict() == {"test": 3, "train": 24, "valid": 3}
    assert (frame.loc[frame["label"].str.contains("rare"), "split"] == "train").all()
    assert told == [
        "no split column: made one, stratified by set of labels, from seed 42: 76 train, 8 valid, "
        "8 test, 0 unsup"
    ]
    pd.testing.assert_frame_equal(frame, load_data(DataSpec(data, labels=MULTI)))
    # Rare sets of frequent labels are divided together.
    pairs = [f"{a};{b}" for a in "abcd" for b in "efgh"] * 5
    write_csv(tmp_path / "meals.csv", ["text", "label"], [["words", pair] for pair in pairs])
    frame = load_data(DataSpec(data, labels=MULTI))
    assert frame["split"].value_counts().to_dict() == {"train": 66, "valid": 7, "test": 7}


def test_few_labels(tmp_path):
    data = write_csv(tmp_path / "meals.csv", HEADER, meals())
    frame = load_data(DataSpec(data, labels=MULTI))
    kept = keep_labels(frame, 30, 1, MULTI)
    train = kept[kept["split"] == "train"]
    assert len(train) == 30
    assert set(MULTI.reserved(frame.loc[frame["split"] == "train", "label"].to_dict())) <= set(
        train.index
    )
    assert (kept["split"] == "valid").sum() == 30
    again = keep_labels(frame, 30, 1, MULTI)
    pd.testing.assert_frame_equal(kept, again)
    with refuses("covering every label takes 3 rows; --labels is 2"):
        keep_labels(frame, 2, 1, MULTI)


def test_labels_that_train_lacks(tmp_path):
    rows = [["soup", "food", "train"], ["bill", "price", "train"], ["both", "food;odd", "valid"]]
    data = write_csv(tmp_path / "meals.csv", HEADER, rows)
    line = (
        f"{data}: found labels in valid that train lacks ({{}}), expected the same classes; "
        "correct them or move some of their rows to train"
    )
    with refuses(line.format("odd")):
        load_data(DataSpec(data, labels=MULTI))
    with refuses(line.format("food;odd") + "; where ; separates labels, pass --multi-label"):
        load_data(data)


def test_counts_of_each_label(tmp_path, capsys):
    data = write_csv(tmp_path / "meals.csv", HEADER, meals())
    found = look(data, multi_label=True)
    cells = [row[1] for row in meals() if row[2] == "train"]
    expected = {name: sum(name in cell for cell in cells) for name in TOPICS}
    assert found["labels"]["train"] == {"": cells.count(""), **expected}
    assert "refuses" not in capsys.readouterr().out


# Figures


def test_figures_are_those_of_scikit_learn_and_torch():
    probabilities, truth = drawn()
    predicted = probabilities >= 0.5
    found = classification_metrics(probabilities, truth, MULTI)
    assert found["documents"] == 300
    assert found["accuracy"] == accuracy_score(truth, predicted)
    for name, average in (("f1_micro", "micro"), ("f1", "macro"), ("f1_weighted", "weighted")):
        assert found[name] == pytest.approx(f1_score(truth, predicted, average=average))
    assert found["hamming_loss"] == pytest.approx(hamming_loss(truth, predicted))
    loss = binary_cross_entropy(torch.tensor(probabilities), torch.tensor(truth, dtype=float))
    assert found["log_loss"] == pytest.approx(float(loss))
    expected = classification_report(truth, predicted, output_dict=True, zero_division=0)
    for number, of_class in enumerate(class_figures(probabilities, truth, MULTI)):
        theirs = expected[str(number)]
        assert of_class["documents"] == theirs["support"]
        assert of_class["precision"] == pytest.approx(theirs["precision"])
        assert of_class["recall"] == pytest.approx(theirs["recall"])
        assert of_class["f1"] == pytest.approx(theirs["f1-score"])


def test_calibration_error_is_over_decisions():
    probabilities = np.array([[0.9, 0.3], [0.9, 0.2]])
    truth = np.array([[True, False], [False, False]])
    # Confidence 0.9 twice, once right; 0.7 and 0.8, right, in bins of their own.
    expected = 0.5 * abs(0.5 - 0.9) + 0.25 * (1 - 0.7) + 0.25 * (1 - 0.8)
    found = classification_metrics(probabilities, truth, MULTI)["ece"]
    assert found == pytest.approx(expected)
    bins = report_data.reliability(probabilities, truth, MULTI)
    assert sorted((b.texts, b.accuracy) for b in bins) == [(1, 1.0), (1, 1.0), (2, 0.5)]


def test_temperature_of_decisions():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (8000, 3))
    truth = rng.random(logits.shape) < expit(logits)
    sure = expit(3 * logits)
    temperature = fit_temperature(sure, truth, MULTI)
    assert temperature == pytest.approx(3, rel=0.05)
    found = MULTI.rescaled(sure.astype(np.float32), temperature)
    assert found.dtype == np.float32
    expected = expit(logit(sure) / temperature)
    np.testing.assert_allclose(found, expected, atol=5e-3)
    far = sure < 0.9999  # next to 1, float32 has lost part of the logit
    np.testing.assert_allclose(found[far], expected[far], atol=1e-4)
    ends = MULTI.rescaled(np.array([[0.0, 1.0]], np.float32), 2.0)
    assert ends[0, 0] < 1e-9
    assert 0.999 < ends[0, 1] < 1
    with pytest.raises(Exception, match="12 of 12 decisions classified correctly"):
        fit_temperature(np.where(truth[:4], 0.9, 0.1), truth[:4], MULTI)


def test_figures_of_the_report():
    probabilities, truth = drawn()
    predicted = probabilities >= 0.5
    theirs = multilabel_confusion_matrix(truth, predicted)
    expected = np.stack([theirs[:, 1, 1], theirs[:, 0, 1], theirs[:, 1, 0]], 1)
    assert (report_data.label_counts(probabilities, truth) == expected).all()
    right = MULTI.right(probabilities, truth)
    assert right.mean() == accuracy_score(truth, predicted)
    losses = report_data.losses(probabilities, truth, MULTI)
    targets = torch.tensor(truth, dtype=float)
    theirs = binary_cross_entropy(torch.tensor(probabilities), targets, reduction="none").mean(1)
    np.testing.assert_allclose(losses, theirs)
    for number, rows in enumerate(report_data.surest(probabilities, truth, 3, MULTI)):
        hits = np.flatnonzero(predicted[:, number] & truth[:, number])
        best = sorted(hits, key=lambda row: -probabilities[row, number])
        assert rows == best[:3]
    constant = report_data.majority_probabilities(truth, MULTI)
    np.testing.assert_allclose(constant, np.tile(truth.mean(0), (300, 1)))


# Loss


def test_loss_is_torchs():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 3, generator=generator, requires_grad=True)
    truth = (torch.rand(6, 3, generator=generator) > 0.5).long()
    weights = torch.tensor([1.0, 2.0, 0.5])
    loss = MultiLabelLoss(pos_weight=weights)
    found = loss(logits, truth)
    expected = binary_cross_entropy_with_logits(logits, truth.float(), pos_weight=weights)
    assert found.item() == pytest.approx(expected.item())
    micro = f1_score(truth, logits.detach() >= 0, average="micro")
    assert 2 * loss.hits / loss.named == pytest.approx(micro)
    smooth = MultiLabelLoss(smoothing=0.2)(logits, truth)
    targets = torch.where(truth == 1, 0.9, 0.1)
    assert smooth.item() == pytest.approx(binary_cross_entropy_with_logits(logits, targets).item())


def test_balanced_weights():
    truth = np.array([[1, 1], [1, 0], [1, 0], [0, 0]], bool)
    labels = MultiLabels(["a", "b"])
    assert labels.balanced_weights(truth).tolist() == pytest.approx([1 / 3, 3])
    with refuses(
        "found the label 'a' in all 3 texts of train, expected some without it for --class-weights "
        "balanced; leave the label out, or the flag"
    ):
        labels.balanced_weights(truth[:3])


# Baseline


def test_baseline_is_one_regression_a_class(tmp_path, monkeypatch):
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    monkeypatch.setattr(baseline, "_TFIDF_STRENGTHS", (3.0,))
    rows = [*meals(), ["soup", "always", "valid"]]
    data = DataSpec(write_csv(tmp_path / "meals.csv", HEADER, rows), labels=MULTI)
    frame = load_data(data, labels_required=False)
    train = frame[frame["split"] == "train"]
    asked = ["rude waiter and soup", "cheap"]
    labels = MultiLabels([*TOPICS, "always"])
    found = baseline.fit_tfidf(frame, labels).probabilities(asked)
    features = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2, max_df=0.9)
    known = features.fit_transform(train["text"])
    model = OneVsRestClassifier(LogisticRegression(C=3.0, max_iter=1000))
    model.fit(known, LABELS.encode(train["label"]))
    expected = model.predict_proba(features.transform(asked))
    np.testing.assert_allclose(found[:, :3], expected, rtol=1e-5)  # weights are float32
    assert (found[:, 3] == 0).all()  # a label that no text of train has


# Settings and manifest


def test_a_flag_that_is_not_given_does_not_override_the_recipe(monkeypatch):
    given = []

    def main(multi_label: bool | None = None, backwards: bool = False):
        given.append((multi_label, backwards))

    main.__annotations__["multi_label"] = bool
    for arguments in ([], ["--multi-label", "--backwards"]):
        monkeypatch.setattr("sys.argv", ["main", *arguments])
        run_command(main)
    assert given == [(None, False), (True, True)]
    made = settings.load_settings(settings.ClassifierSettings, "demo", {"multi_label": True})
    assert made.multi_label
    with refuses("settings given: multi_label is 'yes', expected bool"):
        settings.load_settings(settings.ClassifierSettings, "demo", {"multi_label": "yes"})


def altered(folder, **config):
    """The artifact with another config; nothing is written."""
    artifact = read_artifact(folder)
    manifest = artifact.manifest
    found = ClassifierConfig.from_dict(
        manifest.config.as_dict() | config, len(manifest.labels), folder
    )
    return replace(artifact, manifest=replace(manifest, config=found))


def test_config_is_checked(tmp_path):
    folder = write_classifier(tmp_path / "clf")
    with refuses(
        f"{folder}: found multi_label 'yes' in the config, expected true or false; copy or train "
        "the model again"
    ):
        altered(folder, multi_label="yes")
    line = (
        f"{folder}: found the prior {{}} in the manifest's config, expected 2 shares from 0 to 1; "
        "copy or train the model again"
    )
    for prior in ([], [0.5, 1.5], [0.1, 0.1, 0.1]):
        with refuses(line.format(prior)):
            altered(folder, multi_label=True, prior=prior)
    found = LoadedModel(altered(folder, multi_label=True, prior=[0.9, 0.6])).prior
    assert found.tolist() == pytest.approx([0.9, 0.6])


def test_no_ensemble_of_both_kinds(tmp_path):
    one = altered(write_classifier(tmp_path / "one"))
    two = altered(write_classifier(tmp_path / "two", seed=1), multi_label=True, prior=[0.5, 0.5])
    with refuses(f"{one.path} and {two.path} make no ensemble: {two.path} alone is multi-label"):
        check_pair([one, two])


# The whole chain


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Data, and two classifiers of it, forward and backward."""
    folder = tmp_path_factory.mktemp("multi")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ULMFIT_CACHE", str(folder / "cache"))
        found = util.find_spec
        without = lambda name, *more: None if name == "umap" else found(name, *more)  # noqa: E731
        patch.setattr(report_features, "find_spec", without)
        data = write_csv(folder / "meals.csv", HEADER, meals())
        steps = [{"epochs": 16, "lr": 0.06}]
        shared = {"size": "tiny", "min_freq": 1, "multi_label": True, "steps": steps, **MORE}
        shared["precision"] = "float32"  # so that figures can be compared to the last digit
        fwd = stage3(data, "none", folder / "fwd", **shared)
        bwd = stage3(
            data,
            "none",
            folder / "bwd",
            **{**shared, "class_weights": "balanced", "label_smoothing": 0.05},
            backwards=True,
        )
        yield {"folder": folder, "data": data, "fwd": fwd, "bwd": bwd}


@pytest.fixture
def paths(made):
    return [str(made["fwd"].path), str(made["bwd"].path)]


def of_split(name):
    rows = [row for row in meals() if row[2] == name]
    return [row[0] for row in rows], LABELS.encode([row[1] for row in rows])


def test_training(made):
    for name in ("fwd", "bwd"):
        artifact = read_artifact(made[name].path)
        manifest = artifact.manifest
        assert manifest.labels == list(TOPICS)
        assert manifest.config.multi_label is True
        assert manifest.recipe["multi_label"] is True
        assert manifest.config.prior == pytest.approx(of_split("train")[1].mean(0).tolist())
        rows = artifact.history()
        assert {"train_loss", "valid_loss", "f1_micro"} < rows[0].keys()
        assert "accuracy" not in rows[0]
        assert rows[-1]["f1_micro"] > 0.9 > rows[0]["f1_micro"]
        # The last epoch's figures are those of the model that was written.
        texts, truth = of_split("valid")
        measured = manifest.metrics["valid"]
        found = Classifier.load(artifact.path, precision="float32").probabilities(texts)
        assert measured["f1_micro"] == f1_score(truth, found >= 0.5, average="micro")
        assert rows[-1]["f1_micro"] == pytest.approx(measured["f1_micro"])
        assert "several of them, or none" in (artifact.path / "README.md").read_text()
        assert (artifact.path / "history.png").is_file()


def test_predict(made, paths, capsys):
    classifier = Classifier.load(*paths, precision="float32")
    found = classifier.predict(ASKED)
    assert found["label"].tolist()[:3] == ["food", "price;staff", ""]
    by_model = classifier.probabilities_by_model(ASKED[:3])
    for loaded, probabilities in zip(classifier.models, by_model, strict=True):
        for text, row in zip(ASKED[:3], probabilities, strict=True):
            ids = torch.from_numpy(loaded.corpus(loaded.tokenize([text]))[0].astype(np.int64))
            with torch.no_grad():
                features = report_features.pooled_features(loaded, [text])
                expected = loaded.model[1].layers(torch.from_numpy(features)).sigmoid()[0]
            assert len(ids) > 3
            np.testing.assert_allclose(row, expected, atol=1e-5)
    np.testing.assert_allclose(found[list(TOPICS)][:3], np.mean(by_model, 0), atol=1e-6)
    prior = of_split("train")[1].mean(0)  # of what has no text
    np.testing.assert_allclose(found[list(TOPICS)][3:], np.stack([prior] * 2), atol=1e-6)
    least = found[["price", "staff"]].iloc[1].min()
    assert found["probability"][1] == pytest.approx(least)
    assert found["probability"][2] == pytest.approx(1 - found[list(TOPICS)].iloc[2].max())
    predict.main(clf=paths, text=ASKED[1], precision="float32")
    assert capsys.readouterr().out.splitlines()[-1].split() == ["labels", "price;staff"]
    predict.main(clf=paths, text=ASKED[2], precision="float32")
    assert capsys.readouterr().out.splitlines()[-1].split() == ["labels", "(none)"]


def test_predict_a_file(made, paths, tmp_path):
    write_csv(tmp_path / "in.csv", ["text", "id"], [[text, i] for i, text in enumerate(ASKED[:4])])
    given = {"clf": paths, "input": str(tmp_path / "in.csv"), "precision": "float32"}
    predict.main(**given, output=str(tmp_path / "out.parquet"))
    found = pd.read_parquet(tmp_path / "out.parquet")
    expected = Classifier.load(*paths, precision="float32").predict(ASKED[:4])
    assert found["label"].tolist() == expected["label"].tolist()
    for column in ("probability", *TOPICS):
        np.testing.assert_allclose(found[column], expected[column], atol=1e-5)
    predict.main(**given, output=str(tmp_path / "out.csv"))
    table = pd.read_csv(tmp_path / "out.csv", keep_default_na=False)
    assert table["label"].tolist() == expected["label"].tolist()


def test_evaluate(made, paths, tmp_path, capsys):
    out = tmp_path / "figures.json"
    named = evaluate.main(clf=paths, output=str(out), precision="float32")
    texts, truth = of_split("test")
    classifier = Classifier.load(*paths, precision="float32")
    predicted = classifier.probabilities(texts) >= 0.5
    found = named["ensemble"]
    assert found["f1_micro"] == f1_score(truth, predicted, average="micro")
    assert found["accuracy"] == accuracy_score(truth, predicted)
    assert found["classes"]["staff"]["f1"] == f1_score(truth[:, 2], predicted[:, 2])
    assert found["f1_micro"] > 0.9
    assert json.loads(out.read_text())["figures"]["ensemble"] == found
    kept = read_metrics(made["fwd"].path)["evaluation"]["meals.csv"]["test"]
    assert kept == named[paths[0]]
    printed = capsys.readouterr().out.splitlines()
    assert "40 texts, split test" in printed
    header = next(line for line in printed if "Hamming loss" in line)
    row = next(line for line in printed if line.startswith("ensemble  "))
    # Numbers stand under the ends of their names.
    assert len(header) == len(row)
    assert f"{found['hamming_loss']:.4f}" in row[: header.index("Hamming loss") + 12]
    assert printed[printed.index("ensemble, each class") + 4].split()[:2] == [
        "staff",
        str(truth[:, 2].sum()),
    ]


def test_evaluation_refuses_other_labels(made, paths, tmp_path):
    data = write_csv(tmp_path / "other.csv", HEADER, [["soup", "food;odd", "test"]])
    with refuses(
        f"{data} has the label 'odd' in split test; the classifier knows food, price, staff"
    ):
        evaluate.main(clf=paths, data=data)


def test_explain(made, paths, capsys):
    classifier = Classifier.load(paths[0], precision="float32")
    text = "the polite waiter came with dessert"
    probabilities = classifier.probabilities([text])[0]
    for label in (None, *TOPICS):
        found = explain(classifier, text, steps=64, label=label)
        number = int(probabilities.argmax()) if label is None else list(TOPICS).index(label)
        assert found.label == list(TOPICS)[number]
        assert found.probability == pytest.approx(probabilities[number], abs=1e-5)
        assert found.scores.sum() == pytest.approx(found.total, abs=0.03)
    empty = explain(classifier, " ", label="staff")
    assert (empty.label, empty.words) == ("staff", [])
    explain_main(clf=paths[0], text=text, steps=4, label="price")
    assert capsys.readouterr().out.startswith("label price, probability ")
    with refuses("--label is 'odd', expected one of food, price, staff"):
        explain(classifier, text, label="odd")


def test_export(made, paths, tmp_path):
    pytest.importorskip("onnxruntime")
    file = tmp_path / "fwd.onnx"
    export.main(clf=paths[0], out=str(file))
    (model,) = OnnxClassifier.load(file).models
    found = OnnxClassifier([model]).predict(ASKED)
    expected = Classifier.load(paths[0], precision="float32").predict(ASKED)
    assert found["label"].tolist() == expected["label"].tolist()
    for column in ("probability", *TOPICS):
        np.testing.assert_allclose(found[column], expected[column], atol=1e-4)
    other = replace(model, path="other.onnx", facts={**model.facts, "config": {}})
    with refuses(f"{file} and other.onnx make no ensemble: {file} alone is multi-label"):
        OnnxClassifier([model, other])


def test_report(made, paths, tmp_path):
    out = report.main(clf=paths, out=str(tmp_path / "report.html"), precision="float32")
    page = out.read_text(encoding="utf-8")
    assert "3 labels, of which a text may have several: food, price, staff." in page
    assert "so there is no confusion matrix" in page
    assert "the set of true labels" in page
    assert "most probable label" in page
    assert "micro F1" in page
    texts, truth = of_split("test")
    probabilities = Classifier.load(*paths, precision="float32").probabilities(texts)
    figures = classification_metrics(probabilities, truth, MULTI)
    for key in ("accuracy", "f1_micro", "f1", "hamming_loss", "log_loss", "ece"):
        assert f"<td>{figures[key]:.4f}</td>" in page
    # MCC, of single labels alone, is left out.
    assert "MCC" not in page


def test_calibrate(made, paths, tmp_path):
    noisy = meals(400, seed=3)
    rng = random.Random(0)
    for row in noisy:  # wrong labels, so that a temperature is found
        if rng.random() < 0.3:
            row[1] = rng.choice(list(TOPICS))
    data = write_csv(tmp_path / "noisy.csv", HEADER, noisy)
    folder = tmp_path / "fwd"
    folder.mkdir()
    for file in made["fwd"].path.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    rows = [row for row in noisy if row[2] == "valid"]
    texts = [row[0] for row in rows]
    truth = LABELS.encode([row[1] for row in rows])
    before = Classifier.load(folder, precision="float32").probabilities(texts)
    (temperature,) = calibrate.main(clf=str(folder), data=data, precision="float32").values()
    assert temperature > 1
    after = Classifier.load(folder, precision="float32").probabilities(texts)
    np.testing.assert_allclose(after, expit(logit(before) / temperature), atol=1e-3)
    figures = [classification_metrics(found, truth, MULTI) for found in (before, after)]
    assert figures[1]["log_loss"] < figures[0]["log_loss"]
    assert figures[1]["f1_micro"] == figures[0]["f1_micro"]


def test_a_hint_where_labels_look_joined(made, tmp_path, capsys):
    rows = [["soup and bill", "food;price", s] for s in ("train", "valid")] * 10
    rows += [["waiter", "staff", s] for s in ("train", "valid")] * 10
    data = write_csv(tmp_path / "meals.csv", HEADER, rows)
    given = {"data": data, "lm": "none", "size": "tiny", "min_freq": 1, "out": str(tmp_path / "x")}
    steps = [{"epochs": 1, "lr": 0.01}]
    stage3_clf.main(**{**SETTINGS_3, **given, "steps": steps})
    assert (
        "1 of 2 classes have a ; in their name; where it separates labels of one text, pass "
        "--multi-label"
    ) in capsys.readouterr().out
    assert read_artifact(tmp_path / "x").manifest.labels == ["food;price", "staff"]
    assert "multi_label" not in read_artifact(tmp_path / "x").manifest.config.as_dict()


def test_one_column_a_label(made, paths, tmp_path, capsys):
    """Trained and evaluated as from cells: the same weights, the same figures."""
    rows = [row for row in meals(60) if row[2] != "unsup"]
    cells = write_csv(tmp_path / "cells.csv", HEADER, rows)
    marks = [[text, *(int(name in cell) for name in TOPICS), split] for text, cell, split in rows]
    columns = write_csv(tmp_path / "columns.csv", ["text", *TOPICS, "split"], marks)
    steps = [{"epochs": 1, "lr": 0.01}]
    shared = {"size": "tiny", "min_freq": 1, "steps": steps}
    flags = {"label_cols": list(TOPICS)}
    one = stage3(cells, "none", tmp_path / "one", multi_label=True, **shared)
    other = stage3(columns, "none", tmp_path / "other", **flags, **shared)
    (of_cells,) = evaluate.main(clf=one.path).values()
    (of_columns,) = evaluate.main(clf=other.path).values()  # the manifest knows the columns
    assert of_cells == of_columns
    (given,) = evaluate.main(clf=one.path, data=columns, **flags).values()
    assert given == of_cells
    assert read_artifact(other.path).manifest.recipe["label_cols"] == list(TOPICS)


def test_single_labels_may_be_trained_so_too(made, tmp_path):
    data = write_reviews(tmp_path / "reviews.csv", n=60)
    steps = [{"epochs": 1, "lr": 0.01}]
    shared = {"size": "tiny", "min_freq": 1, "steps": steps, "labels": 20}
    result = stage3(data, "none", tmp_path / "clf", multi_label=True, **shared)
    found = Classifier.load(result.path).predict(["great", "dull"])
    assert set(found.columns) == {"label", "probability", "bad", "good"}
    assert result.metrics["train_texts"] == 20


def test_all_stages_from_one_command(made, tmp_path, monkeypatch, capsys):
    """Of data without a split column: all stages draw the same split."""
    rows = [[text, label or "other"] for text, label, _ in meals(150)]
    data = write_csv(tmp_path / "meals.csv", ["text", "label"], rows)
    steps = [{"epochs": 1, "lr": 0.02}]
    shared = {"data": data, "size": "tiny", "min_freq": 1, "multi_label": True, "steps": steps}
    tables = {
        settings.LMSettings: {**SETTINGS_2, **shared, "pretrained": "none"},
        settings.ClassifierSettings: {**SETTINGS_3, **shared},
    }
    monkeypatch.setattr(settings, "recipes", lambda stage: {"tiny": tables[stage]})
    monkeypatch.chdir(tmp_path)
    summary = __main__.main(recipe="tiny", out="models")
    said = capsys.readouterr().out
    assert list(summary["f1_micro"]) == ["fwd", "bwd", "tfidf", "ensemble"]
    assert "NB-weighted logistic regression is left out: a text may have several labels" in said
    (baseline_figures,) = summary["baselines"].values()
    assert baseline_figures["f1_micro"] > 0.8
    assert summary["test_texts"] > 10
    assert read_artifact(tmp_path / "models" / "clf-bwd").manifest.labels == [
        *("food", "other", "price", "staff")
    ]
    assert "was trained on other texts" not in said
    header = next(line for line in said.splitlines() if "test texts," in line)
    assert header.endswith("all right  macro F1")


# fastai


def test_interop_keeps_the_kinds_apart(made, paths, tmp_path):
    from fastai.data.block import CategoryBlock, DataBlock, MultiCategoryBlock
    from fastai.data.transforms import ColReader
    from fastai.text.data import TextBlock

    from ulmfit.interop import from_learner, to_learner, vocabulary

    frame = pd.DataFrame(
        {"text": ["xxbos soup", "xxbos bill"] * 4, "label": ["food", "price;staff"] * 4}
    )
    words = vocabulary(paths[0])

    def loaders(block, reader):
        texts = TextBlock(lambda items: items, vocab=words)
        made = DataBlock((texts, block), get_x=ColReader("text"), get_y=reader)
        return made.dataloaders(frame, bs=2, num_workers=0)

    both = MultiCategoryBlock(vocab=list(TOPICS))
    learner = to_learner(paths[0], loaders(both, ColReader("label", label_delim=";")))
    classifier = Classifier.load(paths[0], precision="float32")
    ids = torch.from_numpy(
        classifier.models[0].corpus(classifier.models[0].tokenize([ASKED[1]]))[0].astype(np.int64)
    )
    with torch.no_grad():
        theirs = learner.model.eval()(ids[None])[0].sigmoid()[0]
    np.testing.assert_allclose(classifier.probabilities([ASKED[1]])[0], theirs, atol=1e-4)
    with refuses(
        "found a multi-label Learner (BCEWithLogitsLossFlat), expected one with one class a text; "
        "train it with ulmfit clf --multi-label"
    ):
        from_learner(learner, tmp_path / "back")
    single = loaders(CategoryBlock(vocab=list(TOPICS), sort=False), lambda row: "food")
    with refuses(
        "found single-label (CategoryBlock) DataLoaders, expected multi-label (MultiCategoryBlock) "
        f"ones, as {made['fwd'].path} is; make them with that block"
    ):
        to_learner(paths[0], single)
