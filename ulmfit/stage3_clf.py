"""Stage 3: a classifier on the fine-tuned encoder, by gradual unfreezing (ULMFiT section 3.3)."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from fastai.callback.core import Callback
from fastai.learner import Learner
from fastai.losses import CrossEntropyLossFlat
from fastai.optimizer import Adam

from ulmfit.artifacts.manifest import suffix
from ulmfit.base.cli import run_command, settings_flags
from ulmfit.base.errors import UserError
from ulmfit.base.log import logger
from ulmfit.data.draws import keep_labels
from ulmfit.data.fingerprints import labelled_fingerprint
from ulmfit.data.load import load_data
from ulmfit.data.multi_label import SEPARATOR, all_labels, true_labels
from ulmfit.inference.loaded import predict_probabilities
from ulmfit.inference.metrics import classification_metrics
from ulmfit.model.build import build_classifier, classifier_groups
from ulmfit.model.multi_label_loss import MultiLabelLoss, balanced_weights
from ulmfit.text.batches import ClassifierLoader
from ulmfit.text.corpus import Corpus, cache_folder, tokenize_texts
from ulmfit.training.checkpoint import checkpoint_path
from ulmfit.training.history import History
from ulmfit.training.learner import MOMENTUM, Autocast, HoleReturner, data_loaders, without_waiting
from ulmfit.training.lr_finder import rate_found, show_rate
from ulmfit.training.run import CHECKPOINT_MINUTES, Run, deadline_after
from ulmfit.training.run_log import run_log
from ulmfit.training.schedules import steps_of
from ulmfit.training.settings import ClassifierSettings, load_settings
from ulmfit.training.stage import (
    Finished,
    Options,
    StageResult,
    Workplace,
    identity,
    save,
    set_up,
    writing,
)
from ulmfit.training.start import Start, check_lm_texts, read_start


class Labelled(NamedTuple):
    """Documents with the numbers of their classes, int64, shape (documents,).

    Of a multi-label classifier, which labels apply, bool, shape (documents, classes).
    """

    corpus: Corpus
    labels: np.ndarray


@settings_flags(ClassifierSettings)
def main(
    recipe: str = "demo",  # table of stages/stage3_clf.toml
    lm: str | None = None,  # a language model's directory, a bundled one's name, or none: random
    out: str | None = None,  # model directory to write (default: models/<recipe>/clf-fwd or -bwd)
    backwards: bool = False,  # read each text from its end
    half: bool = False,  # store the weights in half precision
    about: str = "",  # for the model card: what the texts are, and whose
    overwrite: bool = False,  # replace the model directory, and a checkpoint of another run
    find_lr: bool = False,  # train nothing: look for a learning rate, and draw loss against rate
    log: str = "",  # where to follow the training: tensorboard or mlflow
    checkpoint_minutes: float = CHECKPOINT_MINUTES,  # minutes between two checkpoints
    stop_after: float = 0.0,  # seconds after which it saves a checkpoint and ends; 0 for no end
    **overrides: Any,
) -> StageResult:
    """Train a classifier on the encoder that stage 2 saved."""
    options = Options(
        backwards, half, about, overwrite, find_lr, checkpoint_minutes, deadline_after(stop_after)
    )
    settings = load_settings(ClassifierSettings, recipe, overrides)
    target = Path(out or Path("models", recipe, f"clf-{suffix(backwards)}"))
    default_lm = Path("models", recipe, f"lm-{suffix(backwards)}")
    with writing(target, overwrite):
        logged = run_log(log, target, settings, recipe=recipe, backwards=backwards)
        start = read_start(lm, default_lm, backwards, settings)
        return _train(start, settings, target, replace(options, log=logged))


def _train(
    start: Start, settings: ClassifierSettings, target: Path, options: Options
) -> StageResult:
    frame = load_data(
        settings.data,
        **settings.columns(),
        seed=settings.seed,
        texts_required=False,
        multi_label=settings.multi_label,
    )
    if start.parent:
        check_lm_texts(start.parent, frame, settings)
    frame = keep_labels(frame, settings.labels, settings.seed, settings.multi_label)
    classes, train, valid = prepare(frame, start, settings, options.backwards)
    place = set_up(settings)
    config = start.config()
    model = build_classifier(
        config, len(classes), settings.drop_mult, settings.bptt, settings.max_len, settings.hidden
    )
    start.load_into(model)
    cut = int((train.corpus.lengths > settings.max_len).sum())
    logger.info(
        f"classifier of {', '.join(classes)} from {len(train.labels):,} labelled texts, "
        f"{len(valid.labels):,} held out; {cut:,} are longer than the {settings.max_len:,} tokens "
        "that are pooled"
    )
    trained_on = labelled_fingerprint(frame)
    learner = classifier_learner(model, train, valid, settings, place, classes)
    found = rate_found(learner, settings, options.find_lr)
    if found and options.find_lr:
        return show_rate(found, target)
    run = Run(
        learner,
        steps_of(settings, found.suggestion if found else None),
        checkpoint_path(target),
        identity(settings, options.backwards, trained_on, start.parent_hash),
        History(),
        minutes=options.checkpoint_minutes,
        afresh=options.overwrite,
        patience=settings.patience,
        schedule=settings.schedule,
        log=options.log,
        deadline=options.deadline,
    )
    history = run.fit()
    probabilities = predict_probabilities(
        model, valid.corpus, place.device, place.dtype, multi_label=settings.multi_label
    )
    measured = classification_metrics(probabilities, valid.labels)
    result = save(
        Finished(
            kind="classifier",
            model=model,
            config=config,
            processor=start.processor,
            settings=settings,
            size=start.size,
            data_fingerprint=trained_on,
            history=history,
            metrics={"valid": measured, "train_texts": len(train.labels), "texts_cut": cut},
            parent=start.parent,
            labels=classes,
            extra_config={
                "max_len": settings.max_len,
                "hidden": settings.hidden,
                "prior": _prior(train.labels),
                **({"multi_label": True} if settings.multi_label else {}),
            },
        ),
        target,
        round(place.seconds() + run.spent_before, 1),
        options,
    )
    run.log_finals(result.metrics)
    run.discard()
    figures = f"accuracy {measured['accuracy']:.4f}"
    if settings.multi_label:
        figures = (
            f"micro F1 {measured['f1_micro']:.4f}, all labels right {measured['accuracy']:.4f}"
        )
    logger.info(f"{figures} on {len(valid.labels):,} held-out; wrote {target}")
    return result


def _prior(labels: np.ndarray) -> list[float]:
    """The share of the documents that each class has."""
    if labels.ndim == 2:
        return labels.mean(0).tolist()
    return (np.bincount(labels) / len(labels)).tolist()


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
        logger.info(
            f"{joint:,} of {len(classes):,} classes have a {SEPARATOR} in their name; where it "
            "separates labels of one text, pass --multi-label"
        )

    def labelled(split: str) -> Labelled:
        rows = np.flatnonzero(splits == split)
        corpus = tokenized.numericalize(processor.vocab, rows)
        truth = true_labels(labels.iloc[rows], classes, settings.multi_label)
        return Labelled(corpus.reversed() if backwards else corpus, truth)

    return classes, labelled("train"), labelled("valid")


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
    learner = Learner(
        data_loaders(*loaders, device=place.device),
        model.to(place.device),
        loss_func=_loss(train.labels, settings, place.device, classes),
        opt_func=Adam,
        splitter=classifier_groups,
        moms=MOMENTUM,
        cbs=[
            Autocast(place.device, place.dtype),
            HoleReturner(),
            ClassifierRegularizer(settings.alpha, settings.beta),
        ],
    )
    return without_waiting(learner, place.device)


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


if __name__ == "__main__":
    run_command(main)
