"""Temperatures: fitted, applied, and kept in model directories that change in nothing else."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file
from scipy.special import softmax
from sklearn.metrics import log_loss
from tiny_models import WORDS, refuses, write_classifier, write_lm

from ulmfit.artifacts.directory import read_artifact
from ulmfit.artifacts.writing import update_metrics, write_artifact
from ulmfit.calibrate import main
from ulmfit.data.labels import SINGLE
from ulmfit.inference.calibration import fit_temperature
from ulmfit.inference.ensemble import Classifier
from ulmfit.inference.metrics import expected_calibration_error
from ulmfit.training.history_plot import history_png


def drawn(texts=20_000, classes=3, seed=0):
    """Logits, and true classes that are as probable as these say."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(texts, classes)) * 1.5
    truth = np.array([rng.choice(classes, p=p) for p in softmax(logits, 1)])
    return logits, truth


@pytest.mark.parametrize("scale", [3.0, 1.0, 0.4])
def test_a_temperature_that_is_known_is_found(scale):
    logits, truth = drawn()
    assert fit_temperature(softmax(scale * logits, 1), truth) == pytest.approx(scale, rel=0.05)


def test_no_other_temperature_has_a_lower_log_loss():
    logits, truth = drawn(texts=500)
    found = fit_temperature(softmax(3 * logits, 1), truth)
    grid = np.linspace(found * 0.8, found * 1.2, 401)
    losses = [log_loss(truth, softmax(3 * logits / t, 1)) for t in grid]
    assert grid[np.argmin(losses)] == pytest.approx(found, rel=1.1e-3)


def test_calibration_error_and_log_loss_fall_on_other_texts():
    logits, truth = drawn()
    probabilities = softmax(3 * logits, 1).astype(np.float32)
    temperature = fit_temperature(probabilities[:10_000], truth[:10_000])
    before, true = probabilities[10_000:], truth[10_000:]
    after = SINGLE.rescaled(before, temperature)
    assert expected_calibration_error(before, true) > 0.1
    assert expected_calibration_error(after, true) < 0.02
    places = np.arange(len(true)), true
    assert np.log(after[places]).mean() > np.log(before[places]).mean()
    assert (after.argmax(1) == before.argmax(1)).all()


def test_applied_is_what_divided_logits_give():
    logits, _ = drawn(texts=50)
    probabilities = softmax(logits, 1)
    for temperature in (0.3, 1.0, 7.0):
        expected = softmax(logits / temperature, 1)
        np.testing.assert_allclose(SINGLE.rescaled(probabilities, temperature), expected)
    small = SINGLE.rescaled(probabilities.astype(np.float32), 2.0)
    assert small.dtype == np.float32
    np.testing.assert_allclose(small.sum(1), 1, rtol=1e-6)


def test_probabilities_that_came_out_as_zero():
    certain = np.array([[1.0, 0.0], [0.0, 1.0]])
    for temperature in (0.1, 10.0):
        scaled = SINGLE.rescaled(certain, temperature)
        assert np.isfinite(scaled).all()
        assert scaled.argmax(1).tolist() == [0, 1]
    truth = np.array([0, 1, 1, 0])  # certain, and wrong once in four times
    found = fit_temperature(np.array([[1.0, 0.0], [0.0, 1.0], [1e-38, 1.0], [1e-38, 1.0]]), truth)
    assert math.isfinite(found)
    assert found > 1


def test_texts_that_no_temperature_fits_best():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    line = (
        "no temperature from 0.01 to 100 fits best, with {} of 3 texts classified correctly; "
        "calibration needs some errors and better-than-chance accuracy: give more texts, or train "
        "a better model"
    )
    with refuses(line.format(3)):
        fit_temperature(probabilities, np.array([0, 1, 0]))
    with refuses(line.format(0)):
        fit_temperature(probabilities, np.array([1, 0, 1]))


# The command


@pytest.fixture
def data(tmp_path):
    """Labels of which the classifiers in tmp_path, fwd and bwd, are too sure."""
    path = tmp_path / "data.csv"
    recipe = {"data": str(path)}
    folders = [
        write_classifier(tmp_path / "fwd", recipe=recipe),
        write_classifier(tmp_path / "bwd", backwards=True, seed=1, recipe=recipe),
    ]
    rng = np.random.default_rng(0)
    rows = 600
    texts = [" ".join(rng.choice(WORDS.split(), rng.integers(1, 20))) for _ in range(rows)]
    mean = Classifier.load(*folders, precision="float32").probabilities(texts)
    labels = np.where(mean[:, 1] > rng.random(rows), "pos", "neg")
    splits = np.array(["train", "valid", "valid", "test"])[np.arange(rows) % 4]
    pd.DataFrame({"text": texts, "label": labels, "split": splits}).to_csv(path, index=False)
    return path


