"""Stage 3: a classifier on the fine-tuned encoder, by gradual unfreezing (ULMFiT section 3.3)."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from fastai.callback.core import Callback
from fastai.learner import Learner
from fastai.losses import CrossEntropyLossFlat
from fastai.optimizer import Adam

from ulmfit.artifacts import Artifact, check_output, read_artifact
from ulmfit.checkpoint import checkpoint_path
from ulmfit.cli import run_command, settings_flags
from ulmfit.corpus import Corpus, cache_folder, tokenize_texts
from ulmfit.data import load_data, same_source, without_test_labels
from ulmfit.errors import UserError
from ulmfit.history import History
from ulmfit.inference import predict_probabilities
from ulmfit.learner import MOMENTUM, Autocast, HoleReturner, data_loaders
from ulmfit.loaders import ClassifierLoader
from ulmfit.metrics import classification_metrics
from ulmfit.models import EncoderConfig, build_classifier, classifier_groups, load_encoder
from ulmfit.settings import ClassifierSettings, load_settings
from ulmfit.stage import (
    Finished,
    StageResult,
    Workplace,
    direction,
    fingerprint,
    identity,
    save,
    set_up,
    suffix,
    texts_fingerprint,
)
from ulmfit.text import TextProcessor
from ulmfit.training import Run


class Labelled(NamedTuple):
    """Documents with the numbers of their classes, int64, shape (documents,)."""

    corpus: Corpus
    labels: np.ndarray


@settings_flags(ClassifierSettings)
def main(
    recipe: str = "demo",  # table of stages/stage3_clf.toml
    lm: str | None = None,  # stage 2's directory (default: models/<recipe>/lm-fwd or -bwd)
    out: str | None = None,  # model directory to write (default: models/<recipe>/clf-fwd or -bwd)
    backwards: bool = False,  # read each text from its end
    half: bool = False,  # store the weights in half precision
    overwrite: bool = False,  # replace the model directory, and a checkpoint of another run
    **overrides: Any,
) -> StageResult:
    """Train a classifier on the encoder that stage 2 saved."""
    settings = load_settings(ClassifierSettings, recipe, overrides)
    target = Path(out or Path("models", recipe, f"clf-{suffix(backwards)}"))
    check_output(target, overwrite)
    parent = read_lm(Path(lm or Path("models", recipe, f"lm-{suffix(backwards)}")), backwards)
    processor = parent.processor()
    frame = without_test_labels(load_data(settings.data, **settings.columns(), seed=settings.seed))
    check_lm_texts(parent, frame, settings)
    classes, train, valid = prepare(frame, processor, backwards)
    place = set_up(settings)
    config = EncoderConfig.from_dict(parent.manifest.config, parent.path)
    model = build_classifier(
        config, len(classes), settings.drop_mult, settings.bptt, settings.max_len, settings.hidden
    )
    load_encoder(model, parent.encoder(), parent.path)
    cut = int((train.corpus.lengths > settings.max_len).sum())
    print(
        f"classifier of {', '.join(classes)} from {len(train.labels):,} labelled texts, "
        f"{len(valid.labels):,} held out; {cut:,} are longer than the {settings.max_len:,} tokens "
        "that are pooled"
    )
    trained_on = data_fingerprint(frame)
    run = Run(
        classifier_learner(model, train, valid, settings, place),
        settings.steps,
        checkpoint_path(target),
        identity(settings, backwards, trained_on, parent.manifest_sha256),
        History(print),
        afresh=overwrite,
    )
    history = run.fit()
    probabilities = predict_probabilities(model, valid.corpus, place.device, place.dtype)
    measured = classification_metrics(probabilities, valid.labels)
    result = save(
        Finished(
            kind="classifier",
            model=model,
            config=config,
            processor=processor,
            settings=settings,
            size=parent.manifest.size,
            backwards=backwards,
            data_fingerprint=trained_on,
            history=history,
            metrics={"valid": measured, "train_texts": len(train.labels), "texts_cut": cut},
            parent=parent,
            labels=classes,
            extra_config={"max_len": settings.max_len, "hidden": settings.hidden},
        ),
        target,
        round(place.seconds() + run.spent_before, 1),
        overwrite,
        half,
    )
    run.discard()
    print(f"accuracy {measured['accuracy']:.4f} on {len(valid.labels):,} held-out; wrote {target}")
    return result


def read_lm(path: Path, backwards: bool) -> Artifact:
    """The language model that the classifier starts from.

    Raises:
        UserError: it is missing, damaged, no language model, or reads in the other direction.
    """
    if not path.is_dir():
        raise UserError(
            f"no language model in {path}; write one with python -m ulmfit.stage2_lm"
            f"{' --backwards' if backwards else ''}, or name another with --lm DIR"
        )
    artifact = read_artifact(path, "lm")
    if artifact.manifest.direction != direction(backwards):
        raise UserError(
            f"{path} is a {artifact.manifest.direction} language model, expected a "
            f"{direction(backwards)} one; "
            + ("leave out --backwards" if backwards else "add --backwards")
            + " or name the other model with --lm"
        )
    return artifact


def check_lm_texts(parent: Artifact, frame: pd.DataFrame, settings: ClassifierSettings) -> None:
    """Refuse a language model that read the texts of test though it was to leave them out.

    A model of other texts is welcome; whether some of them are in test is not known then.
    """
    test = frame.loc[frame["split"] == "test", "text"]
    config, recipe = parent.manifest.config, parent.manifest.recipe
    if test.empty or config.get("withheld") == texts_fingerprint(test):
        return
    same_texts = config.get("texts") == texts_fingerprint(frame["text"])
    # The same source with other rows than then: where they were drawn, test is another one, too.
    redrawn = (
        "test" in frame.attrs["drawn"]
        and same_source(settings.data, str(recipe.get("data")))
        and settings.text_col == recipe.get("text_col")
    )
    if not (same_texts or redrawn):
        print(f"{parent.path} was trained on other texts; those of test may be among them")
    elif recipe.get("lm_text") != "all":
        raise UserError(
            f"{parent.path} has read texts that are in test now: the data has changed since, or "
            "was split by another --seed, --label-col or --split-col; run stage 2 again with what "
            "stage 3 is given, or with --lm-text all if test may be read"
        )


def data_fingerprint(frame: pd.DataFrame) -> str:
    """sha256 over the texts and labels that a classifier is trained and validated on."""
    rows = frame[frame["split"].isin(["train", "valid"])]
    return fingerprint(zip(rows["text"], rows["label"], rows["split"], strict=True))


def classes_of(frame: pd.DataFrame) -> list[str]:
    """The classes of train in alphabetical order.

    Raises:
        UserError: there is nothing to validate on.
    """
    classes = sorted(set(frame.loc[frame["split"] == "train", "label"]))
    if not (frame["split"] == "valid").any():
        raise UserError(
            f"found {len(classes):,} classes, each too small to give a row to validate on; check "
            "the column that holds the label (--label-col), or mark valid rows in a split column"
        )
    return classes


def prepare(
    frame: pd.DataFrame, processor: TextProcessor, backwards: bool
) -> tuple[list[str], Labelled, Labelled]:
    """Classes in alphabetical order, and the labelled documents to train and validate on."""
    classes = classes_of(frame)
    tokenized = tokenize_texts(frame["text"], processor, cache_folder())
    splits, labels = frame["split"].to_numpy(), frame["label"]
    numbers = {label: i for i, label in enumerate(classes)}

    def labelled(split: str) -> Labelled:
        rows = np.flatnonzero(splits == split)
        corpus = tokenized.numericalize(processor.vocab, rows)
        truth = np.array([numbers[label] for label in labels.iloc[rows]], dtype=np.int64)
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
    model: Any, train: Labelled, valid: Labelled, settings: ClassifierSettings, place: Workplace
) -> Learner:
    """A fastai `Learner` (`text_classifier_learner`), ready to be fitted."""
    loaders = (
        ClassifierLoader(
            train.corpus, train.labels, settings.batch_size, shuffle=True, seed=settings.seed
        ),
        ClassifierLoader(valid.corpus, valid.labels),
    )
    return Learner(
        data_loaders(*loaders, device=place.device),
        model.to(place.device),
        loss_func=CrossEntropyLossFlat(),
        opt_func=Adam,
        splitter=classifier_groups,
        moms=MOMENTUM,
        cbs=[
            Autocast(place.device, place.dtype),
            HoleReturner(),
            ClassifierRegularizer(settings.alpha, settings.beta),
        ],
    )


if __name__ == "__main__":
    run_command(main)
