"""Classifiers as ONNX: the same probabilities, any shape, and a runner without torch."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_models import (
    TEXTS,
    WORDS,
    finished,
    random_documents,
    refuses,
    widen,
    write_classifier,
    write_lm,
)

from ulmfit import export
from ulmfit.artifacts import bundled
from ulmfit.artifacts.config import ClassifierConfig
from ulmfit.artifacts.directory import read_artifact
from ulmfit.base.atomic import atomic_write
from ulmfit.base.errors import UserError
from ulmfit.export import main
from ulmfit.inference import onnx_graph
from ulmfit.inference.ensemble import Classifier
from ulmfit.inference.loaded import LoadedModel
from ulmfit.inference.onnx_graph import to_onnx
from ulmfit.inference.onnx_session import run, start_session
from ulmfit.model.build import build_classifier
from ulmfit.model.sizes import encoder_config
from ulmfit.onnx_classifier import OnnxClassifier, OnnxModel
from ulmfit.text.batches import collate
from ulmfit.text.processor import TextProcessor
from ulmfit.training.settings import ClassifierSettings, Step
from ulmfit.training.stage import save

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

MAX_LEN = 20  # shorter than some of the texts, so that pooling leaves tokens out
PRIOR = [0.25, 0.75]
PROJECT = str(Path(__file__).parents[1].parent)


def many_texts(count=150):
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(WORDS.split(), rng.integers(0, 60))) for _ in range(count)]


def exported(model, **more):
    """A classifier's directory and the file that was made of it."""
    return str(model), main(clf=str(model), out=f"{model}.onnx", **more)


def python(*command):
    return subprocess.run(
        [sys.executable, *command],
        env={**os.environ, "PYTHONPATH": PROJECT},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("export")


@pytest.fixture(scope="module")
def forward(folder):
    return exported(write_classifier(folder / "fwd", max_len=MAX_LEN))


@pytest.fixture(scope="module")
def backward(forward, folder):
    model = write_classifier(folder / "bwd", backwards=True, max_len=MAX_LEN)
    with graph_of(forward[1]):  # of the same weights
        return exported(model)


@pytest.fixture(scope="module")
def int8(forward, folder):
    with graph_of(forward[1]):
        return main(clf=forward[0], out=str(folder / "int8.onnx"), int8=True)


@pytest.fixture(scope="module")
def subword(folder):
    """Written by the command; with what it said."""
    processor = TextProcessor("subword", max_vocab=80).fit([WORDS, *TEXTS])
    encoder = encoder_config("tiny", len(processor.vocab))
    model = widen(build_classifier(encoder, 2, drop_mult=0, hidden=10))
    settings = ClassifierSettings(steps=[Step(1, 0.01)])
    config = ClassifierConfig(encoder, max_len=1440, hidden=10, prior=PRIOR)
    made = finished(config, model, processor, settings, labels=["neg", "pos"])
    path = save(made, folder / "subword", 0.1).path
    out = folder / "subword.onnx"
    return path, out, python("-m", "ulmfit.export", "--clf", str(path), "--out", str(out))


@contextmanager
def graph_of(file):
    """Saves the exporter's seconds where another graph is not the point."""
    proto = onnx.load(file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_graph, "to_onnx", lambda model, *settings: proto)
        yield


def facts_of(path):
    (entry,) = onnx.load(path).metadata_props
    assert entry.key == "ulmfit"
    return json.loads(entry.value)


# What it computes


@pytest.mark.parametrize("name", ["forward", "backward"])
def test_predictions_are_the_classifiers(name, request):
    model, file = request.getfixturevalue(name)
    texts = TEXTS + many_texts()
    expected = Classifier.load(model, precision="float32").predict(texts)
    found = OnnxClassifier.load(file).predict(texts)
    pd.testing.assert_frame_equal(found, expected, rtol=0, atol=1e-4)
    assert found["label"].tolist() == expected["label"].tolist()
    assert found["pos"].std() > 0.1


def test_ensemble(forward, backward):
    texts = many_texts(40)
    expected = Classifier.load(forward[0], backward[0], precision="float32").predict(texts)
    found = OnnxClassifier.load(forward[1], backward[1], threads=1).predict(texts)
    pd.testing.assert_frame_equal(found, expected, rtol=0, atol=1e-4)


@pytest.fixture(scope="module")
def graph(folder):
    """A classifier of three classes, and a session of its graph with temperature 2."""
    path = write_classifier(folder / "three", labels=("a", "b", "c"), max_len=MAX_LEN)
    model = LoadedModel(read_artifact(path), "float32").model
    return model, start_session(to_onnx(model, temperature=2.0).SerializeToString())


@pytest.mark.parametrize(
    "lengths", [[1], [1, 1, 1], [MAX_LEN], [300], [3, 41, 1, 20, 21, 7], range(1, 66)]
)
def test_any_shape_in_any_order(graph, lengths):
    model, session = graph
    documents = random_documents(lengths, 40, seed=len(lengths))
    order = np.argsort([-len(document) for document in documents], kind="stable")
    with torch.no_grad():
        logits = model(collate([documents[i] for i in order]))[0]
    expected = (logits / 2).softmax(1).numpy()
    found = run(session, documents)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[order], expected, rtol=0, atol=1e-5)


