"""Where texts come from: a name, a file or a folder -> DataFrame(text, label, split).

Also the pre-flight command, which looks at data before any compute is spent on it:
``python -m ulmfit.data --data NAME|PATH``.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from ulmfit.base.errors import UserError
from ulmfit.base.log import logger
from ulmfit.data.columns import read_columns
from ulmfit.data.datasets import NAMES
from ulmfit.data.folders import split_name
from ulmfit.data.label_checks import not_classes
from ulmfit.data.labels import SEPARATOR, Labels
from ulmfit.data.spec import DataSpec
from ulmfit.data.split_columns import SPLITS
from ulmfit.data.splits import divide
from ulmfit.data.values import first_five
from ulmfit.text.ids import hold_ids

VALID_SHARE = TEST_SHARE = 0.1


def load_data(data: DataSpec | str | Path, **how: Any) -> pd.DataFrame:
    """The frame of `load_with_test_labels`, which takes the same, without the labels of test.

    What every command but evaluate, report and compare reads: what has no label cannot be learned.
    """
    return without_test_labels(load_with_test_labels(data, **how))


def load_with_test_labels(
    data: DataSpec | str | Path,
    *,
    labels_required: bool = True,
    texts_required: bool = True,
) -> pd.DataFrame:
    """The texts of a data set in the order of the source; `data` alone is read by the defaults.

    Columns: `text` (str, '' where the source has none), `label` (str or missing) and `split`
    (train, valid, test, unsup). Rows of unsup have no label. Without a split column, labelled
    rows are divided 80/10/10, stratified from `seed`, and rows without a label become unsup;
    with one but no valid rows, a stratified 10% of train becomes valid. What was decided is
    logged, one line each, and `attrs["drawn"]` names the splits that were drawn. With
    `labels_required`, train needs a label in every row and two classes at least; a file that
    holds test rows alone is read without. Without `texts_required`, a file of ids is read, too:
    each `text` is then a `TextIds`.

    Of `MultiLabels`, a label is a cell of several, in alphabetical order; '' where none applies, as
    an empty cell says in a labelled split of a split column. What is drawn is stratified by the set
    of labels where it is frequent enough, and leaves every label in train.

    Raises:
        UserError: one line that says what was found, what was expected and what to do.
    """
    spec = data if isinstance(data, DataSpec) else DataSpec(data)
    source, kind = spec.source, spec.labels
    columns = read_columns(spec, labels_required=labels_required)
    if texts_required and hold_ids(columns.texts):
        raise UserError(
            f"{source} holds ids and no texts, expected texts; the stages, evaluate and calibrate "
            "do with ids, everything else takes the texts that they were made of"
        )
    labels = columns.labels or [None] * len(columns.texts)
    labels = [label and kind.ordered(label) for label in labels]
    splits = columns.splits or ["unsup" if label is None else "train" for label in labels]
    if columns.splits is None and kind.multi and "train" in splits and "unsup" in splits:
        logger.info(
            f"{splits.count('unsup'):,} rows without a label are read as not labelled; where "
            "they mean that no label applies, give the data with a split column"
        )
    if source not in NAMES:
        _tell_unread(labels, splits)
    none = "" if kind.multi and columns.labels else None
    labels = [
        None if split == "unsup" else label or none
        for label, split in zip(labels, splits, strict=True)
    ]
    if labels_required:
        empty = 0 if columns.splits or columns.labels is None else splits.count("unsup")
        _check_labels(labels, splits, source, kind, empty)
    completed = _complete(labels, splits, columns.splits is not None, spec)
    frame = pd.DataFrame({"text": columns.texts, "label": labels, "split": completed})
    frame.attrs["drawn"] = sorted(set(completed) - set(splits))
    return frame


def without_test_labels(frame: pd.DataFrame) -> pd.DataFrame:
    """A copy of `frame` whose test rows have no label."""
    return frame.assign(label=frame["label"].mask(frame["split"] == "test"))


def source_name(data: str) -> str:
    """What to call `data` in a file that may be passed on: a path without its folders."""
    return data if data in NAMES else Path(data).expanduser().resolve().name


def same_source(first: str, second: str) -> bool:
    """Whether both are one data set, however its path is written."""
    paths = [Path(data).expanduser().resolve() for data in (first, second)]
    return first == second or (paths[0] == paths[1] and not {first, second} & NAMES.keys())


def _tell_unread(labels: list[str | None], splits: list[str]) -> None:
    pairs = zip(labels, splits, strict=True)
    unread = sum(
        split == "unsup" and bool(label) and split_name(label or "") != "unsup"
        for label, split in pairs
    )
    if unread:
        logger.info(f"{unread:,} rows have a label and are in split unsup: it is not read")


def _check_labels(
    labels: list[str | None], splits: list[str], source: str, kind: Labels, empty: int
) -> None:
    """Refuse labels of which no classifier can be made; `empty` rows have none in their cell."""
    for split in ("train", "valid"):
        rows = [row for row, name in enumerate(splits) if name == split]
        missing = [row for row in rows if labels[row] is None]
        if missing:
            several = _hint(label for label in labels if label)
            raise UserError(
                f"{source}: found {len(missing):,} of {len(rows):,} {split} rows without a label "
                f"(the first is row {missing[0] + 1}), expected none; label them, or set their "
                f"split to unsup{several}"
            )
    trained = _labels_of("train", labels, splits, kind)
    if len(trained) < 2:
        found, named = "no labelled rows", ""
        if trained:
            found = f"one class ('{trained.pop()}')"
            named = f"; {empty:,} empty cells are read as no label: name their class"
        named = named if empty else ""
        raise UserError(
            f"{source}: found {found} in train, expected two classes at least; check the column "
            "that holds the label (--label-col) and the one that holds the split (--split-col)"
            f"{named}"
        )
    counts = kind.counts(
        label for label, split in zip(labels, splits, strict=True) if label and split == "train"
    )
    if odd := not_classes(counts):
        raise UserError(f"{source}: found {odd}")
    strange = sorted(_labels_of("valid", labels, splits, kind) - trained)
    if strange:
        raise UserError(
            f"{source}: found labels in valid that train lacks ({first_five(strange)}), expected "
            "the same classes; correct them or move some of their rows to train"
            f"{_hint(strange)}"
        )


def _hint(labels: Iterable[str]) -> str:
    joint = any(SEPARATOR in label for label in labels)
    return f"; where {SEPARATOR} separates labels, pass --multi-label" if joint else ""


def _labels_of(part: str, labels: list[str | None], splits: list[str], kind: Labels) -> set[str]:
    """The labels that occur in the split `part`."""
    pairs = zip(labels, splits, strict=True)
    return {*kind.found_in(label or "" for label, split in pairs if split == part)}


def _complete(
    labels: list[str | None], splits: list[str], given: bool, spec: DataSpec
) -> list[str]:
    """`splits` with the missing parts drawn from train, and told."""
    train = {row: labels[row] or "" for row, split in enumerate(splits) if split == "train"}
    if given and ("valid" in splits or not train):
        return splits
    if not train:
        logger.info(f"no split column and no labels: all {len(splits):,} rows are unsup")
        return splits
    shares = {"valid": VALID_SHARE} if given else {"valid": VALID_SHARE, "test": TEST_SHARE}
    stay = {*spec.labels.reserved(train)}
    strata = spec.labels.strata({row: cell for row, cell in train.items() if row not in stay})
    drawn, small = divide(strata, shares, spec.seed)
    splits = list(splits)
    for split, rows in drawn.items():
        for row in rows:
            splits[row] = split
    counts = ", ".join(f"{splits.count(split):,} {split}" for split in SPLITS)
    made = "no valid rows: 10% of train becomes valid" if given else "no split column: made one"
    names = [f"{label.lstrip(SEPARATOR) or 'no label'} ({count})" for label, count in small.items()]
    kept = f"; left whole in train, too small to divide: {first_five(names)}" if small else ""
    by = " by set of labels" if spec.labels.multi else ""
    logger.info(f"{made}, stratified{by}, from seed {spec.seed}: {counts}{kept}")
    return splits
