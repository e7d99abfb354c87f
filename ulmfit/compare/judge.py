"""The test part: the only module of the comparison that reads its labels and measures."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ulmfit.base.errors import UserError
from ulmfit.compare.plan import Settings
from ulmfit.data.fingerprints import fingerprint, texts_fingerprint
from ulmfit.data.label_checks import as_classes, tell_remarks
from ulmfit.data.labels import SINGLE
from ulmfit.data.load import load_with_test_labels, without_test_labels
from ulmfit.data.splits import keep_labels
from ulmfit.inference.evaluation import labelled_texts
from ulmfit.inference.metrics import classification_metrics

SUBSET_SEED = 42  # for --test-texts: always the same texts


@dataclass(frozen=True)
class Judge:
    """A data set, and the true classes of its test part.

    frame: text, label, split; without the labels of test.
    texts, truth: of test; class numbers, int64.
    tests: fingerprints of the texts of test: of all, and of the measured ones.
    """

    frame: pd.DataFrame
    classes: list[str]
    texts: list[str]
    truth: np.ndarray
    tests: tuple[str, ...]

    @classmethod
    def of(cls, settings: Settings) -> "Judge":
        """The data set of `settings`.

        Raises:
            UserError: as `load_with_test_labels`; valid or test is missing; test has no labels.
        """
        data = settings.data
        spec = settings.data_spec()
        if spec.labels.multi:
            raise UserError(
                "found --label-cols, which gives several labels a text, expected one label a text: "
                "a comparison is of those alone"
            )
        frame = load_with_test_labels(spec)
        tell_remarks(without_test_labels(frame), SINGLE)
        for split in ("valid", "test"):
            if not (frame["split"] == split).any():
                raise UserError(
                    f"{data}: found no {split} rows, expected labelled ones to compare on; add them"
                )
        every, frame = frame, _some_of_test(frame, settings.test_texts)
        tests = tuple(
            texts_fingerprint(f.loc[f["split"] == "test", "text"]) for f in (every, frame)
        )
        labels = SINGLE.of(frame.loc[frame["split"] == "train", "label"])
        frame = as_classes(frame, labels)
        texts, truth = labelled_texts(frame, data, "test", labels)
        return cls(without_test_labels(frame), list(labels.classes), texts, truth, tests)

    @property
    def labelled(self) -> int:
        """Number of labels to train on."""
        return int((self.frame["split"] == "train").sum())

    def task(self, labels: int | None, seed: int | None) -> pd.DataFrame:
        """The frame of a trial with `labels` labels drawn by `seed`; 0: all; None: no label.

        Valid has at most as many labels as train.

        Raises:
            UserError: a class would get no label.
        """
        if labels is None or seed is None:
            return self.frame.assign(label=None)
        try:
            return keep_labels(self.frame, labels or self.labelled, seed)
        except UserError as error:
            raise UserError(str(error).replace("--labels", "--train-sizes")) from None

    def fingerprint(self) -> str:
        """Fingerprint of everything that methods get."""
        labels = self.frame["label"].fillna("")
        columns = zip(self.frame["text"], labels, self.frame["split"], strict=True)
        return fingerprint(columns)[:16]

    def figures(self, probabilities: np.ndarray) -> dict[str, Any]:
        """The figures of a method, the same for all methods."""
        return classification_metrics(probabilities, self.truth)


def _some_of_test(frame: pd.DataFrame, count: int) -> pd.DataFrame:
    """`frame` with `count` of its test rows, drawn without regard to labels; 0 for all."""
    rows = np.flatnonzero(frame["split"] == "test")
    if not 0 < count < len(rows):
        return frame
    left_out = np.random.default_rng(SUBSET_SEED).permutation(rows)[count:]
    return frame.drop(index=frame.index[left_out]).reset_index(drop=True)
