"""The predictions on an uploaded file, gathered for its report, and the report."""

from collections.abc import Sequence

import numpy as np

from ulmfit.artifacts.seen import union, which_seen
from ulmfit.base.errors import UserError, listed
from ulmfit.data.formats_base import Table, cells, place_of, plain_text
from ulmfit.inference.ensemble import Classifier
from ulmfit.inference.scoring import Answers
from ulmfit.inference.student import FastClassifier
from ulmfit.report.collect import of_answers
from ulmfit.report.page import page
from ulmfit.report.summary import Summary, summary_page
from ulmfit.serve.limits import Limits

DEFAULT_LABELS = "label"  # a column that a file may lack


class Gathered:
    """Texts, notes and probabilities of a file; past a limit, nothing is gathered any more."""

    def __init__(self, limits: Limits) -> None:
        self._most_values, self._most_characters = limits.report_values, limits.report_characters
        self._texts: list[str] = []
        self._parts: list[Answers] = []
        self._values = self._characters = 0
        self.too_large = False

    def add(self, texts: Sequence[str], answers: Answers) -> None:
        """The next texts of the file, with their answers."""
        self._values += answers.by_model.size
        self._characters += sum(map(len, texts))
        if self._values > self._most_values or self._characters > self._most_characters:
            self.too_large = True
            self._texts, self._parts = [], []
        if not self.too_large:
            self._texts += texts
            self._parts.append(answers)

    def report(
        self,
        classifier: Classifier | FastClassifier,
        name: str,
        labels: list[str] | str,
        theme: str,
    ) -> str | None:
        """The page of the file `name`; None for a file without rows, or one that is too large.

        Args:
            labels: one a row, '' where there is none; or the reason why there are none.
        """
        if not self._texts:
            return None
        by_model = np.concatenate([part.by_model for part in self._parts], 1)
        notes = [note for part in self._parts for note in part.notes]
        if not isinstance(labels, str):
            kept = _measurable(classifier, self._texts, labels)
            if not isinstance(kept, str):
                rows, seen = kept
                texts = [self._texts[i] for i in rows]
                answers = Answers(by_model[:, rows], [notes[i] for i in rows], classifier.mixture)
                truth = classifier.labelling.encode([labels[i] for i in rows])
                made = of_answers(
                    classifier, name, texts, truth, answers, seen, _unknown(classifier)
                )
                return page(made, theme)
            labels = kept
        mean = Answers(by_model, notes, classifier.mixture).mean
        summary = Summary(
            name, classifier.labelling, self._texts, mean, notes, labels, classifier.precision
        )
        return summary_page(summary, theme)


def _unknown(classifier: Classifier | FastClassifier) -> str:
    """A remark if a model cannot say what it was trained on."""
    if all(model.artifact.seen() is not None for model in classifier.models):
        return ""
    return (
        "The models do not say what texts they were trained on. Figures from texts of the training "
        "are too good."
    )


def _measurable(
    classifier: Classifier | FastClassifier, texts: Sequence[str], labels: Sequence[str]
) -> tuple[list[int], int] | str:
    """The labelled rows that no model was trained on, and how many it was; or why there are none.

    Figures from texts of the training would be too good.
    """
    labelled = [row for row, label in enumerate(labels) if label]
    if not labelled:
        return "No row has a label, so that there is no accuracy"
    known = classifier.labels
    found = classifier.labelling.found_in([labels[row] for row in labelled])
    if unknown := [label for label in found if label not in known]:
        return (
            f"There is no accuracy: the file has the label {unknown[0][:60]!r}; the classifier "
            f"knows {listed(known)}"
        )
    several = [seen for model in classifier.models if (seen := model.artifact.seen()) is not None]
    new = labelled
    if several:
        trained, validated = which_seen([texts[row] for row in labelled], union(several))
        new = [row for row, old in zip(labelled, trained | validated, strict=True) if not old]
    if not new:
        return "There is no accuracy: the models were trained or validated on every labelled text"
    return new, len(labelled) - len(new)


def labels_of(table: Table, column: str, file: str) -> list[str] | str:
    """The label of each row, or why there are none.

    Raises:
        UserError: there is no such column, and it is not the one that many files have.
    """
    check_label_column(table.columns, column, file)
    if not column:
        return "No column of labels was named, so that there is no accuracy"
    if column not in table.columns:
        return f"The file has no column {column!r} with labels, so that there is no accuracy"
    place = place_of(column, table.columns, file)
    return [plain_text(cell) for block in table.blocks() for cell in cells(block[place])]


def check_label_column(columns: Sequence[str], column: str, file: str) -> None:
    """Refuse a column that a file lacks."""
    if column and column not in columns and column != DEFAULT_LABELS:
        raise UserError(f"{file} has no column {column!r}; it has {listed(columns) or 'none'}")
