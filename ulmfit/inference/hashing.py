"""Hashed words and pairs of words: numbers of n-grams without a vocabulary and without a loop.

Everything is arithmetic on the bytes of many texts at once, so that some ten thousand reviews a
second are cut on one core. A token is a run of letters, digits, apostrophes and bytes above 127,
one sign of punctuation, or one Chinese, Japanese or Korean character. Its hash is that of Karp and
Rabin (1987, IBM Journal of Research and Development 31:2), a polynomial in the bytes modulo 2^64: a
difference of two sums over all bytes before, multiplied by a power of the base's inverse.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2^64
_INVERSE = pow(_BASE, -1, 1 << 64)
_MIX = np.uint64(0xBF58476D1CE4E5B9)
_PAIR = np.uint64(0x94D049BB133111EB)
_SPACE, _SIGN, _WORD, _OWN = range(4)  # kinds of bytes; _OWN begins a character that is a token
_FEWEST_POWERS = 1 << 18  # 4 MB, for blocks of texts of nearly any size
_BREAK = "<br />"  # as IMDb's reviews have it


def _kinds() -> np.ndarray:
    kinds = np.full(256, _SIGN, np.uint8)
    kinds[:33] = _SPACE
    kinds[127:] = _WORD
    for character in b"'0123456789abcdefghijklmnopqrstuvwxyz":
        kinds[character] = _WORD
    kinds[0xE3:0xEE] = _OWN  # U+3000 to U+DFFF in UTF-8: kana, Chinese characters, hangul
    return kinds


_KINDS = _kinds()


class Hashed(NamedTuple):
    """The different n-grams of texts, one text after another.

    numbers: int32, shape (n-grams,), of buckets, rising in each text. starts: int32, shape
    (texts + 1,): text n has the n-grams from ``starts[n]`` to ``starts[n + 1]``.
    """

    numbers: np.ndarray
    starts: np.ndarray


def hashed(texts: Sequence[str], buckets: int) -> Hashed:
    """The buckets of the words and of the pairs of words of each text; a text may have none.

    `buckets` is a power of two, 4 at least: the lower half is for words, the upper one for pairs.
    """
    return _distinct(*token_hashes(texts), len(texts), buckets)


def _distinct(tokens: np.ndarray, owners: np.ndarray, texts: int, buckets: int) -> Hashed:
    same = owners[1:] == owners[:-1]
    # One number a text and bucket: sorting such plain numbers is what numpy is fastest at, and it
    # is twice as fast at numbers of half the size.
    shift = buckets.bit_length() - 1
    kind: Any = np.uint32 if shift + texts.bit_length() <= 32 else np.int64
    of = owners.astype(kind) << kind(shift)
    keys = np.empty(len(tokens) + np.count_nonzero(same), kind)
    np.bitwise_or(of, word_buckets(tokens, buckets).astype(kind), out=keys[: len(tokens)])
    pairs = pair_buckets(tokens, buckets)[same].astype(kind)
    np.bitwise_or(of[1:][same], pairs, out=keys[len(tokens) :])
    keys.sort()
    first = np.ones(len(keys), bool)
    first[1:] = keys[1:] != keys[:-1]
    keys = keys[first]
    counts = np.bincount((keys >> kind(shift)).astype(np.int64), minlength=texts)
    starts = np.zeros(texts + 1, np.int32)
    np.cumsum(counts, out=starts[1:])
    return Hashed((keys & kind(buckets - 1)).astype(np.int32), starts)


def word_buckets(tokens: np.ndarray, buckets: int) -> np.ndarray:
    """int64: the bucket of each token, from its hash."""
    return _bucket_of(tokens, buckets // 2)


def pair_buckets(tokens: np.ndarray, buckets: int) -> np.ndarray:
    """int64: the bucket of each token with the next one, shape (tokens - 1,)."""
    return _bucket_of(tokens[:-1] * _PAIR + tokens[1:], buckets // 2) + buckets // 2


def _bucket_of(hashes: np.ndarray, buckets: int) -> np.ndarray:
    mixed = (hashes ^ (hashes >> np.uint64(31))) * _MIX
    return (mixed >> np.uint64(65 - buckets.bit_length())).astype(np.int64)


def token_hashes(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The hash of each token (uint64), and the number of its text (int64), shape (tokens,) each."""
    parts = [_plain(text) for text in texts]
    lengths = np.array([len(part) + 1 for part in parts], np.int64)
    content = np.frombuffer(b" ".join(parts) + b" ", np.uint8)
    first, last = _bounds(content)
    powers, inverses = _powers(max(_FEWEST_POWERS, 1 << len(content).bit_length()))
    sums = np.zeros(len(content) + 1, np.uint64)
    # The byte 0 would vanish in the sum; it is no part of a token.
    np.cumsum(content * powers[: len(content)], out=sums[1:])
    hashes = (sums[last] - sums[first]) * inverses[first]
    counts = np.diff(np.searchsorted(first, np.cumsum(lengths)), prepend=0)
    return hashes, np.repeat(np.arange(len(texts)), counts)


