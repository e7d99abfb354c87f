"""Equal texts and near-duplicates: MinHash with locality-sensitive hashing.

Shingles are runs of five words. Candidates come from MinHash signatures cut into bands (Broder
1997; Leskovec, Rajaraman & Ullman, Mining of Massive Datasets, section 3.4). Their true Jaccard
similarity decides.
"""

import hashlib
import re
import zlib
from array import array
from collections.abc import Callable, Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ulmfit.base.atomic import atomic_write
from ulmfit.text.blocks import Texts, at, each
from ulmfit.text.ids import Text, TextIds, hash_of

SHINGLE = 5  # words
SIMILAR = 0.7  # lowest Jaccard similarity of the shingles of near-duplicates
BANDS, BAND_ROWS = 20, 3  # find a pair with similarity 0.7 with probability 0.9998
LIKELY = 0.5  # lowest estimate for a comparison: 3.4 standard errors under SIMILAR
NEIGHBOURS = 8  # a text is compared with so many next ones in its bucket; groups are transitive
BLOCK = 5_000  # texts whose shingles are in memory at once: 8 bytes a word, several times

# What cached groups depend on besides the texts; the first is the version of the method.
_KEPT = (1, SHINGLE, SIMILAR, BANDS, BAND_ROWS, LIKELY, NEIGHBOURS, BLOCK)

_BREAK = re.compile(r"<\s*br\s*/?\s*>", re.IGNORECASE)
# Thai, Japanese and Chinese put no space between words: there, a character counts as a word.
_UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")


def normalise(text: str) -> str:
    """`text` in lower case, with single spaces and without html breaks."""
    return " ".join(_BREAK.sub(" ", text).casefold().split())


def exact_groups(texts: Texts) -> NDArray[np.int64]:
    """The row of the first equal text (after `normalise`) for each text, shape (n,)."""
    return _first_rows([normalised_digest(text) for text in each(texts)])


def _first_rows(digests: Sequence[bytes]) -> NDArray[np.int64]:
    first: dict[bytes, int] = {}
    rows = [first.setdefault(digest, row) for row, digest in enumerate(digests)]
    return np.array(rows, dtype=np.int64)


def normalised_digest(text: Text) -> bytes:
    """A hash of the normalised text, 16 bytes; files of ids contain it."""
    if isinstance(text, TextIds):
        return text.source.normalised[text.row]
    return hash_of(normalise(text))


def near_duplicate_groups(texts: Texts, cache: Path | None = None) -> NDArray[np.int64]:
    """The group of each text, shape (n,): the lowest row among its near-duplicates.

    Near-duplicates are equal texts (`exact_groups`) and pairs whose sets of word 5-grams have a
    Jaccard similarity of `SIMILAR` or more; groups are transitive. Texts under five words need
    the same words. The result depends only on the texts and their order; with a folder of caches,
    it is kept there and found again.
    """
    digests = [normalised_digest(text) for text in each(texts)]
    if cache is None:
        return _near_groups(texts, digests)
    found = hashlib.sha256(str(_KEPT).encode())
    found.update(b"".join(digests))
    file = cache / "near-duplicates" / f"{found.hexdigest()[:32]}.npy"
    if not file.exists():
        content = BytesIO()
        np.save(content, _near_groups(texts, digests))
        atomic_write(file, content.getvalue())
    return np.load(file)


def _near_groups(texts: Texts, digests: Sequence[bytes]) -> NDArray[np.int64]:
    groups = _first_rows(digests)
    kept = np.unique(groups)
    if len(kept) < 2:
        return groups

    @lru_cache(1000)
    def shingle_set(row: int) -> set[int]:
        return set(_shingles(at(texts, kept[row : row + 1]))[0].tolist())

    blocks = (kept[low : low + BLOCK] for low in range(0, len(kept), BLOCK))
    signatures = [_signatures(*_shingles(at(texts, block))) for block in blocks]
    leaders = _merge(len(kept), _candidates(np.concatenate(signatures)), shingle_set)
    return kept[leaders[np.searchsorted(kept, groups)]]


