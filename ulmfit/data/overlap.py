"""Texts of a split that are also among the labelled texts of the training."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from ulmfit.data.duplicates import near_duplicate_groups, normalised_digest
from ulmfit.text.ids import hold_ids


class Overlap(NamedTuple):
    """Which texts of a split are also among the labelled texts of the training.

    exact: bool, shape (texts,), equal except for case and white space. near: also near-duplicates
    (see `duplicates.near_duplicate_groups`); for ids the same as `exact`.
    """

    exact: np.ndarray
    near: np.ndarray

    @classmethod
    def of(cls, frame: pd.DataFrame, split: str) -> "Overlap":
        """The overlap of the texts of `split` with those of train and valid."""
        others = frame["split"].isin({"train", "valid"} - {split}).to_numpy()
        own = (frame["split"] == split).to_numpy()
        known = set(map(normalised_digest, frame.loc[others, "text"]))
        exact = np.array([normalised_digest(x) in known for x in frame.loc[own, "text"]], bool)
        if hold_ids(frame["text"]):
            return cls(exact, exact)
        texts = frame.loc[own | others, "text"].reset_index(drop=True)
        own = own[own | others]
        groups = near_duplicate_groups(texts)
        return cls(exact, exact | np.isin(groups[own], groups[~own]))

    def counts(self) -> dict[str, int]:
        """The number of exact ones, and of further near ones."""
        return {"exact": int(self.exact.sum()), "near": int((self.near & ~self.exact).sum())}

    def lines(self) -> dict[str, str]:
        """The headings of the metrics without these texts, by the key of the metrics."""
        found = self.counts()
        return {
            "without_repeated": f"without {found['exact']:,} that also stand in the labelled texts "
            "of the training",
            "without_near_duplicates": f"without {found['near']:,} more that stand there in nearly "
            "the same words",
        }
