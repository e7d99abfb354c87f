"""The stages of `python -m ulmfit`, one after the other: what is checked, kept and trained.

A model that is there already, of the same settings and data, is kept.
"""

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ulmfit import stage1_pretrain, stage2_lm, stage3_clf
from ulmfit.artifacts.directory import MANIFEST, Artifact, read_artifact, read_metrics
from ulmfit.artifacts.ensemble import check_ensemble_output
from ulmfit.artifacts.manifest import direction
from ulmfit.artifacts.pretrained import find_pretrained
from ulmfit.artifacts.writing import check_output
from ulmfit.base.errors import Stopped, UserError
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
    DIRECTIONS,
    LINEAR_MEMBERS,
    MEMBERS,
    READINGS,
    possible,
    put_together,
)
from ulmfit.training.options import StageResult
from ulmfit.training.own_text import needs_own_text
from ulmfit.training.settings import (
    DEFAULT_RECIPE,
    ClassifierSettings,
    LMSettings,
    PretrainSettings,
    Settings,
    as_recipe,
    changed,
    data_spec,
    load_settings,
)


class Plan(NamedTuple):
    """What all stages of a run have in common; `shared` was given for stages 2 and 3.

    chosen: whether the recipe, or the model to start from, was given.
    """

    recipe: str
    chosen: bool
    overwrite: bool
    shared: dict[str, Any]
    pretrained: str | None  # as it was given
    lm: LMSettings
    classifier: ClassifierSettings
    half: bool
    deadline: float
    members: tuple[str, ...]  # of `MEMBERS`: what is trained

    @classmethod
    def of(
        cls,
        recipe: str | None,
        overwrite: bool,
        shared: dict[str, Any],
        pretrained: str | None,
        half: bool = False,
        deadline: float = math.inf,
        members: tuple[str, ...] = MEMBERS,
    ) -> "Plan":
        """The settings of both stages, checked before either begins."""
        chosen = recipe is not None or pretrained is not None
        recipe = recipe or DEFAULT_RECIPE
        lm = load_settings(LMSettings, recipe, {**shared, "pretrained": pretrained})
        classifier = load_settings(ClassifierSettings, recipe, shared)
        return cls(
            recipe, chosen, overwrite, shared, pretrained, lm, classifier, half, deadline, members
        )

    def with_model(self, recipe: str, pretrained: str | None) -> "Plan":
        """The plan with another recipe and another model to start from."""
        kept = (self.overwrite, self.shared, pretrained, self.half, self.deadline, self.members)
        return Plan.of(recipe, *kept)

    @property
    def directions(self) -> dict[str, bool]:
        """Those of the networks that are trained, by name."""
        return {name: DIRECTIONS[name] for name in self.members if name in DIRECTIONS}

    @property
    def linear(self) -> list[str]:
        """The linear classifiers that are trained, by name."""
        return [name for name in self.members if name in LINEAR_MEMBERS]

    def running(self) -> dict[str, Any]:
        """What every stage is told that is no setting of it."""
        left = self.deadline - time.monotonic()
        # The first stage of a call begins however late it is: every call gets on by a batch.
        stop_after = 0.0 if left == math.inf else max(left, 1e-3)
        return {"overwrite": self.overwrite, "half": self.half, "stop_after": stop_after}

    def after(self, result: StageResult) -> StageResult:
        """`result` of a stage that was trained in this call.

        Raises:
            Stopped: there is no time left for another one.
        """
        if time.monotonic() >= self.deadline:
            raise Stopped(
                f"time is up: {result.path} is finished, the same command goes on with what is not"
            )
        return result


class Trained(NamedTuple):
    """What a run made, by the names of `MEMBERS`; stage 1 may have made none."""

    general: dict[str, StageResult]
    lms: dict[str, StageResult]
    classifiers: dict[str, StageResult]
    ensemble: StageResult


