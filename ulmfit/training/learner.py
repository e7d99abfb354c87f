"""fastai's `Learner`s of language models and classifiers: loaders, losses, device, memory."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from fastai.callback.core import Callback
from fastai.callback.rnn import rnn_cbs
from fastai.callback.training import GradientClip
from fastai.data.core import DataLoaders
from fastai.learner import Learner, Recorder

from ulmfit.base.precision import autocast, return_holes
from ulmfit.base.processes import current
from ulmfit.data.labels import SINGLE, Labels
from ulmfit.inference.language_model import measure_lm
from ulmfit.model.awd_lstm import share_rows
from ulmfit.model.build import classifier_groups, lm_groups
from ulmfit.model.lm_loss import LMLoss
from ulmfit.text.batches import ClassifierLoader, LMLoader, lm_loader
from ulmfit.text.corpus import Corpus
from ulmfit.text.dealing import Rows
from ulmfit.training.adam import adam_for
from ulmfit.training.classifier_data import Labelled
from ulmfit.training.graphs import learner_class
from ulmfit.training.settings import ClassifierSettings, LMSettings, PretrainSettings
from ulmfit.training.together import Together, part_of

# fastai's momentum for text (`TextLearner`); ULMFiT trains with Adam, beta1 0.7 (section 4.1).
MOMENTUM = (0.8, 0.7, 0.8)

_SECONDS_BETWEEN_RETURNS = 60.0


@dataclass
class Workplace:
    """The device and the number format of a stage, and its start time."""

    device: torch.device
    dtype: torch.dtype
    began: float = field(default_factory=time.monotonic)

    def seconds(self) -> float:
        """Seconds since the stage was set up."""
        return round(time.monotonic() - self.began, 1)


def text_learner(
    model: Any,
    loaders: tuple[LMLoader, LMLoader] | tuple[ClassifierLoader, ClassifierLoader],
    loss: Any,
    groups: Callable[[Any], Any],
    device: torch.device,
    dtype: torch.dtype,
    *callbacks: Callback,
) -> Learner:
    """A fastai `Learner` with two loaders, ready to be fitted; `groups` splits the layers."""
    group = current()
    together = [Together(group)] if group.count > 1 else []
    learner = learner_class(loss, device)(
        data_loaders(loaders[0], loaders[1], device),
        model.to(device),
        loss_func=loss,
        opt_func=adam_for(device),
        splitter=groups,
        moms=MOMENTUM,
        cbs=[Autocast(device, dtype), HoleReturner(), *together, *callbacks],
    )
    return without_waiting(learner, device)


def data_loaders(
    train: LMLoader | ClassifierLoader,
    valid: LMLoader | ClassifierLoader,
    device: torch.device | str = "cpu",
) -> DataLoaders:
    """fastai's `DataLoaders` with the two loaders; their batches are on `device`."""
    train.device = valid.device = torch.device(device)
    loaders = DataLoaders(train, valid)
    # fastai ignores `DataLoaders(device=...)` for loaders without `to`. A `Learner` would then move
    # the model to fastai's default device, such as Apple's GPU.
    loaders._device = train.device
    return loaders


def without_waiting(learner: Learner, device: torch.device) -> Learner:
    """`learner`; on a GPU without fastai's `Recorder`, which waits for the loss of every batch.

    With several processes it would wait for the losses of all of them, and for ever where one has
    fewer batches to validate on. `History` records the same without waiting.
    """
    if device.type == "cuda" or current().count > 1:
        learner.remove_cb(Recorder)
    return learner


def number_format(learner: Learner) -> str:
    """The number format of the training: bfloat16 or float32."""
    return str(learner.autocast.dtype).removeprefix("torch.")


class Autocast(Callback):
    """Forward pass and loss under autocast; fastai's `MixedPrecision` supports CUDA only.

    bfloat16 has the range of float32, so gradients need no scaling.
    """

    order = -5

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype
        self._context: Any = None

    def before_batch(self) -> None:
        self._context = autocast(self.device, self.dtype)
        self._context.__enter__()

    def after_loss(self) -> None:
        if self._context is not None:
            self._context.__exit__(None, None, None)
            self._context = None

    after_batch = after_cancel_batch = after_fit = after_loss


class HoleReturner(Callback):
    """Calls `return_holes` once a minute of training."""

    run_valid = False

    def before_fit(self) -> None:
        self._returned = time.monotonic()

    def after_batch(self) -> None:
        if time.monotonic() - self._returned > _SECONDS_BETWEEN_RETURNS:
            return_holes()
            self._returned = time.monotonic()


