"""Rows drawn by a seed, in proportion to their labels: for splits, and for few labels."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ulmfit.base.errors import UserError
from ulmfit.data.multi_label import one_of_each, strata


def divide(
    labels: Mapping[int, str | None], shares: Mapping[str, float], seed: int
) -> tuple[dict[str, list[int]], dict[str, int]]:
    """Rows drawn for each split of `shares`, stratified by label, and the classes too small.

    `labels` maps a row to its label. Of each class, every split gets its share, rounded, and one
    row at least; a class that could not leave a row behind as well gives none and is returned
    with its size. The draw depends on the labels, their order and `seed` alone.
    """
    rng = np.random.default_rng(seed)
    drawn: dict[str, list[int]] = {split: [] for split in shares}
    small: dict[str, int] = {}
    classes: dict[str, list[int]] = {}
    for row, label in labels.items():
        classes.setdefault(label or "", []).append(row)
    for label, rows in sorted(classes.items()):
        order = [rows[place] for place in rng.permutation(len(rows))]
        if len(rows) <= len(shares):
            small[label] = len(rows)
            continue
        for split, share in shares.items():
            count = max(1, int(len(rows) * share + 0.5))
            drawn[split] += order[:count]
            order = order[count:]
    return drawn, small


def keep_labels(
    frame: pd.DataFrame, count: int, seed: int, multi_label: bool = False
) -> pd.DataFrame:
    """`frame` with labels in `count` rows of train alone, and in as many of valid at most.

    Which ones is drawn from `seed`, stratified; the others become unsup. 0 keeps all. With
    `multi_label`, stratified by the set of labels, and every label stays in train.

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
        draw = _proportional_sets if multi_label else _proportional
        drawn = draw(frame.loc[rows, "label"], min(count, len(rows)), seed)
        kept.loc[rows.difference(drawn), ["label", "split"]] = [None, "unsup"]
    return kept


def _proportional(labels: pd.Series, count: int, seed: int) -> list[int]:
    """`count` rows, of each class its share.

    Raises:
        UserError: a class would get none.
    """
    drawn, empty = _shares(labels, count, seed)
    if empty:
        raise UserError(
            f"of {count:,} labels drawn, the class {empty[0]!r} would get none; it has "
            f"{(labels == empty[0]).sum():,} of {len(labels):,} rows: raise --labels"
        )
    return drawn


def _proportional_sets(labels: pd.Series, count: int, seed: int) -> list[int]:
    """`count` rows, of each label one at least, and of each frequent set of labels its share.

    Raises:
        UserError: so few rows cannot have every label.
    """
    cells = labels.to_dict()
    first = one_of_each(cells)
    if count < len(first):
        raise UserError(f"covering every label takes {len(first):,} rows; --labels is {count:,}")
    rest = labels.drop(first)
    strata_of_rest = pd.Series(strata(rest.to_dict()), index=rest.index, dtype=object)
    drawn, _ = _shares(strata_of_rest, count - len(first), seed)
    return [*first, *drawn]


def _shares(labels: pd.Series, count: int, seed: int) -> tuple[list[int], list[str]]:
    """`count` rows, of each class its share, and the classes whose share is none.

    Those of the largest remainders get one more.
    """
    rng = np.random.default_rng(seed)
    shuffled = labels.iloc[rng.permutation(len(labels))]
    sizes = labels.value_counts().sort_index()
    quotas = sizes * count / max(1, len(labels))
    counts = np.floor(quotas).astype(int)
    largest = (quotas - counts).sort_values(ascending=False, kind="stable").index
    counts[largest[: count - counts.sum()]] += 1
    drawn = [
        row for label in counts.index for row in shuffled.index[shuffled == label][: counts[label]]
    ]
    return drawn, counts.index[counts == 0].tolist()
