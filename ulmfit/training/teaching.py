"""Self-training: another classifier's answers to unlabelled texts are the labels of a student.

Du et al. 2020 (arXiv:2011.08626): the student learns soft labels; a later stage 3 that starts from
the student learns the real ones.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from ulmfit.artifacts.bundled import model_folders
from ulmfit.artifacts.ensemble import model_sha256
from ulmfit.base.errors import UserError
from ulmfit.base.log import logger
from ulmfit.base.processes import current
from ulmfit.data.labels import Labels
from ulmfit.inference.ensemble import Classifier
from ulmfit.text.ids import Text, is_empty
from ulmfit.training.lesson import answers_to
from ulmfit.training.settings import ClassifierSettings

# A teacher is less certain of texts that it was not trained on. The power sharpens its answers.
_SHARPNESS = 1.5
_BALANCING_ROUNDS = 5


def unlabelled_rows(frame: pd.DataFrame, settings: ClassifierSettings) -> np.ndarray:
    """Places of the unlabelled texts that the student reads, drawn by the seed, in order.

    Raises:
        UserError: the data has fewer than two.
    """
    filled = ~frame["text"].map(is_empty).to_numpy(dtype=bool)
    rows = np.flatnonzero((frame["split"] == "unsup").to_numpy() & filled)
    if len(rows) < 2:
        raise UserError(
            f"{settings.data}: found {len(rows):,} texts without a label, expected some for "
            "--teacher to label; add rows without a label, or leave --teacher out"
        )
    if settings.teacher_texts and len(rows) > settings.teacher_texts:
        drawn = np.random.default_rng(settings.seed).permutation(rows)[: settings.teacher_texts]
        rows = np.sort(drawn)
    return rows


def taught_texts(frame: pd.DataFrame, settings: ClassifierSettings) -> list[Text]:
    """The texts of `unlabelled_rows`, which raises the same errors; none without a teacher."""
    if not settings.teacher:
        return []
    return frame["text"].iloc[unlabelled_rows(frame, settings)].tolist()


def soft_labels(
    texts: list[Text], labels: Labels, truth: np.ndarray, settings: ClassifierSettings
) -> np.ndarray:
    """The answers of `settings.teacher` to `texts`, float32, shape (texts, classes).

    Of single labels, the answers are scaled to the class frequencies in `truth`, the real labels,
    and sharpened.

    Raises:
        UserError: the teacher is no classifier, or has other labels.
    """
    teacher = Classifier.load(settings.teacher, precision=settings.precision)
    if list(teacher.labels) != list(labels.classes) or teacher.labelling.multi != labels.multi:
        raise UserError(
            f"--teacher {settings.teacher} has the labels {', '.join(teacher.labels)}, expected "
            f"{', '.join(labels.classes)}; train it on the same labels"
        )
    logger.info(f"{settings.teacher} labels {len(texts):,} texts without a label")

    def answers() -> bytes:  # kept: the students of both directions ask the same
        return answers_to(texts, teacher).tobytes()

    # Of several processes, the first one asks the teacher.
    found = np.frombuffer(current().of_first("soft labels", answers), np.float32)
    found = found.reshape(len(texts), len(labels.classes)).copy()
    return found if labels.multi else balanced(found, labels.prior(truth))


def teacher_sha256(teacher: str) -> str:
    """What identifies the teacher, a directory or a bundled name."""
    paths = [Path(path) for path in model_folders(teacher)]
    return "+".join(model_sha256(path) for path in paths)


def balanced(probabilities: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """`probabilities` scaled until their mean is `prior`, then sharpened, float32.

    Shapes (texts, classes) and (classes,). Without it a student learns its teacher's preference
    for frequent classes, and more of it in each round.
    """
    scaled = np.maximum(probabilities.astype(np.float64), 1e-9)
    for _ in range(_BALANCING_ROUNDS):
        scaled *= prior / scaled.mean(0)
        scaled /= scaled.sum(1, keepdims=True)
    sharp = scaled**_SHARPNESS
    return (sharp / sharp.sum(1, keepdims=True)).astype(np.float32)
