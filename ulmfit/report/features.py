"""A map of the texts: the encoders' pooled features in two dimensions."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from ulmfit.inference.ensemble import Classifier
    from ulmfit.inference.loaded import LoadedModel

SEED = 0
MAP_TEXTS = 2_000  # drawn at most: more are a cloud, and a heavy page


class TextMap(NamedTuple):
    """Positions of texts, shape (texts, 2), and the method that found them."""

    places: np.ndarray
    method: str
    rows: np.ndarray  # which texts, in rising order


def some_of(rows: np.ndarray, most: int = MAP_TEXTS) -> np.ndarray:
    """At most `most` of the rows, drawn by a fixed seed, in rising order."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(SEED).choice(rows, most, replace=False))


def text_map(
    classifier: "Classifier", texts: Sequence[str], most: int = MAP_TEXTS
) -> TextMap | None:
    """A map of at most `most` of the texts, chosen by `some_of`.

    The features of several models are concatenated; linear classifiers have none. None if there
    is no other model.
    """
    if not classifier.networks:
        return None
    rows = some_of(np.arange(len(texts)), most)
    chosen = [texts[row] for row in rows.tolist()]
    features = np.concatenate([pooled_features(model, chosen) for model in classifier.networks], 1)
    return TextMap(*in_two_dimensions(features), rows)


def pooled_features(loaded: "LoadedModel", texts: Sequence[str]) -> np.ndarray:
    """Last, maximum and mean of the encoder's outputs, float32, shape (texts, 3 x features)."""
    from ulmfit.base.progress import Progress
    from ulmfit.inference.loaded import by_document

    corpus = loaded.corpus(loaded.tokenize(texts))
    told = Progress(len(corpus), "reading for the map", "texts")
    encoder = loaded.model[0]
    return by_document(
        lambda batch: encoder(batch).features, corpus, loaded.device, loaded.dtype, told.advance
    )


def in_two_dimensions(features: np.ndarray) -> tuple[np.ndarray, str]:
    """Positions, shape (texts, 2), by UMAP (arXiv:1802.03426) if it is installed, else by PCA.

    Every feature is first scaled to variance 1. UMAP keeps neighbours together. PCA shows the two
    directions in which the features differ most. Both give the same positions for the same
    features.
    """
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    scaled = StandardScaler().fit_transform(features)
    if find_spec("umap") and len(features) > 3:  # UMAP needs more than three
        from umap import UMAP

        # With a seed UMAP uses one thread; it warns unless n_jobs=1 is set.
        neighbours = min(15, len(features) - 1)
        found = UMAP(n_neighbors=neighbours, random_state=SEED, n_jobs=1)
        return np.asarray(found.fit_transform(scaled), np.float64), "UMAP"
    if len(features) < 2:
        return np.zeros((len(features), 2)), "PCA"
    return PCA(2, svd_solver="full").fit_transform(scaled), "PCA"