def lm_loaders(
    train: Corpus, valid: Corpus, settings: PretrainSettings | LMSettings, backwards: bool
) -> tuple[LMLoader, LMLoader]:
    """Batches for training and validation; `backwards` reverses each document.

    Raises:
        UserError: there are too few tokens for one batch.
    """
    if backwards:
        train, valid = train.reversed(), valid.reversed()
    sizes, part = (settings.batch_size, settings.seq_len), part_of(current())
    return (
        lm_loader(train, *sizes, "train on", shuffle=True, seed=settings.seed, part=part),
        lm_loader(valid, *sizes, "validate on", part=part),
    )


def lm_learner(
    model: Any,
    loaders: tuple[LMLoader, LMLoader],
    settings: PretrainSettings | LMSettings,
    device: torch.device,
    dtype: torch.dtype,
) -> Learner:
    """A fastai `Learner` (`language_model_learner`), ready to be fitted."""
    count, train = current().count, loaders[0]
    callbacks = rnn_cbs(settings.alpha / count, settings.beta / count)
    if count > 1:
        own = torch.arange(train.batch_size)[train.lanes]
        share_rows(model, Rows(own, train.batch_size))
    if settings.clip:
        callbacks.append(GradientClip(settings.clip))
    loss = LMLoss(settings.sampled_softmax)
    return text_learner(model, loaders, loss, lm_groups, device, dtype, *callbacks)


def measured_lm(row: Mapping[str, Any]) -> dict[str, float]:
    """A row of the history in the form of `measure_lm`, which would measure the same."""
    names = {"loss": "valid_loss", "perplexity": "perplexity", "accuracy": "accuracy"}
    return {name: row[column] for name, column in names.items()}


def measured_before(
    model: Any, loader: LMLoader, device: torch.device, dtype: torch.dtype
) -> dict[str, float]:
    """`measure_lm` over the rows of all processes."""
    group = current()
    if group.count == 1:
        return measure_lm(model, loader, device, dtype)
    rows = loader.lanes.stop - loader.lanes.start
    found = measure_lm(model, loader, device, dtype) if rows else {"loss": 0.0, "accuracy": 0.0}
    *both, targets = group.sums(found["loss"] * rows, found["accuracy"] * rows, rows)
    loss, accuracy = (total / targets for total in both)
    return {"loss": loss, "perplexity": math.exp(min(loss, 700.0)), "accuracy": accuracy}


def unigram_entropy(ids: np.ndarray) -> float:
    """Entropy of the token frequencies, in nats: the loss of a model without context."""
    counts = np.bincount(ids)
    shares = counts[counts > 0] / len(ids)
    return float(-(shares * np.log(shares)).sum())


class ClassifierRegularizer(Callback):
    """AR and TAR over the documents' tokens; fastai's `RNNRegularizer` also counts padding."""

    def __init__(self, alpha: float, beta: float) -> None:
        self.alpha, self.beta = alpha, beta

    def after_pred(self) -> None:
        self.learn.pred, self.activation, self.slowness = self.learn.pred

    def after_loss(self) -> None:
        if self.training:
            self.learn.loss_grad += self.alpha * self.activation + self.beta * self.slowness


def classifier_learner(
    model: Any,
    train: Labelled,
    valid: Labelled,
    settings: ClassifierSettings,
    place: Workplace,
    labels: Labels = SINGLE,
) -> Learner:
    """A fastai `Learner` (`text_classifier_learner`), ready to be fitted."""
    part = part_of(current())
    seed, weights = settings.seed, None
    loaders = (
        ClassifierLoader(train.corpus, train.truth, settings.batch_size, True, seed, part=part),
        ClassifierLoader(valid.corpus, valid.truth, part=part),
    )
    if settings.class_weights == "balanced" and not settings.teacher:  # its answers are balanced
        balanced = labels.balanced_weights(train.truth)
        weights = torch.tensor(balanced, dtype=torch.float32).to(place.device)
        if not labels.multi:  # a mean over documents by the weights of their classes
            for loader, truth in zip(loaders, (train.truth, valid.truth), strict=True):
                loader.weights = balanced[truth]
    loss = labels.loss(settings.label_smoothing, weights)
    regularizer = ClassifierRegularizer(settings.alpha, settings.beta)
    return text_learner(
        model, loaders, loss, classifier_groups, place.device, place.dtype, regularizer
    )
