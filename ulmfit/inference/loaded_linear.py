"""A linear classifier of a model directory, ready to answer. No torch."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ulmfit.artifacts.directory import Artifact
from ulmfit.base.errors import UserError
from ulmfit.inference.hashing import HashedNgrams, token_spans
from ulmfit.inference.scoring import training_shares
from ulmfit.text.ids import Text
from ulmfit.text.known import Known, is_written

if TYPE_CHECKING:
    from ulmfit.text.corpus import TokenizedTexts

_BLOCK = 1000  # texts that are answered at a time, between two signs of life
# Texts that are hashed at a time: few enough for their bytes and hashes to stay in the CPU's cache.
_HASHED_BLOCK = 64


class LoadedLinear:
    """Like a `LoadedModel`, of a linear classifier."""

    precision = "float32"

    def __init__(self, artifact: Artifact) -> None:
        from ulmfit.inference.baseline import LINEAR_NAMES
        from ulmfit.inference.linear import read_linear

        self.artifact, manifest = artifact, artifact.manifest
        config, classes = manifest.linear_config, len(manifest.labels)
        self.labels = manifest.labelling
        self.prior = training_shares(config.prior, classes)
        self.temperature = float(config.temperature or 1)
        self.classifier = read_linear(artifact)
        self.reading = LINEAR_NAMES[config.features]
        features = self.classifier.features
        self.hashed = features if isinstance(features, HashedNgrams) else None
        if self.hashed:
            return
        self.preprocess, self.cut = features.build_preprocessor(), features.build_tokenizer()

    def answer(
        self,
        texts: Sequence[Text],
        tokens: "dict[str, TokenizedTexts] | None" = None,
        tell: Callable[[float], object] | None = None,
    ) -> tuple[np.ndarray, Known]:
        """Probabilities, float32, shape (texts, classes), and how much of each text is known.

        Raises:
            UserError: the texts are ids.
        """
        plain = self._plain(texts)
        read = self._read_hashed if self.hashed else self._read
        parts, known = [], []
        for start in range(0, len(plain), _BLOCK):
            for part, found in read(plain[start : start + _BLOCK]):
                parts.append(self.rescaled(part.astype(np.float32)))
                known.append(found)
            if tell:
                tell(len(plain[start : start + _BLOCK]))
        return np.concatenate(parts), Known(*map(np.concatenate, zip(*known, strict=True)))

    def _read(self, texts: Sequence[str]) -> Iterator[tuple[np.ndarray, Known]]:
        yield self.classifier.probabilities(texts), self.known(texts)

    def _read_hashed(self, texts: Sequence[str]) -> Iterator[tuple[np.ndarray, Known]]:
        for start in range(0, len(texts), _HASHED_BLOCK):
            rows, *known = self.classifier.features.read(texts[start : start + _HASHED_BLOCK])
            yield self.classifier.of_rows(rows), Known(*known)

    def rescaled(self, probabilities: np.ndarray) -> np.ndarray:
        """With the temperature of the model's calibration."""
        if self.temperature == 1:
            return probabilities
        return self.labels.rescaled(probabilities, self.temperature)

    def known(self, texts: Sequence[str]) -> Known:
        """How many words of each text the classifier knows, as `known_tokens` counts them."""
        if self.hashed:
            return Known(*self.hashed.known(texts))
        vocabulary = self.classifier.features.vocabulary
        rows = []
        for text in texts:
            words = self.words(text)
            spoken = [word for word in words if is_written(word)] or words
            rows.append((len(spoken), sum(word in vocabulary for word in spoken)))
        tokens, known = np.array(rows, np.int64).reshape(-1, 2).T
        return Known(tokens, known)

    def words(self, text: str) -> list[str]:
        """The words of a text, as the classifier cuts and spells them."""
        if self.hashed:
            return [text[first:last].lower() for first, last in token_spans(text)]
        return self.cut(self.preprocess(text))

    def lengths(self, texts: Sequence[Text]) -> np.ndarray:
        """Words of each text, int64, shape (texts,)."""
        return np.array([len(self.words(text)) for text in self._plain(texts)], np.int64)

    def _plain(self, texts: Sequence[Text]) -> list[str]:
        plain = [text for text in texts if isinstance(text, str)]
        if len(plain) < len(texts):
            raise UserError(
                f"{self.artifact.path} is a linear classifier, which reads texts; found ids of "
                "texts: give the texts, or leave it out"
            )
        return plain
