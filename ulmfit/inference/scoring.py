"""A file of texts in, the same rows with their predictions out, block by block."""

import warnings
from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from ulmfit.base.progress import Progress
from ulmfit.data.formats import Writer, open_writer
from ulmfit.data.formats_base import Table, cells
from ulmfit.data.labels import Labels
from ulmfit.inference.mixture import EQUAL, Mixture
from ulmfit.text.ids import Text, is_empty
from ulmfit.text.known import Known, best_known

if TYPE_CHECKING:
    import pyarrow as pa

EMPTY = "nothing to read: shares of the classes in the training"
_FEW = 5  # a note is due where fewer than one in so many tokens is known


class Answers(NamedTuple):
    """What models say of texts.

    by_model: float32, shape (models, texts, classes). notes: one a text, '' where none is due.
    mixture: how their probabilities become one.
    """

    by_model: np.ndarray
    notes: list[str]
    mixture: Mixture = EQUAL

    @property
    def mean(self) -> np.ndarray:
        """The probabilities of all models together, shape (texts, classes)."""
        return self.mixture.of(self.by_model, np.array([note == EMPTY for note in self.notes]))


def training_shares(prior: Sequence[float] | None, classes: int) -> np.ndarray:
    """The share of each class in the training; equal ones where they are unknown. float32."""
    return np.array(prior or [1 / classes] * classes, np.float32)


class Scored(NamedTuple):
    """How many rows a file had, and the notes on them."""

    rows: int
    empty: int
    unknown: int


class Scorer(Protocol):
    """What gives texts their probabilities: a `Classifier`."""

    labels: list[str]
    labelling: Labels

    def answers(
        self, texts: Sequence[str], tell: Callable[[float], object] | None = None
    ) -> Answers:
        """Probabilities and notes, in the order given."""


def notes_on(texts: Sequence[Text], several: Sequence[Known]) -> list[str]:
    """What to know of the answers of models that know so much of `texts`; '' for nothing."""
    counts = zip(texts, *best_known(several), strict=True)
    return [EMPTY if is_empty(t) else _note(int(known), int(tokens)) for t, tokens, known in counts]


def _note(known: int, tokens: int) -> str:
    if known and known * _FEW >= tokens:
        return ""
    if known:
        found = f"only {known} of {tokens:,} tokens {'is' if known == 1 else 'are'} known"
    elif tokens > 1:
        found = f"none of {tokens:,} tokens is known"
    else:
        found = "no token is known"
    return f"{found} to this model; its answer means little"


def warn_of(notes: Sequence[str]) -> None:
    """Warn the caller's caller, who gets no notes, of answers that mean little."""
    if unknown := sum(note not in ("", EMPTY) for note in notes):
        warnings.warn(
            f"{unknown:,} of {len(notes):,} texts have fewer than a fifth of their tokens known to "
            "this model; its answers to them mean little",
            stacklevel=3,
        )


def prediction_columns(
    probabilities: np.ndarray, labels: Labels, taken: Sequence[str] = ()
) -> dict[str, Any]:
    """Probabilities of shape (texts, classes) as columns: label, its probability, each class's.

    Of a multi-label classifier, `label` has every label of a probability of 0.5 or more, separated
    by ';', or is empty; `probability` is the lowest of theirs, and where there is none 1 less the
    highest of all. None is called as one of `taken`, the columns of a table that they come to
    stand beside.
    """
    columns: dict[str, Any] = {
        "label": labels.decode(labels.decide(probabilities)),
        "probability": labels.confidence(probabilities),
    }
    # A class called "label" gets the column "class_label".
    for i, label in enumerate(labels.classes):
        columns[_free_name(label, columns, "class_")] = probabilities[:, i]
    # A table may bring labels of its own, or of an earlier prediction; they keep their name.
    beside: dict[str, Any] = dict.fromkeys(taken)
    for name, column in columns.items():
        beside[_free_name(name, beside, "predicted_")] = column
    return {name: beside[name] for name in beside if name not in taken}


def plain_text(text: Any) -> str:
    """A cell as a text; a missing one is empty."""
    if isinstance(text, str):
        return text
    if text is None:
        return ""
    import pandas as pd  # knows what else stands for nothing: nan, NA, NaT

    return "" if pd.api.types.is_scalar(text) and pd.isna(text) else str(text)


def file_columns(answers: Answers, labels: Labels, taken: Sequence[str]) -> dict[str, Any]:
    """The `prediction_columns`, and a `note` on each text, '' where none is due."""
    columns = prediction_columns(answers.mean, labels, taken)
    notes = answers.notes
    return {**columns, _free_name("note", {**dict.fromkeys(taken), **columns}, "predicted_"): notes}


def _free_name(name: str, taken: Container[str], prefix: str) -> str:
    while name in taken:
        name = prefix + name
    return name


def score_file(classifier: Scorer, table: Table, text_col: str, output: Path) -> Scored:
    """Write every row of `table` with its prediction to `output`.

    Raises:
        UserError: the input turns bad, or a column has no form in the output; nothing is written.
    """
    labels, own = classifier.labelling, table.columns
    added = list(file_columns(Answers(np.zeros((1, 0, len(labels.classes))), []), labels, own))
    empty = unknown = 0
    with open_writer(output, [*own, *added], lambda: _schema(table, added)) as writer:
        rows = _rehearse(table, writer)
        shown = Progress(rows, "classifying", "texts")
        for block in table.blocks():
            texts = [plain_text(text) for text in cells(block[text_col])]
            answers = classifier.answers(texts, shown.advance)
            writer.write({**block, **file_columns(answers, labels, own)})
            empty += answers.notes.count(EMPTY)
            unknown += sum(note not in ("", EMPTY) for note in answers.notes)
    return Scored(rows, empty, unknown)


def _schema(table: Table, added: Sequence[str]) -> "pa.Schema":
    import pyarrow as pa

    types = [pa.string(), *[pa.float32()] * (len(added) - 2), pa.string()]
    return pa.schema([*table.schema(), *map(pa.field, added, types)])


def _rehearse(table: Table, writer: Writer) -> int:
    """The number of rows; what cannot be read or written fails here and not after hours."""
    rows = 0
    for block in table.blocks():
        writer.check(block)
        rows += len(next(iter(block.values())))
    return rows