def test_padding_changes_nothing(graph):
    _, session = graph
    ids = np.stack(random_documents([30, 30, 30], 40)).astype(np.int64)
    lengths = np.array([30, 1, 17])
    (found,) = session.run(None, {"ids": ids, "lengths": lengths})
    wider = np.pad(ids, ((0, 0), (0, 50)), constant_values=5)
    (again,) = session.run(None, {"ids": wider, "lengths": lengths})
    np.testing.assert_allclose(again, found, rtol=0, atol=1e-6)


def test_int8(forward, int8):
    texts = many_texts()
    expected = Classifier.load(forward[0], precision="float32").predict(texts)
    found = OnnxClassifier.load(int8).predict(texts)
    difference = (found["pos"] - expected["pos"]).abs()
    assert 0 < difference.median() < 0.03  # random weights, larger than those of a training
    assert (found["label"] == expected["label"]).mean() > 0.95
    assert facts_of(int8)["weights"] == "int8"
    graph = onnx.load(int8).graph
    kinds = [node.op_type for node in graph.node]
    assert kinds.count("DynamicQuantizeLSTM") == 2
    assert "LSTM" not in kinds
    (embedding,) = [t for t in graph.initializer if t.name == "embedding.weight_quantized"]
    assert embedding.data_type == onnx.TensorProto.UINT8
    recurrent = [onnx.numpy_helper.to_array(t) for t in graph.initializer if t.data_type == 3]
    largest = max(int(np.abs(w.astype(int)).max()) for w in recurrent)
    assert 60 <= largest <= 64  # 7 bits


def test_int8_is_smaller(forward, int8):
    assert int8.stat().st_size < 0.6 * forward[1].stat().st_size


def test_missing_texts_and_other_sequences(forward):
    classifier = OnnxClassifier.load(forward[1])
    found = classifier.predict(["", None, float("nan"), pd.NA, " \n "])
    np.testing.assert_allclose(found["pos"], found["pos"][0], atol=1e-6)
    expected = classifier.predict(TEXTS)
    series = pd.Series(TEXTS, index=[7, 3, 3, 1, 0])
    for texts in (tuple(TEXTS), iter(TEXTS), np.array(TEXTS, object)):
        pd.testing.assert_frame_equal(classifier.predict(texts), expected)
    pd.testing.assert_frame_equal(classifier.predict(series), expected.set_axis(series.index))
    with refuses("texts[0] is an int, expected a string; pass it as a text, e.g. str(number)"):
        classifier.predict([7])


FOREIGN = ["这部电影很好看", "a great film", "\u200b", "Η ταινία ήταν πολύ καλή"]


def test_notes_are_those_of_the_classifier(forward, backward):
    """On texts that the model does not know."""
    ours = OnnxClassifier.load(forward[1], backward[1])
    theirs = Classifier.load(forward[0], backward[0], precision="float32")
    assert ours.answers(FOREIGN).notes == theirs.answers(FOREIGN).notes
    assert [bool(note) for note in ours.answers(FOREIGN).notes] == [True, False, True, True]
    np.testing.assert_allclose(ours.probabilities(FOREIGN)[2], 0.5)
    line = "^fewer than a fifth of the tokens of 2 of 4 texts are known to this model"
    with pytest.warns(UserWarning, match=line) as warned:
        ours.predict(FOREIGN)
    assert [one.filename for one in warned] == [__file__]


def test_no_texts(forward):
    found = OnnxClassifier.load(forward[1]).predict([])
    assert found.shape == (0, 4)
    assert list(found.columns) == ["label", "probability", "neg", "pos"]


def test_more_texts_than_a_batch_holds(forward, monkeypatch):
    texts = many_texts(30)
    classifier = OnnxClassifier.load(forward[1])
    expected = classifier.predict(texts)
    monkeypatch.setattr("ulmfit.inference.onnx_session._TOKENS", 50)  # less than the longest text
    pd.testing.assert_frame_equal(classifier.predict(texts), expected, rtol=0, atol=1e-5)


