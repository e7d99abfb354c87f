"""What is odd about labels, in one line each, and labels of one writing as classes of another."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ulmfit.base.log import logger
from ulmfit.data.duplicates import exact_groups
from ulmfit.data.labels import SEPARATOR, Labels
from ulmfit.data.values import first_five
from ulmfit.text.blocks import each
from ulmfit.text.ids import is_empty

_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d+)?", re.IGNORECASE)
_WHOLE = re.compile(r"[+-]?\d+(\.0*)?")
# Classes that nobody trains on: a value for each text or nearly so.
_MANY_CLASSES = 10
# So few decimals, each of so many texts, are steps of a scale: 1.0, 1.5, 2.0.
_STEPS, _TEXTS_A_STEP = 5, 10
_MISSING = {"-1", "-1.0", "nan", "none", "null", "na", "n/a", "?", "<na>"}
_UNLABELLED = {"unsup", "unsupervised", "unlabelled", "unlabeled"}
_SEPARATORS = (SEPARATOR, ",", "|", "/", "+", "&")


def not_classes(counts: Counter[str]) -> str | None:
    """Why labels, with the number of their texts, are no classes; None if they may be.

    There is nearly one for each text, or they are decimal numbers.
    """
    texts, classes = sum(counts.values()), len(counts)
    numbers = all(_NUMBER.fullmatch(label) for label in counts)
    decimals = [label for label in counts if numbers and not _WHOLE.fullmatch(label)]
    many = classes >= _MANY_CLASSES and 2 * classes > texts
    steps = classes <= _STEPS and texts >= _TEXTS_A_STEP * classes
    if not many and (not decimals or steps):
        return None
    found = f"{classes:,} different labels in {texts:,} train rows, such as"
    shown = ", ".join(repr(label[:40]) for label in (decimals or sorted(counts))[:3])
    if not numbers:
        return (
            f"{found} {shown}: these look like names or ids, not classes; name the column that "
            "holds the class with --label-col"
        )
    return (
        f"{found} {shown}: these look like numbers to predict, not classes; cut them into a few "
        "ranges with a name each, such as low and high"
    )


def remarks(
    frame: pd.DataFrame, labels: Labels, groups: NDArray[np.int64] | None = None
) -> list[str]:
    """What is odd about the labels of train and valid; those of test are not looked at.

    groups: `exact_groups` of all texts, if they are known.
    """
    known = frame["split"].isin(["train", "valid"]).to_numpy() & frame["label"].notna().to_numpy()
    cells = frame["label"][known]
    counts = labels.counts(cells)
    none = counts.pop("", 0)
    if not counts:
        return []
    found = [
        *_written_alike(sorted(counts)),
        *_no_label(counts, len(cells)),
        *_steps(counts),
        *_several(cells, counts, none, labels),
    ]
    texts = frame["text"][known]
    return [*found, *_contradictions(texts, cells, None if groups is None else groups[known])]


def tell_remarks(frame: pd.DataFrame, labels: Labels) -> None:
    """Log what is odd about the labels."""
    for line in remarks(frame, labels):
        logger.info(line)


def writing(label: str) -> str:
    """What a label has in common with its other writings: case, white space, what is not seen."""
    seen = "".join(char for char in label if unicodedata.category(char) != "Cf")
    return " ".join(unicodedata.normalize("NFC", seen).split()).casefold()


def _number(label: str) -> str:
    """A label's `writing`, and a whole number without its decimals."""
    key = writing(label)
    return re.sub(r"\.0*$", "", key) if _WHOLE.fullmatch(key) else key


def as_classes(frame: pd.DataFrame, labels: Labels) -> pd.DataFrame:
    """`frame` with labels that are another writing of one class in that class's; told in a line.

    A label that could be several classes, or none, stays as it is.
    """
    classes: dict[str, set[str]] = {}
    for name in labels.classes:
        for key in {writing(name), _number(name)}:
            classes.setdefault(key, set()).add(name)
    found = {}
    for label in labels.found_in(frame["label"].dropna()):
        same = classes.get(writing(label)) or classes.get(_number(label), set())
        if label not in labels.classes and len(same) == 1:
            (found[label],) = same
    if not found:
        return frame
    shown = first_five(f"{label!r} as {name!r}" for label, name in found.items())
    logger.info(f"labels of another writing are read as the classifier's classes: {shown}")

    def renamed(cell: str) -> str:
        names = (found.get(label, label) for label in labels.split(cell))
        return labels.ordered(SEPARATOR.join(dict.fromkeys(names)))

    cells = frame["label"].dropna()
    changed = {cell: renamed(cell) for cell in cells.unique()}
    return frame.assign(label=frame["label"].map(changed, na_action="ignore"))


