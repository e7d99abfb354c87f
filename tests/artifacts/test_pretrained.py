"""Where a language model comes from: a directory, a bundled name, fast.ai's files; never code."""

import pickle
import shutil
import sys

import fastai.data.external
import pytest
import torch
from fastai.text.models.awdlstm import AWD_LSTM, awd_lstm_lm_config
from fastai.text.models.core import get_language_model
from tiny_models import refuses, widen, write_classifier, write_lm

from ulmfit.artifacts import bundled, pretrained
from ulmfit.artifacts.pretrained import load_pretrained, read_string_list, read_wt103
from ulmfit.model.build import build_lm
from ulmfit.model.sizes import EncoderConfig
from ulmfit.model.transfer import load_encoder, load_head
from ulmfit.text.rules import SPECIAL_TOKENS

NO_LIST = "the vocabulary's pickle is no list of strings"


@pytest.fixture
def models(tmp_path, monkeypatch):
    """A folder of bundled models: a language model in both directions and a classifier."""
    folder = tmp_path / "bundled"
    write_lm(folder / "news-small-fwd")
    write_lm(folder / "news-small-bwd", backwards=True, seed=1)
    write_classifier(folder / "imdb-small-fwd")
    (folder / "broken-fwd").mkdir()
    (folder / "broken-fwd" / "manifest.json").write_text("[")
    monkeypatch.setattr("ulmfit.artifacts.bundled.folder", lambda: folder)
    return folder


# Model directories and bundled models


def test_model_directory(tmp_path):
    folder = write_lm(tmp_path / "lm")
    found = load_pretrained(str(folder), backwards=False)
    assert found.artifact.path == folder
    assert found.size == "tiny"
    assert found.config.vocab_sz == len(found.processor.vocab)
    model = build_lm(found.config)
    load_encoder(model, found.encoder)
    load_head(model, found.head)


def test_name_without_direction(tmp_path):
    forward = write_lm(tmp_path / "lm-fwd")
    backward = write_lm(tmp_path / "lm-bwd", backwards=True)
    name = str(tmp_path / "lm")
    assert load_pretrained(name, backwards=False).artifact.path == forward
    assert load_pretrained(name, backwards=True).artifact.path == backward


def test_bundled_by_name(models):
    assert bundled.names(bundled.LANGUAGE_MODEL) == ["news-small"]
    assert bundled.names(bundled.CLASSIFIER) == ["imdb-small"]
    forward = load_pretrained("news-small", backwards=False).artifact
    backward = load_pretrained("news-small", backwards=True).artifact
    assert (forward.path, backward.path) == (models / "news-small-fwd", models / "news-small-bwd")
    assert load_pretrained("news-small-bwd", backwards=True).artifact == backward


