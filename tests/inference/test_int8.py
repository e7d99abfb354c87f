"""Predictions with 8-bit weights."""

import re

import numpy as np
import pandas as pd
import pytest
from tiny_ensembles import write_tiny_ensemble
from tiny_models import TEXTS, refuses, write_classifier

from ulmfit import evaluate, predict
from ulmfit.base.errors import UserError
from ulmfit.inference import loaded_int8
from ulmfit.inference.ensemble import Classifier
from ulmfit.inference.explanation import explain

for library in loaded_int8.LIBRARIES:
    pytest.importorskip(library)

pytestmark = pytest.mark.computes


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ULMFIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "int8"


def test_close_to_the_exact_model_and_kept(tmp_path, cache, monkeypatch):
    path = write_tiny_ensemble(tmp_path / "clf")
    exact = Classifier.load(path, precision="float32").answers(TEXTS)
    found = Classifier.load(path, precision="int8")
    assert found.precision == "int8"
    answers = found.answers(TEXTS)
    assert 0 < np.abs(answers.by_model - exact.by_model)[:2].max() < 0.1
    np.testing.assert_array_equal(answers.by_model[2:], exact.by_model[2:])
    assert answers.notes == exact.notes
    files = sorted(cache.iterdir())
    assert len(files) == 2  # the linear members have none
    monkeypatch.setattr(loaded_int8, "atomic_write", pytest.fail)
    np.testing.assert_array_equal(
        Classifier.load(path, precision="int8").answers(TEXTS).by_model, answers.by_model
    )
    assert explain(found, TEXTS[0], steps=2).words


def test_commands(tmp_path, caplog):
    path = str(write_classifier(tmp_path / "clf"))
    assert sum(predict.main(clf=path, text=TEXTS[0], int8=True).values()) == pytest.approx(1)
    rows = [(f"{text} {n}", ("neg", "pos")[n % 2], "test") for n, text in enumerate(TEXTS * 3)]
    rows += [("old film", "pos", "train"), ("new film", "neg", "train"), ("a film", "pos", "valid")]
    rows += [("the film", "neg", "valid")]
    table = tmp_path / "data.csv"
    pd.DataFrame(rows, columns=["text", "label", "split"]).to_csv(table, index=False)
    before = (tmp_path / "clf" / "metrics.json").read_bytes()
    found = evaluate.main(clf=path, data=str(table), int8=True)
    assert 0.8 <= found["agreement"]["labels"] <= 1
    assert re.search(r"int8 gives \d+\.\d\d% of the \w+ model's labels", caplog.text)
    assert (tmp_path / "clf" / "metrics.json").read_bytes() == before


def test_refused(monkeypatch):
    with refuses("found --int8 and --precision float32; give one of them"):
        predict.main(text="x", int8=True, precision="float32")
    monkeypatch.setattr(loaded_int8, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="--int8 needs onnx, onnxscript, onnxruntime"):
        predict.main(text="x", int8=True)
    with pytest.raises(UserError, match=re.escape("pip install 'ulmfit[export]'")):
        Classifier.load("imdb-small", precision="int8")
