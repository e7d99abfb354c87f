"""Test labels are read by evaluate, report and compare alone: nothing else depends on them."""

import ast
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny_models import write_lm
from tiny_stages import SETTINGS_2, SETTINGS_3, reviews, stage2, stage3, write_csv

import ulmfit
from ulmfit import calibrate, evaluate, export
from ulmfit.artifacts.directory import read_artifact
from ulmfit.base.errors import UserError
from ulmfit.base.untrusted import file_sha256
from ulmfit.data import __main__ as look
from ulmfit.data.labels import SingleLabels
from ulmfit.data.load import load_data, load_with_test_labels
from ulmfit.inference import calibration, evaluation
from ulmfit.inference.ensemble import Classifier
from ulmfit.inference.explanation import explain
from ulmfit.pipeline import checks
from ulmfit.training.classifier_data import labels_in
from ulmfit.training.settings import ClassifierSettings

PACKAGE = Path(ulmfit.__file__).parent
READERS = {"inference/evaluation.py", "pipeline/checks.py", "compare/judge.py"}  # of test labels
CORPORA = {"data/columns.py", "data/datasets.py", "data/corpora.py"}
# What reads files of data: whoever uses these could find labels of test in them.
SOURCES = {
    "load_with_test_labels": READERS | {"data/load.py"},
    # tokenize writes them down as they are, as ids.
    "read_columns": {"data/columns.py", "data/load.py", "tokenize.py"},
    "NAMES": {"data/columns.py", "data/load.py", "data/datasets.py"},
    "read_file": CORPORA | {"data/formats.py"},
    "read_folder": CORPORA | {"data/folders.py"},
    # Texts to classify: other columns go from one file into another.
    "open_table": {"data/formats.py", "predict.py", "serve/tables.py", "serve/unpack.py"},
    "csv_rows": {"data/csv_rows.py", "data/csv_quoting.py", "data/formats_csv.py"},
    # Not named: the first lines, for what separates them.
    "first_lines": {"data/csv_head.py", "data/formats_csv.py"},
    "json_rows": {"data/formats_jsonl.py"},
}


@cache
def names_by_module():
    """Every name that a module defines, imports, uses or asks of another module."""
    names = {ast.Name: "id", ast.Attribute: "attr", ast.alias: "name", ast.FunctionDef: "name"}
    found = {}
    for path in PACKAGE.rglob("*.py"):
        nodes = [n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if type(n) in names]
        used = {getattr(node, names[type(node)]) for node in nodes}
        found[path.relative_to(PACKAGE).as_posix()] = used
    return found


def users(name):
    """The modules in which `name` stands."""
    return {module for module, names in names_by_module().items() if name in names}


@pytest.mark.parametrize("name", SOURCES)
def test_only_these_modules_can_see_test_labels(name):
    found = users(name)
    assert found <= SOURCES[name], f"{sorted(found - SOURCES[name])} may not use {name}"
    assert found  # else this test has lost what it guards


def test_no_module_reads_data_past_the_readers():
    reads = {"read_csv", "read_parquet", "read_json", "read_excel", "read_table", "ParquetFile"}
    found = set().union(*(users(name) for name in reads))
    # ids_file.py is asked by columns.py; the worker reads what the judge wrote, without the labels;
    # plan.py counts the rows of texts to classify.
    readers = {"data/formats_parquet.py", "text/ids_file.py", "compare/worker.py", "bulk/plan.py"}
    assert found <= readers


def test_load_data_has_no_test_labels(tmp_path):
    path = write_csv(tmp_path / "data.csv", ["text", "label", "split"], reviews())
    frame, full = load_data(path), load_with_test_labels(path)
    test = full["split"] == "test"
    assert test.sum() > 10
    assert frame.loc[test, "label"].isna().all()
    assert full.loc[test, "label"].notna().all()
    pd.testing.assert_frame_equal(frame[~test], full[~test])
    assert frame.attrs == full.attrs


