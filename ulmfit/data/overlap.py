"""Texts of a split that also stand in the labelled texts of the training, equally or nearly."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from ulmfit.data.duplicates import near_duplicate_groups, normalised_digest
from ulmfit.text.ids import hold_ids


class Overlap(NamedTuple):
    """Texts of a split that also stand in the labelled texts of the training.

    exact: bool, shape (texts,), equal but for case and white space. near: equal or nearly equal
    (see `duplicates.near_duplicate_groups`). Ids tell equal texts alone: there both are the same.
    """

    exact: np.ndarray
    near: np.ndarray

    @classmethod
    def of(cls, frame: pd.DataFrame, split: str) -> "Overlap":
        """Of the texts of `split` with the other ones of train and valid."""
        exact = repeated_texts(frame, split)
        if hold_ids(frame["text"]):
            return cls(exact, exact)
        others = frame["split"].isin({"train", "valid"} - {split}).to_numpy()
        own = (frame["split"] == split).to_numpy()
        texts = frame.loc[own | others, "text"].reset_index(drop=True)
        own = own[own | others]
        groups = near_duplicate_groups(texts)
        return cls(exact, exact | np.isin(groups[own], groups[~own]))

    def counts(self) -> dict[str, int]:
        """How many are exact, and how many more are near."""
        return {"exact": int(self.exact.sum()), "near": int((self.near & ~self.exact).sum())}

    def lines(self) -> dict[str, str]:
        """What is said above the figures without them, by the key of those figures."""
        found = self.counts()
        return {
            "without_repeated": f"without {found['exact']:,} that also stand in the labelled texts "
            "of the training",
            "without_near_duplicates": f"without {found['near']:,} more that stand there in nearly "
            "the same words",
        }


def repeated_texts(frame: pd.DataFrame, split: str) -> np.ndarray:
    """Which texts of `split` also stand, but for case and white space, in train or valid."""
    others = frame[frame["split"].isin({"train", "valid"} - {split})]
    known = set(map(normalised_digest, others["text"]))
    texts = frame.loc[frame["split"] == split, "text"]
    return np.array([normalised_digest(text) in known for text in texts], bool)
