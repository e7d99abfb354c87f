"""Linear classifiers as model directories: the same after loading, and what is refused."""

import json
import re

import numpy as np
import pytest
from safetensors.numpy import save
from tiny_ensembles import linear, write_tiny_linear
from tiny_models import TEXTS, refuses

from ulmfit.artifacts.config import NB_LR, TFIDF_LR
from ulmfit.artifacts.directory import read_artifact
from ulmfit.base.errors import UserError
from ulmfit.base.untrusted import file_sha256
from ulmfit.inference.ensemble import Classifier
from ulmfit.inference.linear import fit_vectorizer, read_linear

KINDS = [
    (NB_LR, ("neg", "pos"), False),
    (NB_LR, ("mid", "neg", "pos"), False),
    (TFIDF_LR, ("neg", "pos"), False),
    (TFIDF_LR, ("mid", "neg", "pos"), False),
    (TFIDF_LR, ("mid", "neg", "pos"), True),
]


@pytest.mark.parametrize(("features", "labels", "multi_label"), KINDS)
def test_equal_bit_for_bit_after_loading(tmp_path, features, labels, multi_label):
    path = write_tiny_linear(tmp_path / "clf", features, labels, multi_label)
    expected = linear(features, labels, multi_label).probabilities(TEXTS)
    found = read_linear(read_artifact(path, "linear")).probabilities(TEXTS)
    np.testing.assert_array_equal(found, expected)
    assert expected.std(0).min() > 0.01
    files = sorted(file.name for file in path.iterdir())
    assert files == [
        "README.md",
        "linear.safetensors",
        "manifest.json",
        "metrics.json",
        "ngrams.txt",
    ]


@pytest.mark.parametrize(("features", "labels", "multi_label"), KINDS)
def test_a_classifier_by_itself(tmp_path, features, labels, multi_label):
    classifier = Classifier.load(write_tiny_linear(tmp_path / "c", features, labels, multi_label))
    found = classifier.answers(["A great film about the sea", "", "the music was dull"])
    assert found.mean.dtype == np.float32
    np.testing.assert_allclose(found.mean[1], 1 / len(labels), rtol=1e-6)
    assert found.notes[0] == found.notes[2] == ""
    assert found.notes[1].startswith("nothing to read")
    unknown = classifier.answers(["xyz abc"]).notes
    assert unknown == ["none of 2 tokens is known to this model; its answer means little"]
    best = [classifier.labels[n] for n in found.mean[[0, 2]].argmax(1)]
    assert best == ["pos", "neg"]


def test_no_more_ngrams_than_asked_for():
    texts = ["good film", "good story", "bad film", "bad story", f"{'x' * 300} film"]
    assert set(fit_vectorizer(NB_LR, texts, 3).vocabulary) == {"film", "good", "bad"}
    every = fit_vectorizer(NB_LR, texts, 1000).vocabulary
    assert not any("x" in ngram for ngram in every)
    assert len(fit_vectorizer(NB_LR, texts).vocabulary) == len(every) + 2
    assert list(every) == sorted(every)


def rewritten(path, name, content):
    """Another file under a hash that fits: as a stranger may write it."""
    (path / name).write_bytes(content)
    change(path, files={**read(path)["files"], name: file_sha256(path / name)})


def read(path):
    return json.loads((path / "manifest.json").read_text())


def change(path, **changes):
    (path / "manifest.json").write_text(json.dumps(read(path) | changes))


def test_hostile_files(tmp_path):
    path = write_tiny_linear(tmp_path / "clf")
    ngrams = (path / "ngrams.txt").read_text().splitlines()
    again = "; copy or train the model again"
    count = f"{len(ngrams):,}"
    for lines, different in (
        (ngrams[:-1], len(ngrams) - 1),
        ([*ngrams[:-1], ngrams[0]], len(ngrams) - 1),
        (["", *ngrams[1:]], len(ngrams) - 1),
    ):
        rewritten(path, "ngrams.txt", "".join(f"{line}\n" for line in lines).encode())
        with refuses(
            f"{path / 'ngrams.txt'} has {len(lines):,} lines, {different:,} of them different "
            f"n-grams; the manifest's config has {count}{again}"
        ):
            Classifier.load(path)
    rewritten(path, "ngrams.txt", b"\xff\xfe\n")
    with refuses(f"{path / 'ngrams.txt'} is not UTF-8{again}"):
        Classifier.load(path)
    rewritten(path, "ngrams.txt", "".join(f"{line}\n" for line in ngrams).encode())
    biases = np.zeros(1, np.float32)
    for arrays, line in (
        ({"biases": biases}, r"found the arrays biases \(1,\), expected biases"),
        (
            {"biases": biases, "weights": np.zeros((1, 2), np.float32)},
            r"found the arrays biases \(1,\), weights \(1, 2\), expected biases",
        ),
        (
            {"biases": biases, "weights": np.full((1, len(ngrams)), np.nan, np.float32)},
            "weight weights has numbers that are not finite",
        ),
        (
            {"biases": biases, "weights": np.full((1, len(ngrams)), 1e300)},
            "weight weights has numbers that are not finite",
        ),
        (
            {"biases": biases, "weights": np.zeros((1, len(ngrams)), np.int64)},
            "weight weights has type I64, expected F32",
        ),
    ):
        rewritten(path, "linear.safetensors", save(arrays))
        with pytest.raises(UserError, match=line):
            Classifier.load(path)
    (path / "linear.safetensors").write_bytes(b"pickle")
    with refuses(
        f"{path / 'linear.safetensors'} was altered: its sha256 is not the one in manifest.json"
        f"{again}"
    ):
        Classifier.load(path)


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ({"features": "svm"}, "found features 'svm' in the manifest's config, expected nb-lr or"),
        ({"ngrams": 2**40}, "found ngrams 1099511627776 in the manifest's config, expected"),
        ({"ngrams": 0}, "found ngrams 0 in the manifest's config, expected a whole number"),
        ({"strength": -1}, "found strength '-1' in the manifest's config, expected a finite"),
        ({"strength": True}, "found strength 'True' in the manifest's config"),
        ({"class_weight": "odd"}, "found class_weight 'odd' in the manifest's config"),
        ({"temperature": 0}, "found temperature 0 in the manifest's config"),
        ({"prior": [2]}, "found the prior"),
        ({"multi_label": True}, "found features 'nb-lr' in the manifest's config, expected tfidf"),
    ],
)
def test_odd_configs(tmp_path, config, line):
    path = write_tiny_linear(tmp_path / "clf")
    change(path, config=read(path)["config"] | config)
    with pytest.raises(UserError, match=f"^{re.escape(f'{path}: {line}')}"):
        Classifier.load(path)


def test_what_needs_a_network_says_so(tmp_path):
    path = write_tiny_linear(tmp_path / "clf")
    with refuses(
        f"{path} holds a linear classifier, a language model was expected; "
        "ulmfit lm writes language models"
    ):
        read_artifact(path, "lm")
    with refuses(
        f"{path} holds a linear classifier, which has no text processor; name a model that a "
        "stage wrote"
    ):
        read_artifact(path).processor()
    change(path, direction="forward")
    with refuses(f'{path / "manifest.json"}: "direction" is "forward", none was expected'):
        read_artifact(path)
