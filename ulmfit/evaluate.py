"""Measure classifiers and their ensemble: here alone, and in `report`, are test labels read."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd

from ulmfit import bundled
from ulmfit.artifacts import Artifact, read_metrics, update_metrics
from ulmfit.atomic import atomic_write, check_parent
from ulmfit.baseline import baseline_names, fit_baseline
from ulmfit.cli import run_command
from ulmfit.data import (
    load_data,
    load_with_test_labels,
    same_source,
    source_name,
    without_test_labels,
)
from ulmfit.draws import keep_labels
from ulmfit.errors import UserError
from ulmfit.ids import Text
from ulmfit.manifest import library_versions
from ulmfit.metrics import class_figures, classification_metrics
from ulmfit.multi_label import all_labels, multi_label_of, true_labels
from ulmfit.overlap import Overlap
from ulmfit.predict import Classifier
from ulmfit.settings import ClassifierSettings

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
_CLASS_COLUMNS = {
    "documents": "texts",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
}
_OF_MANIFEST = ("direction", "size", "seed", "recipe", "metrics", "parent", "versions")


def main(
    clf: Annotated[str, {"nargs": "+"}] = "",  # classifiers' directories, or a bundled name
    data: str | None = None,  # data set: a name or a path (default: the first classifier's)
    split: str = "test",  # train, valid or test
    text_col: str | None = None,  # column of the texts, where --data is a file
    label_col: str | None = None,  # column of the labels, where --data is a file
    split_col: str | None = None,  # column of the splits, where --data is a file
    precision: str = "auto",  # float32: equal in any batch; bfloat16: faster; auto: by hardware
    output: str | None = None,  # a json file for all figures, with what made them
) -> dict[str, dict[str, Any]]:
    """Measure each classifier, then the ensemble of all, on one split.

    The figures of each classifier are added to metrics.json in its directory. Returns them by
    directory, those of the ensemble under "ensemble". How many texts of the split also stand in the
    labelled texts of the training is under "overlap": "exact", but for case and white space, and
    how many more "near", with 7 in 10 runs of five words in common. The figures without the exact
    ones are under "without_repeated", those without either under "without_near_duplicates"; those
    of each class of a multi-label classifier are under "classes".
    """
    if not clf:
        raise UserError("no model given; --clf DIR [DIR ...] names classifiers, as stage 3 writes")
    if split not in SPLITS:
        raise UserError(f"--split is {split!r}, expected one of {', '.join(SPLITS)}")
    from ulmfit.precision import keep_memory  # and with it torch

    if output:
        check_parent(Path(output))
    keep_memory()
    began = time.monotonic()
    folders = bundled.model_folders(clf)
    classifier = Classifier.load(*folders, precision=precision)
    columns = {"text_col": text_col, "label_col": label_col, "split_col": split_col}
    data, frame = read_data(classifier.models[0].artifact, data, columns, split, False)
    texts, truth = labelled_texts(frame, data, split, classifier.labels, classifier.multi_label)
    kept = [read_metrics(Path(folder)) for folder in folders]
    overlap = Overlap.of(frame, split)
    results = measure(classifier, texts, truth, overlap)
    named = dict(zip([*folders, "ensemble"], results, strict=False))
    print(f"{len(texts):,} texts, split {split}")
    print(figures_table(named))
    if classifier.multi_label:
        name, figures = list(named.items())[-1]
        print(f"{name}, each class\n{classes_table(figures['classes'])}")
    for part, line in overlap.lines().items():
        if part in results[0]:
            print(line)
            print(figures_table({name: figures[part] for name, figures in named.items()}))
    for folder, metrics, figures in zip(folders, kept, results, strict=False):
        evaluation = {source_name(data): {split: figures}}
        update_metrics(Path(folder), {**metrics, "evaluation": evaluation})
    if output:
        seconds = round(time.monotonic() - began, 1)
        facts = {"data": source_name(data), "split": split, "precision": classifier.precision}
        _write(Path(output), {**facts, "figures": named, "seconds": seconds}, classifier)
    return named


def _write(path: Path, facts: dict[str, Any], classifier: Classifier) -> None:
    """All figures, and the models, versions and hardware that made them."""
    from ulmfit.precision import hardware

    models = [
        {
            "manifest_sha256": model.artifact.manifest_sha256,
            **{name: getattr(model.artifact.manifest, name) for name in _OF_MANIFEST},
            "trained_in_seconds": read_metrics(model.artifact.path).get("seconds"),
        }
        for model in classifier.models
    ]
    figures = {Path(name).name: measured for name, measured in facts["figures"].items()}
    about = {"models": models, "hardware": hardware(), "versions": library_versions()}
    written = {**facts, "figures": figures, **about}
    atomic_write(path, json.dumps(written, indent=2, sort_keys=True) + "\n")


def measure(
    classifier: Classifier, texts: Sequence[Text], truth: np.ndarray, overlap: Overlap
) -> list[dict[str, Any]]:
    """Figures of each model and, of several, of their ensemble (averaged probabilities)."""
    by_model = classifier.probabilities_by_model(texts)
    if len(by_model) > 1:
        by_model.append(np.mean(by_model, axis=0))
    return [_figures(each, truth, overlap, classifier.labels) for each in by_model]


def _figures(
    probabilities: np.ndarray, truth: np.ndarray, overlap: Overlap, labels: list[str]
) -> dict[str, Any]:
    figures = classification_metrics(probabilities, truth)
    figures["overlap"] = found = overlap.counts()
    if truth.ndim == 2:
        figures["classes"] = dict(zip(labels, class_figures(probabilities, truth), strict=True))
    if found["exact"] and not overlap.exact.all():
        kept = ~overlap.exact
        figures["without_repeated"] = classification_metrics(probabilities[kept], truth[kept])
    if found["near"] and not overlap.near.all():
        kept = ~overlap.near
        figures["without_near_duplicates"] = classification_metrics(
            probabilities[kept], truth[kept]
        )
    return figures


def measure_baselines(
    frame: pd.DataFrame,
    labels: list[str],
    multi_label: bool = False,
    names: Sequence[str] | None = None,
) -> dict[str, dict[str, Any]]:
    """Figures of baselines (`names`; all of `baseline_names`), trained on train, on split test."""
    test, known = frame[frame["split"] == "test"], without_test_labels(frame)
    truth = true_labels(test["label"], labels, multi_label)
    overlap = Overlap.of(frame, "test")
    found = {}
    for name in names or baseline_names(multi_label):
        fitted = fit_baseline(name, known, labels, multi_label)
        probabilities = fitted.probabilities(test["text"].tolist())
        found[name] = _figures(probabilities, truth, overlap, labels)
    return found


def check_test_labels(settings: ClassifierSettings, classes: list[str]) -> None:
    """Raise, before any training, the UserError in which evaluating on test would end."""
    frame = _data_of(settings)
    labelled_texts(frame, settings.data, "test", classes, settings.multi_label)


def baselines_of(settings: ClassifierSettings, labels: list[str]) -> dict[str, dict[str, Any]]:
    """`measure_baselines` with the data and labels that stage 3 trains on by `settings`."""
    return measure_baselines(_data_of(settings), labels, settings.multi_label)


def _data_of(settings: ClassifierSettings) -> pd.DataFrame:
    frame = load_with_test_labels(
        settings.data,
        **settings.columns(),
        seed=settings.seed,
        texts_required=False,
        multi_label=settings.multi_label,
        say=lambda line: None,
    )
    return keep_labels(frame, settings.labels, settings.seed, settings.multi_label)


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
    trained: Artifact,
    data: str | None,
    columns: dict[str, Any],
    split: str,
    texts_required: bool = True,
) -> tuple[str, pd.DataFrame]:
    """`data`, or else what `trained` was trained on, divided as it was for the training.

    `texts_required` as in `load_data`. The labels of test are there if `split` is test, and missing
    otherwise.

    Raises:
        UserError: as `load_data`, `trained` names no data, or `split` was drawn from data that
            have changed since.
    """
    manifest = trained.manifest
    if data is None:
        data = str(manifest.recipe.get("data") or "")
        columns = {c: given or manifest.recipe.get(c) or None for c, given in columns.items()}
    if not data:
        raise UserError(f"{trained.path} does not say what data it is of; name it with --data")
    data = str(data)
    # The seed of the model's training: data without a split column is split as it was then.
    load = load_with_test_labels if split == "test" else load_data
    frame = load(
        data,
        **columns,
        seed=manifest.seed,
        labels_required=False,
        texts_required=texts_required,
        multi_label=multi_label_of(manifest.config, trained.path),
    )
    check_split(frame, data, split, trained)
    return data, frame


def check_split(frame: pd.DataFrame, data: str, split: str, trained: Artifact) -> None:
    """Refuse to draw `split` from the data of the training if its rows are not those of then."""
    manifest = trained.manifest
    if split not in frame.attrs["drawn"] or not same_source(data, str(manifest.recipe.get("data"))):
        return
    from ulmfit.stage3_clf import data_fingerprint  # and with it fastai

    several = multi_label_of(manifest.config, trained.path)
    read = keep_labels(frame, manifest.recipe.get("labels", 0), manifest.seed, several)
    if data_fingerprint(read) != manifest.data_fingerprint:
        raise UserError(
            f"{data} has changed since {trained.path} was trained on it: drawn anew, split "
            f"{split} would hold texts of the training; train again, or give the data with a "
            "split column"
        )


def labelled_texts(
    frame: pd.DataFrame, data: str, split: str, labels: list[str], multi_label: bool = False
) -> tuple[list[Any], np.ndarray]:
    """The texts of `split`, or their ids, and their `true_labels`.

    Raises:
        UserError: there are none, or one has no label or one that is not in `labels`.
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
    found = all_labels(part["label"]) if multi_label else sorted(set(part["label"]))
    unknown = [label for label in found if label not in labels]
    if unknown:
        raise UserError(
            f"{data} has the label {unknown[0]!r} in split {split}; the classifier knows "
            f"{', '.join(labels)}"
        )
    return part["text"].tolist(), true_labels(part["label"], labels, multi_label)


if __name__ == "__main__":
    run_command(main)
