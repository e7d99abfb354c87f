"""A file of texts in, the same rows with their predictions out, block by block."""

from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ulmfit.base.progress import Progress
from ulmfit.data.formats import Writer, open_writer
from ulmfit.data.formats_base import Table, cells, check_texts
from ulmfit.data.labels import Labels
from ulmfit.text.given import is_missing

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

EMPTY = "no text: shares of the classes in the training"


class Scorer(Protocol):
    """What gives texts their probabilities: a `Classifier`."""

    labels: list[str]
    labelling: Labels

    def probabilities(
        self, texts: Sequence[str], tell: Callable[[float], object] | None = None
    ) -> np.ndarray:
        """float32, shape (texts, classes)."""


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


def prediction_frame(texts: Any, probabilities: np.ndarray, labels: Labels) -> "pd.DataFrame":
    """The `prediction_columns` as a table; `texts` that are a Series lend it their index."""
    import pandas as pd

    index = texts.index if isinstance(texts, pd.Series) else None
    return pd.DataFrame(prediction_columns(probabilities, labels), index=index)


def plain_text(text: Any) -> str:
    """A cell as a text; a missing one is empty."""
    if isinstance(text, str):
        return text
    return "" if is_missing(text) else str(text)


def file_columns(
    texts: Sequence[str], probabilities: np.ndarray, labels: Labels, taken: Sequence[str]
) -> dict[str, Any]:
    """The `prediction_columns`, and a `note` on texts that there was nothing to read in."""
    columns = prediction_columns(probabilities, labels, taken)
    notes = ["" if text.strip() else EMPTY for text in texts]
    return {**columns, _free_name("note", {**dict.fromkeys(taken), **columns}, "predicted_"): notes}


def _free_name(name: str, taken: Container[str], prefix: str) -> str:
    while name in taken:
        name = prefix + name
    return name


def score_file(classifier: Scorer, table: Table, text_col: str, output: Path, source: Path) -> int:
    """Write every row of `table` with its prediction to `output`; returns how many rows.

    `source` is the file of the table, for messages.

    Raises:
        UserError: the input turns bad, a cell of `text_col` is no text, or a column has no form in
            the output; nothing is written.
    """
    labels, own = classifier.labelling, table.columns
    added = list(file_columns([], np.zeros((0, len(labels.classes))), labels, own))
    with open_writer(output, [*own, *added], lambda: _schema(table, added)) as writer:
        rows = _rehearse(table, text_col, source, writer)
        shown = Progress(rows, "classifying", "texts")
        for block in table.blocks():
            texts = [plain_text(cell) for cell in cells(block[text_col])]
            probabilities = classifier.probabilities(texts, shown.advance)
            made = file_columns(texts, probabilities, labels, own)
            writer.write({**block, **made})
    return rows


def _schema(table: Table, added: Sequence[str]) -> "pa.Schema":
    import pyarrow as pa

    types = [pa.string(), *[pa.float32()] * (len(added) - 2), pa.string()]
    return pa.schema([*table.schema(), *map(pa.field, added, types)])


def _rehearse(table: Table, text_col: str, source: Path, writer: Writer) -> int:
    """The number of rows; what cannot be read or written fails here and not after hours."""
    rows = 0
    for block in table.blocks():
        check_texts(block[text_col], source, text_col, rows + 1)
        writer.check(block)
        rows += len(next(iter(block.values())))
    return rows
