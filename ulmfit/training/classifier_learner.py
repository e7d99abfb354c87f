"""Training a classifier: its loss, its regularisation, its `Learner`."""

from typing import Any

import numpy as np
import torch
from fastai.callback.core import Callback
from fastai.learner import Learner

from ulmfit.data.labels import SINGLE, Labels
from ulmfit.model.build import classifier_groups
from ulmfit.text.batches import ClassifierLoader
from ulmfit.training.classifier_data import Labelled
from ulmfit.training.learner import text_learner
from ulmfit.training.settings import ClassifierSettings
from ulmfit.training.stage import Workplace


class ClassifierRegularizer(Callback):
    """AR and TAR over the documents' tokens (fastai's `RNNRegularizer`, which counts padding)."""

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
    loss = _loss(labels, train.truth, settings, place.device)
    regularizer = ClassifierRegularizer(settings.alpha, settings.beta)
    return text_learner(
        model, loaders, loss, classifier_groups, place.device, place.dtype, regularizer
    )


def _loss(
    labels: Labels, truth: np.ndarray, settings: ClassifierSettings, device: torch.device
) -> Any:
    weights = None
    if settings.class_weights == "balanced" and not settings.teacher:  # its answers are balanced
        weights = torch.tensor(labels.balanced_weights(truth), dtype=torch.float32).to(device)
    return labels.loss(settings.label_smoothing, weights)