def test_directory_goes_before_a_bundled_one(models, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_lm(tmp_path / "news-small-fwd", seed=5)
    path = load_pretrained("news-small", backwards=False).artifact.path
    assert path.resolve() == tmp_path / "news-small-fwd"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package with a language model in both directions."""
    site = tmp_path / "site-packages"
    write_lm(site / "ulmfit_models_xx" / "old-small-fwd")
    write_lm(site / "ulmfit_models_xx" / "old-small-bwd", backwards=True, seed=1)
    about = site / "ulmfit_models_xx-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.4\nName: ulmfit-models-xx\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[ulmfit.models]\nxx = ulmfit_models_xx\n")
    monkeypatch.syspath_prepend(site)
    return site / "ulmfit_models_xx"


def test_models_of_a_package(models, package):
    assert bundled.names(bundled.LANGUAGE_MODEL) == ["news-small", "old-small"]
    forward, backward = (package / f"old-small-{direction}" for direction in ("fwd", "bwd"))
    assert bundled.model_folders("old-small") == [str(forward), str(backward)]
    assert load_pretrained("old-small", backwards=True).artifact.path == backward
    assert "ulmfit_models_xx" not in sys.modules


def test_the_checkout_goes_before_a_package(models, package):
    write_lm(package / "news-small-fwd", seed=5)
    assert bundled.find("news-small-fwd") == [models / "news-small-fwd"]
    shutil.rmtree(models)
    assert bundled.find("news-small") == [package / "news-small-fwd"]


def test_a_package_whose_files_are_gone(models, package):
    shutil.rmtree(package)
    assert bundled.folders() == [models]


def test_no_checkout_is_looked_for_beside_an_installed_package(tmp_path, monkeypatch):
    for folder in ("models", "ulmfit/artifacts"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.setattr(bundled, "__file__", str(tmp_path / "ulmfit" / "artifacts" / "bundled.py"))
    assert bundled.folder() is None  # models is a package of somebody else
    (tmp_path / "pyproject.toml").touch()
    assert bundled.folder() == tmp_path / "models"


@pytest.mark.parametrize("name", ["", ".", "..", "models/news-small", "/news-small"])
def test_a_path_is_no_bundled_name(models, name):
    assert bundled.find(name) == []


def test_wrong_direction(tmp_path):
    forward = write_lm(tmp_path / "a-fwd")
    backward = write_lm(tmp_path / "a-bwd", backwards=True)
    with refuses(
        f"{forward} is a forward language model, expected a backward one; leave out --backwards "
        "or give the other model"
    ):
        load_pretrained(str(forward), backwards=True)
    with refuses(
        f"{backward} is a backward language model, expected a forward one; add --backwards or "
        "give the other model"
    ):
        load_pretrained(str(backward), backwards=False)


def test_missing(models):
    with refuses(
        "no language model wiki: found neither a folder wiki nor wiki-bwd, and bundled are "
        "news-small; give --pretrained DIR, one of these names, wt103 or none"
    ):
        load_pretrained("wiki", backwards=True)
    shutil.rmtree(models)
    with refuses(
        "no language model wiki: found neither a folder wiki nor wiki-fwd, and bundled are none; "
        "give --pretrained DIR, one of these names, wt103 or none"
    ):
        load_pretrained("wiki", backwards=False)


def test_classifier_is_no_language_model(models):
    with refuses(
        f"{models / 'imdb-small-fwd'} holds a classifier, a language model was expected; "
        "ulmfit lm writes language models"
    ):
        load_pretrained("imdb-small", backwards=False)


# fast.ai's WikiText-103


VOCAB = [*SPECIAL_TOKENS, "the", "sea", "xxfake", "old", "xxfake", "xxfake"]
KEPT = [i for i, token in enumerate(VOCAB) if token != "xxfake"]


class Malicious:
    """Pickled, it makes a file when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def fastai_model():
    sizes = {"emb_sz": 6, "n_hid": 8, "n_layers": 3}
    model = get_language_model(AWD_LSTM, len(VOCAB), config={**awd_lstm_lm_config, **sizes})
    return widen(model)


def write_wt103(folder, weights, vocab=VOCAB):
    folder.mkdir()
    torch.save(weights, folder / "lstm_fwd.pth")
    (folder / "itos_wt103.pkl").write_bytes(pickle.dumps(vocab))
    return folder


@pytest.mark.parametrize("wrapped", [False, True])
def test_wt103_is_read_without_filler(tmp_path, wrapped):
    theirs = fastai_model()
    state = theirs.state_dict()
    found = read_wt103(write_wt103(tmp_path / "wt103", {"model": state} if wrapped else state))
    assert found.processor.vocab == [VOCAB[i] for i in KEPT]
    assert found.config == EncoderConfig(len(KEPT), 6, 8, 3)
    assert found.artifact is None
    ours = build_lm(found.config).eval()
    load_encoder(ours, found.encoder)
    load_head(ours, found.head)
    new_ids = torch.tensor([[2, 9, 10, 11, 9]])
    old_ids = torch.tensor(KEPT)[new_ids]
    for model in (ours, theirs):
        model.reset()
    with torch.no_grad():
        expected = theirs(old_ids)[0][:, :, KEPT]
        torch.testing.assert_close(ours(new_ids)[0].logits(), expected)


@pytest.mark.parametrize("backwards", [False, True])
def test_wt103_by_name(tmp_path, monkeypatch, backwards):
    folder = write_wt103(tmp_path / "wt103", fastai_model().state_dict())
    asked = []

    def untar_data(url, c_key):
        asked.append((url, c_key))
        return folder

    monkeypatch.setattr(fastai.data.external, "untar_data", untar_data)
    assert load_pretrained("wt103", backwards).size == "base"
    urls = fastai.data.external.URLs
    assert asked == [(urls.WT103_BWD if backwards else urls.WT103_FWD, "model")]


def test_offline(monkeypatch, models):
    def untar_data(url, c_key):
        raise ConnectionError("no route")

    monkeypatch.setattr(fastai.data.external, "untar_data", untar_data)
    with refuses(
        "could not download fast.ai's WikiText-103 model (ConnectionError); without a network "
        "use a bundled one: --pretrained news-small"
    ):
        load_pretrained("wt103", backwards=False)


def test_vocabulary_with_code_is_refused_and_does_not_run(tmp_path):
    trap = tmp_path / "trap"
    content = pickle.dumps([*SPECIAL_TOKENS, Malicious(trap)])
    folder = write_wt103(tmp_path / "wt103", fastai_model().state_dict())
    (folder / "itos_wt103.pkl").write_bytes(content)
    with refuses(f"{NO_LIST}: {open.__module__}.open is not admitted"):
        read_wt103(folder)
    assert not trap.exists()
    pickle.loads(content)[-1].close()  # the control: plain pickle runs it
    assert trap.exists()


def test_weights_with_code_are_refused_and_do_not_run(tmp_path):
    trap = tmp_path / "trap"
    folder = write_wt103(tmp_path / "wt103", {"model": Malicious(trap)})
    with refuses(
        f"{folder / 'lstm_fwd.pth'} holds no weights of a fastai language model "
        f"(UnpicklingError); delete {folder} and download it again"
    ):
        read_wt103(folder)
    assert not trap.exists()
    torch.load(folder / "lstm_fwd.pth", weights_only=False)["model"].close()
    assert trap.exists()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"the": 1}, "; download it again"),
        ([*SPECIAL_TOKENS, 7], "; download it again"),
        (("the", "sea"), "; download it again"),
        ({"the", "sea"}, "; download it again"),
        (EncoderConfig(1, 1, 1), ": ulmfit.model.sizes.EncoderConfig is not admitted"),
    ],
)
def test_no_list_of_strings(value, reason):
    with refuses(NO_LIST + reason):
        read_string_list(pickle.dumps(value))


