"""An ensemble's directory in every command that takes a classifier."""

import csv
import shutil
from importlib.util import find_spec

import numpy as np
import pytest
from tiny_ensembles import READ, write_tiny_ensemble, write_tiny_linear
from tiny_models import TEXTS, refuses

from ulmfit import calibrate, evaluate, export, predict, verify
from ulmfit.artifacts.directory import read_artifact, read_metrics
from ulmfit.artifacts.ensemble import read_ensemble
from ulmfit.data.labels import MULTI, SingleLabels
from ulmfit.inference.ensemble import Classifier
from ulmfit.inference.explanation import explain
from ulmfit.inference.mixture import EQUAL, Mixture

LABELS = SingleLabels(["neg", "pos"])
TEXT = "A great film about the sea , <br /> and never dull ."


def write_data(path):
    rows = [(text, label) for label in ("neg", "pos") for text in READ[label]]
    wrong = [("A great story", "neg"), ("a dull film", "pos"), ("the sea", "neg")]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "split"])
        for split in ("train", "valid", "test"):
            writer.writerows([*row, split] for row in (*rows, *wrong))
    return str(path)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ensemble")
    data = write_data(folder / "films.csv")
    return write_tiny_ensemble(folder / "clf", recipe={"data": data})


@pytest.fixture
def path(written, tmp_path):
    return shutil.copytree(written, tmp_path / "clf")


def test_the_mixture_by_hand(path):
    classifier = Classifier.load(path, precision="float32")
    each = [
        Classifier.load(path / name, precision="float32").probabilities(TEXTS)
        for name in ("fwd", "bwd", "nb", "tfidf")
    ]
    pooled = sum(w * p for w, p in zip((0.4, 0.3, 0.2, 0.1), each, strict=True))
    expected = pooled ** (1 / 1.5)
    expected /= expected.sum(1, keepdims=True)
    expected[2] = 0.5  # no text: the shares of the training, and no temperature
    found = classifier.probabilities(TEXTS)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert list(classifier.predict(TEXTS).columns) == ["label", "probability", "neg", "pos"]


@pytest.mark.parametrize("mixture", [EQUAL, Mixture((0.7, 0.3), 1.0, LABELS)])
def test_weights(mixture):
    by_model = np.random.default_rng(0).random((2, 5, 2), np.float32)
    first, second = mixture.shares(2)
    found = mixture.of(by_model)
    np.testing.assert_allclose(found, first * by_model[0] + second * by_model[1], rtol=1e-6)
    assert found.dtype == np.float32


@pytest.mark.parametrize("labels", [SingleLabels(list("abc")), MULTI])
def test_slopes_are_those_of_the_temperature(labels):
    mixture = Mixture((1.0,), 0.6, labels)
    pooled = np.array([[0.2, 0.5, 0.3], [0.9, 0.04, 0.06]])
    for target in range(3):
        expected = np.empty_like(pooled)
        for n in range(3):
            step = np.zeros(3)
            step[n] = 1e-6
            rise = [mixture.of((pooled + sign * step)[None])[:, target] for sign in (1, -1)]
            expected[:, n] = (rise[0] - rise[1]) / 2e-6
        np.testing.assert_allclose(mixture.slopes(pooled, target), expected, atol=1e-5)


@pytest.mark.parametrize("steps", [200])
def test_explanations_sum_up(path, steps):
    classifier = Classifier.load(path, precision="float32")
    found = explain(classifier, TEXT, steps=steps)
    assert found.probability == pytest.approx(classifier.probabilities([TEXT]).max(), abs=1e-5)
    assert found.scores.sum() == pytest.approx(found.total, abs=0.02)
    assert abs(found.total) > 0.05


@pytest.mark.parametrize("features", ["nb-lr", "tfidf-lr"])
@pytest.mark.parametrize("labels", [("neg", "pos"), ("mid", "neg", "pos")])
def test_explanations_of_a_linear_classifier(tmp_path, features, labels):
    path = write_tiny_linear(tmp_path / "clf", features, labels)
    found = explain(Classifier.load(path), "A great\nfilm about the sea", steps=100)
    assert (found.label, found.words) == ("pos", ["A", "great", "film", "about", "the", "sea"])
    assert found.gaps == ["", " ", "\n", " ", " ", " "]
    assert found.scores.sum() == pytest.approx(found.total, abs=1e-4)
    assert found.strongest(1)[0][0] in ("great", "about")
    nothing = explain(Classifier.load(path), "xyz")
    assert nothing.scores.tolist() == [0.0]


