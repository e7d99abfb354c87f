"""Which data set is meant, and how it is read."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ulmfit.data.labels import SEPARATOR, SINGLE, Labels


@dataclass(frozen=True)
class DataSpec:
    """A data set by name, a file or a folder, as the flags of a command describe it.

    data: None for the data set that a classifier was trained on, see `or_of`.
    text_col, label_col, split_col: columns of a file; None for text, label and split.
    labels: the kind of labels.
    seed: of the splits, where the source has none.
    """

    data: str | Path | None = None
    text_col: str | None = None
    label_col: str | None = None
    split_col: str | None = None
    labels: Labels = SINGLE
    seed: int = 42
    label_cols: tuple[str, ...] = ()
    label_sep: str = ""

    @property
    def separator(self) -> str:
        return self.label_sep or SEPARATOR

    @property
    def source(self) -> str:
        """What is read, as messages name it."""
        return str(self.data)

    def or_of(self, recipe: Mapping[str, Any]) -> "DataSpec":
        """This one, or if it names no data set that of a manifest's recipe.

        The recipe's columns stand for those that are not given.
        """
        if self.data is not None:
            return self
        return replace(
            self,
            data=str(recipe.get("data") or ""),
            text_col=self.text_col or recipe.get("text_col") or None,
            label_col=self.label_col or recipe.get("label_col") or None,
            split_col=self.split_col or recipe.get("split_col") or None,
        )
