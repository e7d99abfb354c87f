"""The training of linear classifiers: settings by cross-validation on train, then all of train."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ulmfit.artifacts.card import model_card
from ulmfit.artifacts.config import FEATURES, LinearConfig
from ulmfit.artifacts.manifest import FORMAT_VERSION, NO_DIRECTION, Manifest, library_versions
from ulmfit.artifacts.seen import seen_file
from ulmfit.artifacts.writing import write_linear
from ulmfit.base.lock import locked
from ulmfit.base.log import logger
from ulmfit.base.progress import Progress
from ulmfit.data.fingerprints import labelled_fingerprint
from ulmfit.data.labels import Labels
from ulmfit.data.spec import DataFlags
from ulmfit.data.splits import with_valid_learnt
from ulmfit.inference.baseline import LINEAR_NAMES, regressions_of
from ulmfit.inference.linear import (
    MOST_NGRAMS,
    LinearClassifier,
    Setting,
    fit_vectorizer,
    link_of,
    linked,
    outputs,
)
from ulmfit.inference.metrics import classification_metrics
from ulmfit.text.ids import hold_ids
from ulmfit.training.classifier_data import labels_in
from ulmfit.training.options import StageResult
from ulmfit.training.settings import ClassifierSettings, data_spec

_FOLDS = 5
_ALL_FOLDS = 5_000  # texts up to which every fold is judged; of more, one fold is enough
# What a linear classifier has in common with the networks that are trained on the same data.
_RECIPE = ("data", "multi_label", "labels", "all_labels", "seed", *DataFlags.__dataclass_fields__)


class _Judged(NamedTuple):
    """A setting, and what cross-validation makes of it."""

    setting: Setting
    log_loss: float
    figures: dict[str, Any]


def why_no_linear(features: str, frame: pd.DataFrame, labels: Labels) -> str:
    """Why no such classifier can be trained on the texts of split train; '' if it can.

    `features` is a key of `FEATURES`.
    """
    cells = frame.loc[frame["split"] == "train", "label"]
    if labels.multi and not FEATURES[features]:
        return "a text may have several labels, and it knows one"
    if hold_ids(frame["text"]):
        return "it needs the texts, and the data holds ids"
    if labels.multi:
        return ""
    if len(labels.classes) < 2:
        return f"train has one class, {labels.classes[0]}, and 2 are needed"
    label, count = min(Counter(cells).items(), key=lambda pair: pair[::-1])
    if count < 2:
        return f"the class {label} has one text in train, and cross-validation needs 2"
    return ""


def linear_recipe(settings: ClassifierSettings) -> dict[str, Any]:
    """What a linear classifier's manifest has of the settings of stage 3."""
    recipe = asdict(settings)
    return json.loads(json.dumps({name: recipe[name] for name in _RECIPE}))


def train_linear(
    features: str,
    frame: pd.DataFrame,
    settings: ClassifierSettings,
    out: Path,
    overwrite: bool = False,
) -> StageResult | None:
    """A linear classifier's model directory, from the labels of split train.

    Split valid stays unread without the setting `all_labels`, so that it can say how good the
    classifier is beside others. None if nothing can be learnt from the texts, which a line says.

    Raises:
        UserError: `out` cannot be written, or another run writes it.
    """
    began = time.monotonic()
    labels = labels_in(frame, data_spec(settings).labels)
    if settings.all_labels:
        frame = with_valid_learnt(frame)
    train = frame[frame["split"] == "train"]
    name = LINEAR_NAMES[features]
    with locked(out):
        try:
            classifier, judged = _fit(features, train, labels, settings.seed)
        except ValueError as error:  # scikit-learn's, of texts without words for one
            logger.info(f"{name} is left out: scikit-learn finds {error}")
            return None
        truth = labels.encode(train["label"])
        manifest = _manifest(classifier, labels, truth, frame, settings, judged)
        seconds = round(time.monotonic() - began, 1)
        metrics = {**manifest.metrics, "seconds": seconds}
        write_linear(
            out,
            manifest=manifest,
            metrics=metrics,
            arrays=classifier.arrays(),
            ngrams=classifier.ngrams,
            seen=seen_file(frame),
            card=model_card(manifest, []),
            overwrite=overwrite,
        )
    logger.info(
        f"{name}: {len(classifier.ngrams):,} words and pairs of words, C {classifier.strength:g}; "
        f"log loss {judged.log_loss:.4f} in cross-validation; wrote {out}"
    )
    return StageResult(out, metrics)


