"""Which data set is meant, and how it is read."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from ulmfit.data.dialect import PLAIN, Dialect
from ulmfit.data.labels import SINGLE, Labels


@dataclass(frozen=True)
class DataSpec:
    """A data set by name, a file or a folder, as the flags of a command describe it.

    data: None for the data set that a classifier was trained on, see `or_of`.
    text_col, label_col, split_col: columns of a file; None for text, label and split.
    labels: the kind of labels.
    seed: of the splits, where the source has none.
    dialect: how a text file is written.
    """

    data: str | Path | None = None
    text_col: str | None = None
    label_col: str | None = None
    split_col: str | None = None
    labels: Labels = SINGLE
    seed: int = 42
    dialect: Dialect = PLAIN

    @property
    def source(self) -> str:
        """What is read, as messages name it."""
        return str(self.data)

    def or_of(self, recipe: Mapping[str, Any]) -> "DataSpec":
        """This one, or if it names no data set that of a manifest's recipe.

        The recipe's columns and dialect stand for what is not given.
        """
        if self.data is not None:
            return self
        names = DataFlags.__dataclass_fields__.keys() & recipe.keys()
        trained = DataFlags.of({name: recipe[name] for name in names})
        return replace(
            self,
            data=str(recipe.get("data") or ""),
            text_col=self.text_col or trained.text_col or None,
            label_col=self.label_col or trained.label_col or None,
            split_col=self.split_col or trained.split_col or None,
            dialect=self.dialect.filled_from(trained),
        )


@dataclass(frozen=True)
class _Columns:
    text_col: str = ""  # column of the texts, where --data is a file; text if not given
    label_col: str = ""  # column of the labels, where --data is a file; label if not given
    split_col: str = ""  # column of the splits, where --data is a file; split if there is one


@dataclass(frozen=True)
class DataFlags(Dialect, _Columns):
    """The flags of every command that reads texts with labels: how the source is read.

    A new field is a flag of all of them, a key of the recipes and of the manifest; what it means is
    said in `spec` and in `DataSpec.or_of`.
    """

    def given(self) -> dict[str, Any]:
        """The flags that say something, as a command takes them."""
        named = {field.name: getattr(self, field.name) for field in fields(DataFlags)}
        return {name: value for name, value in named.items() if value}

    def spec(self, data: str | Path | None, labels: Labels = SINGLE, seed: int = 42) -> DataSpec:
        """`data`, read as the flags say."""
        columns = (self.text_col or None, self.label_col or None, self.split_col or None)
        return DataSpec(data, *columns, labels, seed, self.dialect)
