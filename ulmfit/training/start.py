"""The start of a classifier: a language model, as stage 2 writes it, or random weights."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ulmfit.artifacts.directory import Artifact, read_artifact
from ulmfit.artifacts.manifest import direction
from ulmfit.artifacts.pretrained import NONE, find_directory
from ulmfit.artifacts.seen import Seen
from ulmfit.artifacts.trained import trained_config
from ulmfit.base.errors import UserError
from ulmfit.base.log import logger, quiet
from ulmfit.data.fingerprints import texts_fingerprint
from ulmfit.data.labels import Labels
from ulmfit.data.load import same_source
from ulmfit.inference.guard import unseen
from ulmfit.model.build import random_embedding
from ulmfit.model.sizes import EncoderConfig, encoder_config
from ulmfit.model.transfer import load_encoder, load_head
from ulmfit.text.corpus import TokenizedTexts
from ulmfit.text.processor import TextProcessor, make_vocab
from ulmfit.training.settings import ClassifierSettings


@dataclass(frozen=True)
class Start:
    """Text processor, size, and the language model with the weights; None for random weights."""

    processor: TextProcessor
    size: str
    parent: Artifact | None

    def config(self) -> EncoderConfig:
        """The encoder's sizes; needs the processor's vocabulary."""
        if self.parent is None:
            return encoder_config(self.size, len(self.processor.vocab))
        return trained_config(self.parent)

    def choose_vocabulary(
        self, tokenized: TokenizedTexts, rows: np.ndarray, settings: ClassifierSettings
    ) -> None:
        """Choose the words of the texts `rows`, if there is no language model."""
        if self.parent is None:
            counts = tokenized.counts(rows)
            self.processor.with_vocab(make_vocab(counts, settings.max_vocab, settings.min_freq))

    def load_into(self, model: Any, labels: Labels, settings: ClassifierSettings) -> None:
        """Load the encoder's weights, and those of a classifier's head, into `model`.

        Raises:
            UserError: the head is of other labels, or of another size.
        """
        if self.parent is None:
            random_embedding(model)
            return
        load_encoder(model, self.parent.encoder(), self.parent.path)
        if self.parent.manifest.kind == "classifier":
            _check_head(self.parent, labels, settings)
            load_head(model, self.parent.head(), self.parent.path)

    def seen(self) -> Seen | None:
        """The texts that the parent has seen, if it is a classifier and knows them."""
        return self.parent.seen() if self.parent else None


def _check_head(parent: Artifact, labels: Labels, settings: ClassifierSettings) -> None:
    manifest, config = parent.manifest, parent.manifest.classifier_config
    wanted = (list(labels.classes), labels.multi, settings.hidden)
    if (manifest.labels, config.multi_label, config.hidden) != wanted:
        raise UserError(
            f"{parent.path} is a classifier of {', '.join(manifest.labels)} with {config.hidden} "
            f"hidden units, expected {', '.join(labels.classes)} and {settings.hidden}; start from "
            "a language model, or give the same data and flags"
        )


def read_start(
    lm: str | Path | None, default: Path, backwards: bool, settings: ClassifierSettings
) -> Start:
    """The start that --lm names: a directory, a bundled model, "none", or `default` for None.

    Raises:
        UserError: the model is missing, damaged, no language model, or of the other direction.
    """
    if lm == NONE:
        return Start(TextProcessor("word"), settings.size, None)
    path = find_directory(str(lm), backwards) or Path(lm) if lm else default
    parent = read_lm(path, backwards)
    return Start(parent.processor(), parent.manifest.size, parent)


def read_lm(path: Path, backwards: bool) -> Artifact:
    """The language model in a directory, or a classifier to train further.

    Raises:
        UserError: as `read_start`.
    """
    if not path.is_dir():
        raise UserError(
            f"no language model in {path}; write one with ulmfit lm"
            f"{' --backwards' if backwards else ''}, or name another with --lm DIR"
        )
    artifact = read_artifact(path, "lm", "classifier")
    kind = "classifier" if artifact.manifest.kind == "classifier" else "language model"
    if artifact.manifest.direction != direction(backwards):
        raise UserError(
            f"{path} is a {artifact.manifest.direction} {kind}, expected a "
            f"{direction(backwards)} one; "
            + ("leave out --backwards" if backwards else "add --backwards")
            + " or name the other model with --lm"
        )
    return artifact


def _check_classifier_texts(parent: Artifact, frame: pd.DataFrame, data: str) -> None:
    if not (frame["split"] == "test").any():
        return
    with quiet():
        count = unseen(frame, data, "test", [parent]).left_out
    if count:
        raise UserError(
            f"{parent.path} was trained or validated on {count:,} texts that are in test of {data};"
            " start from a language model, or give the data and the flags of its training"
        )


def check_lm_texts(parent: Artifact, frame: pd.DataFrame, settings: ClassifierSettings) -> None:
    """Refuse a language model that has read texts of test, unless its settings say so.

    A model of other texts is accepted, although texts of test may be among them.
    """
    test = frame.loc[frame["split"] == "test", "text"]
    if parent.manifest.kind == "classifier":  # its own training has checked its language model
        _check_classifier_texts(parent, frame, settings.data)
        return
    config, recipe = parent.manifest.lm_config, parent.manifest.recipe
    if test.empty or texts_fingerprint(test) in (config.withheld or []):
        return
    same_texts = config.texts == texts_fingerprint(frame["text"])
    # The source has other rows now; if the splits are drawn, test has changed, too.
    redrawn = (
        "test" in frame.attrs["drawn"]
        and same_source(settings.data, str(recipe.get("data")))
        and settings.text_col == recipe.get("text_col")
    )
    if not (same_texts or redrawn):
        logger.info(f"{parent.path} was trained on other texts; those of test may be among them")
    elif recipe.get("lm_text") != "all":
        raise UserError(
            f"{parent.path} has read texts that are in test now: the data has changed since, or "
            "was split by another --seed, --label-col, --split-col or --multi-label; run stage 2 "
            "again with what stage 3 is given, or with --lm-text all if test may be read"
        )
