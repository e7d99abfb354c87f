"""A trained language model: it writes texts and measures how well it predicts others."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ulmfit.artifacts import bundled
from ulmfit.artifacts.directory import Artifact, read_artifact
from ulmfit.base.errors import UserError
from ulmfit.base.precision import default_device, resolve_precision
from ulmfit.inference.perplexity import measure_lm
from ulmfit.inference.sampling import Sampling, generate, load_lm
from ulmfit.inference.scoring import plain_text
from ulmfit.text.batches import lm_loader
from ulmfit.text.corpus import tokenize_texts
from ulmfit.text.ids import is_empty

_ROWS, _SEQ_LEN = 64, 72  # the recipes' batch: texts that a stage held out get the same figure


class LanguageModel:
    """One language model of a model directory, where it computes."""

    def __init__(self, artifact: Artifact, precision: str = "auto") -> None:
        self.artifact = artifact
        self.device = default_device()
        self.dtype = resolve_precision(precision, self.device)
        self.backwards = artifact.manifest.direction == "backward"
        model, self.processor = load_lm(artifact)
        self.model = model.to(self.device)

    @classmethod
    def load(cls, name: str | Path, precision: str = "auto") -> "LanguageModel":
        """The language model of a model directory, or a bundled one by name.

        Args:
            name: a bundled name without -fwd and -bwd means the forward model.
            precision: the format that `measure` and `perplexity` compute in.

        Raises:
            UserError: the directory holds no language model, or a damaged one.
        """
        return cls(read_artifact(Path(bundled.model_folders(name)[0]), "lm"), precision)

    def generate(
        self,
        prompt: str = "",
        n: int = 3,
        words: int = 60,
        sampling: Sampling | None = None,
        seed: int = 42,
    ) -> list[str]:
        """`n` texts that continue `prompt` by `words` tokens each; a backward model leads up to it.

        Args:
            sampling: how the next word is drawn, `ulmfit.inference.sampling.Sampling`.
            seed: the same seed writes the same texts.
        """
        return generate(
            self.model, self.processor, prompt, n, words, sampling, seed, self.backwards
        )

    def perplexity(self, texts: Sequence[str | None]) -> float:
        """Perplexity over all tokens of `texts`, in the model's own vocabulary.

        Perplexities of models with other vocabularies do not compare.
        """
        return self.measure(texts)["perplexity"]

    def measure(self, texts: Sequence[str | None]) -> dict[str, float]:
        """`loss` (nats a token), `perplexity` and `accuracy` over all tokens of `texts`.

        Raises:
            UserError: every text is empty, or the model computes nan or infinity.
        """
        if isinstance(texts, str):
            raise UserError(
                "found one text, expected a list of texts; perplexity([text]) takes one"
            )
        plain = [plain_text(text) for text in texts]
        if all(map(is_empty, plain)):
            raise UserError("found no text to measure on, expected one at least that is not empty")
        tokenized = tokenize_texts(plain, self.processor)
        corpus = tokenized.numericalize(self.processor.vocab, np.arange(len(plain)))
        ordered = corpus.reversed() if self.backwards else corpus
        loader = lm_loader(ordered, _ROWS, _SEQ_LEN, "measure on")
        found = measure_lm(self.model, loader, self.device, self.dtype)
        if not np.isfinite(found["loss"]):
            raise UserError(
                f"{self.artifact.path} computes nan or infinity instead of probabilities; train or "
                "copy the model again"
            )
        return found
