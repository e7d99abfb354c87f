"""A student: taught, written, read, and asked first."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from tiny_ensembles import write_tiny_linear
from tiny_models import refuses

from ulmfit import calibrate, distill, predict, verify
from ulmfit.artifacts.config import TFIDF_LR
from ulmfit.artifacts.directory import read_artifact
from ulmfit.base.errors import UserError
from ulmfit.data.labels import MULTI, SINGLE
from ulmfit.inference.ensemble import Classifier
from ulmfit.inference.explanation import explain
from ulmfit.inference.student import FastClassifier, sureness
from ulmfit.training.student import fit_soft, threshold_for

GOOD = ["great", "best", "good", "laughed"]
BAD = ["worst", "dull", "bad", "old"]
REST = ["film", "story", "music", "sea", "actors"]


def texts_of(count, seed):
    rng = np.random.default_rng(seed)
    return [
        f"The {rng.choice(REST)} was {rng.choice((GOOD, BAD)[n % 2])}, {rng.choice(REST)} n{n}"
        for n in range(count)
    ]


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("ULMFIT_CACHE", str(tmp_path / "cache"))
    parts = {"train": 60, "valid": 40, "unsup": 200}
    rows = [
        {"text": text, "split": split, "label": ("pos", "neg")[n % 2] if split != "unsup" else None}
        for seed, (split, count) in enumerate(parts.items())
        for n, text in enumerate(texts_of(count, seed))
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "data.csv", index=False)
    return str(tmp_path / "data.csv")


@pytest.fixture(params=[(("neg", "pos"), False), (("mid", "neg", "pos"), False)])
def teacher(tmp_path, request):
    return write_tiny_linear(tmp_path / "clf", TFIDF_LR, *request.param)


def test_distilled_written_and_asked_first(tmp_path, data, teacher, caplog):
    metrics = distill.main(clf=str(teacher), data=data)
    place = tmp_path / "student"
    assert sorted(file.name for file in place.iterdir()) == [
        "README.md",
        "linear.safetensors",
        "manifest.json",
        "metrics.json",
        "seen.bin",
    ]
    assert metrics["agreement"] > 0.9
    assert metrics["taught_texts"] == 260
    known = Classifier.load(teacher)
    alone, fast = Classifier.load(place), FastClassifier.of(known, place)
    new = [*texts_of(50, 9), "", "qqqq zzzz xxxx"]
    expected, said, found = known.answers(new), alone.answers(new), fast.answers(new)
    sure = sureness(said.mean, known.labelling) > fast.threshold
    sure[-2:] = False
    assert fast.asked == (~sure).sum() >= 2
    np.testing.assert_allclose(found.mean[sure], said.mean[sure])
    np.testing.assert_allclose(found.mean[~sure], expected.mean[~sure])
    assert found.notes[-2:] == expected.notes[-2:] != ["", ""]
    assert verify.main(str(place)) == [place]
    assert explain(alone, "The film was great").words == ["The", "film", "was", "great"]


def test_predict_fast_counts_and_finds_the_student(tmp_path, data, caplog):
    teacher = write_tiny_linear(tmp_path / "clf", TFIDF_LR)
    distill.main(clf=str(teacher), data=data)
    out = tmp_path / "out.csv"
    predict.main(clf=str(teacher), input=data, output=str(out), fast=True)
    assert len(pd.read_csv(out)) == 300
    assert re.search(r"the student answered \d+ of 300 texts, \d+ \(\d+%\) went to", caplog.text)
    found = predict.main(clf=str(teacher), text="The film was great, sea n1", fast=True)
    assert found["pos"] > 0.5


def test_another_teachers_student_is_refused(tmp_path, data):
    teacher = write_tiny_linear(tmp_path / "clf", TFIDF_LR)
    place = tmp_path / "student"
    missing = f"{place} does not exist, and --fast needs a student; ulmfit distill --clf"
    with pytest.raises(UserError, match=f"^{re.escape(missing)}"):
        predict.main(clf=str(teacher), text="great", fast=True)
    distill.main(clf=str(teacher), data=data)
    other = write_tiny_linear(tmp_path / "other", TFIDF_LR, recipe={"epochs": 2})
    with pytest.raises(UserError, match="is the student of another classifier: its teacher is"):
        predict.main(clf=str(other), text="great", fast=True)
    with pytest.raises(UserError, match="holds a classifier that is no student"):
        predict.main(clf=str(teacher), text="great", fast=True, student=str(other))
    with refuses("found --student without --fast, which it belongs to; add --fast"):
        predict.main(clf=str(teacher), text="great", student=str(place))
    with pytest.raises(UserError, match="is a student, whose threshold belongs to"):
        calibrate.main(clf=str(place), data=data)


def test_a_stopped_distillation_keeps_what_the_teacher_said(tmp_path, data, monkeypatch, caplog):
    teacher = write_tiny_linear(tmp_path / "clf", TFIDF_LR)
    distill.main(clf=str(teacher), data=data)
    first = (tmp_path / "student" / "linear.safetensors").read_bytes()
    distill.main(clf=str(teacher), data=data, out=str(tmp_path / "again"))
    assert "1 of 1 blocks of answers are there" in caplog.text
    assert (tmp_path / "again" / "linear.safetensors").read_bytes() == first


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"teacher": 3}, "found teacher 3 in the manifest's config"),
        ({"teachers": "x"}, "found teachers x in the manifest's config"),
        ({"threshold": 2}, "found threshold 2 in the manifest's config"),
        ({"ngrams": 12}, "found ngrams 12 in the manifest's config"),
    ],
)
def test_a_strangers_config_is_refused(tmp_path, data, changes, line):
    teacher = write_tiny_linear(tmp_path / "clf", TFIDF_LR)
    distill.main(clf=str(teacher), data=data, texts=30)
    file = tmp_path / "student" / "manifest.json"
    found = json.loads(file.read_text())
    file.write_text(json.dumps({**found, "config": {**found["config"], **changes}}))
    with pytest.raises(UserError, match=re.escape(line)):
        read_artifact(tmp_path / "student")


def test_too_few_texts(tmp_path, data):
    teacher = write_tiny_linear(tmp_path / "clf", TFIDF_LR)
    with pytest.raises(UserError, match="has 5 texts in train and unsup, expected 20 or more"):
        distill.main(clf=str(teacher), data=data, texts=5)


def test_the_threshold_keeps_the_share():
    rng = np.random.default_rng(0)
    expected = rng.dirichlet([1, 1], 1000)
    said = np.clip(expected + rng.normal(0, 0.2, (1000, 1)) * [1, -1], 0.001, 0.999)
    labels = SINGLE.of(["a", "b"])
    threshold, alone = threshold_for(said, expected, labels, 0.98)
    sure = sureness(said, labels) > threshold
    wrong = (said.argmax(1) != expected.argmax(1)) & sure
    assert 0.3 < alone == sure.mean() < 1
    assert 5 < wrong.sum() <= 20
    assert threshold_for(expected, expected, labels, 0.98)[1] == 1
    assert threshold_for(expected, expected, labels, 0.98)[0] < sureness(expected, labels).min()
    assert threshold_for(1 - expected, expected, labels, 0.98)[1] < 0.05


@pytest.mark.parametrize(("labels", "count"), [(SINGLE, 2), (SINGLE, 3), (MULTI, 3)])
def test_soft_regression_learns_probabilities(labels, count):
    from scipy.sparse import csr_array

    rng = np.random.default_rng(0)
    kind = labels.of([f"c{n}" for n in range(count)])
    rows = csr_array(rng.random((400, 6)).astype(np.float32))
    made = rows @ rng.normal(0, 3, (6, count))
    each = np.exp(made - made.max(1, keepdims=True))
    answers = 1 / (1 + np.exp(-made)) if kind.multi else each / each.sum(1, keepdims=True)
    from ulmfit.inference.linear import LinearClassifier, link_of

    fitted = fit_soft(rows, answers, kind, 1e4)
    classifier = LinearClassifier("hashed", None, link_of("hashed", kind), fitted)
    assert np.abs(classifier.of_rows(rows) - answers).max() < 0.05
