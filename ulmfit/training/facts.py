"""What the recipe `auto` knows about a data set: counts of labels, classes, texts and words."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ulmfit.base.log import quiet
from ulmfit.data.load import load_data
from ulmfit.data.spec import DataSpec
from ulmfit.data.splits import keep_labels
from ulmfit.text.ids import hold_ids, is_empty


@dataclass(frozen=True)
class Facts:
    """Counts of a data set.

    labelled: texts of train. unlabelled: texts without a label. classes: different labels of train.
    length: words (or ids) of a text, the median. words: of all texts but those of test. They do not
    depend on how many labels are used.
    """

    labelled: int
    unlabelled: int
    classes: int
    length: int
    words: int

    def line(self) -> str:
        """The facts in words."""
        labelled = f"{self.labelled:,} labelled texts"
        if self.classes:
            labelled += f" of {self.classes:,} classes"
        return f"{labelled}, {self.unlabelled:,} without a label, {self.length:,} words each"


def facts_of(frame: pd.DataFrame, spec: DataSpec, labels: int = 0) -> Facts:
    """The facts of `frame`, as `load_data` returns it; `labels`: see the setting of stage 3."""
    if labels:
        frame = keep_labels(frame, labels, spec.seed, spec.labels)
    texts = frame["text"][~frame["text"].map(is_empty)]
    counts = texts.map(len) if hold_ids(texts) else texts.str.split().str.len()
    splits = frame.loc[texts.index, "split"]
    train, read = splits == "train", splits != "test"
    cells = frame.loc[train.index[train], "label"].dropna()
    return Facts(
        labelled=int(train.sum()),
        unlabelled=int((splits == "unsup").sum()),
        classes=len(spec.labels.of(cells).classes) if len(cells) else 0,
        length=int(np.median(counts[read])) if read.any() else 0,
        words=int(counts[read].sum()),
    )


def read_texts(spec: DataSpec) -> pd.DataFrame:
    """The data set, silently; labels are not required."""
    with quiet():
        return load_data(spec, labels_required=False, texts_required=False)