def train(plan: Plan, corpus: str, folder: Path) -> tuple[Trained, Plan]:
    """All stages in both directions, the linear classifiers, and the ensemble of all.

    Also returns the plan with what stage 1 made, where it made something. What a later stage would
    refuse is refused before the first one trains.
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
    """The data of stage 3; raises before any training what the evaluation would raise."""
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
    """Stage 1 in both directions, and the plan with what it made as the model to start from."""
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
            stage1_pretrain.main(
                corpus=corpus,
                out=str(one),
                recipe=plan.recipe,
                backwards=backwards,
                **given,
                **plan.running(),
            )
        )
    return results, plan.with_model(plan.recipe, str(out))


def check_models(folder: Path, plan: Plan, frame: pd.DataFrame) -> None:
    """Raise before any training of stages 2 and 3 what one of them would raise."""
    settings = plan.classifier
    check_ensemble_output(folder / "clf", overwrite=True)  # it is made of what is there
    for name, backwards in plan.directions.items():
        parent = _parent(plan.lm.pretrained, backwards)
        lm, classifier = folder / f"lm-{name}", folder / f"clf-{name}"
        if _stays(lm, plan):
            _check_kept(lm, "lm", plan.lm, lambda: _lm_data(plan.lm))
            if read_artifact(lm).manifest.parent != (parent and parent.manifest_sha256):
                raise UserError(
                    f"{lm} was made from another language model than {plan.lm.pretrained} is now; "
                    "pass --overwrite to train again, or choose another --out"
                )
        if _stays(classifier, plan):
            _check_kept(classifier, "classifier", settings, lambda: labelled_fingerprint(frame))
    for name in plan.linear:
        out = folder / f"clf-{name}"
        if _stays(out, plan):
            manifest = read_artifact(out, "linear").manifest
            same = manifest.data_fingerprint == labelled_fingerprint(frame)
            _check_recipe(out, manifest.recipe == linear_recipe(settings), same, settings.data)


def labelled(settings: ClassifierSettings) -> pd.DataFrame:
    """The data of stage 3, with the labels that are kept, and none of the test part."""
    spec = data_spec(settings)
    with quiet():
        frame = load_data(spec, texts_required=False)
    return keep_labels(frame, settings.labels, settings.seed, spec.labels)


def _parent(pretrained: str, backwards: bool) -> Artifact | None:
    parent = find_pretrained(pretrained, backwards)
    if parent and parent.manifest.direction != direction(backwards):
        raise UserError(
            f"{parent.path} is a {parent.manifest.direction} language model, and a "
            f"{direction(backwards)} one is needed as well; give --pretrained what the names of "
            "both have in common, without -fwd and -bwd"
        )
    return parent


def _lm_data(settings: LMSettings) -> str:
    with quiet():
        frame = read_frame(settings)
    return data_fingerprint(frame, settings.lm_text)


def _stays(out: Path, plan: Plan) -> bool:
    """Whether a model is there already and kept; raises if none can be written there."""
    if (out / MANIFEST).is_file() and not plan.overwrite:
        return True
    check_output(out, plan.overwrite)
    return False


def _check_kept(
    out: Path, kind: str, settings: LMSettings | ClassifierSettings, data: Callable[[], str]
) -> None:
    same_data = read_artifact(out, kind).manifest.data_fingerprint == data()
    _check_same(out, settings, same_data, settings.data)


def _check_same(
    out: Path,
    settings: Settings,
    same_data: bool,
    data: str,
) -> None:
    wanted = json.loads(json.dumps(as_recipe(settings)))
    trained = read_artifact(out).manifest.recipe
    same = changed(type(settings), trained) == changed(type(settings), wanted)
    _check_recipe(out, same, same_data, data)


def _check_recipe(out: Path, same_settings: bool, same_data: bool, data: str) -> None:
    if not same_settings:
        found = "holds a model of other settings"
    elif not same_data:
        found = f"was trained on other data than {data} holds now"
    else:
        return
    raise UserError(f"{out} {found}; pass --overwrite to train again, or choose another --out")


def language_model(out: Path, backwards: bool, plan: Plan) -> StageResult:
    logger.info(f"\nstage 2, {direction(backwards)}: language model of {plan.lm.data}")
    return _kept(out, plan) or plan.after(
        stage2_lm.main(
            recipe=plan.recipe,
            out=str(out),
            backwards=backwards,
            pretrained=plan.pretrained,
            **plan.running(),
            **plan.shared,
        )
    )


def classifier(out: Path, backwards: bool, lm: Path, plan: Plan) -> StageResult:
    logger.info(f"\nstage 3, {direction(backwards)}: classifier of {plan.classifier.data}")
    kept = _kept(out, plan)
    if kept and read_artifact(out).manifest.parent != read_artifact(lm).manifest_sha256:
        raise UserError(
            f"{out} was trained on another language model than {lm} holds now; pass --overwrite "
            "to train again"
        )
    return kept or plan.after(
        stage3_clf.main(
            recipe=plan.recipe,
            lm=str(lm),
            out=str(out),
            backwards=backwards,
            **plan.running(),
            **plan.shared,
        )
    )


def linear_classifier(out: Path, name: str, frame: pd.DataFrame, plan: Plan) -> StageResult | None:
    """One of `LINEAR_MEMBERS`; None if it cannot be trained, which a line says."""
    logger.info(f"\nstage 3, linear: {READINGS[name]} of {plan.classifier.data}")
    if kept := _kept(out, plan):
        return kept
    made = train_linear(LINEAR_MEMBERS[name], frame, plan.classifier, out, plan.overwrite)
    return made and plan.after(made)


def _kept(out: Path, plan: Plan) -> StageResult | None:
    """What an earlier call wrote, found by `_check` to be of the same settings and data."""
    if not _stays(out, plan):
        return None
    logger.info(f"{out} is finished already and kept; --overwrite trains again")
    return StageResult(out, read_metrics(out))


def check_test_labels(settings: ClassifierSettings, labels: Labels) -> None:
    """Raise, before any training, the UserError in which evaluating on test would end."""
    frame = _data_of(settings, labels)
    labelled_texts(frame, settings.data, "test", labels)


def baselines_of(settings: ClassifierSettings, labels: Labels) -> dict[str, dict[str, Any]]:
    """`measure_baselines` with the data and labels that stage 3 trains on by `settings`."""
    return measure_baselines(_data_of(settings, labels), labels)


def _data_of(settings: ClassifierSettings, labels: Labels) -> pd.DataFrame:
    spec = data_spec(settings)
    with quiet():
        frame = as_classes(load_with_test_labels(spec, texts_required=False), labels)
    return keep_labels(frame, settings.labels, settings.seed, spec.labels)