# What is written


def test_the_graph_is_valid_and_says_no_more_than_it_should(forward, folder):
    _, file = forward
    proto = onnx.load(file)
    onnx.checker.check_model(proto, full_check=True)
    assert [node.op_type for node in proto.graph.node].count("LSTM") == 2
    shapes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*proto.graph.input, *proto.graph.output)
    }
    expected = {"ids": ["batch", "time"], "lengths": ["batch"], "probabilities": ["batch", 2]}
    assert shapes == expected
    content = file.read_bytes()
    for path in (PROJECT, sys.prefix, str(folder)):
        assert path.encode() not in content


def test_facts(backward):
    artifact = read_artifact(Path(backward[0]))
    found = facts_of(backward[1])
    assert found["labels"] == ["neg", "pos"]
    assert found["direction"] == "backward"
    assert found["reads"] == "xxbos first, then the tokens from the last one to the first"
    assert found["weights"] == "float32"
    assert found["prior"] == [0.5, 0.5]
    assert found["config"]["max_len"] == MAX_LEN
    assert found["manifest_sha256"] == artifact.manifest_sha256
    assert found["tokenizer"] == artifact.manifest.tokenizer
    names = ["processor.json", "vocab.txt"]
    assert found["files"] == {name: artifact.manifest.files[name] for name in names}
    assert {"torch", "onnx", "onnxruntime"} <= found["versions"].keys()


def test_the_tokenizers_files_lie_beside(forward):
    model, file = forward
    beside = file.with_name("fwd-tokenizer")
    assert sorted(path.name for path in beside.iterdir()) == ["processor.json", "vocab.txt"]
    for path in beside.iterdir():
        assert path.read_bytes() == Path(model, path.name).read_bytes()


def test_overwrite(forward, tmp_path):
    out = tmp_path / "fwd.onnx"
    atomic_write(out, "something older")
    atomic_write(tmp_path / "fwd-tokenizer" / "mine.txt", "to be kept")
    with graph_of(forward[1]):
        assert main(clf=forward[0], out=str(out), overwrite=True) == out
    assert out.read_bytes() == forward[1].read_bytes()
    assert (tmp_path / "fwd-tokenizer" / "mine.txt").exists()
    assert len(OnnxClassifier.load(out).predict(TEXTS)) == len(TEXTS)


def test_the_command_says_what_it_wrote_and_nothing_else(subword):
    _, out, done = subword
    assert (done.returncode, done.stderr) == (0, "")
    size = out.stat().st_size / 1e6
    assert done.stdout == (
        f"wrote {out} (float32, {size:.1f} MB)\n"
        f"wrote {out.with_name('subword-tokenizer')} (processor.json, spm.model)\n"
    )


WITHOUT_TORCH = """
import importlib.abc, json, sys

class Refused(importlib.abc.MetaPathFinder):
    asked = []
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in ("torch", "fastai"):
            self.asked.append(name)
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Refused())
from ulmfit.onnx_classifier import OnnxClassifier

texts = json.loads(sys.argv[3])
found = [OnnxClassifier.load(sys.argv[1]).probabilities(texts).tolist(), list(Refused.asked)]
found.append(OnnxClassifier.load(sys.argv[2]).probabilities(texts).tolist())
print(json.dumps(found))
"""


def test_the_runner_needs_neither_torch_nor_fastai(subword, forward):
    model, file, _ = subword
    done = python("-c", WITHOUT_TORCH, str(file), str(forward[1]), json.dumps(TEXTS))
    assert (done.returncode, done.stderr) == (0, "")
    by_subwords, asked, by_words = json.loads(done.stdout)
    # With words, spaCy asks for torch by itself, and does without.
    assert asked == []
    for folder, found in ((model, by_subwords), (forward[0], by_words)):
        expected = Classifier.load(folder, precision="float32").probabilities(TEXTS)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


# What is refused


def test_one_string_is_no_list_of_texts(forward):
    with refuses("found one text, expected a list of texts; call predict([text])"):
        OnnxClassifier.load(forward[1]).predict("a film")


def test_no_model_or_several(tmp_path, monkeypatch):
    with refuses("no model given; --clf DIR names a classifier, as ulmfit train writes"):
        main()
    monkeypatch.setattr(bundled, "folder", lambda: tmp_path)
    for name in ("films-fwd", "films-bwd"):
        (tmp_path / name).mkdir()
    with refuses("films names 2 classifiers (films-fwd, films-bwd); export them one by one"):
        main(clf="films", out=str(tmp_path / "films.onnx"))


