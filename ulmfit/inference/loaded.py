"""Probabilities from trained classifiers: batches of token ids in, one row a document out."""

import math
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ulmfit.artifacts.directory import Artifact
from ulmfit.artifacts.trained import trained_config
from ulmfit.base.errors import UserError
from ulmfit.base.precision import autocast, default_device, resolve_precision
from ulmfit.base.progress import Progress
from ulmfit.data.multi_label import multi_label_of
from ulmfit.inference.calibration import temperature_of
from ulmfit.model.build import SequentialRNN, build_classifier
from ulmfit.model.pooling import to_probabilities
from ulmfit.model.sizes import config_numbers
from ulmfit.model.transfer import load_encoder, load_head
from ulmfit.text.batches import ClassifierLoader, DocumentBatch
from ulmfit.text.corpus import Corpus, TokenizedTexts, tokenize_texts
from ulmfit.text.ids import Text

# Longer chunks than in training: no gradients are kept, and each chunk has a price of its own.
_BPTT = 128

# Characters up to which no processes are started to tokenise texts, a second's work: each would
# learn for itself, and anew for every block of a file, how words are cut that this one knows.
_ALONE = 1 << 22

Tell = Callable[[float], object]  # called with the number of documents that were done


@torch.no_grad()
def predict_probabilities(
    model: Any,
    corpus: Corpus,
    device: torch.device,
    dtype: torch.dtype,
    tell: Tell | None = None,
    temperature: float = 1.0,
    multi_label: bool = False,
) -> np.ndarray:
    """float32, shape (documents, classes), in the order of `corpus`.

    `temperature` and `multi_label` as in `classifier.to_probabilities`. Without `tell`, a long
    computation shows its progress.
    """
    tell = tell or Progress(len(corpus), "classifying", "texts").advance
    model.eval()

    def probabilities(batch: DocumentBatch) -> Tensor:
        return to_probabilities(model(batch)[0].float(), temperature, multi_label)

    return by_document(probabilities, corpus, device, dtype, tell)


@torch.no_grad()
def by_document(
    compute: Callable[[DocumentBatch], Tensor],
    corpus: Corpus,
    device: torch.device,
    dtype: torch.dtype,
    tell: Tell,
) -> np.ndarray:
    """What `compute` makes of batches, one row a document, float32, in the order of `corpus`."""
    loader = ClassifierLoader(corpus, np.zeros(len(corpus)))
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


def load_classifier(artifact: Artifact) -> SequentialRNN:
    """The classifier of a model directory, on the CPU."""
    config, path = artifact.manifest.config, artifact.path
    model = build_classifier(
        trained_config(artifact),
        len(artifact.manifest.labels),
        bptt=_BPTT,
        **config_numbers(config, ["max_len", "hidden"], path),
    )
    load_encoder(model, artifact.encoder(), path)
    load_head(model, artifact.head(), path)
    return model


def class_prior(artifact: Artifact) -> np.ndarray:
    """How often each class occurred in training, float32, shape (classes,); even if unknown.

    Raises:
        UserError: the manifest has a prior that is none, or of a multi-label classifier none.
    """
    classes, config = len(artifact.manifest.labels), artifact.manifest.config
    several = multi_label_of(config, artifact.path)
    found = config.get("prior", [] if several else [1 / classes] * classes)
    shares = isinstance(found, list) and all(
        type(p) in (int, float) and 0 <= p <= 1 + 1e-6 for p in found
    )
    sums = several or (shares and math.isclose(sum(found), 1, rel_tol=1e-6))
    if not shares or len(found) != classes or not sums:
        expected = "shares from 0 to 1" if several else "shares that sum to 1"
        raise UserError(
            f"{artifact.path}: found the prior {str(found)[:60]} in the manifest's config, "
            f"expected {classes} {expected}; copy or train the model again"
        )
    return np.array(found, np.float32)


class LoadedModel:
    """One classifier of a model directory, where it computes.

    `tokenizer_key` is the same for models that may share the tokens of a text.
    """

    def __init__(self, artifact: Artifact, precision: str = "auto") -> None:
        self.artifact = artifact
        self.device = default_device()
        self.dtype = resolve_precision(precision, self.device)
        self.backwards = artifact.manifest.direction == "backward"
        self.prior = class_prior(artifact)
        self.temperature = temperature_of(artifact.manifest.config, artifact.path)
        self.multi_label = multi_label_of(artifact.manifest.config, artifact.path)
        self.processor = artifact.processor()
        self.tokenizer_key = self.processor.tokenizer_key()
        self.model = load_classifier(artifact).eval().to(self.device)
        self._lock = threading.Lock()  # the model's hidden state is of one batch at a time

    def tokenize(self, texts: Sequence[Text]) -> TokenizedTexts:
        """The texts as tokens, before they become ids of this model's vocabulary."""
        alone = sum(len(text) for text in texts if isinstance(text, str)) <= _ALONE
        return tokenize_texts(texts, self.processor, workers=1 if alone else None)

    def corpus(self, tokenized: TokenizedTexts) -> Corpus:
        """The texts as ids, in the order in which the model reads them."""
        corpus = Corpus(self.processor.ids(tokenized.tokens)[tokenized.ids], tokenized.offsets)
        return corpus.reversed() if self.backwards else corpus

    def probabilities(self, tokenized: TokenizedTexts, tell: Tell | None = None) -> np.ndarray:
        """float32, shape (texts, classes).

        Raises:
            UserError: the weights, finite as they are, make numbers that are not.
        """
        with self._lock:
            found = predict_probabilities(
                self.model,
                self.corpus(tokenized),
                self.device,
                self.dtype,
                tell,
                self.temperature,
                self.multi_label,
            )
        if not np.isfinite(found).all():
            raise UserError(
                f"{self.artifact.path} computes nan or infinity instead of probabilities; train or "
                "copy the model again"
            )
        return found
