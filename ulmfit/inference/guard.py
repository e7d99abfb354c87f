"""No figure from texts that a model was trained on: they are left out, or their data refused."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ulmfit.artifacts.directory import Artifact
from ulmfit.artifacts.manifest import Manifest
from ulmfit.artifacts.seen import union, which_seen
from ulmfit.base.errors import UserError
from ulmfit.base.log import logger
from ulmfit.data.fingerprints import labelled_fingerprint
from ulmfit.data.load import same_source
from ulmfit.data.splits import keep_labels, with_valid_learnt


@dataclass(frozen=True)
class Unseen:
    """A frame without the texts of one split that models have seen, and how many those were."""

    frame: pd.DataFrame
    left_out: int = 0


def unseen(frame: pd.DataFrame, data: str, split: str, models: Sequence[Artifact]) -> Unseen:
    """`frame` without the texts of `split` that the models were trained or validated on.

    If train and valid of the data are those of the training, nothing is left out: its other splits
    were held out, and published ones stay comparable. A text that stands in two of its splits is
    reported as an overlap. In split valid, texts that the models were validated on stay, and those
    whose labels they learnt at the end (the setting `all_labels`) do not. What is left out is
    logged.

    Raises:
        UserError: nothing is left; or the models do not know what they have seen, and `split` was
            drawn from data that have changed since.
    """
    found = [(model, model.seen()) for model in models]
    known = [seen for _, seen in found if seen is not None]
    if not known:
        _check_unchanged(frame, data, split, models[0])
        return Unseen(frame)
    rows = frame.index[frame["split"] == split]
    trained, validated = which_seen(frame.loc[rows, "text"].tolist(), union(known))
    out = trained if split == "valid" else trained | validated
    learnt = split == "valid" and any(learnt_valid(model.manifest) for model in models)
    if not out.any() or (of_training(frame, models[0].manifest) and not learnt):
        return Unseen(frame)
    count = int(out.sum())
    if split != "valid" and validated.any():
        seen = "trained or validated" if trained.any() else "validated"
    else:
        seen = "trained"
    whose = "the model was" if len(models) == 1 else "the models were"
    if out.all():
        raise UserError(
            f"{whose} {seen} on all {count:,} {split} texts of {data}, so that none is left to "
            "measure on; give texts that are new, or choose another --split"
        )
    logger.info(f"left out {count:,} of {len(out):,} {split} texts: {whose} {seen} on them")
    return Unseen(frame.drop(index=rows[np.flatnonzero(out)]), count)


def of_training(frame: pd.DataFrame, manifest: Manifest) -> bool:
    """Whether train and valid of `frame` are the texts and labels of a model's training."""
    try:
        read = keep_labels(
            frame, manifest.recipe.get("labels", 0), manifest.seed, manifest.labelling
        )
    except UserError:  # too few rows, or other classes
        return False
    if learnt_valid(manifest):
        read = with_valid_learnt(read)
    return labelled_fingerprint(read) == manifest.data_fingerprint


def learnt_valid(manifest: Manifest) -> bool:
    """Whether a classifier was trained on the labels of split valid, too."""
    return bool(manifest.recipe.get("all_labels"))


def _check_unchanged(frame: pd.DataFrame, data: str, split: str, trained: Artifact) -> None:
    """Refuse to draw `split` from the data of the training if its rows are not those of then."""
    manifest = trained.manifest
    if not same_source(data, str(manifest.recipe.get("data"))):
        logger.info(
            f"{trained.path} does not say what texts it was trained on; some may be in split "
            f"{split} of {data}"
        )
    elif split in frame.attrs["drawn"] and not of_training(frame, manifest):
        raise UserError(
            f"{data} has changed since {trained.path} was trained on it, so split {split} would "
            "contain texts of the training; train again, or give the data with a split column"
        )
