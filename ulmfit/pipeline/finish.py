"""The last step of `python -m ulmfit`: the ensemble of what was trained."""

from pathlib import Path

import pandas as pd

from ulmfit.artifacts.ensemble import read_ensemble
from ulmfit.base.log import logger
from ulmfit.pipeline.models import Lesson, linear_classifier, trained_classifier
from ulmfit.training.members import DIRECTIONS, READINGS, put_together, put_together_as
from ulmfit.training.options import StageResult
from ulmfit.training.plan import Plan

Finish = tuple[dict[str, StageResult], StageResult]  # the classifiers by name, and the ensemble


def chosen_on_valid(
    folder: Path,
    classifiers: dict[str, StageResult],
    lessons: dict[str, Lesson],
    frame: pd.DataFrame,
    plan: Plan,
) -> Finish:
    """The classifiers as they are, and their ensemble; split valid chooses members and weights."""
    logger.info("")
    paths = {name: made.path for name, made in classifiers.items()}
    return classifiers, put_together(folder / "clf", paths, frame, plan.classifier)


def with_all_labels(
    folder: Path,
    classifiers: dict[str, StageResult],
    lessons: dict[str, Lesson],
    frame: pd.DataFrame,
    plan: Plan,
) -> Finish:
    """The chosen classifiers, trained anew on the labels of train and valid, and their ensemble.

    Split valid chooses members, weights and temperature first. They stay, because no text is left
    to choose by. A classifier that was not chosen stays as it is.
    """
    place = folder / "all-labels"
    _, chosen = chosen_on_valid(folder / "chosen", classifiers, lessons, frame, plan)
    ensemble = read_ensemble(chosen.path)
    learnt = dict(classifiers)
    for member in ensemble.members:
        name, out = member.name, place / f"clf-{member.name}"
        logger.info(f"\nthe labels of valid, too: {READINGS[name]}")
        if name in DIRECTIONS:
            start, given = lessons[name]
            lesson = Lesson(start, {**given, "all_labels": True})
            learnt[name] = trained_classifier(out, DIRECTIONS[name], lesson, plan)
        elif made := linear_classifier(out, name, frame, plan, all_labels=True):
            learnt[name] = made
    paths = {member.name: learnt[member.name].path for member in ensemble.members}
    return learnt, put_together_as(folder / "clf", paths, ensemble)
