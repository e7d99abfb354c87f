"""fastai's Learners from model directories, and model directories from fastai's Learners."""

import numpy as np
import pandas as pd
import pytest
import torch
from fastai.text.data import TextDataLoaders
from fastai.text.learner import language_model_learner, text_classifier_learner
from fastai.text.models.awdlstm import AWD_LSTM, awd_lstm_clas_config, awd_lstm_lm_config
from tiny_models import TEXTS, refuses, write_classifier, write_lm

from ulmfit import evaluate
from ulmfit.artifacts.directory import read_artifact
from ulmfit.artifacts.trained import load_network
from ulmfit.inference.ensemble import Classifier
from ulmfit.interop import from_learner, to_learner, vocabulary

SIZES = {"emb_sz": 12, "n_hid": 16, "n_layers": 2}
READ = [text for text in TEXTS if text]


def frame():
    texts = [*READ, *READ]
    labels = [("neg", "pos")[i // 2 % 2] for i in range(len(texts))]
    return pd.DataFrame({"text": texts, "label": labels, "valid": [False, True] * len(READ)})


def loaders(vocab, is_lm=False):
    return TextDataLoaders.from_df(
        frame(),
        text_col="text",
        label_col="label",
        valid_col="valid",
        text_vocab=vocab,
        is_lm=is_lm,
        bs=2,
        seq_len=4,
        num_workers=0,
        n_workers=1,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A classifier, a language model, and fastai's DataLoaders for either."""
    folder = tmp_path_factory.mktemp("made")
    clf, lm = write_classifier(folder / "clf"), write_lm(folder / "lm")
    return clf, lm, loaders(vocabulary(clf)), loaders(vocabulary(lm), is_lm=True)


def ids_of(folder, text):
    return torch.tensor(read_artifact(folder).processor().encode([text])[0].astype(np.int64))


@torch.no_grad()
def fastai_probabilities(learner, folder, text):
    learner.model.eval()
    learner.model.reset()
    return learner.model(ids_of(folder, text)[None])[0].softmax(1)[0].tolist()


def test_classifier_to_learner(made):
    clf, _, dls, _ = made
    learner = to_learner(clf, dls)
    ours = Classifier.load(clf, precision="float32").probabilities(READ)
    for text, expected in zip(READ, ours, strict=True):
        assert fastai_probabilities(learner, clf, text) == pytest.approx(expected, abs=1e-5)
    with learner.no_bar(), learner.no_logging():
        learner.fit(1, 1e-3)  # it can be trained on


def test_classifier_there_and_back(made, tmp_path):
    clf, _, dls, _ = made
    back = from_learner(to_learner(clf, dls), tmp_path / "back", data="mine.csv")
    before, after = read_artifact(clf), read_artifact(back)
    for name, weight in before.encoder().items():
        assert torch.equal(after.encoder()[name], weight), name
    np.testing.assert_allclose(
        Classifier.load(back).probabilities(READ), Classifier.load(clf).probabilities(READ)
    )
    assert after.manifest.labels == ["neg", "pos"]
    assert after.manifest.size == "tiny"
    assert after.manifest.recipe["made_by"].startswith("fastai 2")


def test_language_model_there_and_back(made, tmp_path):
    _, lm, _, dls = made
    learner = to_learner(lm, dls)
    back = from_learner(learner, tmp_path / "back", half=True)
    artifact = read_artifact(back)
    model, processor = load_network(artifact), artifact.processor()
    assert processor.vocab == vocabulary(lm)
    learner.model.eval()
    learner.model.reset()
    ids = ids_of(lm, READ[0])[None]
    with torch.no_grad():
        theirs, ours = learner.model(ids)[0], model(ids)[0].logits()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-3)


@pytest.mark.parametrize("kind", ["classifier", "lm"])
def test_learner_that_fastai_made(tmp_path, kind):
    dls = loaders(None, is_lm=kind == "lm")
    if kind == "lm":
        config = {**awd_lstm_lm_config, **SIZES}
        learner = language_model_learner(dls, AWD_LSTM, config=config, pretrained=False)
    else:
        config = {**awd_lstm_clas_config, **SIZES}
        learner = text_classifier_learner(dls, AWD_LSTM, config=config, pretrained=False)
    folder = from_learner(learner, tmp_path / "own", about="Texts of a test.")
    artifact = read_artifact(folder, kind)
    assert "xxfake" not in artifact.processor().vocab
    assert artifact.manifest.size == "custom"
    assert "Texts of a test." in (folder / "README.md").read_text()
    if kind == "classifier":
        ours = Classifier.load(folder, precision="float32").probabilities(READ)
        found = [fastai_probabilities(learner, folder, text) for text in READ]
        np.testing.assert_allclose(ours, found, atol=1e-5)
        with refuses(f"the manifest of {folder} names no data; give it with --data"):
            evaluate.main(clf=str(folder))


def test_other_vocabulary(made):
    clf = made[0]
    words = vocabulary(clf)
    other = loaders([*words[:-1], "another"])
    with refuses(
        f"found another vocabulary in the DataLoaders ({len(words)} entries) than in {clf} "
        f"({len(words)}); "
        "make them with text_vocab=ulmfit.interop.vocabulary(folder)"
    ):
        to_learner(clf, other)


def test_other_labels(tmp_path, made):
    clf = write_classifier(tmp_path / "clf", labels=("pos", "neg"))
    with refuses(
        f"found another list of labels in the DataLoaders (2 entries) than in {clf} (2); they are "
        "pos, neg"
    ):
        to_learner(clf, made[2])


def test_other_models(made, tmp_path):
    _, _, dls, _ = made
    config = {**awd_lstm_clas_config, **SIZES}
    learner = text_classifier_learner(
        dls, AWD_LSTM, config=config, pretrained=False, lin_ftrs=[7, 5]
    )
    with pytest.raises(Exception, match="the Learner's head is not fastai's with one hidden layer"):
        from_learner(learner, tmp_path / "a")
    learner = text_classifier_learner(dls, AWD_LSTM, config=config, pretrained=False, max_len=None)
    with refuses("the Learner pools None tokens, expected a whole number; make it with max_len"):
        from_learner(learner, tmp_path / "b")
    assert not list(tmp_path.iterdir())
