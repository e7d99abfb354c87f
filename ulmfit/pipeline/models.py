"""The models of `python -m ulmfit`, one by one: those of an earlier call are kept."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ulmfit.artifacts.directory import read_artifact, read_metrics
from ulmfit.artifacts.ensemble import model_sha256
from ulmfit.artifacts.manifest import direction
from ulmfit.base.errors import UserError
from ulmfit.base.log import logger, quiet
from ulmfit.data.corpora import read_corpora
from ulmfit.data.fingerprints import texts_fingerprint
from ulmfit.pipeline.checks import check_same, language_model_of, stays
from ulmfit.pipeline.plan import Plan
from ulmfit.training.general_lm import with_tokenizer
from ulmfit.training.linear import train_linear
from ulmfit.training.members import LINEAR_MEMBERS, READINGS, put_together
from ulmfit.training.options import StageResult
from ulmfit.training.settings import (
    AUTO_RECIPE,
    DEFAULT_RECIPE,
    ClassifierSettings,
    PretrainSettings,
    load_settings,
)


class Lesson(NamedTuple):
    """What a network learns from: the directory that it starts from, and settings of stage 3."""

    start: Path
    given: dict[str, Any]


def pretrain(corpus: str, out: Path, plan: Plan) -> tuple[dict[str, StageResult], Plan]:
    """Stage 1 in both directions; returns the results, and the plan that starts from them."""
    given = {"seed": plan.shared["seed"]}
    recipe = DEFAULT_RECIPE if plan.recipe == AUTO_RECIPE else plan.recipe  # auto has no stage 1
    settings = load_settings(PretrainSettings, recipe, given)
    paths = [Path(path) for path in ([corpus] if isinstance(corpus, (str, Path)) else corpus)]

    def trained(name: str) -> StageResult:
        one, backwards = out.with_name(f"{out.name}-{name}"), plan.directions[name]
        logger.info(f"\nstage 1, {direction(backwards)}: language model of general text")
        if stays(one, plan):
            manifest = read_artifact(one, "lm").manifest
            texts = read_corpora(paths, "text")
            same = manifest.lm_config.corpus == texts_fingerprint(texts)
            with quiet():
                wanted = with_tokenizer(settings, texts, None)
            check_same(one, wanted, same, "--corpus")
        options = {**plan.options(one, backwards), "recipe": recipe}
        return _kept(one, plan) or plan.after(
            plan.crew.train("pretrain", {"corpus": corpus, **given, **options})
        )

    return plan.crew.each(plan.directions, trained), plan.starting_from(str(out))


def language_model(out: Path, backwards: bool, plan: Plan) -> StageResult:
    """Stage 2 in one direction, or the language model that stands in its place."""
    if plan.ready:
        found = language_model_of(plan.ready, backwards)
        logger.info(f"\nstage 2, {direction(backwards)}: {found.path} is taken as it is")
        return StageResult(found.path, read_metrics(found.path))
    logger.info(f"\nstage 2, {direction(backwards)}: language model of {plan.lm.data}")
    options = plan.options(out, backwards)
    return _kept(out, plan) or plan.after(plan.crew.train("lm", {**plan.lm_given, **options}))


def classifier(out: Path, backwards: bool, lesson: Lesson, plan: Plan) -> StageResult:
    """Stage 3 in one direction."""
    logger.info(f"\nstage 3, {direction(backwards)}: classifier of {plan.classifier.data}")
    return trained_classifier(out, backwards, lesson, plan)


def trained_classifier(out: Path, backwards: bool, lesson: Lesson, plan: Plan) -> StageResult:
    """A classifier of the lesson, or the one that is there.

    Raises:
        UserError: the one that is there has another start, another teacher or other settings.
    """
    start, given = lesson
    if kept := _kept(out, plan):
        manifest = read_artifact(out).manifest
        again = "pass --overwrite to train again"
        if manifest.parent != read_artifact(start).manifest_sha256:
            raise UserError(f"{out} was trained on another model than {start} holds now; {again}")
        teacher = given.get("teacher")
        if teacher and manifest.metrics.get("teacher") != model_sha256(Path(teacher)):
            raise UserError(f"{out} had another teacher than {teacher} holds now; {again}")
        settings = load_settings(ClassifierSettings, plan.recipe, given)
        check_same(out, settings, same_data=True, data=settings.data)
        return kept
    options = plan.options(out, backwards)
    return plan.after(plan.crew.train("clf", {"lm": str(start), **given, **options}))


def linear_classifier(
    out: Path, name: str, frame: pd.DataFrame, plan: Plan, all_labels: bool = False
) -> StageResult | None:
    """One of `LINEAR_MEMBERS`; None if it cannot be trained, which a line says."""
    settings = replace(plan.classifier, all_labels=all_labels)
    logger.info(f"\nstage 3, linear: {READINGS[name]} of {plan.classifier.data}")
    if kept := _kept(out, plan):
        return kept
    made = train_linear(LINEAR_MEMBERS[name], frame, settings, out, plan.overwrite)
    return made and plan.after(made)


def ensemble_of(
    place: Path, classifiers: Mapping[str, StageResult], frame: pd.DataFrame, plan: Plan
) -> StageResult:
    """The ensemble ``clf`` in `place`: split valid chooses members, weights and temperature."""
    logger.info("")
    paths = {name: made.path for name, made in classifiers.items()}
    return put_together(place / "clf", paths, frame, plan.classifier)


def _kept(out: Path, plan: Plan) -> StageResult | None:
    """The model of an earlier call; `check_models` has compared settings and data."""
    if not stays(out, plan):
        return None
    logger.info(f"{out} is finished already and kept; --overwrite trains again")
    return StageResult(out, read_metrics(out))