class _WordHashes(dict[str, int]):
    """The hash of each word, equal in all processes (unlike Python's `hash`)."""

    def __missing__(self, word: str) -> int:
        self[word] = value = zlib.crc32(word.encode("utf-8", "surrogatepass"))
        return value


def _shingles(texts: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Hashes of all texts' shingles, end to end (s,), and the start of each text's (n,)."""
    hashes, stream, lengths = _WordHashes(), array("Q"), []
    for text in texts:
        text = normalise(text)
        words = _WORD.findall(text) or [text]  # "!!!" counts as one word
        words += [""] * (SHINGLE - len(words))  # a short text is one shingle
        stream.extend(map(hashes.__getitem__, words))
        lengths.append(len(words))
    words_of = _mix(np.frombuffer(stream, dtype=np.uint64))  # (w,)
    size = len(words_of) - SHINGLE + 1
    shingles = np.zeros(size, dtype=np.uint64)
    for place in range(SHINGLE):
        shingles = shingles * np.uint64(0x100000001B3) + words_of[place : place + size]
    ends = np.cumsum(lengths)
    within = np.ones(len(words_of), dtype=bool)  # False where a shingle would cross two texts
    for place in range(1, SHINGLE):
        within[ends - place] = False
    counts = np.array(lengths) - SHINGLE + 1
    return _mix(shingles[within[:size]]), np.cumsum(counts) - counts


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _signatures(shingles: NDArray[np.uint64], starts: NDArray[np.int64]) -> NDArray[np.uint32]:
    """MinHash signatures, shape (texts, BANDS * BAND_ROWS)."""
    width = BANDS * BAND_ROWS
    salts = _mix(np.arange(1, 2 * width + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    factors, offsets = salts[:width] | np.uint64(1), salts[width:]
    signatures = np.empty((len(starts), width), dtype=np.uint32)
    for column in range(width):
        hashed = shingles * factors[column] + offsets[column : column + 1]
        # The upper half is enough: it gives few more candidates, which are compared in full.
        signatures[:, column] = np.minimum.reduceat(hashed, starts) >> np.uint64(32)
    return signatures


def _candidates(signatures: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Pairs of rows, shape (pairs, 2), that share a band and are likely to be similar."""
    count = len(signatures)
    found = np.empty(0, dtype=np.int64)  # a pair as one number: left * count + right
    for band in range(0, signatures.shape[1], BAND_ROWS):
        keys = np.zeros(count, dtype=np.uint64)
        for column in range(band, band + BAND_ROWS):
            keys = _mix(keys + signatures[:, column])
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        new = [found]
        for step in range(1, min(NEIGHBOURS, count - 1) + 1):
            (same,) = np.nonzero(keys[step:] == keys[:-step])
            left, right = order[same], order[same + step]
            alike = (signatures[left] == signatures[right]).mean(axis=1) >= LIKELY
            new.append(left[alike] * count + right[alike])
        found = np.unique(np.concatenate(new))
    return np.stack([found // count, found % count], axis=1)


def _merge(
    count: int, pairs: NDArray[np.int64], shingle_set: Callable[[int], set[int]]
) -> NDArray[np.int64]:
    """The lowest row of each row's group, shape (count,), after comparing `pairs` in full."""
    leaders = list(range(count))

    def leader(row: int) -> int:
        while leaders[row] != row:
            leaders[row] = row = leaders[leaders[row]]
        return row

    for left, right in zip(*pairs.T.tolist(), strict=True):
        low, high = sorted((leader(left), leader(right)))
        if low == high:
            continue
        one, other = shingle_set(left), shingle_set(right)
        if len(one & other) >= SIMILAR * len(one | other):
            leaders[high] = low
    return np.array([leader(row) for row in range(count)], dtype=np.int64)
