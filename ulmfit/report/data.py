"""The figures of a report, from probabilities and true classes.

Shapes: `probabilities` is (texts, classes). `truth` is (texts,), class numbers; for a multi-label
classifier, it is an indicator matrix, (texts, classes). `labels` are those of the classifier.

Texts are ranked by their loss, -log of the probability of the true class (for a multi-label
classifier, by the mean over its decisions). The first ones are wrongly labelled or hard. The label
quality score of cleanlab, "self-confidence", gives the same ranking.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ulmfit.data.labels import MULTI, SINGLE, Labels
from ulmfit.inference.metrics import ECE_BINS, classification_metrics

if TYPE_CHECKING:
    from ulmfit.artifacts.directory import Artifact
    from ulmfit.report.features import TextMap

LENGTH_BINS = 8


@dataclass(frozen=True)
class Measured:
    """The predictions of one model, or of several together."""

    name: str
    probabilities: np.ndarray


@dataclass(frozen=True)
class Calibrated:
    """The models with temperatures that were fitted to the texts of split valid."""

    temperatures: dict[str, float]  # of each model by name; an ensemble has none
    after: list[Measured]  # as `Report.measured`
    texts: int  # number of texts that they were fitted to


@dataclass(frozen=True)
class Report:
    """Everything that the page shows."""

    data: str
    split: str  # "" if the data are one file without splits
    labels: Labels
    texts: list[str]
    truth: np.ndarray
    repeated: np.ndarray  # bool, shape (texts,): the text is also in training
    near: np.ndarray  # bool, shape (texts,): the same, nearly equal
    left_out: int  # further texts of the split, which the models have seen
    lengths: np.ndarray  # tokens of each text
    measured: list[Measured]  # each model, then the mean of several
    peers: list[Measured]  # baselines trained on the same labels, if there are texts
    calibrated: Calibrated | str  # or the reason why there is no temperature
    text_map: "TextMap | None"  # None of linear classifiers alone
    # By name: the model, its parent, the parent's, ...; empty for a page without models
    lineages: "dict[str, list[Artifact]]"
    precision: str
    shown: int  # number of texts with the highest loss; 0: no text at all
    explanations: dict[int, str] = field(default_factory=dict)  # HTML by the number of the text
    unit: str = "tokens"  # of `lengths`
    remark: str = ""  # on the texts, below the title

    @property
    def best(self) -> Measured:
        """The main subject of the page: all models together, or the only one."""
        return self.measured[-1]


class Bin(NamedTuple):
    """Texts of a range, with the 95 % interval of `accuracy` (Wilson 1927)."""

    low: float
    high: float
    texts: int
    accuracy: float
    interval: tuple[float, float]
    confidence: float = 0.0  # mean probability of the predicted class


def majority_probabilities(truth: np.ndarray, labels: Labels) -> np.ndarray:
    """The best constant prediction, the same for every text: the class frequencies.

    It predicts the most frequent class, and its log loss is the entropy of the classes. For a
    multi-label classifier, it predicts the labels of at least half of the texts.
    """
    return np.tile(labels.prior(truth), (len(truth), 1))


def overall_figures(
    probabilities: np.ndarray, truth: np.ndarray, labels: Labels = SINGLE
) -> dict[str, Any]:
    """`classification_metrics`, and Matthews' correlation coefficient (mcc) for single labels."""
    from sklearn.metrics import matthews_corrcoef

    figures = classification_metrics(probabilities, truth, labels)
    if labels.multi:
        return figures
    predicted = labels.decide(probabilities)
    # For a single class, scikit-learn returns 0 and warns.
    mcc = float(matthews_corrcoef(truth, predicted)) if len({*truth, *predicted}) > 1 else 0.0
    return {**figures, "log_loss": abs(figures["log_loss"]), "mcc": mcc}  # no minus zero


