"""A classifier for the batches of Ray, Dask and Spark."""

import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ulmfit.artifacts import bundled
from ulmfit.base.errors import UserError, listed
from ulmfit.data.formats_base import cells, check_texts, place_of, plain_text
from ulmfit.inference.ensemble import DEFAULT, Classifier
from ulmfit.inference.scoring import Answers, file_columns

if TYPE_CHECKING:
    import pandas as pd

_LOADING = threading.Lock()


class _Options(NamedTuple):
    """What a process needs to load the models; equal options share one load."""

    dirs: tuple[str, ...]
    precision: str
    threads: int | None


class _Held:
    """The classifier of a process, which answers one batch after the other."""

    def __init__(self, options: _Options) -> None:
        self._lock = threading.Lock()
        if options.threads is not None:
            import torch

            torch.set_num_threads(options.threads)
        self.classifier = Classifier.load(*options.dirs, precision=options.precision)
        from ulmfit.base.precision import keep_memory

        keep_memory()

    def answers(self, texts: Sequence[str]) -> Answers:
        with self._lock:  # an LSTM keeps its state between the chunks of a document
            return self.classifier.answers(texts)


@lru_cache(maxsize=1)  # Dask and Spark unpickle a predictor for every part of the data
def _held(options: _Options) -> _Held:
    return _Held(options)


class BatchPredictor:
    """Predictions for batches of rows, in as many processes as you like.

    It holds paths and options only, so it can be pickled. A process loads the models at its first
    batch, and once. Pass it to Ray's ``map_batches``, Dask's ``map_partitions``, or call it in a
    function for Spark's ``mapInPandas``.

    Args:
        dirs: a classifier's directory or several, an ensemble's, or the name of a bundled one.
            Every machine needs them at this place.
        text_column: the column with the texts.
        precision: as in `Classifier.load`. "float32" gives a text the same prediction in any batch
            (to 1e-4).
        threads: threads of a process for the arithmetic, 1 by default, since there is one process a
            core; None leaves torch's setting.
    """

    def __init__(
        self,
        dirs: bundled.Paths = DEFAULT,
        *,
        text_column: str = "text",
        precision: str = "auto",
        threads: int | None = 1,
    ) -> None:
        several = [dirs] if isinstance(dirs, (str, Path)) else list(dirs)
        if not several:
            raise UserError("no model given; name at least one classifier's directory")
        if threads is not None and threads < 1:
            raise UserError(f"threads is {threads}, expected 1 or more, or None")
        self.dirs = tuple(_absolute(name) for name in several)
        self.text_column, self.precision, self.threads = text_column, precision, threads

    def __call__(self, batch: Any) -> Any:
        """The columns of `batch`, then `label`, `probability`, one for each class, and `note`.

        The names are those of ``ulmfit predict --input``: a new column whose name is taken begins
        with ``predicted_``. Probabilities are float32.

        Args:
            batch: columns by name, each an array of one dimension or a list; or a pandas DataFrame.

        Returns:
            a dict of arrays, or a DataFrame with the index of `batch`.

        Raises:
            UserError: there is no such column, one of its cells is no text, or the models cannot be
                loaded.
        """
        names = list(batch)
        if self.text_column not in names:
            raise UserError(
                f"the batch has no column {self.text_column!r}; it has {listed(names) or 'none'}: "
                "name the one with the texts with text_column="
            )
        place_of(self.text_column, names, "the batch")
        column = _values(batch[self.text_column])
        check_texts(column, "the batch", self.text_column)
        added, _ = self.columns([plain_text(cell) for cell in column], names)
        if isinstance(batch, Mapping):
            return {**batch, **{name: _array(made) for name, made in added.items()}}
        return _joined(batch, added)

    def columns(self, texts: Sequence[str], taken: Sequence[str]) -> tuple[dict[str, Any], Answers]:
        """The new columns beside those named `taken`, and the answers that they are made of."""
        held = self._held()
        answers = held.answers(texts)
        return file_columns(answers, held.classifier.labelling, taken), answers

    @property
    def classifier(self) -> Classifier:
        """The classifier of this process, loaded at the first use."""
        return self._held().classifier

    def _held(self) -> _Held:
        with _LOADING:
            return _held(_Options(self.dirs, self.precision, self.threads))

    def __repr__(self) -> str:
        return f"BatchPredictor({', '.join(map(repr, self.dirs))})"


def _absolute(name: str | Path) -> str:
    """A path for processes with another working directory; a bundled name stays a name."""
    path = Path(name)
    return str(path.absolute()) if path.exists() else str(name)


def _values(column: Any) -> list[Any]:
    """The cells of a batch's column as Python's values."""
    if isinstance(column, np.ndarray) and column.dtype.kind != "f":
        return column.tolist()
    return cells(column)


def _array(column: Any) -> np.ndarray:
    return column if isinstance(column, np.ndarray) else np.array(column, dtype=object)


def _joined(frame: "pd.DataFrame", added: dict[str, Any]) -> "pd.DataFrame":
    import pandas as pd

    return pd.concat([frame, pd.DataFrame(added, index=frame.index)], axis=1)