@pytest.mark.parametrize(
    "content",
    [b"", b"\x80", b"\x80\xff.", b"garbage", b"<html>not found</html>", pickle.dumps(["a"])[:-3]],
)
def test_damaged_vocabulary(content):
    with pytest.raises(pretrained.UserError, match=f"^{NO_LIST}: "):
        read_string_list(content)


def test_vocabulary_of_other_weights(tmp_path):
    state = fastai_model().state_dict()
    with refuses(
        "the embedding has 15 rows and the vocabulary 16 words, expected a row for each; download "
        "both again"
    ):
        read_wt103(write_wt103(tmp_path / "longer", state, [*VOCAB, "new"]))
    assert read_wt103(write_wt103(tmp_path / "shorter", state, VOCAB[:-1])).config.vocab_sz == 12


@pytest.mark.parametrize("weights", [{"a": torch.zeros(2)}, [1, 2]])
def test_weights_of_another_model(tmp_path, weights):
    folder = write_wt103(tmp_path / "wt103", weights)
    with pytest.raises(pretrained.UserError, match="holds no weights of a fastai language model"):
        read_wt103(folder)


def test_incomplete_download(tmp_path):
    with refuses(f"{tmp_path} holds no *.pth with *.pkl; delete it and download it again"):
        read_wt103(tmp_path)