def _fit(
    features: str, train: pd.DataFrame, labels: Labels, seed: int
) -> tuple[LinearClassifier, _Judged]:
    texts, truth = train["text"].tolist(), labels.encode(train["label"])
    made, link = fit_vectorizer(features, texts, MOST_NGRAMS), link_of(features, labels)
    rows = made.transform(texts)
    fit, settings = regressions_of(features, train["label"].tolist(), labels)
    tried: dict[Setting, list[np.ndarray]] = {setting: [] for setting in settings}
    seen: list[np.ndarray] = []
    folds = list(_folds(truth, labels, seed))
    name = f"fitting {LINEAR_NAMES[features]}"
    shown = Progress(len(folds) * len(settings), name, "fits", even=False)
    try:
        for inside, outside in folds:
            seen.append(outside)
            for fitted in fit(rows[inside], truth[inside], labels, settings):
                found = linked(outputs(rows[outside], fitted), link)
                tried[fitted.weight, fitted.strength].append(found)
                shown.advance()
    finally:
        shown.close()
    order = np.concatenate(seen)
    judged = [
        _judged(setting, np.concatenate(parts), truth[order], labels)
        for setting, parts in tried.items()
    ]
    best = min(judged, key=lambda one: one.log_loss)
    (fitted,) = fit(rows, truth, labels, [best.setting])
    return LinearClassifier(features, made, link, fitted), best


def _judged(setting: Setting, found: np.ndarray, truth: np.ndarray, labels: Labels) -> _Judged:
    figures = classification_metrics(found, truth, labels)
    return _Judged(setting, figures["log_loss"], figures)


def _folds(truth: np.ndarray, labels: Labels, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows to fit and rows to judge by, class by class; of many texts one pair alone."""
    from sklearn.model_selection import KFold, StratifiedKFold

    if labels.multi:
        count = min(_FOLDS, len(truth))
        splits = KFold(count, shuffle=True, random_state=seed).split(truth)
    else:
        count = min(_FOLDS, int(np.bincount(truth).min()))
        stratified = StratifiedKFold(count, shuffle=True, random_state=seed)
        splits = stratified.split(np.zeros(len(truth)), truth)
    for n, pair in enumerate(splits):
        if n == 0 or len(truth) <= _ALL_FOLDS:
            yield pair


def _manifest(
    classifier: LinearClassifier,
    labels: Labels,
    truth: np.ndarray,
    frame: pd.DataFrame,
    settings: ClassifierSettings,
    judged: _Judged,
) -> Manifest:
    config = LinearConfig(
        features=classifier.kind,
        ngrams=len(classifier.ngrams),
        strength=classifier.strength,
        class_weight=classifier.weight,
        prior=labels.prior(truth).tolist(),
        multi_label=labels.multi,
    )
    return Manifest(
        format_version=FORMAT_VERSION,
        kind=config.kind,
        direction=NO_DIRECTION,
        size=classifier.kind,
        config=config,
        tokenizer={},
        labels=list(labels.classes),
        recipe=linear_recipe(settings),
        seed=settings.seed,
        metrics={"cross_validation": judged.figures, "train_texts": len(truth)},
        versions=library_versions(),
        data_fingerprint=labelled_fingerprint(frame),
        parent=None,
        files={},
    )