def confusion(probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Counts, int64, shape (true classes, predicted classes)."""
    from sklearn.metrics import confusion_matrix

    classes = range(probabilities.shape[1])
    return confusion_matrix(truth, probabilities.argmax(1), labels=classes)


def label_counts(probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """True positives, false positives and false negatives of each label, (classes, 3), int64.

    For a multi-label classifier, which has no confusion matrix.
    """
    predicted = MULTI.decide(probabilities)
    parts = (predicted & truth, predicted & ~truth, ~predicted & truth)
    return np.stack([part.sum(0) for part in parts], 1)


def by_true_class(matrix: np.ndarray) -> np.ndarray:
    """The shares of each row of a confusion matrix; zeros for a class without texts."""
    return matrix / np.maximum(1, matrix.sum(1, keepdims=True))


def commonest_confusions(matrix: np.ndarray, most: int = 10) -> list[tuple[int, int, int]]:
    """The most frequent errors: true class, predicted class and count."""
    mistakes = matrix - np.diag(np.diag(matrix))
    order = np.argsort(-mistakes, axis=None, kind="stable")[:most]
    rows, columns = np.unravel_index(order, matrix.shape)
    counts = mistakes[rows, columns]
    found = zip(rows.tolist(), columns.tolist(), counts.tolist(), strict=True)
    return [(row, column, count) for row, column, count in found if count]


def interval(right: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    from scipy.stats import binomtest

    found = binomtest(right, count).proportion_ci(0.95, method="wilson")
    return float(found.low), float(found.high)


def reliability(probabilities: np.ndarray, truth: np.ndarray, labels: Labels = SINGLE) -> list[Bin]:
    """Accuracy and mean confidence in each non-empty one of 15 bins of confidence.

    The bins are those of `metrics.expected_calibration_error`. For a multi-label classifier, they
    contain decisions, one for each text and label, instead of texts.
    """
    probabilities, truth = labels.decisions(probabilities, truth)
    confidence = probabilities.max(1)
    right = probabilities.argmax(1) == truth
    numbers = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    return [
        _bin(n / ECE_BINS, (n + 1) / ECE_BINS, right[numbers == n], confidence[numbers == n])
        for n in np.unique(numbers).tolist()
    ]


def accuracy_by_length(
    lengths: np.ndarray, probabilities: np.ndarray, truth: np.ndarray, labels: Labels = SINGLE
) -> list[Bin]:
    """Accuracy of texts by length, in bins with about equally many texts.

    `low` and `high` are the shortest and the longest length in the bin.
    """
    right, confidence = labels.right(probabilities, truth), labels.confidence(probabilities)
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


def losses(probabilities: np.ndarray, truth: np.ndarray, labels: Labels = SINGLE) -> np.ndarray:
    """-log of the probability of the true class, shape (texts,).

    For a multi-label classifier, it is the mean over its decisions on the text.
    """
    answers, true = labels.decisions(probabilities, truth)
    found = -np.log(np.clip(answers[np.arange(len(true)), true], 1e-12, None))
    return found.reshape(len(truth), -1).mean(1)


def hardest(
    probabilities: np.ndarray, truth: np.ndarray, most: int, labels: Labels = SINGLE
) -> list[int]:
    """The texts with the highest loss, highest first."""
    order = np.argsort(-losses(probabilities, truth, labels), kind="stable")
    return order[:most].tolist()


def surest(
    probabilities: np.ndarray, truth: np.ndarray, most: int, labels: Labels = SINGLE
) -> list[list[int]]:
    """The correctly classified texts of each class, the most confident first.

    For a multi-label classifier, a text counts if it correctly gets the label; its other labels do
    not matter.
    """
    if labels.multi:
        got = labels.decide(probabilities) & truth
        orders = np.argsort(-probabilities, axis=0, kind="stable").T
        return [order[got[order, n]][:most].tolist() for n, order in enumerate(orders)]
    order = np.argsort(losses(probabilities, truth), kind="stable")
    order = order[labels.right(probabilities, truth)[order]]
    return [order[truth[order] == n][:most].tolist() for n in range(probabilities.shape[1])]
