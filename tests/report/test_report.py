"""The report: figures as scikit-learn has them, a page that needs nothing, and what is refused."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib import util
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import torch
from fastcore.xml import to_xml
from sklearn.dummy import DummyClassifier
from sklearn.metrics import (
    accuracy_score,
    classification_report,
    confusion_matrix,
    f1_score,
    log_loss,
    matthews_corrcoef,
)
from tiny_models import WORDS, refuses, write_classifier, write_lm

from ulmfit.artifacts.directory import read_artifact
from ulmfit.artifacts.lineage import lineage
from ulmfit.artifacts.writing import write_artifact
from ulmfit.data.labels import SINGLE, SingleLabels
from ulmfit.data.load import load_with_test_labels as load_data
from ulmfit.inference.baseline import baseline_names
from ulmfit.inference.calibration import fit_temperature
from ulmfit.inference.ensemble import Classifier
from ulmfit.inference.evaluation import measure_baselines
from ulmfit.inference.metrics import class_figures, expected_calibration_error
from ulmfit.report import data as report_data
from ulmfit.report import features as report_features
from ulmfit.report import figures as report_figures
from ulmfit.report.__main__ import main
from ulmfit.report.collect import collect
from ulmfit.report.models import curves, model_facts, without_folders
from ulmfit.report.numbers import calibration_parts
from ulmfit.report.page import page
from ulmfit.report.texts import LONGEST, hardest_texts

LABELS = ("<script>alert(1)</script>", "pos & $x^2$")
SVG = "{http://www.w3.org/2000/svg}"


def drawn(texts=400, classes=4, seed=0):
    """Probabilities that are right oftener than not, and true classes; some class may lack."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, texts)
    probabilities = rng.dirichlet(np.full(classes, 0.4), texts)
    probabilities[np.arange(texts), truth] += 0.3
    return probabilities / probabilities.sum(1, keepdims=True), truth


# Figures


def test_figures_are_those_of_scikit_learn():
    probabilities, truth = drawn()
    predicted = probabilities.argmax(1)
    found = report_data.overall_figures(probabilities, truth)
    assert found["accuracy"] == accuracy_score(truth, predicted)
    assert found["f1"] == f1_score(truth, predicted, average="macro")
    assert found["f1_weighted"] == f1_score(truth, predicted, average="weighted")
    assert found["mcc"] == matthews_corrcoef(truth, predicted)
    assert found["log_loss"] == pytest.approx(log_loss(truth, probabilities))
    expected = classification_report(truth, predicted, output_dict=True)
    for number, of_class in enumerate(class_figures(probabilities, truth)):
        theirs = expected[str(number)]
        assert of_class["documents"] == theirs["support"]
        for ours, name in (("precision", "precision"), ("recall", "recall"), ("f1", "f1-score")):
            assert of_class[ours] == theirs[name]
    matrix = report_data.confusion(probabilities, truth)
    assert (matrix == confusion_matrix(truth, predicted)).all()
    shares = confusion_matrix(truth, predicted, normalize="true")
    np.testing.assert_allclose(report_data.by_true_class(matrix), shares)


def test_the_baseline_is_the_best_constant_answer():
    _, truth = drawn()
    constant = DummyClassifier(strategy="prior").fit(truth, truth).predict_proba(truth)
    found = report_data.majority_probabilities(truth, SingleLabels("abcd"))
    np.testing.assert_allclose(found, constant)
    figures = report_data.overall_figures(found, truth)
    assert figures["accuracy"] == np.bincount(truth).max() / len(truth)
    assert (figures["mcc"], round(figures["ece"], 12)) == (0, 0)
    # A class that no text has
    found = report_data.majority_probabilities(np.array([0, 0]), SingleLabels("abc"))
    assert found.tolist() == [[1, 0, 0]] * 2


def test_texts_of_one_class_alone():
    one = np.array([[0.9, 0.1], [0.8, 0.2]])
    found = report_data.overall_figures(one, np.array([0, 0]))
    assert (found["accuracy"], found["mcc"]) == (1, 0)
    assert report_data.by_true_class(report_data.confusion(one, np.array([0, 0])))[1].sum() == 0


def test_commonest_confusions():
    matrix = np.array([[50, 3, 0], [7, 40, 0], [3, 0, 9]])
    assert report_data.commonest_confusions(matrix) == [(1, 0, 7), (0, 1, 3), (2, 0, 3)]
    assert report_data.commonest_confusions(matrix, most=1) == [(1, 0, 7)]
    assert report_data.commonest_confusions(np.eye(3, dtype=int)) == []


