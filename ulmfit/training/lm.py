"""What stages 1 and 2 share: training a language model."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from fastai.callback.rnn import rnn_cbs
from fastai.callback.training import GradientClip
from fastai.learner import Learner

from ulmfit.inference.language_model import measure_lm as measure_lm
from ulmfit.model.build import lm_groups
from ulmfit.model.lm_loss import LMLoss
from ulmfit.text.batches import LMLoader, lm_loader
from ulmfit.text.corpus import Corpus
from ulmfit.training.learner import text_learner
from ulmfit.training.settings import LMSettings, PretrainSettings


def lm_loaders(
    train: Corpus, valid: Corpus, settings: PretrainSettings | LMSettings, backwards: bool
) -> tuple[LMLoader, LMLoader]:
    """Batches for training and validation, read from each document's end if `backwards`.

    Raises:
        UserError: if there are too few tokens for one batch.
    """
    if backwards:
        train, valid = train.reversed(), valid.reversed()
    sizes = settings.batch_size, settings.seq_len
    return (
        lm_loader(train, *sizes, "train on", shuffle=True, seed=settings.seed),
        lm_loader(valid, *sizes, "validate on"),
    )


def lm_learner(
    model: Any,
    loaders: tuple[LMLoader, LMLoader],
    settings: PretrainSettings | LMSettings,
    device: torch.device,
    dtype: torch.dtype,
) -> Learner:
    """A fastai `Learner` over the two loaders (`language_model_learner`), ready to be fitted."""
    callbacks = rnn_cbs(settings.alpha, settings.beta)
    if settings.clip:
        callbacks.append(GradientClip(settings.clip))
    loss = LMLoss(settings.sampled_softmax)
    return text_learner(model, loaders, loss, lm_groups, device, dtype, *callbacks)


def measured_lm(row: Mapping[str, Any]) -> dict[str, float]:
    """What `measure_lm` would return for the weights that a row of the history measured."""
    names = {"loss": "valid_loss", "perplexity": "perplexity", "accuracy": "accuracy"}
    return {name: row[column] for name, column in names.items()}


def unigram_entropy(ids: np.ndarray) -> float:
    """Entropy of the token frequencies, in nats: the loss of a model that reads no context."""
    counts = np.bincount(ids)
    shares = counts[counts > 0] / len(ids)
    return float(-(shares * np.log(shares)).sum())
