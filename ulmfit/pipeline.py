"""The stages of `python -m ulmfit`: the checks, and the training of each stage.

Models of an earlier call with the same settings and data are kept.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ulmfit import stage1_pretrain, stage2_lm, stage3_clf
from ulmfit.artifacts.directory import MANIFEST, Artifact, read_artifact, read_metrics
from ulmfit.artifacts.ensemble import check_ensemble_output
from ulmfit.artifacts.manifest import direction
from ulmfit.artifacts.pretrained import find_pretrained
from ulmfit.artifacts.writing import check_output
from ulmfit.base.errors import UserError
from ulmfit.base.log import logger, quiet
from ulmfit.data.corpora import read_corpora
from ulmfit.data.fingerprints import labelled_fingerprint, texts_fingerprint
from ulmfit.data.label_checks import as_classes, tell_remarks
from ulmfit.data.labels import Labels
from ulmfit.data.load import load_data, load_with_test_labels
from ulmfit.data.splits import keep_labels
from ulmfit.inference.evaluation import labelled_texts, measure_baselines
from ulmfit.text.fit import OWN_TEXT
from ulmfit.training.classifier_data import labels_in
from ulmfit.training.domain_lm import data_fingerprint, read_frame
from ulmfit.training.general_lm import with_tokenizer
from ulmfit.training.linear import linear_recipe, train_linear
from ulmfit.training.members import (
    LINEAR_MEMBERS,
    READINGS,
    possible,
    put_together,
)
from ulmfit.training.options import StageResult
from ulmfit.training.own_text import needs_own_text
from ulmfit.training.plan import Plan
from ulmfit.training.settings import (
    ClassifierSettings,
    PretrainSettings,
    Settings,
    changed,
    data_spec,
    load_settings,
)


class Trained(NamedTuple):
    """The results of all stages, by the names of `MEMBERS`; those of stage 1 may be missing."""

    general: dict[str, StageResult]
    lms: dict[str, StageResult]
    classifiers: dict[str, StageResult]
    ensemble: StageResult


def train(plan: Plan, corpus: str, folder: Path) -> tuple[Trained, Plan]:
    """Train all stages in both directions, the linear classifiers, and the ensemble of all.

    Returns the results, and the plan after stage 1. Errors of later stages are raised before the
    first one trains.
    """
    frame = check_data(plan.classifier)
    plan = plan._replace(members=possible(plan.members, frame, plan.classifier))
    general: dict[str, StageResult] = {}
    lms: dict[str, StageResult] = {}
    classifiers: dict[str, StageResult] = {}
    if corpus:
        general, plan = pretrain(corpus, folder / "pretrained", plan)
    elif not plan.chosen and needs_own_text(frame["text"], plan.lm.pretrained):
        plan = plan.with_model(OWN_TEXT, None)
    check_models(folder, plan, frame)
    for name, backwards in plan.directions.items():
        lm = lms[name] = language_model(folder / f"lm-{name}", backwards, plan)
        classifiers[name] = classifier(folder / f"clf-{name}", backwards, lm.path, plan)
    for name in plan.linear:
        if made := linear_classifier(folder / f"clf-{name}", name, frame, plan):
            classifiers[name] = made
    if not classifiers:
        raise UserError("no classifier could be trained; add fwd or bwd to --members")
    logger.info("")
    paths = {name: made.path for name, made in classifiers.items()}
    ensemble = put_together(folder / "clf", paths, frame, plan.classifier)
    return Trained(general, lms, classifiers, ensemble), plan


def check_data(settings: ClassifierSettings) -> pd.DataFrame:
    """The data of stage 3; raises the errors of the evaluation before any training."""
    frame = labelled(settings)
    kind = data_spec(settings).labels
    tell_remarks(frame, kind)
    labels = labels_in(frame, kind)
    by_themselves = "or run python -m ulmfit.stage2_lm and ulmfit.stage3_clf by themselves"
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


def pretrain(corpus: str, out: Path, plan: Plan) -> tuple[dict[str, StageResult], Plan]:
    """Stage 1 in both directions; returns the results, and the plan that starts from them."""
    results = {}
    given = {"seed": plan.shared["seed"]}
    settings = load_settings(PretrainSettings, plan.recipe, given)
    paths = [Path(path) for path in ([corpus] if isinstance(corpus, (str, Path)) else corpus)]
    for name, backwards in plan.directions.items():
        one = out.with_name(f"{out.name}-{name}")
        logger.info(f"\nstage 1, {direction(backwards)}: language model of general text")
        if _stays(one, plan):
            manifest = read_artifact(one, "lm").manifest
            texts = read_corpora(paths, "text")
            same = manifest.lm_config.corpus == texts_fingerprint(texts)
            with quiet():
                wanted = with_tokenizer(settings, texts, None)
            _check_same(one, wanted, same, "--corpus")
        results[name] = _kept(one, plan) or plan.after(
            stage1_pretrain.main(corpus=corpus, **given, **plan.options(one, backwards))
        )
    return results, plan.with_model(plan.recipe, str(out))


def check_models(folder: Path, plan: Plan, frame: pd.DataFrame) -> None:
    """Raise the errors of stages 2 and 3 about kept and parent models before any training."""
    settings = plan.classifier
    check_ensemble_output(folder / "clf", overwrite=True)  # it is made of what is there
    for name, backwards in plan.directions.items():
        parent = _parent(plan.lm.pretrained, backwards)
        lm, classifier = folder / f"lm-{name}", folder / f"clf-{name}"
        if _stays(lm, plan):
            manifest = read_artifact(lm, "lm").manifest
            with quiet():
                data = data_fingerprint(read_frame(plan.lm), plan.lm.lm_text)
            _check_same(lm, plan.lm, manifest.data_fingerprint == data, plan.lm.data)
            if manifest.parent != (parent and parent.manifest_sha256):
                raise UserError(
                    f"{lm} was made from another language model than {plan.lm.pretrained} is now; "
                    "pass --overwrite to train again, or choose another --out"
                )
        if _stays(classifier, plan):
            manifest = read_artifact(classifier, "classifier").manifest
            same_data = manifest.data_fingerprint == labelled_fingerprint(frame)
            _check_same(classifier, settings, same_data, settings.data)
    for name in plan.linear:
        out = folder / f"clf-{name}"
        if _stays(out, plan):
            manifest = read_artifact(out, "linear").manifest
            same_data = manifest.data_fingerprint == labelled_fingerprint(frame)
            _check_same(out, settings, same_data, settings.data)


def labelled(settings: ClassifierSettings, labels: Labels | None = None) -> pd.DataFrame:
    """The data of stage 3, with the labels that it keeps; with `labels`, also those of test."""
    spec = data_spec(settings)
    with quiet():
        if labels is None:
            frame = load_data(spec, texts_required=False)
        else:
            frame = as_classes(load_with_test_labels(spec, texts_required=False), labels)
    return keep_labels(frame, settings.labels, settings.seed, spec.labels)


def _parent(pretrained: str, backwards: bool) -> Artifact | None:
    parent = find_pretrained(pretrained, backwards)
    if parent and parent.manifest.direction != direction(backwards):
        raise UserError(
            f"{parent.path} is a {parent.manifest.direction} language model, and a "
            f"{direction(backwards)} one is needed as well; give --pretrained the name of both, "
            "without -fwd or -bwd"
        )
    return parent


def _stays(out: Path, plan: Plan) -> bool:
    """Whether a finished model is kept in `out`; raises if no model can be written there."""
    if (out / MANIFEST).is_file() and not plan.overwrite:
        return True
    check_output(out, plan.overwrite)
    return False


def _check_same(out: Path, settings: Settings, same_data: bool, data: str) -> None:
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


def language_model(out: Path, backwards: bool, plan: Plan) -> StageResult:
    """Stage 2 in one direction."""
    logger.info(f"\nstage 2, {direction(backwards)}: language model of {plan.lm.data}")
    given = {"pretrained": plan.pretrained, **plan.shared}
    return _kept(out, plan) or plan.after(stage2_lm.main(**given, **plan.options(out, backwards)))


def classifier(out: Path, backwards: bool, lm: Path, plan: Plan) -> StageResult:
    """Stage 3 in one direction."""
    logger.info(f"\nstage 3, {direction(backwards)}: classifier of {plan.classifier.data}")
    kept = _kept(out, plan)
    if kept and read_artifact(out).manifest.parent != read_artifact(lm).manifest_sha256:
        raise UserError(
            f"{out} was trained on another language model than {lm} holds now; pass --overwrite "
            "to train again"
        )
    return kept or plan.after(
        stage3_clf.main(lm=str(lm), **plan.shared, **plan.options(out, backwards))
    )


def linear_classifier(out: Path, name: str, frame: pd.DataFrame, plan: Plan) -> StageResult | None:
    """One of `LINEAR_MEMBERS`; None if it cannot be trained, which a line says."""
    logger.info(f"\nstage 3, linear: {READINGS[name]} of {plan.classifier.data}")
    if kept := _kept(out, plan):
        return kept
    made = train_linear(LINEAR_MEMBERS[name], frame, plan.classifier, out, plan.overwrite)
    return made and plan.after(made)


def _kept(out: Path, plan: Plan) -> StageResult | None:
    """The model of an earlier call; `check_models` has compared settings and data."""
    if not _stays(out, plan):
        return None
    logger.info(f"{out} is finished already and kept; --overwrite trains again")
    return StageResult(out, read_metrics(out))


def check_test_labels(settings: ClassifierSettings, labels: Labels) -> None:
    """Raise the UserError of an evaluation on test before any training."""
    frame = labelled(settings, labels)
    labelled_texts(frame, settings.data, "test", labels)


def baselines_of(settings: ClassifierSettings, labels: Labels) -> dict[str, dict[str, Any]]:
    """`measure_baselines` with the data and labels of stage 3."""
    return measure_baselines(labelled(settings, labels), labels)
