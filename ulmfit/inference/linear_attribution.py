"""What each word of a text adds to a probability of a linear classifier.

The outputs of a linear classifier are sums over n-grams, so that on the way from no n-gram to those
of the text each of them has an exact part in every output. Integrated gradients, as in
`attribution`, take it from the outputs to the probability: of two classes every n-gram has the
share of the way that it has of the output.
"""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from ulmfit.inference.linear import linked
from ulmfit.inference.loaded_linear import LoadedLinear
from ulmfit.text.word_cut import Cut

_WORD = re.compile(r"\w+(?:['’]\w+)?|[^\w\s]")  # where no network has cut the text
_STEP = 1e-5  # of an output, for the slope of a probability


def plain_cut(text: str) -> Cut:
    """The words of a text, with no tokenizer's tokens."""
    words, gaps, end = [], [], 0
    for found in _WORD.finditer(text):
        between = text[end : found.start()]
        gaps.append("\n" if "\n" in between else " " if between else "")
        words.append(found[0])
        end = found.end()
    return Cut(words, gaps, [[] for _ in words])


class LinearWay:
    """The way of one text from no n-gram to its own, through one linear classifier.

    As `attribution.Way`, with scores by the words of `cut`.
    """

    def __init__(self, loaded: LoadedLinear, text: str, cut: Cut) -> None:
        self.loaded, self.cut = loaded, cut
        classifier = loaded.classifier
        row = classifier.features.transform([text])
        self.ngrams: list[int] = row.indices.tolist()
        weights = classifier.fitted.weights.astype(np.float64)
        # What each n-gram of the text adds to each output, shape (n-grams, outputs).
        self.parts = weights.T[row.indices] * row.data[:, None]
        self.biases = classifier.fitted.biases.astype(np.float64)

    def at(self, points: np.ndarray) -> np.ndarray:
        """Probabilities at shares of the way, float64, shape (points, classes)."""
        return self._probabilities(self._outputs(points))

    def scores(self, slopes: np.ndarray, points: np.ndarray) -> np.ndarray:
        """What each word adds, shape (words,); `slopes`, shape (points, classes), weigh classes."""
        outputs = self._outputs(points)
        along = np.empty(outputs.shape[1])
        for n in range(outputs.shape[1]):
            step = np.zeros(outputs.shape[1])
            step[n] = _STEP
            rise = self._probabilities(outputs + step) - self._probabilities(outputs - step)
            along[n] = (rise / (2 * _STEP) * slopes).sum(1).mean()
        return self._by_word(self.parts @ along)

    def _outputs(self, points: np.ndarray) -> np.ndarray:
        return self.biases + points.astype(np.float64)[:, None] * self.parts.sum(0)

    def _probabilities(self, outputs: np.ndarray) -> np.ndarray:
        return self.loaded.rescaled(linked(outputs, self.loaded.classifier.link))

    def _by_word(self, scores: np.ndarray) -> np.ndarray:
        """Scores of n-grams as scores of words: each divided among its places and their words.

        An n-gram that is not found among the words, html for one, is divided among all.
        """
        places = self._places()
        count = Counter(ngram for ngram, _ in places)
        by_ngram = dict(zip(self.ngrams, scores.tolist(), strict=True))
        found = np.zeros(len(self.cut.words))
        for ngram, words in places:
            if ngram in by_ngram and words:
                found[words] += by_ngram[ngram] / count[ngram] / len(words)
        if len(found):
            found += (scores.sum() - found.sum()) / len(found)
        return found

    def _places(self) -> list[tuple[int, list[int]]]:
        """The number of each n-gram of the words as shown, and the words that it is in."""
        features = self.loaded.classifier.features
        pieces = [gap + word for gap, word in zip(self.cut.gaps, self.cut.words, strict=True)]
        owner = [n for n, piece in enumerate(pieces) for _ in piece]
        text = "".join(pieces)
        if self.loaded.hashed:
            spans, own, joint = self.loaded.hashed.places(text)
            of = [sorted({*owner[first:last]}) for first, last in spans]
            both = [sorted({*a, *b}) for a, b in pairwise(of)]
            return [*zip(own, of, strict=True), *zip(joint, both, strict=True)]
        tokens = [
            (token[0].lower(), sorted({*owner[token.start() : token.end()]}))
            for token in re.finditer(features.token_pattern, text)
        ]
        pairs = [(f"{a} {b}", sorted({*x, *y})) for (a, x), (b, y) in pairwise(tokens)]
        return _numbered([*tokens, *pairs], features.vocabulary)


def _numbered(
    found: Sequence[tuple[str, list[int]]], vocabulary: dict[str, int]
) -> list[tuple[int, list[int]]]:
    return [(vocabulary[ngram], words) for ngram, words in found if ngram in vocabulary]
