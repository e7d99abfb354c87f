"""From a teacher and a data set to the directory of a student."""

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ulmfit.artifacts.card import model_card
from ulmfit.artifacts.config import HASHED, StudentConfig
from ulmfit.artifacts.manifest import FORMAT_VERSION, NO_DIRECTION, Manifest, library_versions
from ulmfit.artifacts.seen import seen_file
from ulmfit.artifacts.writing import write_linear
from ulmfit.base.errors import UserError
from ulmfit.base.lock import locked
from ulmfit.base.log import logger
from ulmfit.data.load import load_data
from ulmfit.data.spec import DataFlags, DataSpec
from ulmfit.data.splits import with_valid_learnt
from ulmfit.inference.ensemble import Classifier
from ulmfit.inference.guard import learnt_valid, unseen
from ulmfit.inference.student import manifests_of, teacher_key
from ulmfit.text.ids import hold_ids, is_empty
from ulmfit.training.lesson import answers_to
from ulmfit.training.student import BUCKETS, Taught, teach

_FEWEST = 20  # texts to learn from, and to choose the threshold on
_MOST_HELD_OUT = 2_000  # texts to choose the threshold on, where the teacher has learnt valid


def distill(
    teacher: Classifier,
    given: DataSpec,
    out: Path,
    *,
    most: int,
    wanted: float,
    seed: int,
    overwrite: bool,
) -> dict[str, Any]:
    """Write the student of `teacher` to `out`, and return its metrics.

    Args:
        given: the data; without a name, those of the teacher's training.
        most: texts to learn from; 0 for all of train and unsup.
        wanted: share of the teacher's labels that student and teacher together keep.

    Raises:
        UserError: the data have too few texts in train and unsup, or in valid, or hold ids.
    """
    began = time.monotonic()
    spec, frame = _read(teacher, given)
    lessons = _drawn(_filled(frame, "train", "unsup"), most, seed)
    held_out = _filled(frame, "valid")
    _check_enough(spec, {"train and unsup": lessons, "valid": held_out})
    texts, judged = lessons["text"].tolist(), held_out["text"].tolist()
    with locked(out):
        logger.info(f"the teacher answers {len(judged):,} texts of valid, {len(texts):,} to learn")
        expected = answers_to(judged, teacher)
        answers = answers_to(texts, teacher)
        taught = teach(texts, answers, judged, expected, teacher.labelling, wanted)
        metrics = {
            "agreement": taught.agreement,
            "alone": taught.alone,
            "wanted": wanted,
            "taught_texts": len(texts),
            "valid_texts": len(judged),
        }
        recipe = {**_recipe(spec, teacher, most), "texts_seed": seed}
        manifest = _manifest(taught, teacher, recipe, {"distillation": metrics})
        seconds = round(time.monotonic() - began, 1)
        write_linear(
            out,
            manifest=manifest,
            metrics={**manifest.metrics, "seconds": seconds},
            arrays={name: a.astype(np.float16) for name, a in taught.classifier.arrays().items()},
            ngrams=[],
            seen=seen_file(frame, taught=texts),
            card=model_card(manifest, []),
            overwrite=overwrite,
        )
    logger.info(
        f"the student gives {taught.agreement:.1%} of the teacher's labels on valid; with --fast "
        f"it answers {taught.alone:.0%} of the texts alone, for {wanted:.0%}; wrote {out}"
    )
    return metrics


def _check_enough(spec: DataSpec, parts: dict[str, pd.DataFrame]) -> None:
    for name, part in parts.items():
        if len(part) < _FEWEST:
            raise UserError(
                f"{spec.source} has {len(part):,} texts in {name}, expected {_FEWEST} or more to "
                "teach a student; give more texts, or mark some rows in a split column"
            )


def _read(teacher: Classifier, given: DataSpec) -> tuple[DataSpec, pd.DataFrame]:
    """The data as in the teacher's training, valid without texts that it was trained on."""
    trained = teacher.models[0].artifact
    manifest = trained.manifest
    spec = replace(given.or_of(manifest.recipe), labels=manifest.labelling, seed=manifest.seed)
    if not spec.data:
        raise UserError(f"the manifest of {trained.path} names no data; give it with --data")
    frame = load_data(spec, labels_required=False)
    if hold_ids(frame["text"]):
        raise UserError(f"{spec.source} holds ids, and a student reads texts; give the texts")
    models = [model.artifact for model in teacher.models]
    if any(map(learnt_valid, (model.manifest for model in models))):
        frame = _held_out_anew(frame, spec.seed)
    elif (frame["split"] == "valid").any():
        frame = unseen(frame, spec.source, "valid", models).frame
    return spec, frame


def _held_out_anew(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """`frame` with valid in train, and some of the texts without a label as valid.

    The teacher has learnt the labels of valid, so its answers there are surer than elsewhere.
    """
    spare = frame.index[frame["split"] == "unsup"]
    drawn = np.random.default_rng(seed).permutation(spare)[: min(len(spare) // 10, _MOST_HELD_OUT)]
    logger.info(
        f"the teacher has learnt the labels of valid; {len(drawn):,} texts without a label take "
        "its place"
    )
    learnt = with_valid_learnt(frame)
    return learnt.assign(split=learnt["split"].mask(learnt.index.isin(drawn), "valid"))


def _filled(frame: pd.DataFrame, *splits: str) -> pd.DataFrame:
    part = frame[frame["split"].isin(splits)]
    return part[~part["text"].map(is_empty).to_numpy(dtype=bool)]


def _drawn(frame: pd.DataFrame, most: int, seed: int) -> pd.DataFrame:
    if not most or len(frame) <= most:
        return frame
    return frame.iloc[np.sort(np.random.default_rng(seed).permutation(len(frame))[:most])]


def _recipe(spec: DataSpec, teacher: Classifier, most: int) -> dict[str, Any]:
    """What the manifest says of the data, with the keys of the other classifiers' recipes."""
    trained = teacher.models[0].artifact.manifest.recipe
    names = ("labels", *DataFlags.__dataclass_fields__)
    same = {name: trained[name] for name in names if name in trained}
    own = {
        "text_col": spec.text_col,
        "label_col": spec.label_col,
        "split_col": spec.split_col,
        "label_cols": list(spec.label_cols),
        "label_sep": spec.label_sep,
        **asdict(spec.dialect),
    }
    given = {name: value for name, value in own.items() if value}
    return {**same, **given, "data": spec.source, "texts": most}


def _manifest(
    taught: Taught, teacher: Classifier, recipe: dict[str, Any], metrics: dict[str, Any]
) -> Manifest:
    trained = teacher.models[0].artifact.manifest
    config = StudentConfig(
        features=HASHED,
        ngrams=BUCKETS,
        strength=taught.classifier.strength,
        prior=trained.labelled_config.prior,
        multi_label=teacher.labelling.multi,
        teacher=teacher_key(teacher),
        teachers=manifests_of(teacher),
        threshold=taught.threshold,
    )
    return Manifest(
        format_version=FORMAT_VERSION,
        kind=config.kind,
        direction=NO_DIRECTION,
        size=HASHED,
        config=config,
        tokenizer={},
        labels=list(teacher.labels),
        recipe=recipe,
        seed=trained.seed,
        metrics=metrics,
        versions=library_versions(),
        data_fingerprint=trained.data_fingerprint,
        parent=None,
        files={},
    )
