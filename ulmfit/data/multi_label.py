"""Multi-label classification: a text has several labels, or none.

In data, the labels of a text stand in one cell, separated by `SEPARATOR`. A classifier decides for
each label by itself: its probabilities are sigmoids, which do not sum to 1, and a label is given
from `THRESHOLD` on. What is true of texts is an indicator matrix, bool, shape (texts, classes), as
in scikit-learn; where each text has one class, it is class numbers, shape (texts,).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

SEPARATOR = ";"
THRESHOLD = 0.5

# Sets of labels that fewer rows have are divided together: the one row at least that each split
# gets of a set would be a third of three.
_OWN_STRATUM = 10
_OTHER_SETS = f"{SEPARATOR}rare sets of labels"  # no set of labels is called so
# Half of float32's step below 1: stands for what is missing to a probability that came out as 1.
_NEXT_TO_ONE = 2.0**-25


def split_labels(cell: str) -> list[str]:
    """The labels in a cell, without white space around them, in order, each once."""
    parts = (part.strip() for part in cell.split(SEPARATOR))
    return list(dict.fromkeys(part for part in parts if part))


def joined(labels: Iterable[str]) -> str:
    """The cell of some labels; '' for none."""
    return SEPARATOR.join(labels)


def ordered(cell: str) -> str:
    """The cell with its labels in alphabetical order: equal for equal sets of labels."""
    return joined(sorted(split_labels(cell)))


def all_labels(cells: Iterable[str]) -> list[str]:
    """Every label of the cells once, in alphabetical order."""
    return sorted({label for cell in cells for label in split_labels(cell)})


def indicator(cells: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """Which of `classes` each cell names, bool, shape (cells, classes).

    Raises:
        KeyError: a cell names another label.
    """
    numbers = {label: i for i, label in enumerate(classes)}
    made = np.zeros((len(cells), len(classes)), bool)
    for row, cell in zip(made, cells, strict=True):
        row[[numbers[label] for label in split_labels(cell)]] = True
    return made


def true_labels(cells: Sequence[str], classes: Sequence[str], multi_label: bool) -> np.ndarray:
    """Class numbers, int64, shape (cells,), or with `multi_label` an `indicator` matrix.

    Raises:
        KeyError: a label is not in `classes`.
    """
    if multi_label:
        return indicator(cells, classes)
    numbers = {label: i for i, label in enumerate(classes)}
    return np.array([numbers[label] for label in cells], np.int64)


def given(probabilities: np.ndarray) -> np.ndarray:
    """Which labels a classifier gives, bool, of the shape of `probabilities`."""
    return probabilities >= THRESHOLD


def label_cells(chosen: np.ndarray, classes: Sequence[str]) -> list[str]:
    """The rows of an indicator matrix as cells, the labels in the order of `classes`."""
    return [joined(label for label, yes in zip(classes, row, strict=True) if yes) for row in chosen]


def answer_probabilities(probabilities: np.ndarray) -> np.ndarray:
    """How likely the least certain label is that a text gets, shape (texts,).

    For a text that gets none, how likely it is that the most probable label is wrong.
    """
    lowest = np.where(given(probabilities), probabilities, np.inf).min(1)
    return np.where(np.isinf(lowest), 1 - probabilities.max(1), lowest).astype(probabilities.dtype)


def decisions(probabilities: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every decision about one label of one text as a text of two classes: no, yes.

    Calibration and log loss of a multi-label classifier are those of its decisions.

    Returns:
        Probabilities, float64, shape (texts x classes, 2), and class numbers, int64, shape
        (texts x classes,).
    """
    return _no_yes(probabilities), truth.astype(np.int64).ravel()


def rescaled(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """What the sigmoids had been, had the logits been divided by `temperature`; same shape.

    To some thousandths: next to 1, float32 has lost part of a logit.
    """
    no, yes = np.log(np.maximum(_no_yes(probabilities), np.finfo(np.float32).tiny)).T
    scaled = np.exp(-np.logaddexp(0, (no - yes) / temperature))
    return scaled.reshape(probabilities.shape).astype(probabilities.dtype)


def _no_yes(probabilities: np.ndarray) -> np.ndarray:
    yes = probabilities.astype(np.float64).ravel()
    return np.stack([np.maximum(1 - yes, _NEXT_TO_ONE), yes], 1)


def strata(cells: Mapping[int, str]) -> dict[int, str | None]:
    """What to draw from in proportion, by row: sets of labels, the rare ones together as one.

    `cells` are `ordered`.
    """
    counts = Counter(cells.values())
    return {
        row: cell if counts[cell] >= _OWN_STRATUM else _OTHER_SETS for row, cell in cells.items()
    }


def one_of_each(cells: Mapping[int, str]) -> list[int]:
    """Rows, from the first on, that between them have every label."""
    seen: set[str] = set()
    rows = []
    for row, cell in cells.items():
        if new := set(split_labels(cell)) - seen:
            seen |= new
            rows.append(row)
    return rows
