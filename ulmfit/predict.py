"""Classes and probabilities of texts, from one classifier or an ensemble.

What computes is imported when a model is loaded: an error in a command's arguments, or --help, does
not wait for torch.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np

from ulmfit import bundled
from ulmfit.artifacts import check_pair, read_artifact
from ulmfit.atomic import check_parent
from ulmfit.cli import run_command
from ulmfit.errors import UserError
from ulmfit.ids import Text, is_empty
from ulmfit.multi_label import given, label_cells, multi_label_of
from ulmfit.rows import listed
from ulmfit.scoring import plain_text, prediction_columns, score_file
from ulmfit.table_writers import ENDINGS
from ulmfit.tables import Table, open_table

if TYPE_CHECKING:
    import pandas as pd

    from ulmfit.corpus import TokenizedTexts
    from ulmfit.inference import LoadedModel

DEFAULT = bundled.DEFAULT_CLASSIFIER


class Classifier:
    """One or more classifiers; the probabilities of several are averaged."""

    def __init__(self, models: "Sequence[LoadedModel]") -> None:
        self.models = list(models)
        trained = self.models[0].artifact
        self.labels = trained.manifest.labels
        self.multi_label = multi_label_of(trained.manifest.config, trained.path)

    @property
    def precision(self) -> str:
        """The format that products run in: bfloat16 or float32."""
        return str(self.models[0].dtype).removeprefix("torch.")

    @classmethod
    def load(cls, *folders: str | Path, precision: str = "auto") -> "Classifier":
        """The classifiers of model directories, or of a bundled one's name, as an ensemble.

        Args:
            precision: "float32" gives a text the same prediction alone and in any batch (to
                1e-4); "bfloat16" rounds by the shape of a batch, which moves a probability by
                some hundredths at worst and is several times as fast where the hardware has it;
                "auto" takes that where it does.

        Raises:
            UserError: a directory holds no classifier, or they do not belong together.
        """
        if not folders:
            raise UserError("no model given; name at least one classifier's directory")
        paths = bundled.model_folders(folders)
        artifacts = [read_artifact(Path(path), "classifier") for path in paths]
        check_pair(artifacts)
        from ulmfit.inference import LoadedModel

        return cls([LoadedModel(artifact, precision) for artifact in artifacts])

    def predict(self, texts: Sequence[str | None]) -> "pd.DataFrame":
        """`label`, its `probability`, and one column of probabilities a class, in order.

        A missing text counts as an empty one; what has no text gets the share of each class in
        the training. Several labels are separated by ';' (see `scoring.prediction_columns`).
        """
        import pandas as pd

        if isinstance(texts, str):
            raise UserError("found one text, expected a list of texts; predict([text]) takes one")
        found = self.probabilities(texts)
        return pd.DataFrame(prediction_columns(found, self.labels, multi_label=self.multi_label))

    def probabilities(
        self, texts: Sequence[str | None], tell: Callable[[float], object] | None = None
    ) -> np.ndarray:
        """Those that `predict` returns, float32, shape (texts, classes).

        `tell` is called with the number of texts that were done, parts of one included.
        """
        return np.mean(self.probabilities_by_model([plain_text(t) for t in texts], tell), axis=0)

    def probabilities_by_model(
        self, texts: Sequence[Text], tell: Callable[[float], object] | None = None
    ) -> list[np.ndarray]:
        """One array of shape (texts, classes) for each model, in the order given."""
        if len(texts) == 0:
            return [np.zeros((0, len(self.labels)), np.float32) for _ in self.models]
        share = tell and (lambda count: tell(count / len(self.models)))
        tokenized: dict[str, TokenizedTexts] = {}
        results = []
        for loaded in self.models:
            key = loaded.tokenizer_key
            if key not in tokenized:
                tokenized[key] = loaded.tokenize(texts)
            results.append(loaded.probabilities(tokenized[key], share))
        empty = [i for i, text in enumerate(texts) if is_empty(text)]
        for loaded, probabilities in zip(self.models, results, strict=True):
            probabilities[empty] = loaded.prior
        return results


def main(
    clf: Annotated[str, {"nargs": "+"}] = DEFAULT,  # classifiers' directories, or a bundled name
    text: str | None = None,  # a text to classify
    input: str | None = None,  # a csv, tsv, jsonl or parquet file of texts
    output: str | None = None,  # file to write: every column of --input and the predictions
    text_col: str = "text",  # column of the texts in --input
    precision: str = "auto",  # float32: equal in any batch; bfloat16: faster; auto: by hardware
    overwrite: bool = False,  # replace --output if it exists
) -> dict[str, float] | Path:
    """Classify a text, or every row of a file.

    Returns the probability of each class, or the path of the file that was written.
    """
    if (text is None) == (input is None):
        raise UserError("give either --text TEXT or --input FILE with --output FILE")
    if text is not None:
        return _classify_text(load_named(clf, precision), text)
    path = _output_path(output, overwrite)
    table = _input_table(Path(str(input)), text_col)
    classifier = load_named(clf, precision)
    began = time.monotonic()
    rows = score_file(classifier, table, text_col, path)
    speed = rows / (time.monotonic() - began)
    print(f"wrote {rows:,} rows to {output}, {speed:,.0f} a second")
    return path


def load_named(clf: bundled.Paths, precision: str) -> Classifier:
    """The classifiers that a command was given, or the bundled ones, which it then says.

    Raises:
        UserError: as `Classifier.load`.
    """
    folders = bundled.model_folders(clf)
    if clf == DEFAULT:
        print(f"with the bundled {DEFAULT}; --clf DIR [DIR ...] names other classifiers")
    classifier = Classifier.load(*folders, precision=precision)
    from ulmfit.precision import keep_memory

    keep_memory()
    return classifier


def _classify_text(classifier: Classifier, text: str) -> dict[str, float]:
    probabilities = classifier.probabilities([text])[0].tolist()
    found = dict(zip(classifier.labels, probabilities, strict=True))
    for label, probability in found.items():
        print(f"{label:>12} {probability:.3f}")
    if classifier.multi_label:
        named = label_cells(given(np.array([probabilities])), classifier.labels)[0]
        print(f"{'labels':>12} {named or '(none)'}")
    else:
        print(f"{'label':>12} {max(found, key=found.__getitem__)}")
    return found


def _input_table(path: Path, text_col: str) -> Table:
    table = open_table(path)
    if text_col not in table.columns:
        raise UserError(
            f"{path} has no column {text_col!r}; it has {listed(table.columns) or 'none'}: "
            "name the one with the texts with --text-col"
        )
    return table


def _output_path(output: str | None, overwrite: bool) -> Path:
    path = Path(output or "")
    if output is None or path.suffix.lower() not in ENDINGS:
        raise UserError(f"--output is {output}, expected a file that ends in {', '.join(ENDINGS)}")
    if path.exists() and not overwrite:
        raise UserError(f"{path} is there already; choose another --output or pass --overwrite")
    check_parent(path)
    return path


if __name__ == "__main__":
    run_command(main)