def test_bins_of_confidence_sum_to_the_calibration_error():
    probabilities, truth = drawn()
    bins = report_data.reliability(probabilities, truth)
    assert sum(b.texts for b in bins) == len(truth)
    error = sum(b.texts * abs(b.accuracy - b.confidence) for b in bins) / len(truth)
    assert error == pytest.approx(expected_calibration_error(probabilities, truth))
    assert all(b.low <= b.confidence <= b.high for b in bins)


def test_bins_of_length():
    probabilities, truth = drawn()
    lengths = np.random.default_rng(0).integers(1, 1000, len(truth))
    bins = report_data.accuracy_by_length(lengths, probabilities, truth)
    assert len(bins) == 8
    assert max(b.texts for b in bins) <= 55
    right = probabilities.argmax(1) == truth
    for b, after in zip(bins, [*bins[1:], None], strict=True):
        inside = (lengths >= b.low) & (lengths <= b.high)
        assert (b.texts, b.accuracy) == (inside.sum(), right[inside].mean())
        assert after is None or b.high < after.low
    (only,) = report_data.accuracy_by_length(np.full(len(truth), 7), probabilities, truth)
    assert (only.low, only.high, only.texts) == (7, 7, len(truth))


def test_the_interval_is_wilsons():
    z, n, p = 1.959963984540054, 50, 0.8
    middle, reach = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    expected = [(middle + sign * reach) / (1 + z**2 / n) for sign in (-1, 1)]
    assert report_data.interval(40, 50) == pytest.approx(tuple(expected))


def test_ranking_of_the_texts():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3], [0.6, 0.4]])
    truth = np.array([0, 0, 1, 0, 1])
    assert report_data.hardest(probabilities, truth, 3) == [1, 2, 4]
    assert report_data.hardest(probabilities, truth, 0) == []
    assert report_data.surest(probabilities, truth, 5) == [[0, 3], []]
    assert report_data.surest(probabilities, truth, 1) == [[0], []]


# Figures as drawings


def history(epochs, **more):
    return [
        {"step": 1 + n // 2, "epoch": n, "train_loss": 2.0 - n / 9, "valid_loss": None, **more}
        for n in range(epochs)
    ]


def drawings():
    for classes in (2, 12, 30):
        probabilities, truth = drawn(60, classes)
        labels = [*LABELS, *(f"a class with a long name, {n}" for n in range(2, classes))]
        bins = report_data.reliability(probabilities, truth)
        matrix = report_data.confusion(probabilities, truth)
        places = np.random.default_rng(0).normal(size=(60, 2))
        yield f"confusion{classes}", report_figures.confusion_figure(matrix, labels), LABELS[0][:9]
        yield f"map{classes}", report_figures.map_figure(places, truth, labels), LABELS[0][:9]
        yield f"reliability{classes}", report_figures.reliability_figure(bins, "r"), "calibrated"
    one = report_data.accuracy_by_length(np.array([4]), np.array([[1.0, 0.0]]), np.array([0]))
    yield "one text", report_figures.length_figure(one, "tokens"), "length in tokens"
    for epochs in (1, 5):
        rows = history(epochs, accuracy=0.5)
        yield f"history{epochs}", report_figures.history_figure(rows, "h"), "accuracy, validation"
    rows = history(3, perplexity=80.0)
    yield "perplexity", report_figures.history_figure(rows, "h"), "perplexity, validation"
    yield "losses", report_figures.history_figure([{"epoch": 0, "train_loss": 1}], "h"), "loss"


@pytest.mark.parametrize(("svg", "text"), [pytest.param(s, t, id=n) for n, s, t in drawings()])
def test_every_figure_renders(svg, text):
    root = ElementTree.fromstring(svg)
    assert root.tag == f"{SVG}svg"
    assert any(text in "".join(found.itertext()) for found in root.iter(f"{SVG}text"))
    assert len(list(root.iter(f"{SVG}path"))) > 3
    # In the page's colours and its font, and nothing that holds for the whole page
    assert not re.search(r"#[0-9a-f]{6}[;\"]|font-family|<style|<metadata", svg)
    assert "var(--ink)" in svg


def test_same_data_same_figure_and_names_of_its_own():
    matrix = np.array([[3, 1], [0, 2]])
    svg = report_figures.confusion_figure(matrix, LABELS)
    assert svg == report_figures.confusion_figure(matrix, LABELS)
    others = (
        report_figures.history_figure(history(3), "a"),
        report_figures.history_figure(history(3), "b"),
    )
    names = [set(re.findall(r'id="([^"]+)"', found)) for found in others]
    assert names[0]
    assert not names[0] & names[1]


# Features


@pytest.fixture(scope="module", autouse=True)
def without_umap():
    """The map by PCA, whether UMAP is installed or not: it takes long and warns of tensorflow."""
    found = util.find_spec
    with pytest.MonkeyPatch.context() as patch:
        named = lambda name, *more: None if name == "umap" else found(name, *more)  # noqa: E731
        patch.setattr(report_features, "find_spec", named)
        yield


@pytest.mark.parametrize("backwards", [False, True])
def test_features_are_what_the_head_sees(tmp_path, backwards):
    folder = write_classifier(tmp_path / "clf", backwards=backwards)
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS.split(), rng.integers(1, 60))) for _ in range(30)]
    classifier = Classifier.load(folder, precision="float32")
    features = report_features.pooled_features(classifier.models[0], texts)
    assert features.shape == (30, 3 * 24)
    with torch.no_grad():
        logits = classifier.models[0].model[1].layers(torch.from_numpy(features))
    np.testing.assert_allclose(logits.softmax(1), classifier.probabilities(texts), atol=1e-5)


