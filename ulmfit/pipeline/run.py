"""All stages in both directions, the linear classifiers, and the ensemble of all."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ulmfit.base.errors import UserError
from ulmfit.pipeline.checks import check_data, check_lm, check_models
from ulmfit.pipeline.finish import with_all_labels
from ulmfit.pipeline.models import (
    Lesson,
    classifier,
    ensemble_of,
    language_model,
    linear_classifier,
    pretrain,
)
from ulmfit.pipeline.plan import Plan
from ulmfit.pipeline.self_training import self_trained
from ulmfit.training.members import possible
from ulmfit.training.options import StageResult


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
    plan = replace(plan, members=possible(plan.members, frame, plan.classifier))
    general: dict[str, StageResult] = {}
    if corpus:
        general, plan = pretrain(corpus, folder / "pretrained", plan)
    check_lm(plan, frame)
    plan = plan.fitted(folder, frame)
    check_models(folder, plan, frame)

    def both_stages(name: str) -> tuple[StageResult, StageResult]:
        backwards = plan.directions[name]
        lm = language_model(folder / f"lm-{name}", backwards, plan)
        lesson = Lesson(lm.path, plan.classifier_given)
        return lm, classifier(folder / f"clf-{name}", backwards, lesson, plan)

    networks = plan.crew.each(plan.directions, both_stages)
    lms = {name: lm for name, (lm, _) in networks.items()}
    classifiers = {name: made for name, (_, made) in networks.items()}
    lessons = {name: Lesson(lm.path, plan.classifier_given) for name, lm in lms.items()}
    for name in plan.linear:
        if made := linear_classifier(folder / f"clf-{name}", name, frame, plan):
            classifiers[name] = made
    if not classifiers:
        raise UserError("no classifier could be trained; add fwd or bwd to --members")
    classifiers, lessons = self_trained(folder, classifiers, lessons, frame, plan)
    if plan.all_labels:
        classifiers, ensemble = with_all_labels(folder, classifiers, lessons, frame, plan)
    else:
        ensemble = ensemble_of(folder, classifiers, frame, plan)
    return Trained(general, lms, classifiers, ensemble), plan