def _written_alike(labels: Sequence[str]) -> list[str]:
    lines = []
    done: set[str] = set()
    for key, how in (
        (writing, "case, white space or invisible characters"),
        (_number, "the decimals of a whole number"),
    ):
        groups: dict[str, list[str]] = {}
        for label in labels:
            groups.setdefault(key(label), []).append(label)
        same = [group for group in groups.values() if len(group) > 1 and not done & {*group}]
        done.update(label for group in same for label in group)
        if same:
            shown = "; ".join(
                ", ".join(f"'{escaped(label)}'" for label in group) for group in same[:3]
            )
            more = f"; ... ({len(same):,} in all)" if len(same) > 3 else ""
            lines.append(
                f"labels differ by {how} alone: {shown}{more}; write those that are one class alike"
            )
    return lines


def escaped(label: str) -> str:
    """A label with escapes for its invisible characters."""
    hidden = (unicodedata.category(char) in ("Cf", "Zs") and char != " " for char in label)
    seen = "".join(
        char.encode("unicode_escape").decode() if odd else char
        for char, odd in zip(label, hidden, strict=True)
    )
    return seen


def _no_label(counts: Counter[str], texts: int) -> list[str]:
    if {*map(_number, counts)} == {"-1", "1"}:
        return []  # no and yes, as support vector machines have them
    lines = []
    for label, count in sorted(counts.items()):
        share = f"{count:,} of {texts:,} labelled rows have it"
        if label.lower() in _MISSING:
            lines.append(
                f"'{label}' looks like 'no label'; leave the cell empty where a text has none "
                f"({share})"
            )
        elif label.lower() in _UNLABELLED:
            lines.append(
                f"'{label}' is read as a class ({share}); where it means that a text has no label, "
                "leave the cell empty, or call the folder unsup"
            )
    return lines


def _steps(counts: Counter[str]) -> list[str]:
    decimals = [label for label in counts if not _WHOLE.fullmatch(label)]
    if not decimals or not all(_NUMBER.fullmatch(label) for label in counts):
        return []
    shown = first_five(sorted(counts))
    return [f"the labels are numbers ({shown}): each is a class, and their order is not learned"]


def _several(cells: pd.Series, counts: Counter[str], none: int, labels: Labels) -> list[str]:
    """About several labels in a cell, found or missed."""
    if not labels.multi:
        joint = sum(SEPARATOR in label for label in counts)
        if not joint:
            return []
        return [
            f"{joint:,} of {len(counts):,} classes have a {SEPARATOR} in their name; where it "
            "separates labels of one text, pass --multi-label"
        ]
    if sum(counts.values()) > len(cells) - none:
        return []
    line = "--multi-label: found no text with more than one label"
    for separator in _SEPARATORS[1:]:
        if inside := sum(separator in label.strip(separator) for label in counts):
            return [
                f"{line}, and '{separator}' in {inside:,} of {len(counts):,} labels; where it "
                f"separates labels, pass --label-sep '{separator}'"
            ]
    return [
        f"{line}; name what separates labels with --label-sep, or leave --multi-label out if no "
        "text can have several"
    ]


def _contradictions(
    texts: pd.Series, cells: pd.Series, groups: NDArray[np.int64] | None
) -> list[str]:
    """How many texts have different labels in different rows."""
    filled = np.fromiter((not is_empty(text) for text in each(texts)), bool, len(texts))
    groups = exact_groups(texts) if groups is None else groups
    rows = pd.DataFrame({"group": groups, "cell": cells.to_numpy(), "row": texts.index + 1})[filled]
    rows = rows[rows.groupby("group")["cell"].transform("nunique") > 1]
    if rows.empty:
        return []
    count = rows["group"].nunique()
    first = rows[rows["group"] == rows["group"].iloc[0]].drop_duplicates("cell")["row"]
    return [
        f"{count:,} {'text has' if count == 1 else 'texts have'} different labels in different "
        f"rows, {len(rows):,} in all, such as rows {first.iloc[0]:,} and {first.iloc[1]:,}; "
        "correct the labels, or drop those rows"
    ]
