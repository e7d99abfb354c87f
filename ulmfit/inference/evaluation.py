"""Metrics of classifiers on labelled texts; no other file reads the labels of test."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from ulmfit.artifacts.directory import Artifact
from ulmfit.base.errors import UserError
from ulmfit.data.label_checks import as_classes
from ulmfit.data.labels import Labels
from ulmfit.data.load import load_data, load_with_test_labels, without_test_labels
from ulmfit.data.overlap import Overlap
from ulmfit.data.spec import DataSpec
from ulmfit.inference.baseline import baseline_names, fit_baseline
from ulmfit.inference.ensemble import Classifier
from ulmfit.inference.guard import Unseen, unseen
from ulmfit.inference.metrics import class_figures, classification_metrics
from ulmfit.inference.scoring import Answers
from ulmfit.text.ids import Text

SPLITS = ("train", "valid", "test")
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


def check_split_name(split: str) -> None:
    """Raise a UserError unless `split` may have labels."""
    if split not in SPLITS:
        raise UserError(f"--split is {split!r}, expected one of {', '.join(SPLITS)}")


def measure(
    classifier: Classifier,
    texts: Sequence[Text],
    truth: np.ndarray,
    overlap: Overlap,
    left_out: int = 0,
    answers: Answers | None = None,
) -> list[dict[str, Any]]:
    """Metrics of each model and, if there are several, of their ensemble.

    `left_out` is the number of texts that were left out because the models have seen them;
    `answers` are those to `texts`, where they are there already.
    """
    answers = answers or classifier.answers(texts)
    measured = [*answers.by_model]
    if classifier.is_several:
        measured.append(answers.mean)
    more = {"left_out": left_out} if left_out else {}
    return [{**_figures(each, truth, overlap, classifier.labelling), **more} for each in measured]


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
    """Metrics on split test of baselines trained on train; `names` defaults to all."""
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
    return _table(_MULTI_LABEL_COLUMNS if several else _COLUMNS, named)


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
    models: Sequence[Artifact], given: DataSpec, split: str, texts_required: bool = True
) -> tuple[str, Unseen]:
    """Name and frame of the data `given`, or of the training data of the first model.

    The data are split as in the training. Labels of test are missing unless `split` is test. Texts
    of `split` that the models have seen are left out (see `guard.unseen`). `texts_required` as in
    `load_data`. Raises UserError as `load_data` and `guard.unseen`, or if the manifest names no
    data.
    """
    trained = models[0]
    manifest = trained.manifest
    # With the training's seed, data without a split column are split as in the training.
    spec = replace(given.or_of(manifest.recipe), labels=manifest.labelling, seed=manifest.seed)
    if not spec.data:
        raise UserError(f"the manifest of {trained.path} names no data; give it with --data")
    load = load_with_test_labels if split == "test" else load_data
    frame = load(spec, labels_required=False, texts_required=texts_required)
    frame = as_classes(frame, manifest.labelling)
    return spec.source, unseen(frame, spec.source, split, models)


def labelled_texts(
    frame: pd.DataFrame, data: str, split: str, labels: Labels
) -> tuple[list[Any], np.ndarray]:
    """The texts of `split`, or their ids, and their true labels (`Labels.encode`).

    Raises:
        UserError: `split` is empty, or a text has no label or one that is no class of `labels`.
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
