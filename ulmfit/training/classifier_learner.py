"""Training a classifier: its loss, its regularisation, its `Learner`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from fastai.callback.core import Callback
from fastai.learner import Learner
from fastai.losses import CrossEntropyLossFlat

from ulmfit.model.build import classifier_groups
from ulmfit.model.multi_label_loss import MultiLabelLoss, balanced_weights
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
    classes: Sequence[str] = (),
) -> Learner:
    """A fastai `Learner` (`text_classifier_learner`), ready to be fitted.

    `classes`: names for messages, needed where class weights of a multi-label classifier are.
    """
    loaders = (
        ClassifierLoader(
            train.corpus, train.labels, settings.batch_size, shuffle=True, seed=settings.seed
        ),
        ClassifierLoader(valid.corpus, valid.labels),
    )
    loss = _loss(train.labels, settings, place.device, classes)
    regularizer = ClassifierRegularizer(settings.alpha, settings.beta)
    return text_learner(
        model, loaders, loss, classifier_groups, place.device, place.dtype, regularizer
    )


def _loss(
    labels: np.ndarray, settings: ClassifierSettings, device: torch.device, classes: Sequence[str]
) -> Any:
    """Cross-entropy; balanced weights are scikit-learn's, documents / (classes * of the class).

    Of a multi-label classifier, binary cross-entropy; see `balanced_weights`.
    """
    weight = None
    if settings.multi_label:
        if settings.class_weights == "balanced":
            weight = balanced_weights(labels, classes).to(device)
        return MultiLabelLoss(settings.label_smoothing, weight)
    if settings.class_weights == "balanced":
        counts = np.bincount(labels)
        weight = torch.tensor(len(labels) / (len(counts) * counts), dtype=torch.float32)
        weight = weight.to(device)
    return CrossEntropyLossFlat(weight=weight, label_smoothing=settings.label_smoothing)
