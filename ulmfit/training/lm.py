"""What stages 1 and 2 share: training and measuring a language model."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from fastai.callback.rnn import rnn_cbs
from fastai.callback.training import GradientClip
from fastai.learner import Learner

from ulmfit.base.errors import UserError
from ulmfit.base.precision import autocast
from ulmfit.base.progress import progress
from ulmfit.model.build import lm_groups
from ulmfit.model.lm_loss import LMLoss
from ulmfit.text.batches import LMLoader
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
    return (
        _loader(train, settings, "train on", shuffle=True),
        _loader(valid, settings, "validate on", shuffle=False),
    )


def _loader(
    corpus: Corpus, settings: PretrainSettings | LMSettings, purpose: str, shuffle: bool
) -> LMLoader:
    # A small validation part fills no large batch; a narrower one measures the same.
    rows = settings.batch_size if shuffle else min(settings.batch_size, len(corpus.ids) // 100 or 1)
    loader = LMLoader(corpus, rows, settings.seq_len, shuffle, settings.seed)
    if loader.row_length < 1:
        raise UserError(
            f"found {len(corpus.ids):,} tokens to {purpose}, expected more than the batch size "
            f"of {rows}; give more text or a smaller --batch-size"
        )
    return loader


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


@torch.no_grad()
def measure_lm(
    model: Any, loader: LMLoader, device: torch.device, dtype: torch.dtype
) -> dict[str, float]:
    """Loss (nats a token), perplexity and accuracy over all targets of `loader`."""
    loss_func, total, correct, targets = LMLoss(), 0.0, 0, 0
    model.eval()
    model.reset()
    for inputs, expected in progress(loader, len(loader), "measuring perplexity"):
        with autocast(device, dtype):
            prediction = model(inputs.to(device))[0]
            loss = float(loss_func(prediction, expected.to(device)))
        total += loss * expected.numel()
        correct += loss_func.correct
        targets += expected.numel()
    mean = total / targets
    return {"loss": mean, "perplexity": math.exp(min(mean, 700.0)), "accuracy": correct / targets}


def measured_lm(row: Mapping[str, Any]) -> dict[str, float]:
    """What `measure_lm` would return for the weights that a row of the history measured."""
    names = {"loss": "valid_loss", "perplexity": "perplexity", "accuracy": "accuracy"}
    return {name: row[column] for name, column in names.items()}


def unigram_entropy(ids: np.ndarray) -> float:
    """Entropy of the token frequencies, in nats: the loss of a model that reads no context."""
    counts = np.bincount(ids)
    shares = counts[counts > 0] / len(ids)
    return float(-(shares * np.log(shares)).sum())
