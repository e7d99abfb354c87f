"""The input and the output of a method, without labels of test."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ulmfit.compare.plan import Settings


@dataclass(frozen=True)
class Task:
    """Texts and labels to train on.

    frame: text, label and split; test rows have no label; in a preparation, no row has one.
    data: the parquet file with `frame`.
    classes: in alphabetical order.
    folder: the job's own folder.
    needs: the folders of its needs, by method.
    shared: a folder that all trials share.
    tests: fingerprints of all texts of test, and of the measured ones.
    """

    frame: pd.DataFrame
    data: Path
    classes: list[str]
    seed: int
    settings: Settings
    folder: Path
    needs: Mapping[str, Path]
    shared: Path
    tests: tuple[str, ...] = ()

    def texts(self, *splits: str) -> list[str]:
        """The texts of splits, in the order of the frame."""
        return self.frame.loc[self.frame["split"].isin(splits), "text"].tolist()

    def rows(self, split: str) -> np.ndarray:
        """The numbers of a split's rows, int64: a text has the same number in every task."""
        return np.flatnonzero(self.frame["split"] == split)

    def truth(self, split: str) -> np.ndarray:
        """Class numbers of train or valid, int64, shape (texts,)."""
        labels = self.frame.loc[self.frame["split"] == split, "label"]
        return pd.Index(self.classes).get_indexer(labels).astype(np.int64)


@dataclass(frozen=True)
class Fitted:
    """A trained method.

    predict: texts -> probabilities, shape (texts, classes); None for a preparation.
    size: bytes of the model on disk.
    facts: choices on validation, the share of texts cut, and the like.
    seconds: of the training, if the clock of this process cannot tell (a resumed training).
    train_elsewhere, predict_elsewhere: corrections to this process's clock, in seconds: inputs
        may come from another trial, or from one computation for training and prediction.
    """

    predict: Callable[[list[str]], np.ndarray] | None = None
    size: int = 0
    facts: dict[str, Any] = field(default_factory=dict)
    seconds: float | None = None
    train_elsewhere: float = 0.0
    predict_elsewhere: float = 0.0


def folder_size(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
