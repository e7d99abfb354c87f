"""Rows drawn by a seed, in proportion to their labels: for splits, and for few labels."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ulmfit.base.errors import UserError
from ulmfit.data.labels import SINGLE, Labels


def divide(
    strata: Mapping[int, str], shares: Mapping[str, float], seed: int
) -> tuple[dict[str, list[int]], dict[str, int]]:
    """Rows drawn for each split of `shares`, and the strata too small to divide.

    `strata` maps a row to its stratum. Of each stratum, every split gets its share, rounded, and
    one row at least; a stratum that could not leave a row behind as well gives none and is returned
    with its size. The draw depends on the strata, their order and `seed` alone.
    """
    rng = np.random.default_rng(seed)
    drawn: dict[str, list[int]] = {split: [] for split in shares}
    small: dict[str, int] = {}
    members: dict[str, list[int]] = {}
    for row, stratum in strata.items():
        members.setdefault(stratum, []).append(row)
    for stratum, rows in sorted(members.items()):
        order = [rows[place] for place in rng.permutation(len(rows))]
        if len(rows) <= len(shares):
            small[stratum] = len(rows)
            continue
        for split, share in shares.items():
            count = max(1, int(len(rows) * share + 0.5))
            drawn[split] += order[:count]
            order = order[count:]
    return drawn, small


def keep_labels(
    frame: pd.DataFrame, count: int, seed: int, labels: Labels = SINGLE
) -> pd.DataFrame:
    """`frame` with labels in `count` rows of train alone, and in as many of valid at most.

    Which ones is drawn from `seed`, stratified by label or set of labels, and every label stays in
    train; the others become unsup. 0 keeps all.

    Raises:
        UserError: train has fewer labelled rows, or a class would be left with none.
    """
    if count == 0:
        return frame
    kept = frame.copy()
    for split in ("train", "valid"):
        rows = frame.index[frame["split"] == split]
        if split == "train" and len(rows) < count:
            raise UserError(
                f"found {len(rows):,} labelled rows in train, expected the {count:,} of --labels "
                "at least; lower it, or give 0 for all"
            )
        drawn = _proportional(frame.loc[rows, "label"], min(count, len(rows)), seed, labels)
        kept.loc[rows.difference(drawn), ["label", "split"]] = [None, "unsup"]
    return kept


def with_valid_learnt(frame: pd.DataFrame) -> pd.DataFrame:
    """`frame` with the rows of valid in train: nothing is held out."""
    return frame.assign(split=frame["split"].replace("valid", "train"))


def _proportional(cells: pd.Series, count: int, seed: int, labels: Labels) -> list[int]:
    """`count` rows, of each stratum its share, and every label among them.

    Raises:
        UserError: so few rows cannot have every label, or a class would get none.
    """
    first = labels.reserved(cells.to_dict())
    if count < len(first):
        raise UserError(f"covering every label takes {len(first):,} rows; --labels is {count:,}")
    rest = cells.drop(first)
    strata = pd.Series(labels.strata(rest.to_dict()), index=rest.index, dtype=object)
    drawn = [*first, *_shares(strata, count - len(first), seed)]
    known = labels.found_in(cells.dropna())
    if empty := sorted({*known} - {*labels.found_in(cells.loc[drawn].dropna())}):
        raise UserError(
            f"of {count:,} labels drawn, the class {empty[0]!r} would get none; it has "
            f"{(cells == empty[0]).sum():,} of {len(cells):,} rows: raise --labels"
        )
    return drawn


def _shares(strata: pd.Series, count: int, seed: int) -> list[int]:
    """`count` rows, of each stratum its share; those of the largest remainders get one more."""
    rng = np.random.default_rng(seed)
    shuffled = strata.iloc[rng.permutation(len(strata))]
    sizes = strata.value_counts().sort_index()
    quotas = sizes * count / max(1, len(strata))
    counts = np.floor(quotas).astype(int)
    largest = (quotas - counts).sort_values(ascending=False, kind="stable").index
    counts[largest[: count - counts.sum()]] += 1
    return [
        row for label in counts.index for row in shuffled.index[shuffled == label][: counts[label]]
    ]