def commands(path, folder, lm):
    """What every command makes of the data in `path`, as hashes and figures."""
    stage_2 = stage2(path, lm, folder / "lm", steps=SETTINGS_2["steps"][:1], samples=0)
    stage_3 = stage3(path, stage_2.path, folder / "clf", steps=SETTINGS_3["steps"][:1])
    made = {
        f"{step}/{name}": file_sha256(folder / step / name)
        for step in ("lm", "clf")
        for name in ("encoder.safetensors", "head.safetensors", "history.csv", "vocab.txt")
    }
    for result in (stage_2, stage_3):
        manifest = read_artifact(result.path).manifest
        made[f"{manifest.kind} manifest"] = replace(manifest, parent=None, files={})
    rate = stage3(path, stage_2.path, folder / "rate", find_lr=True, batch_size=4)
    made["rate"] = rate.metrics
    made["temperature"] = list(calibrate.main(clf=str(stage_3.path)).values())
    made["valid"] = list(evaluate.main(clf=str(stage_3.path), split="valid").values())
    made["preflight"] = look.main(path)
    classifier = Classifier.load(stage_3.path)
    made["explain"] = explain(classifier, "A dull film.", "gradient").scores.tolist()
    made["predict"] = classifier.probabilities(["A dull film."]).tolist()
    onnx = export.main(clf=str(stage_3.path), out=str(folder / "model.onnx"))
    made["export"] = file_sha256(onnx)
    return made


def test_no_command_depends_on_test_labels(tmp_path, monkeypatch):
    monkeypatch.setenv("ULMFIT_CACHE", str(tmp_path / "cache"))
    lm = write_lm(tmp_path / "pretrained")
    rows = reviews()
    path = tmp_path / "data.csv"
    # All of test gets the other label: whoever learns from it learns something else.
    other = {"good": "bad", "bad": "good"}
    bent = [[t, other[label] if s == "test" else label, s] for t, label, s in rows]
    made, right, guesses = [], [], []
    # So small a model fits no temperature: a figure of all that one would be fitted to.
    monkeypatch.setattr(calibration, "fit_temperature", lambda p, t, _: 1 + p[t == 1, 1].mean())
    fit = evaluation.fit_baseline

    def noted(*given):
        fitted = fit(*given)
        guesses.append(fitted.probabilities(["A dull film.", "A fine film."]))
        return fitted

    monkeypatch.setattr(evaluation, "fit_baseline", noted)
    for name, written in (("a", rows), ("b", bent)):
        write_csv(path, ["text", "label", "split"], written)
        made.append(commands(str(path), tmp_path / name, lm))
        (figures,) = evaluate.main(clf=str(tmp_path / name / "clf")).values()
        settings = ClassifierSettings(data=str(path))
        baselines = checks.baselines_of(settings, SingleLabels(["bad", "good"]))
        figures |= {name: found["accuracy"] for name, found in baselines.items()}
        right.append(figures)
    assert made[0].keys() == made[1].keys()
    assert {key for key in made[0] if made[0][key] != made[1][key]} == set()
    assert np.array_equal(guesses[:2], guesses[2:])
    # The bent labels do matter, where they are read.
    for name in ("accuracy", *baselines):
        assert right[0][name] == pytest.approx(1 - right[1][name])


def test_labels_of_test_that_are_none_stop_no_training(tmp_path):
    rows = [
        [t, f"odd {i}" if s == "test" else label, s] for i, (t, label, s) in enumerate(reviews())
    ]
    path = write_csv(tmp_path / "data.csv", ["text", "label", "split"], rows)
    assert labels_in(load_data(path)).classes == ["bad", "good"]
    settings = ClassifierSettings(data=path)
    with pytest.raises(UserError, match="has the label 'odd 10' in split test"):
        checks.check_test_labels(settings, SingleLabels(["bad", "good"]))
