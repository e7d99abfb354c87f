"""A trained language model: writes texts, measures how well it predicts texts, embeds texts."""

import math
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ulmfit.artifacts import bundled
from ulmfit.artifacts.directory import Artifact, read_artifact
from ulmfit.artifacts.trained import load_network
from ulmfit.base.errors import UserError
from ulmfit.base.precision import autocast, default_device, resolve_precision
from ulmfit.base.progress import Progress, progress
from ulmfit.inference.loaded import by_document
from ulmfit.inference.sampling import Sampling, generate
from ulmfit.model.build import encoder_of
from ulmfit.model.lm_loss import LMLoss
from ulmfit.model.pooling import DocumentEncoder
from ulmfit.text.batches import LMLoader, lm_loader
from ulmfit.text.corpus import Corpus, tokenize_texts
from ulmfit.text.given import each_text
from ulmfit.text.ids import is_empty

_ROWS, _SEQ_LEN = 64, 72  # as in the recipes, for the same figures as in a stage


class LanguageModel:
    """The language model of a model directory, on its device."""

    def __init__(self, artifact: Artifact, precision: str = "auto") -> None:
        self.artifact = artifact
        self.device = default_device()
        self.dtype = resolve_precision(precision, self.device)
        self.backwards = artifact.manifest.direction == "backward"
        self.processor = artifact.processor()
        self.model = load_network(artifact).to(self.device)

    @classmethod
    def load(cls, name: str | Path, precision: str = "auto") -> "LanguageModel":
        """The language model of a model directory, or a bundled one by name.

        Args:
            name: a bundled name without -fwd and -bwd means the forward model.
            precision: number format of `generate`, `measure`, `perplexity` and `embed`.

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
        """`n` texts that continue `prompt` by `words` tokens, or that end with it (backward).

        Args:
            sampling: `ulmfit.inference.sampling.Sampling`.
            seed: the same seed gives the same texts, in the same number format.
        """
        if not isinstance(prompt, str):
            raise UserError(
                f"found {type(prompt).__name__}, expected one text; generate(prompt) takes a string"
            )
        with autocast(self.device, self.dtype):
            return generate(
                self.model, self.processor, prompt, n, words, sampling, seed, self.backwards
            )

    def perplexity(self, texts: Iterable[str | None]) -> float:
        """Perplexity over all tokens of `texts`.

        Compare it only between models with the same vocabulary.
        """
        return self.measure(list(each_text(texts, "perplexity")))["perplexity"]

    def measure(self, texts: Iterable[str | None]) -> dict[str, float]:
        """`loss` (nats a token), `perplexity` and `accuracy` over all tokens of `texts`.

        Raises UserError if every text is empty, or the model computes nan or infinity.
        """
        plain = list(each_text(texts, "measure"))
        if all(map(is_empty, plain)):
            raise UserError("found no text to measure on, expected at least one that is not empty")
        loader = lm_loader(self._corpus(plain), _ROWS, _SEQ_LEN, "measure on")
        found = measure_lm(self.model, loader, self.device, self.dtype)
        self._check_finite(found["loss"], "probabilities")
        return found

    @torch.no_grad()
    def embed(self, texts: Iterable[str | None]) -> np.ndarray:
        """One row of features a text: float32, shape (texts, 3 x embedding size).

        They are the outputs of the encoder's last layer at the last token, their maximum and their
        mean over all tokens, in this order. A backward model's last token is the text's first.
        With `precision="float32"`, a text has the same row alone and among others (to 1e-4). An
        empty text has the row of ``xxbos`` alone.

        Raises UserError if `texts` is no sequence of texts, or the model computes nan or infinity.
        """
        plain = list(each_text(texts, "embed"))
        encoder = DocumentEncoder(encoder_of(self.model), _SEQ_LEN, max_len=sys.maxsize).eval()
        if not plain:
            return np.zeros((0, 3 * self.artifact.manifest.network.encoder.emb_sz), np.float32)
        tell = Progress(len(plain), "embedding", "texts").advance
        corpus = self._corpus(plain)
        found = by_document(
            lambda batch: encoder(batch).features, corpus, self.device, self.dtype, tell
        )
        encoder.reset()
        self._check_finite(found, "features")
        return found

    def _corpus(self, texts: list[str]) -> Corpus:
        """The texts as ids, in the order in which the model reads them."""
        tokenized = tokenize_texts(texts, self.processor)
        corpus = tokenized.numericalize(self.processor.vocab, np.arange(len(texts)))
        return corpus.reversed() if self.backwards else corpus

    def _check_finite(self, found: np.ndarray | float, expected: str) -> None:
        if not np.isfinite(found).all():
            raise UserError(
                f"{self.artifact.path} computes nan or infinity instead of {expected}; train or "
                "copy the model again"
            )


@torch.no_grad()
def measure_lm(
    model: Any, loader: LMLoader, device: torch.device, dtype: torch.dtype
) -> dict[str, float]:
    """Loss (nats a token), perplexity and accuracy over all targets of `loader`."""
    loss_func, total, correct, targets = LMLoss(), 0.0, 0, 0
    model.eval()
    model.reset()
    for inputs, expected in progress(loader, len(loader), "measuring perplexity"):
        with autocast(device, dtype):
            prediction = model(inputs.to(device))[0]
            loss = float(loss_func(prediction, expected.to(device)))
        total += loss * expected.numel()
        correct += loss_func.correct
        targets += expected.numel()
    mean = total / targets
    return {"loss": mean, "perplexity": math.exp(min(mean, 700.0)), "accuracy": correct / targets}
