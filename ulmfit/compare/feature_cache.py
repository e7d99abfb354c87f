"""Features of texts, computed once for all trials of a data set and a transformer."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ulmfit.base.atomic import atomic_file
from ulmfit.compare.identity import contents
from ulmfit.compare.plan import Settings
from ulmfit.data.fingerprints import fingerprint

POOLINGS = ("cls", "mean", "both")


class Features(NamedTuple):
    """Pooled outputs of texts, one row each.

    rows: their numbers in the data set.
    cls, mean: float32, shape (texts, width).
    seconds: computing time of each; cut: whether the transformer read only its beginning.
    """

    rows: np.ndarray
    cls: np.ndarray
    mean: np.ndarray
    seconds: np.ndarray
    cut: np.ndarray

    def pooled(self, pooling: str) -> np.ndarray:
        """The features of one pooling, or of both side by side."""
        if pooling == "both":
            return np.concatenate([self.cls, self.mean], axis=1)
        return {"cls": self.cls, "mean": self.mean}[pooling]


class FeatureCache:
    """Files of features in a folder, keyed by texts and transformer."""

    def __init__(self, shared: Path, texts: Iterable[str], settings: Settings) -> None:
        """`shared` contains the folder; `texts` are all texts of the data set, in its order."""
        path = Path(settings.transformer).expanduser()
        transformer = contents(path) if path.is_dir() else settings.transformer
        key = fingerprint([transformer, settings.max_length, *texts])[:16]
        self.folder = shared / f"features-{key}"

    def missing(self, rows: np.ndarray) -> np.ndarray:
        """The `rows` without features so far."""
        return np.setdiff1d(rows, np.concatenate([[], *(part["rows"] for part in self._parts())]))

    def add(self, features: Features) -> None:
        """Store the features of some texts."""
        file = self.folder / f"{len(self._files()):05}.npz"
        with atomic_file(file) as opened:
            np.savez(opened, **features._asdict())

    def read(self, rows: np.ndarray) -> Features:
        """The features of `rows`, in their order.

        Raises:
            KeyError: some features are missing.
        """
        if len(self.missing(rows)):
            raise KeyError(f"{self.folder} lacks features of some texts")
        parts = [Features(**part) for part in self._parts()]
        every = Features(*(np.concatenate(column) for column in zip(*parts, strict=True)))
        order = np.argsort(every.rows)
        places = order[np.searchsorted(every.rows[order], rows)]
        return Features(*(column[places] for column in every))

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("*.npz"))

    def _parts(self) -> Iterable[dict[str, np.ndarray]]:
        for file in self._files():
            with np.load(file) as part:
                yield dict(part)
