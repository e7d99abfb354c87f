"""A student first, and its teacher for the texts of which the student is unsure."""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ulmfit.artifacts.directory import read_artifact
from ulmfit.artifacts.manifest import CLASSIFIERS
from ulmfit.base.errors import UserError
from ulmfit.data.labels import Labels
from ulmfit.inference.loaded_linear import LoadedLinear
from ulmfit.inference.mixture import EQUAL, Mixture
from ulmfit.inference.scoring import Answers, notes_on, prediction_frame, warn_of
from ulmfit.text.given import each_text
from ulmfit.text.ids import Text, is_empty

if TYPE_CHECKING:
    import pandas as pd

    from ulmfit.inference.ensemble import Classifier

NAME = "student"  # of its folder, beside the teacher's
_AGAIN = "ulmfit distill --clf DIR makes one, --student DIR names another"


def teacher_key(classifier: "Classifier") -> str:
    """What a student knows its teacher by; equal for the same models with the same weights.

    The hash of a single model's manifest; of several, a hash of their manifests' hashes, weights
    and temperature, in any order.
    """
    return key_of(manifests_of(classifier), classifier.mixture)


def key_of(hashes: Sequence[str], mixture: Mixture) -> str:
    """The `teacher_key` of models whose manifests have these hashes."""
    if len(hashes) == 1 and mixture == EQUAL:
        return hashes[0]
    shares = mixture.shares(len(hashes)).round(9).tolist()
    named = sorted(zip(hashes, shares, strict=True))
    text = json.dumps([named, mixture.temperature])
    return hashlib.sha256(text.encode()).hexdigest()


def manifests_of(classifier: "Classifier") -> list[str]:
    """The sha256 of each model's manifest."""
    return [model.artifact.manifest_sha256 for model in classifier.models]


def default_place(folders: Sequence[str]) -> Path:
    """Where the student of classifiers lies if nothing else is said: beside the first of them."""
    return Path(folders[0]).resolve().parent / NAME


def sureness(probabilities: np.ndarray, labels: Labels) -> np.ndarray:
    """How far the likeliest answer is from the next one, 0 to 1, shape (texts,).

    Of several labels, that of the least certain decision.
    """
    if labels.multi:
        return np.abs(2 * probabilities - 1).min(1)
    if probabilities.shape[1] < 2:
        return np.ones(len(probabilities), np.float32)
    highest = np.sort(probabilities, axis=1)
    return highest[:, -1] - highest[:, -2]


def agreeing(ours: np.ndarray, theirs: np.ndarray, labels: Labels) -> np.ndarray:
    """Which texts get the same labels from both, bool, shape (texts,)."""
    return labels.right(ours, labels.decide(theirs))


class FastClassifier:
    """Like its teacher, a `Classifier`, but a student answers what it is sure of.

    asked: how many texts went to the teacher so far, of how many `answered`.
    """

    def __init__(self, teacher: "Classifier", student: LoadedLinear) -> None:
        self.teacher, self.student = teacher, student
        self.labels, self.labelling = teacher.labels, teacher.labelling
        self.threshold = student.artifact.manifest.student_config.threshold
        self.asked = self.answered = 0

    @classmethod
    def of(cls, teacher: "Classifier", folder: str | Path) -> "FastClassifier":
        """With the student in a directory.

        Raises:
            UserError: there is none, or it is another classifier's.
        """
        return cls(teacher, read_student(teacher, Path(folder)))

    def predict(self, texts: Iterable[str | None]) -> "pd.DataFrame":
        """As `Classifier.predict`."""
        answers = self.answers(list(each_text(texts, "predict")))
        warn_of(answers.notes)
        return prediction_frame(texts, answers.mean, self.labelling)

    def answers(
        self, texts: Sequence[Text], tell: Callable[[float], object] | None = None
    ) -> Answers:
        """The probabilities, shape (1, texts, classes), and notes on texts with few known tokens.

        An empty text gets the teacher's answer, and so does one with few known tokens.
        """
        if not len(texts):
            return Answers(np.zeros((1, 0, len(self.labels)), np.float32), [])
        said, known = self.student.answer(texts)
        notes = notes_on(texts, [known])
        sure = sureness(said, self.labelling) > self.threshold
        for i, text in enumerate(texts):
            sure[i] &= not notes[i] and not is_empty(text)
        rest = np.flatnonzero(~sure).tolist()
        if tell:
            tell(float(len(texts) - len(rest)))
        if len(rest):
            asked = self.teacher.answers([texts[i] for i in rest], tell)
            said[rest] = asked.mean
            for i, note in zip(rest, asked.notes, strict=True):
                notes[i] = note
        self.asked += len(rest)
        self.answered += len(texts)
        return Answers(said[None], notes)

    def said(self) -> str:
        """A line on how many texts went to the teacher."""
        share = self.asked / max(self.answered, 1)
        return (
            f"the student answered {self.answered - self.asked:,} of {self.answered:,} texts, "
            f"{self.asked:,} ({share:.0%}) went to the full model"
        )


def check_student(folder: Path) -> None:
    """Raise UserError if there is no directory `folder`."""
    if not folder.is_dir():
        raise UserError(f"{folder} does not exist, and --fast needs a student; {_AGAIN}")


def read_student(teacher: "Classifier", folder: Path) -> LoadedLinear:
    """The student in `folder`; raises UserError if it is none, or another classifier's."""
    check_student(folder)
    artifact = read_artifact(folder, *CLASSIFIERS)
    if not artifact.manifest.is_student:
        raise UserError(f"{folder} holds a classifier that is no student; {_AGAIN}")
    config = artifact.manifest.student_config
    if config.teacher != teacher_key(teacher):
        raise UserError(
            f"{folder} is the student of another classifier: its teacher is {config.teacher[:12]}, "
            f"the given one is {teacher_key(teacher)[:12]}; {_AGAIN}"
        )
    if artifact.manifest.labels != list(teacher.labels):
        raise UserError(f"{folder} has other labels than its teacher; {_AGAIN}")
    return LoadedLinear(artifact)
