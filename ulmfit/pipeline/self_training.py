"""Self-training: an ensemble labels texts, its students become the next ensemble.

Du et al. 2020 (arXiv:2011.08626). In each round, a student of each direction starts from stage 2's
language model, learns the ensemble's answers to the texts without a label, then the real labels.
"""

from pathlib import Path

import pandas as pd

from ulmfit.artifacts.manifest import direction
from ulmfit.base.log import logger
from ulmfit.pipeline.models import Lesson, ensemble_of, trained_classifier
from ulmfit.pipeline.plan import Plan
from ulmfit.training.options import StageResult


def self_trained(
    folder: Path,
    classifiers: dict[str, StageResult],
    lessons: dict[str, Lesson],
    frame: pd.DataFrame,
    plan: Plan,
) -> tuple[dict[str, StageResult], dict[str, Lesson]]:
    """The classifiers after the rounds of the plan, and the networks' last lessons, by name.

    A round whose ensemble has a larger log loss on split valid is the last, and is left out.
    lessons: of the networks in `classifiers`, which start from stage 2's language models.
    """
    if not plan.rounds:
        return classifiers, lessons
    lms = {name: lesson.start for name, lesson in lessons.items()}
    best = ensemble_of(folder / "round-0", classifiers, frame, plan)
    for number in range(1, plan.rounds + 1):
        place = folder / f"round-{number}"
        taught = _taught_by(best.path, place, number, lms, plan)
        candidates = {**classifiers, **{name: made for name, (made, _) in taught.items()}}
        ensemble = ensemble_of(place, candidates, frame, plan)
        before, after = (one.metrics["valid"]["log_loss"] for one in (best, ensemble))
        if not after <= before:
            logger.info(
                f"round {number} is left out: the log loss on valid is {after:.4f}, and was "
                f"{before:.4f}"
            )
            break
        best, classifiers = ensemble, candidates
        lessons = {name: lesson for name, (_, lesson) in taught.items()}
    return classifiers, lessons


def _taught_by(
    teacher: Path, place: Path, number: int, lms: dict[str, Path], plan: Plan
) -> dict[str, tuple[StageResult, Lesson]]:
    """The students of a round after the real labels, and their last lessons."""

    def taught(name: str) -> tuple[StageResult, Lesson]:
        backwards = plan.directions[name]
        round_of = (
            f"\nself-training, round {number} of at most {plan.rounds}, {direction(backwards)}"
        )
        logger.info(f"{round_of}: a student learns the answers of {teacher}")
        lesson = Lesson(lms[name], plan.taught_by(teacher))
        student = trained_classifier(place / f"student-{name}", backwards, lesson, plan)
        logger.info(f"{round_of}: it learns the real labels")
        last = Lesson(student.path, plan.again_given)
        return trained_classifier(place / f"clf-{name}", backwards, last, plan), last

    return plan.crew.each(plan.directions, taught)
