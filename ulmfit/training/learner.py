"""What every fastai `Learner` of the project has: loaders on its device, precision, memory."""

import time
from collections.abc import Callable
from typing import Any

import torch
from fastai.callback.core import Callback
from fastai.data.core import DataLoaders
from fastai.learner import Learner, Recorder
from fastai.optimizer import Adam

from ulmfit.base.precision import autocast, return_holes
from ulmfit.text.batches import ClassifierLoader, LMLoader

# fastai's momentum for text (`TextLearner`); ULMFiT trains with Adam, beta1 0.7 (section 4.1).
MOMENTUM = (0.8, 0.7, 0.8)

_SECONDS_BETWEEN_RETURNS = 60.0


def text_learner(
    model: Any,
    loaders: tuple[LMLoader, LMLoader] | tuple[ClassifierLoader, ClassifierLoader],
    loss: Any,
    groups: Callable[[Any], Any],
    device: torch.device,
    dtype: torch.dtype,
    *callbacks: Callback,
) -> Learner:
    """A fastai `Learner` over the two loaders, ready to be fitted; `groups` splits the layers."""
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
    """fastai's `DataLoaders` over the two, for a `Learner`; their batches come on `device`."""
    train.device = valid.device = torch.device(device)
    loaders = DataLoaders(train, valid)
    # `DataLoaders(device=...)` is ignored for loaders without `to`; a `Learner` would then move
    # the model to fastai's own choice, Apple's GPU for one.
    loaders._device = train.device
    return loaders


def without_waiting(learner: Learner, device: torch.device) -> Learner:
    """`learner`; on a GPU without fastai's `Recorder`, which waits for the loss of every batch.

    What it records is in `history`, which does not.
    """
    if device.type == "cuda":
        learner.remove_cb(Recorder)
    return learner


def number_format(learner: Learner) -> str:
    """The name of the format that products of the training run in: bfloat16 or float32."""
    return str(learner.autocast.dtype).removeprefix("torch.")


class Autocast(Callback):
    """Forward pass and loss under autocast (fastai's `MixedPrecision` knows CUDA only).

    bfloat16 has float32's range, so that no gradient scaling is needed.
    """

    order = -5

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype
        self._context: Any = None

    def before_batch(self) -> None:
        self._context = autocast(self.device, self.dtype)
        self._context.__enter__()

    def after_loss(self) -> None:
        self._leave()

    def after_cancel_batch(self) -> None:
        self._leave()

    def after_fit(self) -> None:
        self._leave()

    def _leave(self) -> None:
        if self._context is not None:
            self._context.__exit__(None, None, None)
            self._context = None


class HoleReturner(Callback):
    """Calls `return_holes` once a minute of training."""

    run_valid = False

    def before_fit(self) -> None:
        self._returned = time.monotonic()

    def after_batch(self) -> None:
        if time.monotonic() - self._returned > _SECONDS_BETWEEN_RETURNS:
            return_holes()
            self._returned = time.monotonic()
