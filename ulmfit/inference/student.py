"""A student first, and its teacher for the texts of which the student is unsure."""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ulmfit.artifacts import bundled
from ulmfit.artifacts.directory import read_artifact
from ulmfit.artifacts.manifest import CLASSIFIERS
from ulmfit.base.errors import UserError
from ulmfit.data.labels import Labels
from ulmfit.inference.ensemble import Classifier, load_named
from ulmfit.inference.loaded_linear import LoadedLinear
from ulmfit.inference.mixture import EQUAL, Mixture
from ulmfit.inference.scoring import Answers, notes_on, prediction_frame, warn_of
from ulmfit.text.given import each_text
from ulmfit.text.ids import Text, is_empty

if TYPE_CHECKING:
    import pandas as pd

    from ulmfit.inference.ensemble import Loaded

NAME = "student"  # of its folder, beside the teacher's
_AGAIN = "ulmfit distill --clf DIR makes one, --student DIR names another"


def teacher_key(classifier: Classifier) -> str:
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


def manifests_of(classifier: Classifier) -> list[str]:
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


@dataclass(frozen=True)
class First:
    """What a student says of texts, before its teacher is asked.

    probabilities: float32, shape (texts, classes). notes: as in `Answers`.
    rest: the numbers of the texts that the teacher has to answer.
    """

    probabilities: np.ndarray
    notes: list[str]
    rest: list[int]


class FastClassifier:
    """Like its teacher, a `Classifier`, but a student answers what it is sure of.

    asked: how many texts went to the teacher so far, of how many `answered`.
    """

    mixture = EQUAL  # of its answers, which are mixed already
    is_several = False
    names = ("student first",)

    def __init__(self, teacher: Classifier, student: LoadedLinear) -> None:
        self.teacher, self.student = teacher, student
        self.labels, self.labelling = teacher.labels, teacher.labelling
        self.precision = teacher.precision
        self.threshold = student.artifact.manifest.student_config.threshold
        self.asked = self.answered = 0

    @classmethod
    def of(cls, teacher: Classifier, folder: str | Path) -> "FastClassifier":
        """With the student in a directory.

        Raises:
            UserError: there is none, or it is another classifier's.
        """
        return cls(teacher, read_student(teacher, Path(folder)))

    @property
    def models(self) -> "list[Loaded]":
        """The teacher's models, then the student."""
        return [*self.teacher.models, self.student]

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
        first = self.first(texts)
        if tell:
            tell(float(len(texts) - len(first.rest)))
        return self.complete(first, self.teacher.answers([texts[i] for i in first.rest], tell))

    def first(self, texts: Sequence[Text]) -> First:
        """What the student says; without torch, in a moment."""
        if not len(texts):
            return First(np.zeros((0, len(self.labels)), np.float32), [], [])
        said, known = self.student.answer(texts)
        notes = notes_on(texts, [known])
        sure = sureness(said, self.labelling) > self.threshold
        for i, text in enumerate(texts):
            sure[i] &= not notes[i] and not is_empty(text)
        return First(said, notes, np.flatnonzero(~sure).tolist())

    def complete(self, first: First, asked: Answers) -> Answers:
        """The student's answers with the teacher's for the rest, shape (1, texts, classes)."""
        said, notes = first.probabilities.copy(), list(first.notes)
        said[first.rest] = asked.mean
        for i, note in zip(first.rest, asked.notes, strict=True):
            notes[i] = note
        self.asked += len(first.rest)
        self.answered += len(notes)
        return Answers(said[None], notes)

    def reader(self, text: str) -> Classifier:
        """Who answers a text: the teacher, or the student as a classifier of its own."""
        return self.teacher if self.first([text]).rest else Classifier([self.student])

    def said(self) -> str:
        """A line on how many texts went to the teacher."""
        share = self.asked / max(self.answered, 1)
        return (
            f"the student answered {self.answered - self.asked:,} of {self.answered:,} texts, "
            f"{self.asked:,} ({share:.0%}) went to the full model"
        )


def exact_of(classifier: Classifier | FastClassifier) -> Classifier:
    """The classifier without its student."""
    return classifier.teacher if isinstance(classifier, FastClassifier) else classifier


def load_answering(
    clf: bundled.Paths, precision: str, fast: bool, student: str | None
) -> Classifier | FastClassifier:
    """What ``--clf``, ``--precision``, ``--fast`` and ``--student`` name together.

    student: its directory; None for the one beside the classifiers.

    Raises:
        UserError: as `load_named` and `FastClassifier.of`, or a student without `fast`.
    """
    check_fast(fast, student)
    if not fast:
        return load_named(clf, precision)
    # A missing student shows at once, not after the teacher was loaded.
    place = Path(student) if student else default_place(bundled.model_folders(clf))
    check_student(place)
    return FastClassifier.of(load_named(clf, precision), place)


def check_fast(fast: bool, student: str | None) -> None:
    """Raise UserError for ``--student`` without ``--fast``."""
    if student is not None and not fast:
        raise UserError("found --student without --fast, which it belongs to; add --fast")


def check_student(folder: Path) -> None:
    """Raise UserError if there is no directory `folder`."""
    if not folder.is_dir():
        raise UserError(f"{folder} does not exist, and --fast needs a student; {_AGAIN}")


def read_student(teacher: Classifier, folder: Path) -> LoadedLinear:
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
