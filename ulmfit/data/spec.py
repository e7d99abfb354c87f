"""The description of a data set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ulmfit.data.dialect import PLAIN, Dialect
from ulmfit.data.labels import MULTI, SEPARATOR, SINGLE, Labels


@dataclass(frozen=True)
class DataSpec:
    """A data set by name, file or folder, from the flags of a command.

    data: None for the data set of a classifier, see `or_of`.
    text_col, label_col, split_col: columns of a file; None for text, label and split.
    seed: for new splits, if the source has none.
    dialect: how a text file is written.
    label_cols: columns of 0 and 1, one a label, in place of `label_col`.
    label_sep: the separator of labels in a cell; '' for `SEPARATOR`.
    """

    data: str | Path | None = None
    text_col: str | None = None
    label_col: str | None = None
    split_col: str | None = None
    labels: Labels = SINGLE
    seed: int = 42
    dialect: Dialect = PLAIN
    label_cols: Sequence[str] = ()
    label_sep: str = ""

    @property
    def source(self) -> str:
        """The name of `data` in messages."""
        return str(self.data)

    @property
    def separator(self) -> str:
        """What separates the labels of a cell."""
        return self.label_sep or SEPARATOR

    def or_of(self, recipe: Mapping[str, Any]) -> "DataSpec":
        """This description; without `data`, the data of a manifest's recipe.

        The recipe's columns and dialect replace what is not given.
        """
        if self.data is not None:
            return self
        names = DataFlags.__dataclass_fields__.keys() & recipe.keys()
        trained = DataFlags.of({name: recipe[name] for name in names})
        own = self.label_col or self.label_cols
        return replace(
            self,
            data=str(recipe.get("data") or ""),
            text_col=self.text_col or trained.text_col or None,
            label_col=self.label_col if own else trained.label_col or None,
            label_cols=self.label_cols if own else tuple(trained.label_cols),
            label_sep=self.label_sep or ("" if own else trained.label_sep),
            split_col=self.split_col or trained.split_col or None,
            dialect=self.dialect.filled_from(trained),
        )


@dataclass(frozen=True)
class _Columns:
    text_col: str = ""  # column of the texts, where --data is a file; text if not given
    label_col: str = ""  # column of the labels, where --data is a file; label if not given
    split_col: str = ""  # column of the splits, where --data is a file; split if there is one
    # columns of 0 and 1, one for each label, where a text may have several
    label_cols: list[str] = field(default_factory=list)
    label_sep: str = ""  # what separates the labels of a text, with --multi-label; ; if not given


@dataclass(frozen=True)
class DataFlags(Dialect, _Columns):
    """The flags of every command that reads texts with labels: how the source is read.

    A new field is a flag of all of them, a key of the recipes and of the manifest; what it means is
    said in `spec` and in `DataSpec.or_of`.
    """

    def given(self) -> dict[str, Any]:
        """The flags that say something, as a command takes them."""
        named = {f.name: getattr(self, f.name) for f in fields(DataFlags)}
        return {name: value for name, value in named.items() if value}

    def spec(self, data: str | Path | None, labels: Labels = SINGLE, seed: int = 42) -> DataSpec:
        """`data`, read as the flags say."""
        columns = (self.text_col or None, self.label_col or None, self.split_col or None)
        kind = MULTI if self.label_cols else labels
        names = tuple(self.label_cols)
        return DataSpec(data, *columns, kind, seed, self.dialect, names, self.label_sep)
