"""A teacher's answers to many texts, kept in the folder of caches block by block.

The answers take most of the time of a distillation. A run that was stopped goes on where it was.
"""

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np

from ulmfit.base.atomic import atomic_file, os_errors_as
from ulmfit.base.lock import in_turn
from ulmfit.base.log import logger
from ulmfit.base.progress import Progress
from ulmfit.inference.ensemble import Classifier
from ulmfit.inference.student import teacher_key
from ulmfit.text.corpus import cache_folder
from ulmfit.text.ids import Text, digest

_BLOCK = 1000  # texts, some seconds to minutes of work


def answers_to(texts: Sequence[Text], teacher: Classifier) -> np.ndarray:
    """The probabilities of `teacher`, float32, shape (texts, classes)."""
    folder = cache_folder() / "lessons"
    files = [folder / f"{key}.npy" for key in _keys(texts, teacher)]
    missing = [n for n, file in enumerate(files) if not file.exists()]
    if len(missing) < len(files):
        logger.info(f"{len(files) - len(missing):,} of {len(files):,} blocks of answers are there")
    left = sum(len(texts[n * _BLOCK : (n + 1) * _BLOCK]) for n in missing)
    shown = Progress(left, "asking the teacher", "texts")
    # The other direction's student asks the same: each leaves the other's blocks to it, then waits.
    for n, waits in [(n, False) for n in missing] + [(n, True) for n in missing]:
        with in_turn(files[n].with_suffix(".lock"), waits) as ours:
            if ours and not files[n].exists():
                block = texts[n * _BLOCK : (n + 1) * _BLOCK]
                found = teacher.answers(block, shown.advance).mean
                with atomic_file(files[n]) as file:
                    np.save(file, found.astype(np.float32), allow_pickle=False)
    with os_errors_as(f"cannot read {folder}"):
        return np.concatenate([np.load(file, allow_pickle=False) for file in files])


def _keys(texts: Sequence[Text], teacher: Classifier) -> Iterator[str]:
    """The name of each block's file: equal for equal texts, teacher and number format."""
    who = f"{teacher_key(teacher)} {teacher.precision}"
    for start in range(0, len(texts), _BLOCK):
        block = hashlib.sha256(who.encode())
        for text in texts[start : start + _BLOCK]:
            block.update(digest(text))
        yield block.hexdigest()
