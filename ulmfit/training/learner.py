"""fastai's `Learner`s of language models and classifiers: loaders, losses, device, memory."""

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
from fastai.optimizer import Adam

from ulmfit.base.precision import autocast, return_holes
from ulmfit.data.labels import SINGLE, Labels
from ulmfit.model.build import classifier_groups, lm_groups
from ulmfit.model.lm_loss import LMLoss
from ulmfit.text.batches import ClassifierLoader, LMLoader, lm_loader
from ulmfit.text.corpus import Corpus
from ulmfit.training.classifier_data import Labelled
from ulmfit.training.settings import ClassifierSettings, LMSettings, PretrainSettings

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
    learner = Learner(
        data_loaders(loaders[0], loaders[1], device),
        model.to(device),
        loss_func=loss,
        opt_func=Adam,
        splitter=groups,
        moms=MOMENTUM,
        cbs=[Autocast(device, dtype), HoleReturner(), *callbacks],
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

    `History` records the same without waiting.
    """
    if device.type == "cuda":
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

    after_cancel_batch = after_fit = after_loss


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
    """A fastai `Learner` (`language_model_learner`), ready to be fitted."""
    callbacks = rnn_cbs(settings.alpha, settings.beta)
    if settings.clip:
        callbacks.append(GradientClip(settings.clip))
    loss = LMLoss(settings.sampled_softmax)
    return text_learner(model, loaders, loss, lm_groups, device, dtype, *callbacks)


def measured_lm(row: Mapping[str, Any]) -> dict[str, float]:
    """A row of the history in the form of `measure_lm`, which would measure the same."""
    names = {"loss": "valid_loss", "perplexity": "perplexity", "accuracy": "accuracy"}
    return {name: row[column] for name, column in names.items()}


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
    loaders = (
        ClassifierLoader(
            train.corpus, train.truth, settings.batch_size, shuffle=True, seed=settings.seed
        ),
        ClassifierLoader(valid.corpus, valid.truth),
    )
    weights = None
    if settings.class_weights == "balanced" and not settings.teacher:  # its answers are balanced
        balanced = labels.balanced_weights(train.truth)
        weights = torch.tensor(balanced, dtype=torch.float32).to(place.device)
    loss = labels.loss(settings.label_smoothing, weights)
    regularizer = ClassifierRegularizer(settings.alpha, settings.beta)
    return text_learner(
        model, loaders, loss, classifier_groups, place.device, place.dtype, regularizer
    )