def files(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def test_the_manifest_alone_changes(data, tmp_path, capsys):
    folder = tmp_path / "fwd"
    update_metrics(folder, {"evaluation": "kept"})
    before, manifest = files(folder), read_artifact(folder).manifest
    found = main(clf=str(folder), precision="float32")
    after = files(folder)
    assert {name for name in after if after[name] != before[name]} == {"manifest.json"}
    kept = read_artifact(folder).manifest  # every hash holds
    (temperature,) = found.values()
    assert replace(kept, config=manifest.config) == manifest
    assert kept.config == replace(manifest.config, temperature=temperature)
    assert temperature > 1
    printed = capsys.readouterr().out.splitlines()
    assert f"{folder}: temperature {temperature:.4f}, fitted to 300 texts" in printed
    eces = [float(line.split()[-1]) for line in printed if "ECE" in line]
    assert eces[1] < eces[0]


def test_the_temperature_is_that_of_split_valid(data, tmp_path):
    folder = tmp_path / "bwd"
    valid = pd.read_csv(data).query("split == 'valid'")
    raw = Classifier.load(folder, precision="float32").probabilities(valid["text"].tolist())
    truth = (valid["label"] == "pos").to_numpy(int)
    found = main(clf=[folder], data=str(data), precision="float32")
    assert found == {str(folder): pytest.approx(fit_temperature(raw, truth), abs=1e-4)}


def test_labels_of_another_writing_are_the_classes(data, tmp_path, capsys):
    expected = main(clf=tmp_path / "fwd", precision="float32")
    other = tmp_path / "other.csv"
    pd.read_csv(data).replace({"neg": "NEG", "pos": "Pos"}).to_csv(other, index=False)
    assert main(clf=tmp_path / "fwd", data=str(other), precision="float32") == expected
    assert "are read as the classifier's classes: 'NEG' as 'neg', 'Pos' as 'pos'" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize("there", [5.0, "broken"])
def test_a_temperature_that_was_there_makes_no_difference(data, tmp_path, there):
    folder = tmp_path / "fwd"
    first = main(clf=folder, precision="float32")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["config"]["temperature"] = there
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert main(clf=folder, precision="float32") == first


def test_half_precision_and_a_plot_are_kept(data, tmp_path):
    folder = tmp_path / "fwd"
    artifact = read_artifact(folder)
    write_artifact(
        tmp_path / "half",
        manifest=artifact.manifest,
        encoder=artifact.encoder(),
        head=artifact.head(),
        processor_files=artifact.processor_files(),
        history=[{"step": 1, "epoch": 1, "train_loss": 0.5, "valid_loss": None, "lr": 1e-5}],
        card="# A card\r\n",
        plot=history_png([{"step": 1, "train_loss": 1, "valid_loss": 1, "accuracy": 1}]),
        half=True,
    )
    before = files(tmp_path / "half")
    main(clf=tmp_path / "half")
    after = files(tmp_path / "half")
    assert {name for name in after if after[name] != before[name]} == {"manifest.json"}
    weights = load_file(tmp_path / "half" / "encoder.safetensors").values()
    assert {str(weight.dtype) for weight in weights} == {"torch.float16"}


def test_several_are_all_fitted_or_none_is_written(data, tmp_path):
    folders = [tmp_path / "fwd", tmp_path / "bwd"]
    found = main(clf=folders)
    assert list(found) == list(map(str, folders))
    before = [files(folder) for folder in folders]
    other = write_classifier(tmp_path / "other", labels=("a", "b"))
    with refuses(f"{data} has the label 'neg' in split valid; the classifier knows a, b"):
        main(clf=[*folders, other], data=str(data))
    assert [files(folder) for folder in folders] == before


def test_labels_that_the_training_did_not_have_are_not_used(data, tmp_path, capsys):
    recipe = {"data": str(data), "labels": 40}
    few = write_classifier(tmp_path / "few", recipe=recipe)
    main(clf=few)
    assert "fitted to 40 texts" in capsys.readouterr().out
    copied = tmp_path / "copied.csv"
    copied.write_bytes(data.read_bytes())
    main(clf=few, data=str(copied))
    assert "fitted to 300 texts" in capsys.readouterr().out


def test_probabilities_are_of_the_temperature(data, tmp_path):
    folder, texts = tmp_path / "fwd", ["A great film.", "dull , never again", ""]
    raw = Classifier.load(folder, precision="float32").probabilities(texts)
    (temperature,) = main(clf=folder, precision="float32").values()
    found = Classifier.load(folder, precision="float32").probabilities(texts)
    expected = SINGLE.rescaled(raw, temperature)
    np.testing.assert_allclose(found[:2], expected[:2], atol=1e-6)
    np.testing.assert_array_equal(found[2], raw[2])  # the shares of the training
    assert np.abs(found - raw).max() > 0.01


# What is refused


def test_a_broken_temperature_names_the_model(data, tmp_path):
    folder = tmp_path / "fwd"
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["config"]["temperature"] = -1
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with refuses(
        f"{folder}: found temperature -1 in the manifest's config, expected a finite number above "
        "0; give the model a new one: ulmfit calibrate"
    ):
        Classifier.load(folder)


def test_no_model():
    with refuses("no model given; --clf DIR [DIR ...] names classifiers, as ulmfit train writes"):
        main()


def test_no_valid_split(data, tmp_path):
    path = tmp_path / "test.csv"
    pd.read_csv(data).query("split == 'test'").to_csv(path, index=False)
    with refuses(
        f"{path} has no texts in split valid, on which a temperature is fitted; mark some rows as "
        "valid that have a label and that the model was not trained on"
    ):
        main(clf=tmp_path / "fwd", data=str(path))


def test_a_fit_without_end_names_the_model(data, tmp_path):
    folder = tmp_path / "fwd"
    frame = pd.read_csv(data)
    classifier = Classifier.load(folder, precision="float32")
    frame["label"] = classifier.predict(frame["text"].tolist())["label"]
    path = tmp_path / "right.csv"
    frame.to_csv(path, index=False)
    with refuses(
        f"{folder}: no temperature from 0.01 to 100 fits best, with 300 of 300 texts classified "
        "correctly; calibration needs some errors and better-than-chance accuracy: give more "
        "texts, or train a better model"
    ):
        main(clf=folder, data=str(path), precision="float32")


def test_a_language_model(tmp_path):
    lm = write_lm(tmp_path / "lm")
    with refuses(
        f"{lm} holds a language model, a classifier was expected; ulmfit train writes classifiers"
    ):
        main(clf=lm)
