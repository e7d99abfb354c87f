"""Figures of classifiers on labelled texts, the one way to the labels of test."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from ulmfit.artifacts.directory import Artifact
from ulmfit.base.errors import UserError
from ulmfit.data.fingerprints import labelled_fingerprint
from ulmfit.data.label_checks import as_classes
from ulmfit.data.labels import Labels
from ulmfit.data.load import load_data, load_with_test_labels, same_source, without_test_labels
from ulmfit.data.overlap import Overlap
from ulmfit.data.spec import DataSpec
from ulmfit.data.splits import keep_labels
from ulmfit.inference.baseline import baseline_names, fit_baseline
from ulmfit.inference.ensemble import Classifier
from ulmfit.inference.metrics import class_figures, classification_metrics
from ulmfit.text.ids import Text

SPLITS = ("train", "valid", "test")


def check_split_name(split: str) -> None:
    """Raise a UserError unless `split` may have labels to measure on."""
    if split not in SPLITS:
        raise UserError(f"--split is {split!r}, expected one of {', '.join(SPLITS)}")


_COLUMNS = {"accuracy": "accuracy", "f1": "macro F1", "ece": "ECE", "log_loss": "log loss"}


_MULTI_LABEL_COLUMNS = {
    "accuracy": "all right",
    "f1_micro": "micro F1",
    "f1": "macro F1",
    "f1_weighted": "weighted F1",
    "hamming_loss": "Hamming loss",
    "ece": "ECE",
    "log_loss": "log loss",
}


_CLASS_COLUMNS = {"documents": "texts", "precision": "precision", "recall": "recall", "f1": "F1"}


def measure(
    classifier: Classifier, texts: Sequence[Text], truth: np.ndarray, overlap: Overlap
) -> list[dict[str, Any]]:
    """Figures of each model and, of several or of an ensemble's directory, of them together."""
    answers = classifier.answers(texts)
    measured = [*answers.by_model]
    if classifier.is_several:
        measured.append(answers.mean)
    return [_figures(each, truth, overlap, classifier.labelling) for each in measured]


def _figures(
    probabilities: np.ndarray, truth: np.ndarray, overlap: Overlap, labels: Labels
) -> dict[str, Any]:
    figures = classification_metrics(probabilities, truth, labels)
    figures["overlap"] = found = overlap.counts()
    if labels.multi:
        of_classes = class_figures(probabilities, truth, labels)
        figures["classes"] = dict(zip(labels.classes, of_classes, strict=True))
    for name, count, inside in (
        ("repeated", found["exact"], overlap.exact),
        ("near_duplicates", found["near"], overlap.near),
    ):
        if count and not inside.all():
            rest = classification_metrics(probabilities[~inside], truth[~inside], labels)
            figures[f"without_{name}"] = rest
    return figures


def measure_baselines(
    frame: pd.DataFrame, labels: Labels, names: Sequence[str] | None = None
) -> dict[str, dict[str, Any]]:
    """Figures of baselines (`names`; all of `baseline_names`), trained on train, on split test."""
    test, known = frame[frame["split"] == "test"], without_test_labels(frame)
    truth = labels.encode(test["label"])
    overlap = Overlap.of(frame, "test")
    found = {}
    for name in names or baseline_names(labels):
        fitted = fit_baseline(name, known, labels)
        probabilities = fitted.probabilities(test["text"].tolist())
        found[name] = _figures(probabilities, truth, overlap, labels)
    return found


def figures_table(named: dict[str, dict[str, Any]]) -> str:
    """Rows of accuracy, F1 and calibration, for the terminal."""
    several = any("f1_micro" in figures for figures in named.values())
    columns = _MULTI_LABEL_COLUMNS if several else _COLUMNS
    return _table(columns, named)


def classes_table(classes: dict[str, dict[str, Any]]) -> str:
    """Rows of precision, recall and F1 of each class, for the terminal."""
    return _table(_CLASS_COLUMNS, classes)


def _table(columns: dict[str, str], named: dict[str, dict[str, Any]]) -> str:
    width = max(len(name) for name in named)
    lines = ["".join([" " * width, *(f"  {title:>6}" for title in columns.values())])]
    for name, figures in named.items():
        cells = [
            f"  {figures[key]:{max(6, len(title))}{'.0f' if key == 'documents' else '.4f'}}"
            for key, title in columns.items()
        ]
        lines.append("".join([f"{name:{width}}", *cells]))
    return "\n".join(lines)


def read_data(
    trained: Artifact, given: DataSpec, split: str, texts_required: bool = True
) -> tuple[str, pd.DataFrame]:
    """Name and frame of the data `given`, or else of what `trained` was trained on.

    The data are divided as for the training. The labels of test are there if `split` is test, and
    missing otherwise. `texts_required` as in `load_data`.

    Raises:
        UserError: as `load_data`, `trained` names no data, or `split` was drawn from data that
            have changed since.
    """
    manifest = trained.manifest
    # The seed of the model's training: data without a split column is split as it was then.
    spec = replace(
        given.or_of(manifest.recipe),
        labels=manifest.labelling,
        seed=manifest.seed,
    )
    if not spec.data:
        raise UserError(f"{trained.path} does not say what data it is of; name it with --data")
    load = load_with_test_labels if split == "test" else load_data
    frame = load(spec, labels_required=False, texts_required=texts_required)
    frame = as_classes(frame, manifest.labelling)
    check_split(frame, spec.source, split, trained)
    return spec.source, frame


def check_split(frame: pd.DataFrame, data: str, split: str, trained: Artifact) -> None:
    """Refuse to draw `split` from the data of the training if its rows are not those of then."""
    manifest = trained.manifest
    if split not in frame.attrs["drawn"] or not same_source(data, str(manifest.recipe.get("data"))):
        return
    read = keep_labels(frame, manifest.recipe.get("labels", 0), manifest.seed, manifest.labelling)
    if labelled_fingerprint(read) != manifest.data_fingerprint:
        raise UserError(
            f"{data} has changed since {trained.path} was trained on it: drawn anew, split "
            f"{split} would hold texts of the training; train again, or give the data with a "
            "split column"
        )


def labelled_texts(
    frame: pd.DataFrame, data: str, split: str, labels: Labels
) -> tuple[list[Any], np.ndarray]:
    """The texts of `split`, or their ids, and what is true of them.

    Raises:
        UserError: there are none, or one has no label or one that is no class of `labels`.
    """
    part = frame[frame["split"] == split]
    if part.empty:
        raise UserError(
            f"{data} has no texts in split {split}; it has "
            f"{', '.join(sorted(set(frame['split'])))}: choose one with --split"
        )
    missing = int(part["label"].isna().sum())
    if missing:
        raise UserError(
            f"{missing:,} of {len(part):,} texts in split {split} of {data} have no label; "
            "evaluation needs one for each"
        )
    unknown = [x for x in labels.found_in(part["label"]) if x not in labels.classes]
    if unknown:
        raise UserError(
            f"{data} has the label {unknown[0]!r} in split {split}; the classifier knows "
            f"{', '.join(labels.classes)}"
        )
    return part["text"].tolist(), labels.encode(part["label"])