def test_places_are_the_directions_of_most_variance():
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(50, 2)) * [1, 0.5]
    noise = 1e-3 * rng.normal(size=(50, 1))
    features = np.concatenate([hidden @ rng.normal(size=(2, 8)), noise], 1)
    places, method = report_features.in_two_dimensions(features)
    assert (places.shape, method) == ((50, 2), "PCA")
    scaled = (features - features.mean(0)) / features.std(0)
    kept = places.var(0).sum() / scaled.var(0).sum()
    assert 0.85 < kept < 0.95  # eight of nine features have two dimensions
    for few in (1, 2):
        assert report_features.in_two_dimensions(features[:few])[0].shape == (few, 2)


# The page


class Strict(HTMLParser):
    """Collects text, tags and attributes, and refuses tags that do not match."""

    VOID = frozenset({"meta", "br", "hr", "img", "!doctype"})

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes, self.texts = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def parsed(html):
    parser = Strict()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return parser


def frame_of(rows=240):
    rng = np.random.default_rng(0)
    words = [*WORDS.split(), "<script>alert(2)</script>", "&amp;", '"quoted"']
    texts = [" ".join(rng.choice(words, rng.integers(1, 150))) for _ in range(rows)]
    splits = np.array(["train", "valid", "test", "test"])[np.arange(rows) % 4]
    frame = pd.DataFrame({"text": texts, "label": rng.choice(LABELS, rows), "split": splits})
    tests = frame.index[frame["split"] == "test"]
    frame.loc[tests[:3], "text"] = [frame["text"][0], frame["text"][0].upper(), "שלום"]
    frame.loc[tests[3], "text"] = ""
    return frame


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with data and classifiers, one with a parent, that are right oftener than not."""
    folder = tmp_path_factory.mktemp("report")
    frame, recipe = frame_of(), {"data": str(folder / "data.jsonl")}
    lm = read_artifact(write_lm(folder / "lm-fwd"))
    files = lm.processor_files()
    files.pop("history.png", None)
    write_artifact(
        folder / "lm-fwd",
        manifest=replace(lm.manifest, metrics={"samples": ["a <b>sample</b> that it wrote"]}),
        encoder=lm.encoder(),
        head=lm.head(),
        processor_files=files,
        history=history(3, perplexity=50.0),
        card="",
        overwrite=True,
    )
    parent = read_artifact(folder / "lm-fwd")
    shared = {"labels": LABELS, "recipe": recipe}
    write_classifier(folder / "fwd", parent=parent, about="about <i>it</i>", **shared)
    write_classifier(folder / "bwd", backwards=True, seed=1, **shared)
    mean = Classifier.load(folder / "fwd", folder / "bwd").probabilities(frame["text"].tolist())
    drawn = (mean[:, 1] > np.random.default_rng(1).random(len(frame))).astype(int)
    frame["label"] = np.array(LABELS)[drawn]
    frame.to_json(folder / "data.jsonl", orient="records", lines=True)
    return folder


def folders(place):
    return [str(place / "fwd"), str(place / "bwd")]


@pytest.fixture(scope="module")
def written(place):
    """The page of both classifiers."""
    path = main(clf=folders(place), out=str(place / "report.html"), precision="float32")
    return path.read_text(encoding="utf-8")


def test_the_page_is_whole_and_needs_nothing_else(written):
    found = parsed(written)
    assert "Report on fwd, bwd and their ensemble" in found.texts
    assert found.tags.count("svg") == 2 + 2 + 1 + 3  # confusion, map; reliability; length; history
    assert not {"script", "link", "iframe", "object", "img"} & set(found.tags)
    assert not [name for name, _ in found.attributes if name.startswith("on") or name == "src"]
    links = [value for name, value in found.attributes if name in ("href", "xlink:href")]
    assert links
    assert all(link.startswith("#") for link in links)
    names = [value for name, value in found.attributes if name == "id"]
    assert len(names) == len(set(names))
    assert {link[1:] for link in links} <= set(names)
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'; img-src data:") in (
        found.attributes
    )
    assert "prefers-color-scheme: dark" in written


def test_texts_and_labels_are_escaped(written, place):
    assert "<script>" not in written
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in written  # a label
    assert "&lt;script&gt;alert(2)&lt;/script&gt;" in written  # of a text
    assert "a &lt;b&gt;sample&lt;/b&gt; that it wrote" in written
    assert "about &lt;i&gt;it&lt;/i&gt;" in written
    assert str(place) not in written  # where files lie is their owner's


def test_figures_of_the_page(written, place):
    frame = pd.read_json(place / "data.jsonl", lines=True)
    test = frame[frame["split"] == "test"]
    truth = (test["label"] == LABELS[1]).to_numpy(int)
    shown = " ".join(" ".join(parsed(written).texts).split())
    for loaded in (folders(place)[:1], folders(place)[1:], folders(place)):
        classifier = Classifier.load(*loaded, precision="float32")
        probabilities = classifier.probabilities(test["text"].tolist())
        predicted = probabilities.argmax(1)
        assert f"{accuracy_score(truth, predicted):.4f}" in shown
        assert f"{matthews_corrcoef(truth, predicted):.4f}" in shown
        assert f"{-np.log(probabilities[np.arange(len(truth)), truth]).mean():.4f}" in shown
    assert f"majority class {np.bincount(truth).max() / len(truth):.3f}" in shown
    measured = measure_baselines(frame, SingleLabels(list(LABELS))).values()
    peers = [f"{figures['accuracy']:.4f}" for figures in measured]
    assert re.search(rf"\baccuracy (0\.\d{{4}} ){{3}}{' '.join(peers)} 0\.\d{{4}}\b", shown)
    assert f"Baselines: {' and '.join(baseline_names())}, on words and pairs of words" in shown
    assert "120 labelled texts of data.jsonl, split test; 2 classes" in shown
    without = (
        "Without 2 texts that are also in the labelled training texts, apart from case and white"
    )
    assert re.search(rf"{without} space: accuracy 0\.\d{{4}} of the ensemble", shown)
    assert "fwd: classifier (stage 3)" in shown
    assert "lm-fwd: language model of the domain (stage 2)" in shown


def test_baselines_are_trained_on_the_classifiers_labels_alone(place, tmp_path):
    frame = pd.read_json(place / "data.jsonl", lines=True)
    frame.to_json(tmp_path / "other.jsonl", orient="records", lines=True)
    classifier = Classifier.load(*folders(place)[:1], precision="float32")
    other = load_data(str(tmp_path / "other.jsonl"))
    assert collect(classifier, other, str(tmp_path / "other.jsonl")).peers == []
    assert collected(place, "train").peers == []
    assert collected(place, "valid").peers == []


def test_labels_of_another_writing_are_the_classes(place, tmp_path, capsys):
    """The figures of the page are those of the data as the model was trained on them."""
    path, clf = tmp_path / "data.csv", folders(place)[0]
    frame = pd.read_json(place / "data.jsonl", lines=True)
    found = []
    for labels in (LABELS, [label.upper() for label in LABELS]):
        frame.replace(dict(zip(LABELS, labels, strict=True))).to_csv(path, index=False)
        main(clf=clf, data=str(path), out=str(tmp_path / "r.html"), texts=0, overwrite=True)
        found.append(capsys.readouterr().out.splitlines())
    (line,) = (line for line in found[1] if line not in found[0])
    assert line.startswith("labels of another writing are read as the classifier's classes: ")
    assert [other for other in found[1] if other != line] == found[0]


def test_equal_runs_write_equal_pages(written, place):
    again = main(clf=folders(place), out=str(place / "again.html"), precision="float32")
    assert again.read_text(encoding="utf-8") == written
    assert not re.search(r"\b20\d\d-\d\d-\d\d\b", written)


def collected(place, split="test", explain=None):
    data = str(place / "data.jsonl")
    classifier = Classifier.load(*folders(place), precision="float32")
    return collect(classifier, load_data(data), data, split, 20, explain)


@pytest.fixture(scope="module")
def report(place):
    return collected(place)


def test_long_texts_are_cut_and_stand_in_full_in_details(report):
    first, second = report_data.hardest(report.best.probabilities, report.truth, 2)
    texts = list(report.texts)
    texts[first], texts[second] = "word " * 200 + "the end", " "
    html = to_xml(tuple(hardest_texts(replace(report, texts=texts))))
    assert f"{texts[first][:LONGEST].rstrip()}…" in html
    assert f"<summary>all {len(texts[first]):,} characters</summary>" in html
    assert texts[first] in html
    assert html.index("the end") < html.index("(an empty text)") < html.index("#3</span>")


def test_the_first_texts_are_explained(place):
    asked = []

    def explain(text):
        asked.append(text)
        return f'<mark title="moved">{len(asked)}</mark>'

    report = collected(place, explain=explain)
    rows = report_data.hardest(report.best.probabilities, report.truth, 5)
    assert asked == [report.texts[row] for row in rows]
    html = to_xml(tuple(hardest_texts(report)), indent=False)
    places = [html.index(f'<mark title="moved">{n}</mark>') for n in range(1, 6)]
    assert places == sorted(places)
    assert html.index("#1</span>") < places[0] < html.index("#2</span>")


def test_a_page_without_texts(report, written):
    html = page(replace(report, shown=0))
    assert "alert(2)" in written
    assert "alert(2)" not in html
    assert "sample" not in html
    assert len(parsed(html).open) == 0
    assert 'id="hardest"' not in html
    assert 'id="figures"' in html


def test_temperatures_are_those_of_split_valid(place, report):
    frame = pd.read_json(place / "data.jsonl", lines=True)
    valid = frame[frame["split"] == "valid"]
    truth = (valid["label"] == LABELS[1]).to_numpy(int)
    models = Classifier.load(*folders(place), precision="float32")
    fitted = [
        fit_temperature(found, truth)
        for found in models.probabilities_by_model(valid["text"].tolist())
    ]
    found = report.calibrated
    assert found.temperatures == dict(zip(("fwd", "bwd"), fitted, strict=True))
    assert found.texts == len(valid)
    full = np.array([bool(text) for text in report.texts])
    for before, after, temperature in zip(report.measured, found.after, fitted, strict=False):
        expected = SINGLE.rescaled(before.probabilities, temperature)
        np.testing.assert_array_equal(after.probabilities[full], expected[full])
        np.testing.assert_array_equal(after.probabilities[~full], before.probabilities[~full])
    mean = np.mean([after.probabilities for after in found.after[:2]], axis=0)
    np.testing.assert_array_equal(found.after[2].probabilities, mean)
    assert to_xml(tuple(calibration_parts(report))).count("Reliability diagram of ensemble") == 2


def test_no_temperature_from_the_split_that_is_reported(place):
    report = collected(place, split="valid")
    assert report.calibrated == ("this page is about split valid, to which it would be fitted")
    html = to_xml(tuple(calibration_parts(report)))
    assert f"No temperature was fitted: {report.calibrated}." in html
    assert html.count("Reliability diagram of ensemble") == 1


def test_no_temperature_from_texts_of_the_training(place, tmp_path, monkeypatch):
    """Split valid drawn anew from data that has more rows now is not the one of the training."""
    frame = pd.read_json(place / "data.jsonl", lines=True).replace("valid", "train")
    path = tmp_path / "data.csv"
    frame.to_csv(path, index=False)
    folder = write_classifier(tmp_path / "clf", labels=LABELS, recipe={"data": str(path)})
    monkeypatch.setattr("ulmfit.report.features.text_map", lambda *given: None)
    found = collect(Classifier.load(folder), load_data(path), str(path)).calibrated
    assert found == (
        "data.csv has changed since clf was trained on it, so split valid would contain texts of "
        "the training; train again, or give the data with a split column"
    )


def test_one_model_has_no_ensemble_and_test_rows_alone_no_temperature(place):
    path = place / "test.jsonl"
    frame = pd.read_json(place / "data.jsonl", lines=True).query("split == 'test'")
    frame.to_json(path, orient="records", lines=True)
    out = main(clf=folders(place)[0], data=str(path), out=str(place / "test.html"))
    html = out.read_text(encoding="utf-8")
    assert "<h1>Report on fwd</h1>" in html
    assert "ensemble" not in html
    assert "No temperature was fitted: test.jsonl has no texts in split valid" in html
    assert str(place) not in html


# Where models come from


def test_lineage_is_found_by_the_manifests_hash(place, report, tmp_path):
    fwd = read_artifact(place / "fwd")
    assert [found.path.name for found in lineage(fwd)] == ["fwd", "lm-fwd"]
    alone = tmp_path / "alone"
    alone.mkdir()
    for path in (place / "fwd").iterdir():
        (alone / path.name).write_bytes(path.read_bytes())
    assert [found.path.name for found in lineage(read_artifact(alone))] == ["alone"]
    alone = replace(report, lineages={"fwd": [fwd]})
    html = to_xml((*curves(alone), *model_facts(alone)))
    assert "Its parent was not found beside it." in html
    assert fwd.manifest.parent in html


def test_paths_without_folders():
    assert without_folders("/home/ada/reviews.csv") == "reviews.csv"
    assert without_folders("C:\\data\\reviews.csv") == "reviews.csv"
    assert without_folders("~/reviews.csv") == without_folders("../reviews.csv") == "reviews.csv"
    assert without_folders("imdb-sample") == "imdb-sample"
    assert without_folders("hf://ada/model") == "hf://ada/model"


def test_two_directories_of_one_name(place, tmp_path):
    other = tmp_path / "fwd"
    write_classifier(other, labels=LABELS, backwards=True, seed=3)
    frame = load_data(place / "data.jsonl")
    report = collect(Classifier.load(place / "fwd", other), frame, "data")
    assert list(report.lineages) == [str(place / "fwd"), str(other)]


# What is refused


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            {"clf": ""},
            "no model given; --clf DIR [DIR ...] names classifiers, as ulmfit train writes",
        ),
        ({"split": "unsup"}, "--split is 'unsup', expected one of train, valid, test"),
        ({"out": "report.pdf"}, "--out is report.pdf, expected a file that ends in .html"),
        ({"texts": -1}, "--texts is -1, expected 0 or more"),
    ],
)
def test_arguments(given, line):
    with refuses(line):
        main(**{"clf": "none", **given})


def test_a_page_that_is_there(place, tmp_path, monkeypatch):
    out = tmp_path / "report.html"
    out.write_text("mine")
    with refuses(f"{out} is there already; choose another --out or pass --overwrite"):
        main(clf=folders(place), out=str(out))
    assert out.read_text() == "mine"
    monkeypatch.setattr("ulmfit.report.collect.collect", lambda *given: None)
    monkeypatch.setattr("ulmfit.report.page.page", lambda report: "new")
    assert main(clf=folders(place)[0], out=str(out), overwrite=True) == out
    assert out.read_text() == "new"


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "report.html"
    with refuses(f"cannot write {out}: {tmp_path / 'file'} is no directory"):
        main(clf="none", out=str(out))


def test_split_that_the_data_lacks(place, tmp_path):
    path = tmp_path / "data.csv"
    frame_of().query("split != 'test'").drop(columns="label").assign(label=LABELS[0]).to_csv(
        path, index=False
    )
    with refuses(
        f"{path} has no texts in split test; it has train, valid: choose one with --split"
    ):
        main(clf=folders(place)[0], data=str(path), out=str(tmp_path / "r.html"))
    assert not (tmp_path / "r.html").exists()


def test_missing_labels(place, tmp_path):
    path = tmp_path / "data.csv"
    frame_of().drop(columns="label").assign(label=None).to_csv(path, index=False)
    with refuses(
        f"120 of 120 texts in split test of {path} have no label; evaluation needs one for each"
    ):
        main(clf=folders(place)[0], data=str(path), out=str(tmp_path / "r.html"))


def test_a_damaged_parent_is_told(place, tmp_path):
    for name in ("fwd", "lm-fwd"):
        (tmp_path / name).mkdir()
        for path in (place / name).iterdir():
            (tmp_path / name / path.name).write_bytes(path.read_bytes())
    (tmp_path / "lm-fwd" / "vocab.txt").write_text("other")
    altered = Path(tmp_path, "lm-fwd", "vocab.txt")
    with refuses(
        f"{altered} was altered: its sha256 is not the one in manifest.json; copy or train the "
        "model again"
    ):
        main(clf=tmp_path / "fwd", data=str(place / "data.jsonl"), out=str(tmp_path / "r.html"))
