"""What a data set is like, before any compute is spent on it: figures, a report, warnings."""

import textwrap
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ulmfit.base.errors import listed
from ulmfit.data.duplicates import exact_groups, near_duplicate_groups
from ulmfit.data.label_checks import escaped, not_classes, remarks
from ulmfit.data.labels import SINGLE, Labels
from ulmfit.data.vocabulary import vocabulary_lines
from ulmfit.text.blocks import Texts, each
from ulmfit.text.ids import is_empty

SKEW = 10  # largest class : smallest class from which on a warning is due
FEW_LABELS = 100  # labelled train rows under which accuracy depends on luck
FEW_A_CLASS = 10
WIDTH = 96  # characters of a line of the report
# Which split's texts are looked for in which other's; a warning is due for the first three.
PAIRS = (
    ("train", "test"),
    ("train", "valid"),
    ("valid", "test"),
    ("unsup", "test"),
)

Figures = dict[str, Any]


def preflight(frame: pd.DataFrame, labels: Labels = SINGLE) -> Figures:
    """Figures on a frame of `load_data`; the labels of its test rows are not read.

    Keys: `rows`; `splits` (split -> rows); `labels` (train, valid -> label -> rows, "" for rows
    without one; a row of several counts for each of its labels); `lengths` (split ->
    characters, words -> median, p90, max); `empty` (texts without a visible character);
    `repeated` (texts equal to an earlier one); `overlap` ("train-test" and so on -> of the second
    split's rows, how many stand in the first: `exact`, and how many more are `near`-duplicates of
    one); `warnings` (lines).
    """
    splits = frame["split"].to_numpy(dtype=object)
    texts = frame["text"]
    filled, sizes = _filled(texts), _sizes(texts)
    exact, near = exact_groups(texts), near_duplicate_groups(texts)
    present = [name for name in ("train", "valid", "test", "unsup") if name in splits]
    figures: Figures = {
        "rows": len(frame),
        "splits": {name: int((splits == name).sum()) for name in present},
        "labels": {
            name: _label_counts(frame["label"][splits == name], labels)
            for name in ("train", "valid")
            if name in present
        },
        "lengths": {name: _lengths(sizes[splits == name]) for name in present},
        "empty": int((~filled).sum()),
        "repeated": int((exact != np.arange(len(exact)))[filled].sum()),
        "overlap": {
            f"{first}-{second}": _overlap(
                exact, near, (splits == first) & filled, (splits == second) & filled
            )
            for first, second in PAIRS
            if first in present and second in present
        },
    }
    labelled = int((frame["label"].notna() & (frame["split"] == "train")).sum())
    odd = remarks(frame, labels, exact)
    return {**figures, "warnings": _warnings(figures, labels, labelled, odd)}


def examples(frame: pd.DataFrame, count: int) -> list[tuple[str, str, list[str]]]:
    """`count` rows spread over train (or all, without train): where from, text, tokens."""
    from ulmfit.text.processor import TextProcessor

    train = (frame["split"] == "train").to_numpy()
    (places,) = np.nonzero(_filled(frame["text"]) & (train | ~train.any()))
    spread = np.linspace(0, len(places) - 1, max(0, min(count, len(places)))).astype(int)
    rows = frame.iloc[places[spread]]
    tokens = TextProcessor(tokenizer="word").tokenize(rows["text"].tolist())
    labels = ["" if pd.isna(label) else f", {label}" for label in rows["label"]]
    names = [f"{split}{label}" for split, label in zip(rows["split"], labels, strict=True)]
    return list(zip(names, rows["text"].tolist(), tokens, strict=True))


