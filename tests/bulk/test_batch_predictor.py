"""BatchPredictor: the same columns as `predict`, for dicts and data frames, in threads, pickled."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_models import TEXTS, refuses, write_classifier

import ulmfit
from ulmfit.bulk import predictor as module
from ulmfit.inference.ensemble import Classifier


@pytest.fixture(scope="module")
def clf(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return [str(write_classifier(folder / "fwd")), str(write_classifier(folder / "bwd", True, 1))]


@pytest.fixture(scope="module")
def expected(clf):
    return Classifier.load(*clf, precision="float32").predict(TEXTS)


@pytest.fixture
def predictor(clf):
    return ulmfit.BatchPredictor(clf, precision="float32")


def test_dict_of_arrays(predictor, expected):
    batch = {"id": np.arange(len(TEXTS)), "text": np.array(TEXTS, dtype=object)}
    found = predictor(batch)
    assert list(found) == ["id", "text", "label", "probability", "neg", "pos", "note"]
    assert found["id"] is batch["id"]
    assert list(batch) == ["id", "text"]
    assert found["label"].tolist() == expected["label"].tolist()
    assert found["pos"].dtype == np.float32
    np.testing.assert_allclose(found["pos"], expected["pos"], atol=1e-6)
    assert found["note"][2].startswith("nothing to read")


def test_data_frame(predictor, expected):
    frame = pd.DataFrame({"label": ["old"] * 5, "text": TEXTS}, index=[9, 7, 5, 3, 1])
    found = predictor(frame)
    assert list(found)[:4] == ["label", "text", "predicted_label", "probability"]
    assert found.index.tolist() == [9, 7, 5, 3, 1]
    assert found["predicted_label"].tolist() == expected["label"].tolist()
    np.testing.assert_allclose(found["neg"], expected["neg"], atol=1e-6)
    assert predictor(frame[:0]).shape == (0, 7)


def test_another_column(clf, expected):
    predictor = ulmfit.BatchPredictor(clf, text_column="body", precision="float32")
    found = predictor({"body": np.array(TEXTS)})
    assert found["label"].tolist() == expected["label"].tolist()


def test_numbers_and_gaps_are_read_as_by_predict(predictor):
    found = predictor({"text": np.array([7, 7])})
    floats = predictor({"text": [None, float("nan")]})
    assert found["label"][0] == found["label"][1]
    assert all(note.startswith("nothing to read") for note in floats["note"])


def test_pickled_it_holds_names_and_is_loaded_once_a_process(predictor, monkeypatch):
    loads = []
    load = Classifier.load
    monkeypatch.setattr(
        Classifier, "load", lambda *a, **k: loads.append(a) or load(*a, **k), raising=True
    )
    module._held.cache_clear()
    sent = pickle.dumps(predictor)
    assert len(sent) < 1000
    copies = [pickle.loads(sent) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda each: each({"text": TEXTS}), copies))
    assert len(loads) == 1
    for each in found[1:]:
        np.testing.assert_array_equal(each["pos"], found[0]["pos"])


def test_one_thread(predictor):
    before = torch.get_num_threads()
    module._held.cache_clear()
    try:
        predictor({"text": TEXTS})
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_refuses(predictor):
    with refuses(
        "the batch has no column 'text'; it has id, body: name the one with the texts with "
        "text_column="
    ):
        predictor({"id": [1], "body": ["a"]})
    with refuses(
        "the batch, row 2: found a list in the column 'text', expected one string a row; convert "
        "it or name another column"
    ):
        predictor({"text": ["a", ["b"]]})
    with refuses("threads is 0, expected 1 or more, or None"):
        ulmfit.BatchPredictor("imdb-small", threads=0)
    with refuses("no model given; name at least one classifier's directory"):
        ulmfit.BatchPredictor([])
