"""From a file of texts to the same rows with predictions, block by block."""

import warnings
from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from ulmfit.base.progress import Progress
from ulmfit.data.formats import Writer, open_writer
from ulmfit.data.formats_base import Table, cells, check_texts, place_of, plain_text
from ulmfit.data.labels import Labels
from ulmfit.inference.mixture import EQUAL, Mixture
from ulmfit.text.ids import Text, is_empty
from ulmfit.text.known import Known, best_known

if TYPE_CHECKING:
    import pandas as pd
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
    """The part of `Classifier` that `score_file` uses."""

    labelling: Labels

    def answers(
        self, texts: Sequence[str], tell: Callable[[float], object] | None = None
    ) -> Answers:
        """Probabilities and notes, in the order of the texts."""


def notes_on(texts: Sequence[Text], several: Sequence[Known]) -> list[str]:
    """A note on each text with few known tokens, '' for the others."""
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
            f"fewer than a fifth of the tokens of {unknown:,} of {len(notes):,} texts are known to "
            "this model; its answers to them mean little",
            stacklevel=3,
        )


def prediction_columns(
    probabilities: np.ndarray, labels: Labels, taken: Sequence[str] = ()
) -> dict[str, Any]:
    """Probabilities of shape (texts, classes) as columns: label, its probability, each class's.

    Multi-label: `label` has all labels with a probability of 0.5 or more, separated by ';'.
    `probability` is the lowest of theirs; without a label it is 1 minus the highest of all.
    Columns get a prefix if their name is in `taken`, the other columns of a table.
    """
    columns: dict[str, Any] = {
        "label": labels.decode(labels.decide(probabilities)),
        "probability": labels.confidence(probabilities),
    }
    # A class called "label" gets the column "class_label".
    for i, label in enumerate(labels.classes):
        columns[_free_name(label, columns, "class_")] = probabilities[:, i]
    # A table may have labels of its own or of an earlier prediction; those keep their name.
    beside: dict[str, Any] = dict.fromkeys(taken)
    for name, column in columns.items():
        beside[_free_name(name, beside, "predicted_")] = column
    return {name: beside[name] for name in beside if name not in taken}


def prediction_frame(texts: Any, probabilities: np.ndarray, labels: Labels) -> "pd.DataFrame":
    """The `prediction_columns` as a table; `texts` that are a Series lend it their index."""
    import pandas as pd

    index = texts.index if isinstance(texts, pd.Series) else None
    return pd.DataFrame(prediction_columns(probabilities, labels), index=index)


def file_columns(answers: Answers, labels: Labels, taken: Sequence[str]) -> dict[str, Any]:
    """The `prediction_columns`, and a `note` on each text, '' if there is none."""
    columns = prediction_columns(answers.mean, labels, taken)
    notes = answers.notes
    return {**columns, _free_name("note", {**dict.fromkeys(taken), **columns}, "predicted_"): notes}


def _free_name(name: str, taken: Container[str], prefix: str) -> str:
    while name in taken:
        name = prefix + name
    return name


def score_file(
    classifier: Scorer,
    table: Table,
    text_col: str,
    output: Path,
    source: Path,
    said: str = "",
) -> Scored:
    """Write every row of `table` with its prediction to `output`.

    Args:
        source: the file of the table, for messages.
        said: the note of the first row, for a reader who does not see the log.

    Raises:
        UserError: a row cannot be read, a cell of `text_col` is no text, or a column cannot be
            written; nothing is written.
    """
    labels, own = classifier.labelling, table.columns
    added = list(file_columns(Answers(np.zeros((1, 0, len(labels.classes))), []), labels, own))
    empty = unknown = 0
    with open_writer(output, [*own, *added], lambda: schema_with(table.schema(), added)) as writer:
        place = place_of(text_col, own, source)
        rows = _rehearse(table, place, source, writer)
        shown = Progress(rows, "classifying", "texts")
        for block in table.blocks():
            texts = [plain_text(text) for text in cells(block[place])]
            answers = classifier.answers(texts, shown.advance)
            empty += answers.notes.count(EMPTY)
            unknown += sum(note not in ("", EMPTY) for note in answers.notes)
            made = file_columns(answers, labels, own)
            if said:
                notes = made[added[-1]]
                notes[0] = f"{said}; {notes[0]}" if notes[0] else said
                said = ""
            writer.write([*block, *made.values()])
    return Scored(rows, empty, unknown)


def schema_with(own: "pa.Schema", added: Sequence[str]) -> "pa.Schema":
    """The types of a table's own columns and of those named as in `file_columns`."""
    import pyarrow as pa

    types = [pa.string(), *[pa.float32()] * (len(added) - 2), pa.string()]
    return pa.schema([*own, *map(pa.field, added, types)])


def _rehearse(table: Table, place: int, source: Path, writer: Writer) -> int:
    """The number of rows; bad rows raise their errors here and not after hours."""
    rows = 0
    for block in table.blocks():
        check_texts(block[place], source, table.columns[place], rows + 1)
        writer.check(block)
        rows += len(block[0])
    return rows
