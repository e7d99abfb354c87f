"""Stage 2: fine-tune the language model on in-domain text (ULMFiT section 3.2)."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ulmfit.base.cli import run_command
from ulmfit.base.errors import UserError
from ulmfit.base.imports import importing
from ulmfit.base.log import logger
from ulmfit.base.printable import visible
from ulmfit.training.options import StageResult, options_and_settings, stage_flags
from ulmfit.training.settings import LMSettings

if TYPE_CHECKING:
    from fastai.learner import Learner

    from ulmfit.training.run import Run
    from ulmfit.training.stage import Built, Workplace


@stage_flags(LMSettings, out="model directory to write (default: models/<recipe>/lm-fwd or -bwd)")
def main(**given: Any) -> StageResult:
    """Adapt a language model to the texts of --data, and let it write sample texts."""
    options, settings = options_and_settings(LMSettings, given)
    named = given.get("tokenizer")
    if named and settings.pretrained != "none":
        raise UserError(
            f"found --tokenizer {named} with the model {settings.pretrained}, which has one of its "
            "own; leave it out, or give --pretrained none"
        )
    with importing():
        from ulmfit.training.stage import run_stage

    stage = DomainTuning(settings, options.backwards, named)
    return run_stage(stage, options, Path(options.out or options.folder("lm")))


@dataclass
class DomainTuning:
    """A pretrained language model with the vocabulary of the domain.

    tokenizer: the flag.
    """

    settings: LMSettings
    backwards: bool
    tokenizer: str | None = None

    def read(self) -> None:
        """Read the texts, choose the settings that fit them, and read the pretrained model."""
        from ulmfit.artifacts.pretrained import NONE, load_pretrained
        from ulmfit.training.domain_lm import read_frame
        from ulmfit.training.general_lm import with_tokenizer

        self.frame = read_frame(self.settings)
        texts, backwards = self.frame["text"], self.backwards
        if self.settings.pretrained == NONE:
            self.settings = with_tokenizer(self.settings, texts, self.tokenizer)
        self.pretrained = load_pretrained(self.settings.pretrained, backwards, self.settings.size)

    def build(self, place: "Workplace") -> "tuple[Learner, Built]":
        """Choose the vocabulary, and copy the pretrained rows of the embedding for its words."""
        from ulmfit.artifacts.config import LMConfig
        from ulmfit.data.fingerprints import texts_fingerprint
        from ulmfit.model.transfer import vocabulary_overlap
        from ulmfit.training import domain_lm
        from ulmfit.training.learner import lm_learner, lm_loaders
        from ulmfit.training.stage import Built

        settings, pretrained = self.settings, self.pretrained
        processor, train, valid = domain_lm.prepare(self.frame, pretrained.processor, settings)
        model, config = domain_lm.adapt(pretrained, processor, settings)
        loaders = lm_loaders(train, valid, settings, self.backwards)
        known = vocabulary_overlap(pretrained.processor.vocab, processor.vocab)
        about = f"{len(processor.vocab):,} in the vocabulary"
        if pretrained.encoder:
            about = f"{known:,} of {len(processor.vocab):,} words known to {settings.pretrained}"
        logger.info(f"language model of {len(train):,} texts, {len(train.ids):,} tokens; {about}")
        if settings.lm_text == "all":
            logger.info(
                "--lm-text all: the model also reads the texts of test, without their labels"
            )
        self.processor, self.held_out = processor, len(valid)
        self.counts = {
            "train_tokens": len(train.ids),
            "valid_tokens": len(valid.ids),
            "known_words": known,
        }
        learner = lm_learner(model, loaders, settings, place.device, place.dtype)
        return learner, Built(
            model=model,
            # Stage 3 checks whether the model has read the texts of its test split.
            config=LMConfig(
                config,
                texts=texts_fingerprint(self.frame["text"]),
                withheld=domain_lm.fingerprints_of_unread(self.frame, settings),
            ),
            processor=processor,
            size=pretrained.size,
            data_fingerprint=domain_lm.data_fingerprint(self.frame, settings.lm_text),
            tokens=domain_lm.tokens_fingerprint(train, valid),
            parent=pretrained.artifact,
        )

    def train(self, run: "Run", place: "Workplace") -> tuple[dict[str, Any], str]:
        """Train, measure before and after, and write samples."""
        from ulmfit.base.processes import current
        from ulmfit.inference.sampling import generate
        from ulmfit.training.learner import measured_before, measured_lm

        model, settings = run.learn.model, self.settings
        before = measured_before(model, run.learn.dls.valid, place.device, place.dtype)
        logger.info(
            f"perplexity before: {before['perplexity']:.1f} on {self.held_out:,} held-out texts"
        )
        run.fit()
        if not current().first:
            return {}, ""
        after = measured_lm(run.final_row())
        logger.info(f"perplexity after:  {after['perplexity']:.1f}")
        samples = []
        if settings.samples:
            samples = generate(
                model,
                self.processor,
                n=settings.samples,
                seed=settings.seed,
                backwards=self.backwards,
            )
            logger.info("texts that the model wrote:")
            for sample in samples:
                logger.info(f"  - {visible(' '.join(sample.split()))}")
        return {"before": before, "after": after, **self.counts, "samples": samples}, ""


if __name__ == "__main__":
    run_command(main)
