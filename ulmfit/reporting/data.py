"""The figures of a report, from probabilities and true classes.

Shapes throughout: `probabilities` (texts, classes), `truth` (texts,), class numbers.

Texts are ranked by their loss, -log of the probability of the true class: what stands first is
labelled wrongly or hard. The library cleanlab is not used for it. It is small (termcolor is all
that it would bring along), but its label quality score, "self-confidence", is that very
probability: its ranking is this one. What it has beyond, a guess of which labels are wrong, is
left to whoever reads the texts.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ulmfit.metrics import ECE_BINS, classification_metrics

if TYPE_CHECKING:
    from ulmfit.artifacts import Artifact
    from ulmfit.reporting.features import TextMap

LENGTH_BINS = 8


@dataclass(frozen=True)
class Measured:
    """What one model, or several together, say of the texts."""

    name: str
    probabilities: np.ndarray


@dataclass(frozen=True)
class Calibrated:
    """The models with temperatures that were fitted to other texts, those of split valid."""

    temperatures: dict[str, float]  # of each model by name; of several together there is none
    after: list[Measured]  # as `Report.measured`
    texts: int  # to which they were fitted


@dataclass(frozen=True)
class Report:
    """All that the page shows."""

    data: str
    split: str
    labels: list[str]
    texts: list[str]
    truth: np.ndarray
    repeated: np.ndarray  # bool, shape (texts,): the training had the text as well
    lengths: np.ndarray  # tokens of each text
    measured: list[Measured]  # each model, then, of several, their mean
    calibrated: Calibrated | str  # or why there is no temperature
    text_map: "TextMap"
    lineages: "dict[str, list[Artifact]]"  # by name: the model, its parent, the parent's, ...
    precision: str
    shown: int  # texts of the highest loss; 0: no text at all
    explanations: dict[int, str] = field(default_factory=dict)  # HTML by the number of the text

    @property
    def best(self) -> Measured:
        """What the page is about first: all models together, or the only one."""
        return self.measured[-1]


class Bin(NamedTuple):
    """Texts of a range; the interval is of 95 % for `accuracy` (Wilson 1927)."""

    low: float
    high: float
    texts: int
    accuracy: float
    interval: tuple[float, float]
    confidence: float = 0.0  # mean probability of the predicted class


def majority_probabilities(truth: np.ndarray, classes: int) -> np.ndarray:
    """The best that an answer can be which is the same for every text: how frequent each class is.

    Its class is the most frequent one, its log loss the entropy of the classes.
    """
    frequencies = np.bincount(truth, minlength=classes) / len(truth)
    return np.tile(frequencies, (len(truth), 1))


def overall_figures(probabilities: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """`classification_metrics`, and Matthews' correlation coefficient (mcc)."""
    from sklearn.metrics import matthews_corrcoef

    predicted = probabilities.argmax(1)
    # Of a single class scikit-learn says 0, and warns.
    mcc = float(matthews_corrcoef(truth, predicted)) if len({*truth, *predicted}) > 1 else 0.0
    figures = classification_metrics(probabilities, truth)
    return {**figures, "log_loss": abs(figures["log_loss"]), "mcc": mcc}  # no minus zero


def class_figures(probabilities: np.ndarray, truth: np.ndarray) -> list[dict[str, Any]]:
    """precision, recall, f1 and the number of documents of each class; 0 where there is none."""
    from sklearn.metrics import precision_recall_fscore_support

    columns = precision_recall_fscore_support(
        truth, probabilities.argmax(1), labels=range(probabilities.shape[1]), zero_division=0
    )
    names = ("precision", "recall", "f1", "documents")
    return [dict(zip(names, map(float, row), strict=True)) for row in zip(*columns, strict=True)]


def confusion(probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Counts, int64, shape (true classes, predicted classes)."""
    from sklearn.metrics import confusion_matrix

    classes = range(probabilities.shape[1])
    return confusion_matrix(truth, probabilities.argmax(1), labels=classes)


def by_true_class(matrix: np.ndarray) -> np.ndarray:
    """The shares of each row of a confusion matrix; zeros for a class without texts."""
    return matrix / np.maximum(1, matrix.sum(1, keepdims=True))


def commonest_confusions(matrix: np.ndarray, most: int = 10) -> list[tuple[int, int, int]]:
    """True class, predicted class and count of what is mistaken for what, most frequent first."""
    mistakes = matrix - np.diag(np.diag(matrix))
    order = np.argsort(-mistakes, axis=None, kind="stable")[:most]
    rows, columns = np.unravel_index(order, matrix.shape)
    counts = mistakes[rows, columns]
    found = zip(rows.tolist(), columns.tolist(), counts.tolist(), strict=True)
    return [(row, column, count) for row, column, count in found if count]


def interval(right: int, count: int) -> tuple[float, float]:
    """95 % of a share (Wilson 1927): within it lies the accuracy on all texts of this kind."""
    from scipy.stats import binomtest

    found = binomtest(right, count).proportion_ci(0.95, method="wilson")
    return float(found.low), float(found.high)


def reliability(probabilities: np.ndarray, truth: np.ndarray) -> list[Bin]:
    """Accuracy and mean confidence in each of 15 bins of confidence that has texts.

    The bins are those of `ulmfit.metrics.expected_calibration_error`.
    """
    confidence = probabilities.max(1)
    right = probabilities.argmax(1) == truth
    numbers = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    return [
        _bin(n / ECE_BINS, (n + 1) / ECE_BINS, right[numbers == n], confidence[numbers == n])
        for n in np.unique(numbers).tolist()
    ]


def accuracy_by_length(
    lengths: np.ndarray, probabilities: np.ndarray, truth: np.ndarray
) -> list[Bin]:
    """Accuracy of texts in bins of length that hold about as many texts each.

    `low` and `high` are the shortest and the longest length in the bin.
    """
    right = probabilities.argmax(1) == truth
    confidence = probabilities.max(1)
    edges = np.unique(np.quantile(lengths, np.linspace(0, 1, LENGTH_BINS + 1)[1:-1]))
    numbers = np.searchsorted(edges, lengths)  # texts as long as an edge are below it
    return [
        _bin(lengths[inside].min(), lengths[inside].max(), right[inside], confidence[inside])
        for inside in (numbers == n for n in np.unique(numbers))
    ]


def _bin(low: float, high: float, right: np.ndarray, confidence: np.ndarray) -> Bin:
    found = interval(int(right.sum()), len(right))
    mean, sure = float(right.mean()), float(confidence.mean())
    return Bin(float(low), float(high), len(right), mean, found, sure)


def losses(probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """-log of the probability of the true class, shape (texts,)."""
    return -np.log(np.clip(probabilities[np.arange(len(truth)), truth], 1e-12, None))


def hardest(probabilities: np.ndarray, truth: np.ndarray, most: int) -> list[int]:
    """The texts of the highest loss, highest first."""
    order = np.argsort(-losses(probabilities, truth), kind="stable")
    return order[:most].tolist()


def surest(probabilities: np.ndarray, truth: np.ndarray, most: int) -> list[list[int]]:
    """For each class its texts that are classified rightly, the surest first."""
    right = probabilities.argmax(1) == truth
    order = np.argsort(losses(probabilities, truth), kind="stable")
    order = order[right[order]]
    return [order[truth[order] == n][:most].tolist() for n in range(probabilities.shape[1])]
