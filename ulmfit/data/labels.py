"""The labels of texts: `SingleLabels`, one a text, or `MultiLabels`, several or none.

In data, the labels of a text stand in one cell; several are separated by `SEPARATOR`. What is true
of texts is class numbers, int64, shape (texts,), or with several labels an indicator matrix, bool,
shape (texts, classes), as in scikit-learn. A multi-label classifier decides for each label by
itself: its probabilities are sigmoids, which do not sum to 1, and a label is given from
`THRESHOLD` on.
"""

import itertools
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from ulmfit.base.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

SEPARATOR = ";"
THRESHOLD = 0.5

# Sets of labels that fewer rows have are divided together: the one row at least that each split
# gets of a set would be a third of three.
_OWN_STRATUM = 10
_OTHER_SETS = f"{SEPARATOR}rare sets of labels"  # no set of labels is called so
# Half of float32's step below 1: stands for what is missing to a probability that came out as 1.
_NEXT_TO_ONE = 2.0**-25
_SMALLEST = float(np.finfo(np.float32).tiny)  # stands for a probability that came out as 0


@dataclass(frozen=True)
class Labels(ABC):
    """One kind of labels.

    classes: the labels in the order of a classifier's outputs; none while the kind alone is known.
    multi: whether a text may have several.
    unit: what log loss and calibration are means over.
    figures: what `metrics.classification_metrics` measures.
    """

    classes: Sequence[str] = ()
    multi: ClassVar[bool]
    unit: ClassVar[str]
    figures: ClassVar[tuple[str, ...]]

    def of(self, cells: Iterable[str]) -> Self:
        """This kind, with every label of the cells as its classes."""
        return replace(self, classes=self.found_in(cells))

    def found_in(self, cells: Iterable[str]) -> list[str]:
        """Every label of the cells once, in alphabetical order."""
        return sorted({label for cell in cells for label in self.split(cell)})

    def ordered(self, cell: str) -> str:
        """The cell with its labels in alphabetical order: equal for equal sets of labels."""
        return SEPARATOR.join(sorted(self.split(cell)))

    def counts(self, cells: Iterable[str]) -> Counter[str]:
        """How many cells each label is in; "" stands for no label."""
        return Counter(label for cell in cells for label in self.split(cell) or [""])

    def right(self, probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """Which texts are classified rightly, all their labels, bool, shape (texts,)."""
        equal = self.decide(probabilities) == truth
        return equal.all(1) if self.multi else equal

    @abstractmethod
    def split(self, cell: str) -> list[str]:
        """The labels in a cell, each once."""

    @abstractmethod
    def reserved(self, cells: Mapping[int, str]) -> list[int]:
        """Rows that are never drawn from train, so that every label stays there."""

    @abstractmethod
    def strata(self, cells: Mapping[int, str]) -> dict[int, str]:
        """What to draw from in proportion, by row; `cells` are `ordered`."""

    @abstractmethod
    def encode(self, cells: Iterable[str]) -> np.ndarray:
        """What is true of the texts of some cells; KeyError for a label not in `classes`."""

    @abstractmethod
    def decode(self, chosen: np.ndarray) -> list[str]:
        """The cells of what `encode` or `decide` gives, labels in the order of `classes`."""

    @abstractmethod
    def decide(self, probabilities: np.ndarray) -> np.ndarray:
        """What a classifier answers, in the form of `encode`."""

    @abstractmethod
    def confidence(self, probabilities: np.ndarray) -> np.ndarray:
        """The probability of each answer, shape (texts,)."""

    @abstractmethod
    def decisions(
        self, probabilities: np.ndarray, truth: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities, shape (decisions, answers), and the numbers of the true answers.

        Calibration and log loss of a classifier are those of its decisions.
        """

    @abstractmethod
    def rescaled(self, probabilities: np.ndarray, temperature: float) -> np.ndarray:
        """What the probabilities had been, had the logits been divided by `temperature`.

        Shape and type are those of `probabilities`.
        """

    @abstractmethod
    def prior(self, truth: np.ndarray) -> np.ndarray:
        """The share of the texts that each class has, shape (classes,)."""

    @abstractmethod
    def balanced_weights(self, truth: np.ndarray) -> np.ndarray:
        """Weights under which rare classes count as much as frequent ones, shape (classes,)."""

    @abstractmethod
    def probabilities(self, logits: "Tensor", temperature: float = 1.0) -> "Tensor":
        """Of logits, shape (texts, classes); `temperature` divides them (see `calibration`)."""

    @abstractmethod
    def loss(self, smoothing: float, weights: "Tensor | None") -> Any:
        """A function of logits and truth; `weights` are `balanced_weights`, None for equal ones.

        smoothing: share of each target that all answers divide.
        """


class SingleLabels(Labels):
    """One label a text."""

    multi = False
    unit = "texts"
    figures = ("accuracy", "f1", "f1_weighted", "ece", "log_loss")

    def split(self, cell: str) -> list[str]:
        return [cell]

    def reserved(self, cells: Mapping[int, str]) -> list[int]:
        return []  # classes are the strata: each leaves rows in train

    def strata(self, cells: Mapping[int, str]) -> dict[int, str]:
        return dict(cells)

    def encode(self, cells: Iterable[str]) -> np.ndarray:
        numbers = {label: i for i, label in enumerate(self.classes)}
        return np.array([numbers[label] for label in cells], np.int64)

    def decode(self, chosen: np.ndarray) -> list[str]:
        return [self.classes[i] for i in chosen]

    def decide(self, probabilities: np.ndarray) -> np.ndarray:
        return probabilities.argmax(1)

    def confidence(self, probabilities: np.ndarray) -> np.ndarray:
        return probabilities.max(1)

    def decisions(
        self, probabilities: np.ndarray, truth: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        return probabilities, truth

    def rescaled(self, probabilities: np.ndarray, temperature: float) -> np.ndarray:
        from scipy.special import log_softmax

        scaled = np.exp(log_softmax(as_logits(probabilities) / temperature, 1))
        return scaled.astype(probabilities.dtype)

    def prior(self, truth: np.ndarray) -> np.ndarray:
        if truth.ndim > 1:  # a teacher's: the sums of many float32 would drift from 1
            shares = truth.mean(0, dtype=np.float64)
            return shares / shares.sum()
        return np.bincount(truth, minlength=len(self.classes)) / len(truth)

    def balanced_weights(self, truth: np.ndarray) -> np.ndarray:
        """scikit-learn's: texts / (classes * texts of the class)."""
        counts = np.bincount(truth)
        return len(truth) / (len(counts) * counts)

    def probabilities(self, logits: "Tensor", temperature: float = 1.0) -> "Tensor":
        return (logits / temperature).softmax(1)

    def loss(self, smoothing: float, weights: "Tensor | None") -> Any:
        from ulmfit.model.single_label_loss import SingleLabelLoss

        return SingleLabelLoss(weight=weights, label_smoothing=smoothing)


class MultiLabels(Labels):
    """Several labels a text, or none."""

    multi = True
    unit = "decisions"
    figures = ("accuracy", "f1_micro", "f1", "f1_weighted", "hamming_loss", "ece", "log_loss")

    def split(self, cell: str) -> list[str]:
        parts = (part.strip() for part in cell.split(SEPARATOR))
        return list(dict.fromkeys(part for part in parts if part))

    def reserved(self, cells: Mapping[int, str]) -> list[int]:
        seen: set[str] = set()
        rows = []
        for row, cell in cells.items():
            if new := set(self.split(cell)) - seen:
                seen |= new
                rows.append(row)
        return rows

    def strata(self, cells: Mapping[int, str]) -> dict[int, str]:
        """Sets of labels, the rare ones together as one."""
        counts = Counter(cells.values())
        return {
            row: cell if counts[cell] >= _OWN_STRATUM else _OTHER_SETS
            for row, cell in cells.items()
        }

    def encode(self, cells: Iterable[str]) -> np.ndarray:
        numbers = {label: i for i, label in enumerate(self.classes)}
        cells = list(cells)
        made = np.zeros((len(cells), len(self.classes)), bool)
        for row, cell in zip(made, cells, strict=True):
            row[[numbers[label] for label in self.split(cell)]] = True
        return made

    def decode(self, chosen: np.ndarray) -> list[str]:
        named = (itertools.compress(self.classes, row) for row in chosen)
        return [SEPARATOR.join(labels) for labels in named]

    def decide(self, probabilities: np.ndarray) -> np.ndarray:
        return probabilities >= THRESHOLD

    def confidence(self, probabilities: np.ndarray) -> np.ndarray:
        """Of the least certain label that a text gets.

        For a text that gets none, how likely it is that the most probable label is wrong.
        """
        lowest = np.where(self.decide(probabilities), probabilities, np.inf).min(1)
        found = np.where(np.isinf(lowest), 1 - probabilities.max(1), lowest)
        return found.astype(probabilities.dtype)

    def decisions(
        self, probabilities: np.ndarray, truth: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """One a text and label, row by row, with the answers no and yes."""
        return _no_yes(probabilities), truth.astype(np.int64).ravel()

    def rescaled(self, probabilities: np.ndarray, temperature: float) -> np.ndarray:
        """To some thousandths: next to 1, float32 has lost part of a logit."""
        no, yes = np.log(np.maximum(_no_yes(probabilities), _SMALLEST)).T
        scaled = np.exp(-np.logaddexp(0, (no - yes) / temperature))
        return scaled.reshape(probabilities.shape).astype(probabilities.dtype)

    def prior(self, truth: np.ndarray) -> np.ndarray:
        return truth.mean(0)

    def balanced_weights(self, truth: np.ndarray) -> np.ndarray:
        """Texts without the label by those with it: both sides of each decision count as much.

        Raises:
            UserError: a label applies to every text, which leaves nothing to balance.
        """
        with_it = truth.sum(0)
        for label, count in zip(self.classes, with_it.tolist(), strict=True):
            if count == len(truth):
                raise UserError(
                    f"found the label {label!r} in all {len(truth):,} texts of train, expected "
                    "some without it for --class-weights balanced; leave the label out, or the flag"
                )
        return (len(truth) - with_it) / with_it

    def probabilities(self, logits: "Tensor", temperature: float = 1.0) -> "Tensor":
        return (logits / temperature).sigmoid()

    def loss(self, smoothing: float, weights: "Tensor | None") -> Any:
        from ulmfit.model.multi_label_loss import MultiLabelLoss

        return MultiLabelLoss(smoothing, weights)


SINGLE, MULTI = SingleLabels(), MultiLabels()
KINDS: dict[bool, Labels] = {False: SINGLE, True: MULTI}  # by the flag --multi-label


def as_logits(probabilities: np.ndarray) -> np.ndarray:
    """Logits of a softmax, float64: its logarithms, but for a constant that it takes out again."""
    return np.log(np.maximum(probabilities.astype(np.float64), _SMALLEST))


def _no_yes(probabilities: np.ndarray) -> np.ndarray:
    yes = probabilities.astype(np.float64).ravel()
    return np.stack([np.maximum(1 - yes, _NEXT_TO_ONE), yes], 1)
