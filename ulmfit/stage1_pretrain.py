"""Stage 1: pretrain an AWD-LSTM language model on general text (ULMFiT section 3.1)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from ulmfit.base.cli import run_command
from ulmfit.base.errors import UserError
from ulmfit.base.imports import importing
from ulmfit.base.log import logger
from ulmfit.training.options import StageResult, options_and_settings, stage_flags
from ulmfit.training.settings import PretrainSettings

if TYPE_CHECKING:
    from fastai.learner import Learner

    from ulmfit.training.run import Run
    from ulmfit.training.stage import Built, Workplace

# A final loss above this share of the unigram entropy: only word frequencies were learned.
_STUCK = 0.97


@stage_flags(PretrainSettings, backwards="read each document from its end")
def main(
    corpus: Annotated[str, {"nargs": "+"}] = "",  # table files or folders of .txt files
    text_col: str = "text",  # column of the texts
    **given: Any,
) -> StageResult:
    """Pretrain a language model on general text and write it as a model directory."""
    options, settings = options_and_settings(PretrainSettings, given)
    if not corpus or options.out is None:
        raise UserError("both --corpus PATH and --out DIR are needed; --help explains them")
    with importing():
        from ulmfit.training.stage import run_stage

    paths = [Path(path) for path in ([corpus] if isinstance(corpus, (str, Path)) else corpus)]
    stage = Pretraining(paths, text_col, settings, options.backwards, given.get("tokenizer"))
    return run_stage(stage, options, Path(options.out))


@dataclass
class Pretraining:
    """A language model with random weights, over a vocabulary of its own."""

    corpora: Sequence[Path]
    text_col: str
    settings: PretrainSettings
    backwards: bool
    tokenizer: str | None = None  # as it was given

    def read(self) -> None:
        """Read the documents, which decide on the tokenizer if nobody else does."""
        from ulmfit.data.corpora import read_corpora
        from ulmfit.training.general_lm import with_tokenizer

        self.texts = read_corpora(self.corpora, self.text_col, self.settings.dialect)
        self.settings = with_tokenizer(self.settings, self.texts, self.tokenizer)

    def build(self, place: "Workplace") -> "tuple[Learner, Built]":
        """Choose the vocabulary, hold out documents, make the model."""
        from ulmfit.artifacts.config import LMConfig
        from ulmfit.data.fingerprints import fingerprint, texts_fingerprint
        from ulmfit.model.build import build_lm
        from ulmfit.model.sizes import encoder_config
        from ulmfit.training.general_lm import prepare
        from ulmfit.training.learner import lm_learner, lm_loaders, unigram_entropy
        from ulmfit.training.run import parameters_of
        from ulmfit.training.stage import Built

        settings = self.settings
        processor, train, valid = prepare(self.texts, settings)
        config = encoder_config(settings.size, len(processor.vocab))
        model = build_lm(config, settings.drop_mult, settings.embedding_range)
        loaders = lm_loaders(train, valid, settings, self.backwards)
        self.entropy = unigram_entropy(train.ids)
        self.tokens = {"train_tokens": len(train.ids), "valid_tokens": len(valid.ids)}
        logger.info(
            f"pretraining {settings.size} ({parameters_of(model) / 1e6:.1f} million parameters) on "
            f"{len(train.ids):,} tokens, {len(processor.vocab):,} in the vocabulary, "
            f"unigram entropy {self.entropy:.2f}, {place.device}, {place.dtype}"
        )
        learner = lm_learner(model, loaders, settings, place.device, place.dtype)
        return learner, Built(
            model=model,
            config=LMConfig(config, corpus=texts_fingerprint(self.texts)),
            processor=processor,
            size=settings.size,
            data_fingerprint=fingerprint([train.ids, valid.ids]),
        )

    def train(self, run: "Run", place: "Workplace") -> tuple[dict[str, Any], str]:
        """Train; warn if the model learned only word frequencies."""
        from ulmfit.base.processes import current
        from ulmfit.training.learner import measured_lm

        run.fit()
        if not current().first:
            return {}, ""
        measured, entropy = measured_lm(run.final_row()), self.entropy
        if measured["loss"] > _STUCK * entropy:
            logger.info(
                f"warning: the loss {measured['loss']:.2f} is near the unigram entropy "
                f"{entropy:.2f}: the model learned only word frequencies; train longer, or widen "
                "--embedding-range"
            )
        metrics = {"valid": measured, "unigram_entropy": entropy, **self.tokens}
        return metrics, f"perplexity {measured['perplexity']:.1f} on held-out documents; "


if __name__ == "__main__":
    run_command(main)
