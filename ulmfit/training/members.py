"""The members of the ensemble that `python -m ulmfit` makes, and how they are put together."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ulmfit.artifacts.card import ensemble_card
from ulmfit.artifacts.config import NB_LR, TFIDF_LR
from ulmfit.artifacts.directory import Artifact, read_artifact, read_metrics
from ulmfit.artifacts.ensemble import Ensemble, is_ensemble, read_ensemble, write_ensemble
from ulmfit.base.errors import UserError, listed
from ulmfit.base.log import logger
from ulmfit.data.labels import Labels
from ulmfit.inference.baseline import LINEAR_NAMES
from ulmfit.inference.ensemble import Classifier
from ulmfit.inference.evaluation import labelled_texts
from ulmfit.inference.weighting import Chosen, choose
from ulmfit.text.ids import is_empty
from ulmfit.training.classifier_data import labels_in
from ulmfit.training.linear import why_no_linear
from ulmfit.training.options import StageResult
from ulmfit.training.settings import ClassifierSettings, data_spec

DIRECTIONS = {"fwd": False, "bwd": True}
LINEAR_MEMBERS = {"nb": NB_LR, "tfidf": TFIDF_LR}
MEMBERS = (*DIRECTIONS, *LINEAR_MEMBERS)
READINGS = {
    "fwd": "forward",
    "bwd": "backward",
    **{name: LINEAR_NAMES[features] for name, features in LINEAR_MEMBERS.items()},
}


def members_of(given: str | Sequence[str]) -> tuple[str, ...]:
    """The members that ``--members`` names, in the order of `MEMBERS`; all for none.

    Raises:
        UserError: one is unknown.
    """
    names = [given] if isinstance(given, str) and given else list(given)
    if unknown := [name for name in names if name not in MEMBERS]:
        raise UserError(f"--members names {listed(unknown)}, expected some of {', '.join(MEMBERS)}")
    return tuple(name for name in MEMBERS if name in names or not names)


def possible(
    members: Sequence[str], frame: pd.DataFrame, settings: ClassifierSettings
) -> tuple[str, ...]:
    """Those of `members` that can be trained on the data; a line says of each other one why not.

    Raises:
        UserError: none can.
    """
    labels = labels_in(frame, data_spec(settings).labels)
    kept = []
    for name in members:
        features = LINEAR_MEMBERS.get(name)
        why = why_no_linear(features, frame, labels) if features else ""
        if why:
            logger.info(f"{READINGS[name]} is left out: {why}")
        else:
            kept.append(name)
    if not kept:
        raise UserError(
            f"none of --members {' '.join(members)} can be trained on {settings.data}: {why}; add "
            "fwd or bwd"
        )
    return tuple(kept)


def put_together(
    out: Path,
    members: Mapping[str, Path],
    frame: pd.DataFrame,
    settings: ClassifierSettings,
) -> StageResult:
    """The ensemble's directory of classifiers by name; one of the same classifiers is kept.

    Members, weights and temperature are chosen on split valid, see `inference.weighting`.

    Raises:
        UserError: the classifiers do not belong together, or `out` cannot be written.
    """
    artifacts = {name: read_artifact(path) for name, path in members.items()}
    considered = {name: artifact.manifest_sha256 for name, artifact in artifacts.items()}
    if _is_of(out, considered):
        logger.info(f"{out} is of these classifiers already and kept")
        return StageResult(out, read_metrics(out))
    labels = labels_in(frame, data_spec(settings).labels)
    chosen, texts = _chosen(members, frame, settings, labels)
    _tell(chosen, members, texts)
    kept = {name: artifacts[name] for name in chosen.weights}
    metrics = {
        "considered": considered,
        "left_out": chosen.gains,
        "valid": {"log_loss": chosen.log_loss, "documents": texts},
    }
    write_ensemble(
        out,
        kept,
        list(chosen.weights.values()),
        temperature=chosen.temperature,
        metrics=metrics,
        card=_card(chosen, kept),
        overwrite=True,
    )
    return StageResult(out, metrics)


def put_together_as(out: Path, members: Mapping[str, Path], chosen: Ensemble) -> StageResult:
    """The ensemble of classifiers by name with the weights and temperature of `chosen`.

    For classifiers that have learnt the labels of valid, by which `chosen` was weighted. An
    ensemble of the same classifiers is kept.

    Raises:
        UserError: as `put_together`.
    """
    artifacts = {name: read_artifact(path) for name, path in members.items()}
    considered = {name: artifact.manifest_sha256 for name, artifact in artifacts.items()}
    if _is_of(out, considered):
        logger.info(f"{out} is of these classifiers already and kept")
        return StageResult(out, read_metrics(out))
    weights = {member.name: member.weight for member in chosen.members}
    before = chosen.metrics["valid"]
    metrics = {"considered": considered, "valid_before_its_labels_were_learnt": before}
    rows: list[tuple[Any, ...]] = [
        (name, READINGS[name], round(weight, 4)) for name, weight in weights.items()
    ]
    manifest = next(iter(artifacts.values())).manifest
    write_ensemble(
        out,
        artifacts,
        list(weights.values()),
        temperature=chosen.temperature,
        metrics=metrics,
        card=ensemble_card(manifest, rows, chosen.temperature, None),
        overwrite=True,
    )
    return StageResult(out, metrics)


def _is_of(out: Path, considered: Mapping[str, str]) -> bool:
    """Whether an ensemble was made of just these classifiers, and is whole."""
    if not is_ensemble(out):
        return False
    try:
        return read_ensemble(out).metrics.get("considered") == considered
    except UserError as error:
        logger.info(f"{error}; it is made anew")
        return False


def _chosen(
    members: Mapping[str, Path], frame: pd.DataFrame, settings: ClassifierSettings, labels: Labels
) -> tuple[Chosen, int]:
    """What is chosen on split valid, and the number of its texts."""
    filled = frame[frame["text"].map(lambda text: not is_empty(text))]
    read = filled if (filled["split"] == "valid").any() else frame
    texts, truth = labelled_texts(read, settings.data, "valid", labels)
    by_model = Classifier.load(*members.values()).answers(texts).by_model
    found: dict[str, np.ndarray] = dict(zip(members, by_model, strict=True))
    return choose(found, list(LINEAR_MEMBERS), truth, labels), len(texts)


def _tell(chosen: Chosen, members: Mapping[str, Path], texts: int) -> None:
    for name, gain in chosen.gains.items():
        logger.info(
            f"{READINGS[name]} is left out of the ensemble: without it, the log loss on valid is "
            f"lower by {gain:.4f}"
        )
    shares = ", ".join(f"{READINGS[name]} {w:.2f}" for name, w in chosen.weights.items())
    logger.info(
        f"ensemble of {len(chosen.weights)} of {len(members)} classifiers, by {texts:,} texts of "
        f"valid: {shares}; temperature {chosen.temperature:g}"
    )


def _card(chosen: Chosen, kept: Mapping[str, Artifact]) -> str:
    rows: list[tuple[Any, ...]] = [
        (name, READINGS[name], round(weight, 4)) for name, weight in chosen.weights.items()
    ]
    valid = chosen.log_loss if math.isfinite(chosen.log_loss) else None
    manifest = next(iter(kept.values())).manifest
    return ensemble_card(manifest, rows, chosen.temperature, valid)
