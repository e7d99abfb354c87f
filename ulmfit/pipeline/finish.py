"""The last step of `python -m ulmfit` with the recipe `auto`: the labels of valid are learnt."""

from pathlib import Path

import pandas as pd

from ulmfit.artifacts.ensemble import read_ensemble
from ulmfit.base.log import logger
from ulmfit.pipeline.models import Lesson, ensemble_of, linear_classifier, trained_classifier
from ulmfit.training.members import DIRECTIONS, READINGS, put_together_as
from ulmfit.training.options import StageResult
from ulmfit.training.plan import Plan


def with_all_labels(
    folder: Path,
    classifiers: dict[str, StageResult],
    lessons: dict[str, Lesson],
    frame: pd.DataFrame,
    plan: Plan,
) -> tuple[dict[str, StageResult], StageResult]:
    """The chosen classifiers, trained anew on the labels of train and valid, and their ensemble.

    Split valid chooses members, weights and temperature first. They stay, because no text is left
    to choose by. A classifier that was not chosen stays as it is.
    """
    place = folder / "all-labels"
    ensemble = read_ensemble(ensemble_of(folder / "chosen", classifiers, frame, plan).path)
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
