"""Classes and probabilities of texts, from one classifier or an ensemble."""

import csv
import threading
from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import torch

from ulmfit.artifacts import Artifact, check_pair, read_artifact
from ulmfit.atomic import atomic_write, check_parent
from ulmfit.cli import run_command
from ulmfit.corpus import Corpus, TokenizedTexts, tokenize_texts
from ulmfit.errors import UserError
from ulmfit.loaders import ClassifierLoader
from ulmfit.models import (
    EncoderConfig,
    build_classifier,
    config_numbers,
    load_encoder,
    load_head,
)
from ulmfit.precision import autocast, default_device, keep_memory, resolve_precision
from ulmfit.progress import progress
from ulmfit.readers import read_file

# Longer chunks than in training: no gradients are kept, and each chunk has a price of its own.
_BPTT = 256

Paths = str | Path | Sequence[str | Path]


@torch.no_grad()
def predict_probabilities(
    model: Any, corpus: Corpus, device: torch.device, dtype: torch.dtype
) -> np.ndarray:
    """float32, shape (documents, classes), in the order of `corpus`."""
    loader = ClassifierLoader(corpus, np.zeros(len(corpus)))
    model.eval()
    parts = []
    for batch, _ in progress(loader, len(loader), "classifying"):
        with autocast(device, dtype):
            logits = model(batch.to(device))[0]
        parts.append(logits.float().softmax(1).cpu().numpy())
    sorted_probabilities = np.concatenate(parts)
    probabilities = np.empty_like(sorted_probabilities)
    probabilities[loader.order] = sorted_probabilities
    return probabilities


class LoadedModel:
    """One classifier of a model directory."""

    def __init__(self, artifact: Artifact) -> None:
        config, path = artifact.manifest.config, artifact.path
        self.artifact = artifact
        self._lock = threading.Lock()  # the model's hidden state is of one batch at a time
        self.backwards = artifact.manifest.direction == "backward"
        self.processor = artifact.processor()
        self.model = build_classifier(
            EncoderConfig.from_dict(config, path),
            len(artifact.manifest.labels),
            bptt=_BPTT,
            **config_numbers(config, ["max_len", "hidden"], path),
        )
        load_encoder(self.model, artifact.encoder(), path)
        load_head(self.model, artifact.head(), path)
        self.model.eval()

    def probabilities(
        self, tokenized: TokenizedTexts, device: torch.device, dtype: torch.dtype
    ) -> np.ndarray:
        """float32, shape (texts, classes)."""
        rows = np.arange(len(tokenized.offsets) - 1)
        corpus = tokenized.numericalize(self.processor.vocab, rows)
        corpus = corpus.reversed() if self.backwards else corpus
        with self._lock:
            return predict_probabilities(self.model.to(device), corpus, device, dtype)


class Classifier:
    """One or more classifiers; the probabilities of several are averaged.

    precision: "float32" gives a text the same prediction alone and in any batch (to 1e-4);
    "bfloat16" rounds by the shape of a batch, which moves a probability by some hundredths at
    worst and is several times as fast where the hardware has it; "auto" takes that where it does.
    """

    def __init__(self, models: Sequence[LoadedModel], precision: str = "float32") -> None:
        self.models = list(models)
        self.labels = self.models[0].artifact.manifest.labels
        self.device = default_device()
        self.dtype = resolve_precision(precision, self.device)

    @classmethod
    def load(cls, *folders: str | Path, precision: str = "float32") -> "Classifier":
        """The classifiers of model directories, as an ensemble.

        Raises:
            UserError: a directory holds no classifier, or they do not belong together.
        """
        if not folders:
            raise UserError("no model given; name at least one classifier's directory")
        artifacts = [read_artifact(Path(folder), "classifier") for folder in folders]
        check_pair(artifacts)
        return cls([LoadedModel(artifact) for artifact in artifacts], precision)

    def probabilities_by_model(self, texts: Sequence[str]) -> list[np.ndarray]:
        """One array of shape (texts, classes) for each model, in the order given."""
        tokenized: dict[str, TokenizedTexts] = {}
        results = []
        for loaded in self.models:
            key = loaded.processor.tokenizer_key()
            if key not in tokenized:
                tokenized[key] = tokenize_texts(texts, loaded.processor)
            results.append(loaded.probabilities(tokenized[key], self.device, self.dtype))
        return results

    def predict(self, texts: Sequence[str | None]) -> pd.DataFrame:
        """`label`, its `probability`, and one column of probabilities a class, in order.

        A missing text counts as an empty one.
        """
        if isinstance(texts, str):
            raise UserError("found one text, expected a list of texts; predict([text]) takes one")
        if len(texts) == 0:
            return prediction_frame(np.zeros((0, len(self.labels)), np.float32), self.labels)
        probabilities = np.mean(self.probabilities_by_model([_plain(t) for t in texts]), axis=0)
        return prediction_frame(probabilities, self.labels)


def _plain(text: Any) -> str:
    if isinstance(text, str):
        return text
    missing = text is None or text is pd.NA or text != text  # nan is not equal to itself
    return "" if missing else str(text)


