"""The checks of `python -m ulmfit`: errors of later stages are raised before any training."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from ulmfit.artifacts.directory import MANIFEST, Artifact, read_artifact
from ulmfit.artifacts.ensemble import check_ensemble_output
from ulmfit.artifacts.manifest import direction, suffix
from ulmfit.artifacts.pretrained import find_directory, find_pretrained
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
from ulmfit.training.start import check_lm_texts


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
    for name, backwards in plan.directions.items():
        parent = None if plan.ready else _parent(plan.lm.pretrained, backwards)
        lm, classifier = folder / f"lm-{name}", folder / f"clf-{name}"
        if not plan.ready and stays(lm, plan):
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
            _check_start(classifier, manifest.parent, lm, backwards, plan)
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


def _check_start(
    classifier: Path, parent: str | None, lm: Path, backwards: bool, plan: Plan
) -> None:
    """Refuse a kept classifier of another language model than stage 3 would begin with."""
    start = None
    if plan.ready:
        start = language_model_of(plan.ready, backwards)
    elif stays(lm, plan):
        start = read_artifact(lm, "lm")
    if start is None or start.manifest_sha256 != parent:
        found = start.path if start else f"{lm}, which is not there"
        raise UserError(
            f"{classifier} was trained on another language model than {found}; give the same --lm "
            "as before, pass --overwrite to train again, or choose another --out"
        )


def check_lm(plan: Plan, frame: pd.DataFrame) -> None:
    """Raise the errors of the flag --lm before anything is measured or trained."""
    if not plan.ready:
        return
    if not plan.directions:
        raise UserError(
            f"found --lm with --members {' '.join(plan.members)}, which read no language model; "
            "leave --lm out, or add fwd or bwd to --members"
        )
    for backwards in plan.directions.values():
        found = language_model_of(plan.ready, backwards)
        with quiet():
            check_lm_texts(found, frame, plan.classifier)


def language_model_of(name: str, backwards: bool) -> Artifact:
    """The language model of the flag --lm in one direction.

    Raises:
        UserError: there is none, or it is of the other direction.
    """
    found = find_directory(name, backwards)
    if found is None:
        raise UserError(
            f"no {direction(backwards)} language model {name}: found neither a folder {name} nor "
            f"{name}-{suffix(backwards)}, and no bundled one; give --lm the name of one that has "
            "read these texts, or leave it out for stage 2"
        )
    return _in_direction(read_artifact(found, "lm"), backwards, "--lm")


def _parent(pretrained: str, backwards: bool) -> Artifact | None:
    parent = find_pretrained(pretrained, backwards)
    return parent and _in_direction(parent, backwards, "--pretrained")


def _in_direction(found: Artifact, backwards: bool, flag: str) -> Artifact:
    own = found.manifest.direction
    if own != direction(backwards):
        raise UserError(
            f"{found.path} is a {own} language model, and a {direction(backwards)} one is needed "
            f"as well; give {flag} the name of both, without -fwd or -bwd, or add --members "
            f"{suffix(own != direction(False))}"
        )
    return found


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