def report(name: str, figures: Figures, rows: Iterable[tuple[str, str, list[str]]] = ()) -> str:
    """The figures of `preflight` and the rows of `examples` as lines of text to read."""
    parts = [
        [f"{name}: {figures['rows']:,} texts"],
        _lengths_table(figures),
        _labels_table(figures),
        _same_table(figures),
        vocabulary_lines(figures),
        *(_example(*row) for row in rows),
        [f"warning: {line}" for line in figures["warnings"]] or ["nothing to warn of"],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _label_counts(cells: pd.Series, labels: Labels) -> dict[str, int]:
    counts = labels.counts("" if pd.isna(cell) else str(cell) for cell in cells)
    return dict(sorted(counts.items()))


def _filled(texts: Texts) -> NDArray[np.bool_]:
    """Which texts have something to read, shape (n,)."""
    return np.array([not is_empty(text) for text in each(texts)], dtype=bool)


def _sizes(texts: Texts) -> NDArray[np.int64]:
    """Characters and words of each text, shape (n, 2)."""
    counted = (size for text in each(texts) for size in (len(text), len(text.split())))
    return np.fromiter(counted, dtype=np.int64).reshape(-1, 2)


def _lengths(sizes: NDArray[np.int64]) -> dict[str, dict[str, int]]:
    return {
        unit: {
            "median": int(np.median(values)),
            "p90": int(np.percentile(values, 90)),
            "max": int(values.max()),
        }
        for unit, values in zip(("characters", "words"), sizes.T, strict=True)
    }


def _overlap(
    exact: NDArray[np.int64],
    near: NDArray[np.int64],
    first: NDArray[np.bool_],
    second: NDArray[np.bool_],
) -> dict[str, int]:
    same = np.isin(exact[second], exact[first])
    similar = np.isin(near[second], near[first])
    return {"exact": int(same.sum()), "near": int((similar & ~same).sum())}


def _warnings(figures: Figures, labels: Labels, labelled: int, odd: list[str]) -> list[str]:
    return [
        *_label_warnings(figures["labels"].get("train", {}), labels, labelled),
        *odd,
        *_overlap_warning(figures["overlap"]),
        *([f"{figures['empty']:,} texts are empty; drop those rows"] if figures["empty"] else []),
    ]


def _overlap_warning(overlap: dict[str, dict[str, int]]) -> list[str]:
    """One line for all pairs of splits that share texts; the table has their numbers."""
    pairs = [
        names.replace("-", " and ")
        for names, same in overlap.items()
        if names != "unsup-test" and (same["exact"] or same["near"])
    ]
    if not pairs:
        return []
    return [f"{listed(pairs)} share texts: scores flatter the model; drop the repeated rows"]


def _label_warnings(train: dict[str, int], labels: Labels, labelled: int) -> list[str]:
    counts = Counter({label: count for label, count in train.items() if label})
    if not counts:
        return [
            "no labelled train rows: enough for a language model, not for a classifier; "
            "--label-col names the column of the labels"
        ]
    found = []
    if reason := not_classes(counts):
        found.append(f"found {reason}; stage 3 refuses them")
    if "" in train and not labels.multi:
        found.append(f"{train['']:,} train rows have no label; a classifier refuses them")
    if len(counts) == 1:
        found.append(f"train has one class only ('{next(iter(counts))}'); a classifier needs two")
    if labelled < FEW_LABELS:
        found.append(f"{labelled:,} labelled train rows are few; expect unsteady scores")
    rare = min(counts, key=counts.__getitem__)
    common = max(counts, key=counts.__getitem__)
    if counts[common] > SKEW * counts[rare]:
        ratio = counts[common] / counts[rare]
        found.append(
            f"classes are unbalanced, {ratio:.0f} to 1 ('{common}' {counts[common]:,}, '{rare}' "
            f"{counts[rare]:,}); judge by macro F1, not by accuracy"
        )
    few = [label for label, count in counts.items() if count < FEW_A_CLASS]
    if few and len(counts) > 1:
        names = ", ".join(few[:5]) + ", ..." * (len(few) > 5)
        found.append(f"fewer than {FEW_A_CLASS} train rows in some classes: {names}")
    return found


def _table(rows: list[list[str]]) -> list[str]:
    """Lines of aligned cells: the first column to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *rest in rows:
        cells = (cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
        lines.append("  ".join([first.ljust(widths[0]), *cells]))
    return lines


def _lengths_table(figures: Figures) -> list[str]:
    parts = ("median", "p90", "max")
    rows = [["split", "rows", "characters: median", "90%", "max", "words: median", "90%", "max"]]
    for split, lengths in figures["lengths"].items():
        numbers = [lengths[unit][part] for unit in ("characters", "words") for part in parts]
        rows.append([split, *(f"{number:,}" for number in (figures["splits"][split], *numbers))])
    return _table(rows)


def _labels_table(figures: Figures) -> list[str]:
    labels = figures["labels"]
    lines = []
    names = sorted({label for counts in labels.values() for label in counts})
    if any(names):
        rows = [["label", *labels]]
        for name in names:
            counts = (f"{counts.get(name, 0):,}" for counts in labels.values())
            rows.append([escaped(name) or "(none)", *counts])
        lines = _table(rows)
    if "test" in figures["splits"]:
        lines.append("The labels of test are left unread: evaluate alone reads them.")
    return lines


def _same_table(figures: Figures) -> list[str]:
    lines = [f"empty texts: {figures['empty']:,}; repeated texts: {figures['repeated']:,}"]
    if figures["overlap"]:
        rows = [["texts of one split in another", "equal", "nearly equal"]]
        for names, same in figures["overlap"].items():
            first, second = names.split("-")
            rows.append([f"{second} in {first}", f"{same['exact']:,}", f"{same['near']:,}"])
        lines += ["", *_table(rows)]
    return lines


def _example(name: str, text: str, tokens: list[str]) -> list[str]:
    start = textwrap.shorten(text, 4 * WIDTH, placeholder=" ...")
    shown = " ".join(tokens[:60]) + " ..." * (len(tokens) > 60)
    return [
        f"[{name}]",
        *textwrap.wrap(start, WIDTH, initial_indent="  ", subsequent_indent="  "),
        f"  {len(tokens):,} tokens, as the model sees them:",
        *textwrap.wrap(shown, WIDTH, initial_indent="  ", subsequent_indent="  "),
    ]
