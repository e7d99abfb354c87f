"""The last step of `python -m ulmfit` with the recipe `auto`: the labels of valid are learnt."""

from pathlib import Path

import pandas as pd

from ulmfit.artifacts.ensemble import read_ensemble
from ulmfit.base.log import logger
from ulmfit.pipeline.models import Lesson, ensemble_of, linear_classifier, trained_classifier
from ulmfit.pipeline.plan import Plan
from ulmfit.training.members import DIRECTIONS, READINGS, put_together_as
from ulmfit.training.options import StageResult


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

    def network(name: str) -> StageResult:
        logger.info(f"\nthe labels of valid, too: {READINGS[name]}")
        start, given = lessons[name]
        lesson = Lesson(start, {**given, "all_labels": True})
        return trained_classifier(place / f"clf-{name}", DIRECTIONS[name], lesson, plan)

    names = [member.name for member in ensemble.members]
    learnt |= plan.crew.each([name for name in names if name in DIRECTIONS], network)
    for name in names:
        if name not in DIRECTIONS:
            logger.info(f"\nthe labels of valid, too: {READINGS[name]}")
            out = place / f"clf-{name}"
            if made := linear_classifier(out, name, frame, plan, all_labels=True):
                learnt[name] = made
    paths = {member.name: learnt[member.name].path for member in ensemble.members}
    return learnt, put_together_as(folder / "clf", paths, ensemble)
