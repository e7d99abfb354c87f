"""Probabilities from a trained classifier: batches of token ids in, a row for each document out."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ulmfit.artifacts.directory import Artifact
from ulmfit.artifacts.trained import load_network
from ulmfit.base.errors import UserError
from ulmfit.base.precision import autocast, default_device, resolve_precision
from ulmfit.base.progress import Progress
from ulmfit.data.labels import SINGLE, Labels
from ulmfit.inference.scoring import training_shares
from ulmfit.text.batches import ClassifierLoader, DocumentBatch
from ulmfit.text.corpus import Corpus, TokenizedTexts, tokenize_texts
from ulmfit.text.ids import Text
from ulmfit.text.known import Known, known_tokens

# Up to so many characters, a second's work, no worker processes tokenise the texts: each would
# start with an empty cache of words, again for every block of a file.
_ALONE = 1 << 22

# A GPU waits for the launch of every time step's kernels, so more rows cost it no time.
_TOKENS_ON_GPU = 4 * ClassifierLoader.tokens

Tell = Callable[[float], object]  # gets a number of finished documents


@torch.no_grad()
def predict_probabilities(
    model: Any,
    corpus: Corpus,
    device: torch.device,
    dtype: torch.dtype,
    tell: Tell | None = None,
    temperature: float = 1.0,
    labels: Labels = SINGLE,
) -> np.ndarray:
    """float32, shape (documents, classes), in the order of `corpus`.

    `temperature` as in `Labels.probabilities`. Without `tell`, progress is shown.
    """
    tell = tell or Progress(len(corpus), "classifying", "texts").advance
    model.eval()

    def probabilities(batch: DocumentBatch) -> Tensor:
        return labels.probabilities(model(batch)[0].float(), temperature)

    return by_document(probabilities, corpus, device, dtype, tell)


@torch.no_grad()
def by_document(
    compute: Callable[[DocumentBatch], Tensor],
    corpus: Corpus,
    device: torch.device,
    dtype: torch.dtype,
    tell: Tell,
) -> np.ndarray:
    """The rows of `compute` for all documents, float32, in the order of `corpus`."""
    tokens = _TOKENS_ON_GPU if device.type == "cuda" else ClassifierLoader.tokens
    loader = ClassifierLoader(corpus, np.zeros(len(corpus)), tokens=tokens)
    parts = []
    for batch, _ in loader:
        with autocast(device, dtype):
            made = compute(batch.to(device))
        parts.append(made.float().cpu().numpy())
        tell(len(parts[-1]))
    by_length = np.concatenate(parts)
    rows = np.empty_like(by_length)
    rows[loader.order] = by_length
    return rows


class LoadedModel:
    """The classifier of a model directory, on its device.

    Models with the same `tokenizer_key` can share the tokens of a text.
    """

    def __init__(self, artifact: Artifact, precision: str = "auto") -> None:
        self.artifact, manifest = artifact, artifact.manifest
        self.device = default_device()
        self.dtype = resolve_precision(precision, self.device)
        self.backwards = manifest.direction == "backward"
        config, classes = manifest.classifier_config, len(manifest.labels)
        self.prior = training_shares(config.prior, classes)
        self.temperature = float(config.temperature or 1)
        self.labels = manifest.labelling
        self.processor = artifact.processor()
        self.tokenizer_key = self.processor.tokenizer_key()
        self.model = load_network(artifact).to(self.device)
        self._lock = threading.Lock()  # the model has the hidden state of one batch at a time

    def tokenize(self, texts: Sequence[Text]) -> TokenizedTexts:
        """The tokens of the texts."""
        alone = sum(len(text) for text in texts if isinstance(text, str)) <= _ALONE
        return tokenize_texts(texts, self.processor, workers=1 if alone else None)

    def known(self, tokenized: TokenizedTexts) -> Known:
        """How many tokens of each text the model knows."""
        return known_tokens(tokenized, self.processor)

    def answer(
        self, texts: Sequence[Text], tokens: dict[str, TokenizedTexts], tell: Tell | None = None
    ) -> tuple[np.ndarray, Known]:
        """Probabilities, float32, shape (texts, classes), and how much of each text is known.

        `tokens` keeps the tokens for models that may share them.
        """
        key = self.tokenizer_key
        if key not in tokens:
            tokens[key] = self.tokenize(texts)
        return self.probabilities(tokens[key], tell), self.known(tokens[key])

    @property
    def precision(self) -> str:
        """The format that products run in: bfloat16 or float32."""
        return str(self.dtype).removeprefix("torch.")

    @property
    def reading(self) -> str:
        """How it reads, for a heading."""
        return self.artifact.manifest.direction

    def lengths(self, texts: Sequence[Text]) -> np.ndarray:
        """Tokens of each text, int64, shape (texts,)."""
        return np.diff(self.tokenize(texts).offsets)

    def corpus(self, tokenized: TokenizedTexts) -> Corpus:
        """The texts as ids, in the order in which the model reads them."""
        corpus = Corpus(self.processor.ids(tokenized.tokens)[tokenized.ids], tokenized.offsets)
        return corpus.reversed() if self.backwards else corpus

    def probabilities(self, tokenized: TokenizedTexts, tell: Tell | None = None) -> np.ndarray:
        """float32, shape (texts, classes).

        Raises UserError if the model computes nan or infinity.
        """
        corpus, place = self.corpus(tokenized), (self.device, self.dtype)
        with self._lock:
            found = predict_probabilities(
                self.model, corpus, *place, tell, self.temperature, self.labels
            )
        if not np.isfinite(found).all():
            raise UserError(
                f"{self.artifact.path} computes nan or infinity instead of probabilities; train or "
                "copy the model again"
            )
        return found