def token_spans(text: str) -> list[tuple[int, int]]:
    """First character of each token of a text, and the one after its last."""
    lowered = text.lower()
    if len(lowered) != len(text):  # a few capitals become two characters
        lowered = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    spaced = lowered.replace(_BREAK, " " * len(_BREAK))
    content = np.frombuffer(spaced.encode("utf-8", "replace") + b" ", np.uint8)
    begins = np.cumsum((content & 0xC0) != 0x80) - 1  # the number of the character of each byte
    first, last = _bounds(content)
    return list(zip(begins[first].tolist(), begins[last].tolist(), strict=True))


def _plain(text: str) -> bytes:
    return text.lower().replace(_BREAK, " ").encode("utf-8", "replace")


def _bounds(content: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First byte of each token, and the byte after its last; the content ends with a space."""
    kinds = _KINDS[content]
    before = np.empty_like(kinds)
    before[0], before[1:] = _SPACE, kinds[:-1]
    # A word goes on after a word, and so do the other bytes of a character after its first.
    begins = (kinds == _SIGN) | (kinds == _OWN) | ((kinds == _WORD) & (before < _WORD))
    ends = (begins | (kinds == _SPACE)) & (before != _SPACE)
    return np.flatnonzero(begins), np.flatnonzero(ends)


@lru_cache(maxsize=2)
def _powers(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Powers 0 to `count` - 1 of the base and of its inverse, uint64."""
    found = []
    for factor in (_BASE, _INVERSE):
        powers = np.full(count, factor, np.uint64)
        powers[0] = 1
        found.append(np.multiply.accumulate(powers))
    return found[0], found[1]


class HashedNgrams:
    """The part of scikit-learn's vectorizers that a linear classifier uses, for hashed n-grams.

    idf_: the inverse document frequency of each bucket, 0 for one that no training text has,
    float32, shape (buckets,).
    """

    def __init__(self, idf: np.ndarray) -> None:
        self.idf_ = idf.astype(np.float32)
        self.buckets = len(idf)

    @classmethod
    def fit(cls, found: Hashed, buckets: int) -> "HashedNgrams":
        """With the frequencies of the n-grams of some texts; those in one text alone get 0."""
        texts, least = len(found.starts) - 1, 2 if len(found.starts) > 21 else 1
        having = np.bincount(found.numbers, minlength=buckets)
        idf = np.log((1 + texts) / (1 + having)) + 1  # as scikit-learn's, with smooth_idf
        # What is written is what was measured: a model directory has float16.
        return cls(np.where(having >= least, idf, 0).astype(np.float16))

    def transform(self, texts: Sequence[str]) -> Any:
        """scipy's sparse rows, float32, shape (texts, buckets): each of length 1, or 0."""
        return self.read(texts)[0]

    def read(self, texts: Sequence[str]) -> tuple[Any, np.ndarray, np.ndarray]:
        """What `transform` and `known` return, while the texts are cut once."""
        tokens, owners = token_hashes(texts)
        rows = self.rows(_distinct(tokens, owners, len(texts), self.buckets))
        return rows, *self._known(tokens, owners, len(texts))

    def rows(self, found: Hashed) -> Any:
        """As `transform`, of texts that were hashed before."""
        from scipy.sparse import csr_array

        data, starts = self.idf_[found.numbers], found.starts
        sums = np.zeros(len(data) + 1)
        np.cumsum(data * data, dtype=np.float64, out=sums[1:])
        lengths = np.sqrt(np.maximum(sums[starts[1:]] - sums[starts[:-1]], 1e-12))
        data = data * np.repeat((1 / lengths).astype(np.float32), np.diff(starts))
        return csr_array((data, found.numbers, starts), shape=(len(starts) - 1, self.buckets))

    def known(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Tokens of each text, and how many of them the training had; int64, shape (texts,) each.

        A word that it did not have can share the bucket of one that it had.
        """
        return self._known(*token_hashes(texts), len(texts))

    def _known(
        self, tokens: np.ndarray, owners: np.ndarray, texts: int
    ) -> tuple[np.ndarray, np.ndarray]:
        had = self.idf_[word_buckets(tokens, self.buckets)] > 0
        return np.bincount(owners, minlength=texts), np.bincount(owners[had], minlength=texts)

    def places(self, text: str) -> tuple[list[tuple[int, int]], list[int], list[int]]:
        """First and last character of each token, its bucket, and those of its pairs."""
        tokens, _ = token_hashes([text])
        words, pairs = word_buckets(tokens, self.buckets), pair_buckets(tokens, self.buckets)
        return token_spans(text), words.tolist(), pairs.tolist()
