"""Stage 3: a classifier on the fine-tuned encoder, by gradual unfreezing (ULMFiT section 3.3)."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ulmfit.base.cli import run_command
from ulmfit.base.errors import UserError
from ulmfit.base.imports import importing
from ulmfit.base.log import logger
from ulmfit.training.options import Options, StageResult, options_and_settings, stage_flags
from ulmfit.training.settings import ClassifierSettings, data_spec

if TYPE_CHECKING:
    from fastai.learner import Learner

    from ulmfit.training.run import Run
    from ulmfit.training.stage import Built, Workplace


@stage_flags(
    ClassifierSettings, out="model directory to write (default: models/<recipe>/clf-fwd or -bwd)"
)
def main(
    lm: str | None = None,  # a language model or a classifier: directory, bundled name, or none
    **given: Any,
) -> StageResult:
    """Train a classifier on the encoder of stage 2."""
    options, settings = options_and_settings(ClassifierSettings, given)
    with importing():
        from ulmfit.training.stage import run_stage

    stage = ClassifierTraining(lm, settings, options)
    return run_stage(stage, options, Path(options.out or options.folder("clf")))


@dataclass
class ClassifierTraining:
    """A classifier on the encoder of a language model."""

    lm: str | None
    settings: ClassifierSettings
    options: Options

    def read(self) -> None:
        """Read the language model and the labelled texts."""
        from ulmfit.data.label_checks import tell_remarks
        from ulmfit.data.load import load_data
        from ulmfit.data.splits import keep_labels, with_valid_learnt
        from ulmfit.training.classifier_data import prepare
        from ulmfit.training.start import check_lm_texts, read_start
        from ulmfit.training.teaching import teacher_sha256

        settings, backwards = self.settings, self.options.backwards
        _check_measured(settings)
        self.start = read_start(self.lm, self.options.folder("lm"), backwards, settings)
        spec = data_spec(settings)
        frame = load_data(spec, texts_required=False)
        tell_remarks(frame, spec.labels)
        if self.start.parent:
            check_lm_texts(self.start.parent, frame, settings)
        self.frame = keep_labels(frame, settings.labels, settings.seed, spec.labels)
        prepared = prepare(self.frame, self.start, settings, backwards)
        self.labels, self.labelled, self.held_out = prepared
        if settings.all_labels:
            self.frame = with_valid_learnt(self.frame)
        self.teacher = teacher_sha256(settings.teacher) if settings.teacher else ""

    def build(self, place: "Workplace") -> "tuple[Learner, Built]":
        """Put the head on the encoder."""
        from ulmfit.artifacts.config import ClassifierConfig
        from ulmfit.artifacts.seen import seen_file
        from ulmfit.data.fingerprints import fingerprint, labelled_fingerprint
        from ulmfit.model.build import build_classifier
        from ulmfit.training.learner import classifier_learner
        from ulmfit.training.stage import Built
        from ulmfit.training.teaching import taught_texts

        settings, start, train, valid = self.settings, self.start, self.labelled, self.held_out
        labels = self.labels
        config = start.config()
        head: dict[str, Any] = {"max_len": settings.max_len, "hidden": settings.hidden}
        model = build_classifier(
            config, len(labels.classes), settings.drop_mult, settings.bptt, **head
        )
        start.load_into(model, labels, settings)
        self.cut = int((train.corpus.lengths > settings.max_len).sum())
        longer = f"; {self.cut:,} are longer than the {settings.max_len:,} tokens that are pooled"
        logger.info(
            f"classifier of {', '.join(labels.classes)} from {len(train.truth):,} labelled texts, "
            f"{len(valid.truth):,} held out{longer if self.cut else ''}"
        )
        learner = classifier_learner(model, train, valid, settings, place, labels)
        return learner, Built(
            model=model,
            config=ClassifierConfig(
                config, **head, prior=labels.prior(train.truth).tolist(), multi_label=labels.multi
            ),
            processor=start.processor,
            size=start.size,
            data_fingerprint=labelled_fingerprint(self.frame),
            tokens=fingerprint([train.truth]) if settings.teacher else "",
            parent=start.parent,
            labels=list(labels.classes),
            seen=seen_file(self.frame, start.seen(), taught_texts(self.frame, settings)),
        )

    def train(self, run: "Run", place: "Workplace") -> tuple[dict[str, Any], str]:
        """Train, and measure on the held-out texts."""
        from ulmfit.base.processes import current
        from ulmfit.inference.loaded import predict_probabilities
        from ulmfit.inference.metrics import classification_metrics

        run.fit()
        if not current().first:
            return {}, ""
        train, valid, labels = self.labelled, self.held_out, self.labels
        metrics: dict[str, Any] = {"train_texts": len(train.truth), "texts_cut": self.cut}
        if self.settings.teacher:
            metrics["teacher"] = self.teacher
        if self.settings.all_labels:
            return metrics, ""
        probabilities = predict_probabilities(
            run.learn.model, valid.corpus, place.device, place.dtype, labels=labels
        )
        measured = classification_metrics(probabilities, valid.truth, labels)
        metrics["valid"] = measured
        figures = f"accuracy {(right := measured['accuracy']):.4f}"
        if labels.multi:
            figures = f"micro F1 {measured['f1_micro']:.4f}, all labels right {right:.4f}"
        return metrics, f"{figures} on {len(valid.truth):,} held-out; "


def _check_measured(settings: ClassifierSettings) -> None:
    if settings.all_labels and settings.patience:
        raise UserError(
            f"found --all-labels with --patience {settings.patience}, expected one of them: with "
            "all labels in the training, no text is left to measure an epoch on"
        )


if __name__ == "__main__":
    run_command(main)
