"""The labelled documents of stage 3, and their labels."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from ulmfit.base.errors import UserError
from ulmfit.base.log import logger
from ulmfit.data.labels import SINGLE, Labels
from ulmfit.data.splits import with_valid_learnt
from ulmfit.text.corpus import Corpus, cache_folder, tokenize_texts
from ulmfit.text.fit import WAY_OUT, unknown_or_warning
from ulmfit.text.known import known_tokens
from ulmfit.training.settings import ClassifierSettings, data_spec
from ulmfit.training.start import Start
from ulmfit.training.teaching import soft_labels, unlabelled_rows

_WAY_OUT = f"stage 2 knows more words with --min-freq 1 or --vocab-of both; {WAY_OUT}"


class Labelled(NamedTuple):
    """Documents and their labels: as `Labels.encode` returns them, or a teacher's probabilities."""

    corpus: Corpus
    truth: np.ndarray


def labels_in(frame: pd.DataFrame, kind: Labels = SINGLE) -> Labels:
    """`kind` with the classes of train, in alphabetical order.

    Raises:
        UserError: there are no texts to validate on.
    """
    labels = kind.of(frame.loc[frame["split"] == "train", "label"])
    if not (frame["split"] == "valid").any():
        raise UserError(
            f"found {len(labels.classes):,} classes, each too small to give a row to validate on; "
            "check the column that holds the label (--label-col), or mark valid rows in a split "
            "column"
        )
    return labels


def prepare(
    frame: pd.DataFrame, start: Start, settings: ClassifierSettings, backwards: bool
) -> tuple[Labels, Labelled, Labelled]:
    """The labels, and the labelled documents to train and validate on.

    With the setting `all_labels` there are none to validate on.
    """
    labels, processor = labels_in(frame, data_spec(settings).labels), start.processor
    if settings.all_labels:
        frame = with_valid_learnt(frame)
    tokenized = tokenize_texts(frame["text"], processor, cache_folder())
    splits, cells = frame["split"].to_numpy(), frame["label"]
    start.choose_vocabulary(tokenized, np.flatnonzero(splits == "train"), settings)
    unknown = known_tokens(tokenized, processor).unknown(np.flatnonzero(splits == "train"))
    name = str(start.parent.path) if start.parent else "the vocabulary of these texts"
    logger.info(unknown_or_warning(unknown, name, _WAY_OUT))

    def documents(rows: np.ndarray, truth: np.ndarray) -> Labelled:
        corpus = tokenized.numericalize(processor.vocab, rows)
        return Labelled(corpus.reversed() if backwards else corpus, truth)

    train, valid = (np.flatnonzero(splits == split) for split in ("train", "valid"))
    truth = labels.encode(cells.iloc[train])
    held_out = documents(valid, labels.encode(cells.iloc[valid]))
    if not settings.teacher:
        return labels, documents(train, truth), held_out
    rows = unlabelled_rows(frame, settings)
    answers = soft_labels(frame["text"].iloc[rows].tolist(), labels, truth, settings)
    return labels, documents(rows, answers), held_out
