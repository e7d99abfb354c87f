"""The split of each text as a table has it: a column of splits, or fastai's `is_valid`."""

import shlex
from collections.abc import Iterable
from typing import Any

import pandas as pd

from ulmfit.base.errors import UserError
from ulmfit.base.log import logger
from ulmfit.data.folders import split_name
from ulmfit.data.values import first_five, plain_values, values_of

SPLITS = ("train", "valid", "test", "unsup")
IS_VALID = "is_valid"
Labels = list[str | None] | None  # None where the source has none
_TRUTHS = {"true": "valid", "1": "valid", "1.0": "valid"}
_TRUTHS |= {"false": "train", "0": "train", "0.0": "train"}
_LIKE_SPLITS = ("split", "set", "fold", IS_VALID)


def splits_of_column(table: pd.DataFrame, name: str, source: str, labels: Labels) -> list[str]:
    """The split of each text as the column `name` says.

    A column `is_valid` has no word for texts without a label, which are unsup.

    Raises:
        UserError: a value is unknown.
    """
    truths = name.lower() == IS_VALID
    values = ["" if value is None else str(value) for value in plain_values(table[name], source)]
    names = {value: _split(value, truths) for value in dict.fromkeys(values)}
    unknown = sorted(repr(value) for value, split in names.items() if split is None)
    if unknown:
        expected = "True and False" if truths else ", ".join(SPLITS)
        raise UserError(
            f"{source}: found the values {first_five(unknown)} in the split column '{name}', "
            f"expected {expected}; rename them, or name another column with --split-col"
        )
    splits = [names[value] or "" for value in values]
    return _unlabelled(splits, labels) if truths else splits


def splits_of_is_valid(table: pd.DataFrame, labels: Labels) -> list[str] | None:
    """The splits by fastai's column `is_valid`, where it holds True and False; told."""
    if [*table.columns].count(IS_VALID) != 1:
        return None
    found = [_split(str(value), truths=True) for value in values_of(table[IS_VALID])]
    splits = [split for split in found if split in SPLITS]
    if len(splits) < len(found):
        return None
    splits = _unlabelled(splits, labels)
    counts = ", ".join(f"{splits.count(split):,} {split}" for split in ("train", "valid"))
    rest = f", {splits.count('unsup'):,} without a label unsup" if "unsup" in splits else ""
    logger.info(
        f"no column 'split': '{IS_VALID}' is read in its place, True is valid and False is train: "
        f"{counts}{rest}"
    )
    return splits


def _unlabelled(splits: list[str], labels: Labels) -> list[str]:
    """`splits`, but for texts without a label unsup."""
    pairs = zip(splits, labels or [""] * len(splits), strict=True)
    return ["unsup" if label is None else split for split, label in pairs]


def tell_unused(table: pd.DataFrame, used: str | None, others: set[Any]) -> None:
    """Log the columns that look like the splits and are not `used`; `others` are of other use."""
    for name, column in table.items():  # two columns that nobody reads may have one name
        if name == used or name in others:
            continue
        like = str(name).strip().lower() in _LIKE_SPLITS
        first = column.iloc[:1].tolist()
        named = used is None and any(split_name(str(value)) for value in first)
        if (like or named) and (line := _unused(str(name), values_of(column), used, like)):
            logger.info(line)


def _unused(name: str, values: list[object], used: str | None, like: bool) -> str:
    given = {"" if value is None else str(value) for value in values}
    truths = name.lower() == IS_VALID
    if all(_split(value, truths) for value in given):
        beside = f", and '{used}' is read as the split" if used else ""
        return f"found a column '{name}'{beside}; pass --split-col {shlex.quote(name)} to use it"
    if not like or used:
        return ""
    return (
        f"found a column '{name}', which is not read: its values ({_shown(given)}) name no split; "
        "write train, valid or test into a column 'split' to use it"
    )


def _shown(values: Iterable[str]) -> str:
    return first_five(value[:40] for value in sorted(values))


def _split(value: str, truths: bool) -> str | None:
    return _TRUTHS.get(value.strip().lower()) if truths else split_name(value)
