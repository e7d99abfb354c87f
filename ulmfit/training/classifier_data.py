"""Stage 3's labelled documents and their classes."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from ulmfit.base.errors import UserError
from ulmfit.data.multi_label import SEPARATOR, all_labels, true_labels
from ulmfit.text.corpus import Corpus, cache_folder, tokenize_texts
from ulmfit.training.settings import ClassifierSettings
from ulmfit.training.start import Start


class Labelled(NamedTuple):
    """Documents with the numbers of their classes, int64, shape (documents,).

    Of a multi-label classifier, which labels apply, bool, shape (documents, classes).
    """

    corpus: Corpus
    labels: np.ndarray


def classes_of(frame: pd.DataFrame, multi_label: bool = False) -> list[str]:
    """The classes of train in alphabetical order.

    Raises:
        UserError: there is nothing to validate on.
    """
    labels = set(frame.loc[frame["split"] == "train", "label"])
    classes = all_labels(labels) if multi_label else sorted(labels)
    if not (frame["split"] == "valid").any():
        raise UserError(
            f"found {len(classes):,} classes, each too small to give a row to validate on; check "
            "the column that holds the label (--label-col), or mark valid rows in a split column"
        )
    return classes


def prepare(
    frame: pd.DataFrame, start: Start, settings: ClassifierSettings, backwards: bool
) -> tuple[list[str], Labelled, Labelled]:
    """Classes in alphabetical order, and the labelled documents to train and validate on."""
    classes, processor = classes_of(frame, settings.multi_label), start.processor
    tokenized = tokenize_texts(frame["text"], processor, cache_folder())
    splits, labels = frame["split"].to_numpy(), frame["label"]
    start.choose_vocabulary(tokenized, np.flatnonzero(splits == "train"), settings)
    if not settings.multi_label and (joint := sum(SEPARATOR in label for label in classes)):
        print(
            f"{joint:,} of {len(classes):,} classes have a {SEPARATOR} in their name; where it "
            "separates labels of one text, pass --multi-label"
        )

    def labelled(split: str) -> Labelled:
        rows = np.flatnonzero(splits == split)
        corpus = tokenized.numericalize(processor.vocab, rows)
        truth = true_labels(labels.iloc[rows], classes, settings.multi_label)
        return Labelled(corpus.reversed() if backwards else corpus, truth)

    return classes, labelled("train"), labelled("valid")


def class_frequencies(labels: np.ndarray) -> list[float]:
    """The share of the documents that has each class."""
    if labels.ndim == 2:
        return labels.mean(0).tolist()
    return (np.bincount(labels) / len(labels)).tolist()