def prediction_frame(probabilities: np.ndarray, labels: Sequence[str]) -> pd.DataFrame:
    """Probabilities of shape (texts, classes) as the table that `predict` returns."""
    best = probabilities.argmax(1)
    columns: dict[str, Any] = {
        "label": [labels[i] for i in best],
        "probability": probabilities[np.arange(len(best)), best],
    }
    for i, label in enumerate(labels):  # a class called "label" gets the column "class_label"
        columns[_free_name(label, columns, "class_")] = probabilities[:, i]
    return pd.DataFrame(columns)


def _free_name(name: str, taken: Container[str], prefix: str) -> str:
    while name in taken:
        name = prefix + name
    return name


def score_table(classifier: Classifier, table: pd.DataFrame, text_col: str) -> pd.DataFrame:
    """`table` with the prediction's columns behind its own, row by row."""
    names = [str(name) for name in table.columns]
    scores = classifier.predict(table[text_col].tolist())
    # A table may bring labels of its own, or of an earlier prediction; they keep their name.
    scores.columns = [_free_name(name, names, "predicted_") for name in scores.columns]
    return pd.concat([table.reset_index(drop=True), scores], axis=1)


def _csv(table: pd.DataFrame, sep: str = ",") -> str:
    written = table.to_csv(index=False, sep=sep, lineterminator="\n")
    if "\r" not in written:
        return written
    # Not quoted of its own accord, a carriage return would end the row for whoever reads it.
    return table.to_csv(index=False, sep=sep, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)


_WRITERS: dict[str, Callable[[pd.DataFrame], bytes | str]] = {
    ".csv": _csv,
    ".tsv": lambda table: _csv(table, "\t"),
    ".jsonl": lambda table: table.to_json(
        orient="records", lines=True, force_ascii=False, date_format="iso", double_precision=15
    ),
    ".parquet": lambda table: table.to_parquet(index=False),
}


def main(
    clf: Annotated[str, {"nargs": "+"}] = "",  # classifiers' directories: one, or an ensemble
    text: str | None = None,  # a text to classify
    input: str | None = None,  # a csv, tsv, jsonl or parquet file of texts
    output: str | None = None,  # file to write: every column of --input and the predictions
    text_col: str = "text",  # column of the texts in --input
    precision: str = "float32",  # float32: the same in any batch; bfloat16: faster; auto
    overwrite: bool = False,  # replace --output if it exists
) -> pd.DataFrame:
    """Classify a text, or every row of a file."""
    if not clf:
        raise UserError("no model given; --clf DIR [DIR ...] names classifiers, as stage 3 writes")
    if (text is None) == (input is None):
        raise UserError("give either --text TEXT or --input FILE with --output FILE")
    keep_memory()
    folders = model_folders(clf)
    if text is not None:
        scores = Classifier.load(*folders, precision=precision).predict([text])
        for label in scores.columns[2:]:
            print(f"{label:>12} {scores[label][0]:.3f}")
        print(f"{'label':>12} {scores['label'][0]}")
        return scores
    path = _output_path(output, overwrite)
    table = _read(Path(str(input)), text_col)
    _content(path, table)  # what cannot be written should fail now, not after the work
    scored = score_table(Classifier.load(*folders, precision=precision), table, text_col)
    atomic_write(path, _content(path, scored))
    print(f"wrote {len(scored):,} rows to {output}")
    return scored


def model_folders(clf: Paths) -> list[str]:
    """What --clf takes, from Python also a single directory or a `Path`."""
    return [str(folder) for folder in ([clf] if isinstance(clf, (str, Path)) else clf)]


def _read(path: Path, text_col: str) -> pd.DataFrame:
    if not path.is_file():
        raise UserError(f"no file {path}; --input takes csv, tsv, jsonl or parquet")
    table = read_file(path)
    if text_col not in table.columns:
        raise UserError(
            f"{path} has no column {text_col!r}; it has {', '.join(map(str, table.columns))}: "
            "name the one with the texts with --text-col"
        )
    return table


def _output_path(output: str | None, overwrite: bool) -> Path:
    path = Path(output or "")
    if output is None or path.suffix.lower() not in _WRITERS:
        raise UserError(f"--output is {output}, expected a file that ends in {', '.join(_WRITERS)}")
    if path.exists() and not overwrite:
        raise UserError(f"{path} is there already; choose another --output or pass --overwrite")
    check_parent(path)
    return path


def _content(path: Path, table: pd.DataFrame) -> bytes | str:
    try:
        return _WRITERS[path.suffix.lower()](table)
    except (ValueError, TypeError, OverflowError, NotImplementedError) as error:
        # Values of several types in a column have no form in parquet, bytes none in JSON.
        reason = " ".join(str(error).split())
        raise UserError(
            f"cannot write {path}: a column of the input has no form there ({reason}); "
            "choose another of " + ", ".join(_WRITERS)
        ) from None


if __name__ == "__main__":
    run_command(main)
