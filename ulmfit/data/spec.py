"""The description of a data set."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ulmfit.data.labels import SINGLE, Labels


@dataclass(frozen=True)
class DataSpec:
    """A data set by name, file or folder, from the flags of a command.

    data: None for the data set of a classifier, see `or_of`.
    text_col, label_col, split_col: columns of a file; None for text, label and split.
    seed: for new splits, if the source has none.
    """

    data: str | Path | None = None
    text_col: str | None = None
    label_col: str | None = None
    split_col: str | None = None
    labels: Labels = SINGLE
    seed: int = 42

    @property
    def source(self) -> str:
        """The name of `data` in messages."""
        return str(self.data)

    def or_of(self, recipe: Mapping[str, Any]) -> "DataSpec":
        """This description; without `data`, the data and missing columns of a manifest's recipe."""
        if self.data is not None:
            return self
        return replace(
            self,
            data=str(recipe.get("data") or ""),
            text_col=self.text_col or recipe.get("text_col") or None,
            label_col=self.label_col or recipe.get("label_col") or None,
            split_col=self.split_col or recipe.get("split_col") or None,
        )