def test_evaluate_and_calibrate(tmp_path, told):
    data = write_data(tmp_path / "films.csv")
    weights = (0.02, 0.02, 0.6, 0.36)  # the networks have learnt nothing
    path = write_tiny_ensemble(tmp_path / "clf", weights, recipe={"data": data})
    found = evaluate.main(clf=str(path))
    names = [str(path / name) for name in ("fwd", "bwd", "nb", "tfidf")]
    assert list(found) == [*names, "ensemble"]
    measured = read_metrics(path)["evaluation"]["films.csv"]["test"]
    assert measured["accuracy"] == found["ensemble"]["accuracy"]
    assert "evaluation" in read_metrics(path / "nb")
    (temperature,) = calibrate.main(clf=str(path)).values()
    assert f"{path}: temperature {temperature:.4f}, fitted to 9 texts" in told
    assert read_ensemble(path).temperature == temperature != 1.5
    again = calibrate.main(clf=str(path), precision="float32")
    assert again[str(path)] == pytest.approx(temperature, rel=0.1)
    assert read_artifact(path / "fwd").manifest.labelled_config.temperature is None


def test_a_linear_classifier_is_calibrated(written, tmp_path):
    path = shutil.copytree(written / "tfidf", tmp_path / "tfidf")
    (temperature,) = calibrate.main(clf=str(path)).values()
    artifact = read_artifact(path)
    assert artifact.manifest.linear_config.temperature == temperature
    before = Classifier.load(written / "tfidf").probabilities(["a great film"])
    after = Classifier.load(path).probabilities(["a great film"])
    np.testing.assert_allclose(after, LABELS.rescaled(before, temperature), rtol=1e-5)


def test_predict_and_verify(path, tmp_path, told):
    found = predict.main(clf=str(path), text="A great film", precision="float32")
    assert sum(found.values()) == pytest.approx(1, abs=1e-5)
    told.clear()
    checked = verify.main(str(path))
    assert checked == [path, *(path / name for name in ("fwd", "bwd", "nb", "tfidf"))]
    lines = "\n".join(told).splitlines()
    assert lines[:3] == [
        f"{path}: 4 members, all as ensemble.json names them",
        "  weights fwd 0.400, bwd 0.300, nb 0.200, tfidf 0.100",
        "  temperature 1.5",
    ]
    assert "  root: trained on the labelled texts alone" in lines


@pytest.mark.skipif(not find_spec("onnxscript"), reason="the extra export is not installed")
def test_export(path, tmp_path):
    from ulmfit.onnx_classifier import OnnxClassifier

    with refuses(
        f"--out is {tmp_path / 'm.onnx'}, expected a folder's name without an ending: {path} is "
        "an ensemble, of several files"
    ):
        export.main(clf=str(path), out=str(tmp_path / "m.onnx"))
    out = export.main(clf=str(path), out=str(tmp_path / "m"))
    names = ["bwd-tokenizer", "bwd.onnx", "ensemble.json", "fwd-tokenizer", "fwd.onnx"]
    assert sorted(entry.name for entry in out.iterdir()) == [*names, "nb", "tfidf"]
    expected = Classifier.load(path, precision="float32").answers(TEXTS)
    found = OnnxClassifier.load(out).answers(TEXTS)
    np.testing.assert_allclose(found.mean, expected.mean, atol=1e-4)
    assert found.notes == expected.notes
    with refuses(f"{out} is there already; choose another --out or pass --overwrite"):
        export.main(clf=str(path), out=str(out))
    shutil.copyfile(out / "bwd.onnx", out / "fwd.onnx")
    with refuses(
        f"{out / 'fwd.onnx'} is not the member that ensemble.json names; export the ensemble again"
    ):
        OnnxClassifier.load(out)
