"""The checks of `python -m ulmfit`: errors of later stages are raised before any training."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from ulmfit.artifacts.directory import MANIFEST, Artifact, read_artifact
from ulmfit.artifacts.ensemble import check_ensemble_output
from ulmfit.artifacts.manifest import direction
from ulmfit.artifacts.pretrained import find_pretrained
from ulmfit.artifacts.writing import check_output
from ulmfit.base.errors import UserError
from ulmfit.base.log import quiet
from ulmfit.data.fingerprints import labelled_fingerprint
from ulmfit.data.label_checks import as_classes, tell_remarks
from ulmfit.data.labels import Labels
from ulmfit.data.load import load_data, load_with_test_labels
from ulmfit.data.splits import keep_labels, with_valid_learnt
from ulmfit.inference.evaluation import labelled_texts, measure_baselines
from ulmfit.pipeline.plan import Plan
from ulmfit.training.classifier_data import labels_in
from ulmfit.training.domain_lm import data_fingerprint, read_frame
from ulmfit.training.linear import linear_recipe
from ulmfit.training.settings import ClassifierSettings, Settings, changed, data_spec
from ulmfit.training.start import find_lm


def check_data(settings: ClassifierSettings) -> pd.DataFrame:
    """The data of stage 3; raises the errors of the evaluation before any training."""
    frame = labelled(settings)
    kind = data_spec(settings).labels
    tell_remarks(frame, kind)
    labels = labels_in(frame, kind)
    by_themselves = "or run ulmfit lm and ulmfit clf by themselves"
    if not (frame["split"] == "test").any():
        raise UserError(
            f"{settings.data}: found no test rows, expected labelled ones for the evaluation; add "
            f"them, {by_themselves}"
        )
    try:
        check_test_labels(settings, labels)
    except UserError as error:
        raise UserError(f"{error}; correct them, {by_themselves}") from None
    return frame


def check_models(folder: Path, plan: Plan, frame: pd.DataFrame) -> None:
    """Raise the errors of stages 2 and 3 about kept and parent models before any training."""
    settings = plan.classifier
    check_ensemble_output(folder / "clf", overwrite=True)  # it is made of what is there
    if plan.ready and len(plan.directions) > 1 and Path(plan.ready).is_dir():
        raise UserError(
            f"--lm is {plan.ready}, the model of one direction, expected the name of both, without "
            "-fwd or -bwd; or add --members fwd"
        )
    for name, backwards in plan.directions.items():
        parent = None if plan.ready else _parent(plan.lm.pretrained, backwards)
        lm, classifier = folder / f"lm-{name}", folder / f"clf-{name}"
        if plan.ready:
            find_lm(plan.ready, backwards)
        elif stays(lm, plan):
            manifest = read_artifact(lm, "lm").manifest
            with quiet():
                data = data_fingerprint(read_frame(plan.lm), plan.lm.lm_text)
            check_same(lm, plan.lm, manifest.data_fingerprint == data, plan.lm.data)
            if manifest.parent != (parent and parent.manifest_sha256):
                raise UserError(
                    f"{lm} was made from another language model than {plan.lm.pretrained} is now; "
                    "pass --overwrite to train again, or choose another --out"
                )
        if stays(classifier, plan):
            manifest = read_artifact(classifier, "classifier").manifest
            same_data = manifest.data_fingerprint == labelled_fingerprint(frame)
            check_same(classifier, settings, same_data, settings.data)
    for name in plan.linear:
        out = folder / f"clf-{name}"
        if stays(out, plan):
            manifest = read_artifact(out, "linear").manifest
            same_data = manifest.data_fingerprint == labelled_fingerprint(frame)
            check_same(out, settings, same_data, settings.data)


def labelled(settings: ClassifierSettings, labels: Labels | None = None) -> pd.DataFrame:
    """The data of stage 3, with the labels that it keeps; with `labels`, also those of test.

    With the setting `all_labels`, valid's rows are in train.
    """
    spec = data_spec(settings)
    with quiet():
        if labels is None:
            frame = load_data(spec, texts_required=False)
        else:
            frame = as_classes(load_with_test_labels(spec, texts_required=False), labels)
    kept = keep_labels(frame, settings.labels, settings.seed, spec.labels)
    return with_valid_learnt(kept) if settings.all_labels else kept


def _parent(pretrained: str, backwards: bool) -> Artifact | None:
    parent = find_pretrained(pretrained, backwards)
    if parent and parent.manifest.direction != direction(backwards):
        raise UserError(
            f"{parent.path} is a {parent.manifest.direction} language model, and a "
            f"{direction(backwards)} one is needed as well; give --pretrained the name of both, "
            "without -fwd or -bwd"
        )
    return parent


def stays(out: Path, plan: Plan) -> bool:
    """Whether a finished model is kept in `out`; raises if no model can be written there."""
    if (out / MANIFEST).is_file() and not plan.overwrite:
        return True
    check_output(out, plan.overwrite)
    return False


def check_same(out: Path, settings: Settings, same_data: bool, data: str) -> None:
    trained, wanted = read_artifact(out).manifest, json.loads(json.dumps(asdict(settings)))
    if trained.kind == "linear" and isinstance(settings, ClassifierSettings):
        wanted = linear_recipe(settings)
    if changed(type(settings), trained.recipe) != changed(type(settings), wanted):
        found = "holds a model of other settings"
    elif not same_data:
        found = f"was trained on other data than {data} holds now"
    else:
        return
    raise UserError(f"{out} {found}; pass --overwrite to train again, or choose another --out")


def check_test_labels(settings: ClassifierSettings, labels: Labels) -> None:
    """Raise the UserError of an evaluation on test before any training."""
    frame = labelled(settings, labels)
    labelled_texts(frame, settings.data, "test", labels)


def baselines_of(settings: ClassifierSettings, labels: Labels) -> dict[str, dict[str, Any]]:
    """`measure_baselines` with the data and labels of stage 3."""
    return measure_baselines(labelled(settings, labels), labels)