def test_a_language_model_is_no_classifier(tmp_path):
    lm = write_lm(tmp_path / "lm")
    with pytest.raises(UserError, match="holds a language model, a classifier was expected"):
        main(clf=str(lm), out=str(tmp_path / "lm.onnx"))
    assert [path.name for path in tmp_path.iterdir()] == ["lm"]


def test_what_is_there_is_left_alone(forward, tmp_path):
    file = tmp_path / "model.onnx"
    with refuses(f"--out is {tmp_path / 'model'}, expected a file that ends in .onnx"):
        main(clf=forward[0], out=str(tmp_path / "model"))
    (tmp_path / "model-tokenizer").mkdir()
    with refuses(
        f"{tmp_path / 'model-tokenizer'} is there already; choose another --out or pass --overwrite"
    ):
        main(clf=forward[0], out=str(file))
    file.mkdir()
    with refuses(f"{file} is a directory, --out takes a file; choose another --out"):
        main(clf=forward[0], out=str(file), overwrite=True)


def test_libraries_that_are_missing(forward, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "find_spec", lambda name: None if name != "onnx" else name)
    with refuses(
        "the export needs onnxscript, onnxruntime; pip install 'ulmfit[export]' installs them"
    ):
        main(clf=forward[0], out=str(tmp_path / "model.onnx"))


def test_a_runner_without_onnxruntime(forward, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with refuses("onnxruntime is not installed; pip install onnxruntime"):
        OnnxClassifier.load(forward[1])


def test_a_graph_that_computes_otherwise_is_not_written(forward, tmp_path):
    other = write_classifier(tmp_path / "other", seed=9, max_len=MAX_LEN)
    refused = pytest.raises(UserError, match=r"^probabilities of the exported graph are off by 0\.")
    with graph_of(forward[1]), refused:
        main(clf=str(other), out=str(tmp_path / "model.onnx"))
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_a_model_without_its_tokenizer(forward, tmp_path):
    file = tmp_path / "alone.onnx"
    atomic_write(file, forward[1].read_bytes())
    folder = tmp_path / "alone-tokenizer"
    with pytest.raises(UserError, match=f"^cannot read {folder / 'processor.json'}, which belongs"):
        OnnxClassifier.load(file)
    for path in forward[1].with_name("fwd-tokenizer").iterdir():
        atomic_write(folder / path.name, path.read_bytes())
    assert len(OnnxClassifier.load(file).predict(TEXTS)) == len(TEXTS)
    atomic_write(folder / "vocab.txt", "another\n")
    with refuses(
        f"{folder / 'vocab.txt'} is not the one that the model was exported with; "
        "copy both again, or export again with --overwrite"
    ):
        OnnxClassifier.load(file)


def test_files_that_are_no_exported_classifiers(forward, tmp_path):
    file = tmp_path / "model.onnx"
    with refuses("no model given; name at least one file that ulmfit.export wrote"):
        OnnxClassifier.load()
    with refuses(f"{file} is no file; ulmfit export writes ONNX files"):
        OnnxClassifier.load(file)
    atomic_write(file, forward[1].read_bytes()[:5000])
    with pytest.raises(UserError, match=f"^{file} is damaged or no ONNX model: "):
        OnnxClassifier.load(file)
    proto = onnx.load(forward[1])
    proto.ClearField("metadata_props")
    atomic_write(file, proto.SerializeToString())
    with refuses(f"{file} was not written by ulmfit export; export a classifier"):
        OnnxClassifier.load(file)
    proto.metadata_props.add(key="ulmfit", value='{"format_version": 2}')
    atomic_write(file, proto.SerializeToString())
    with refuses(
        f"{file}: format version 2, this program reads version 1; export the classifier again"
    ):
        OnnxClassifier.load(file)


def test_files_that_make_no_ensemble(forward, int8):
    with refuses(f"{forward[1]} and {int8} make no ensemble: they are the same model twice"):
        OnnxClassifier.load(forward[1], int8)
    a, b = (OnnxModel.read(file, threads=1) for file in (forward[1], int8))
    b.facts["data_fingerprint"] = "d2"
    with refuses(f"{forward[1]} and {int8} make no ensemble: data d1 against d2"):
        OnnxClassifier([a, b])
    b.facts["labels"] = ["bad", "good"]
    with refuses(f"{forward[1]} and {int8} make no ensemble: labels neg, pos against bad, good"):
        OnnxClassifier([a, b])
