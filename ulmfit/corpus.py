"""Tokenised documents: every text once, in parallel, kept on disk under a content key.

Tokens are numbered in order of first occurrence, whatever the vocabulary. A vocabulary is
chosen from the counts and applied as one table look-up, so that language model and classifier,
forward and backward, share one tokenisation of the data.
"""

import hashlib
import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice, pairwise, takewhile
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np

from ulmfit.atomic import atomic_directory
from ulmfit.errors import UserError
from ulmfit.precision import cores
from ulmfit.rules import apply_rules
from ulmfit.text import UNK_ID, TextProcessor, id_dtype, read_vocab, write_vocab
from ulmfit.tokenizers import Tokenizer

# Texts a worker gets at a time: some megabytes, and enough to pay for the way there and back.
_CHUNK = 500
# Documents that are counted or numericalised at a time: numpy's index and sort take 8 to 24 bytes
# a token, which all of IMDb at once would not be worth.
_BLOCK = 2000


@dataclass(frozen=True)
class Corpus:
    """Documents as ids of one vocabulary.

    ids: shape (tokens,); document i is ``ids[offsets[i]:offsets[i + 1]]``, ``xxbos`` first.
    offsets: int64, shape (documents + 1,).
    """

    ids: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, document: int) -> np.ndarray:
        return self.ids[self.offsets[document] : self.offsets[document + 1]]

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each document, int64, shape (documents,)."""
        return np.diff(self.offsets)

    @classmethod
    def from_documents(cls, documents: Sequence[np.ndarray]) -> "Corpus":
        """A corpus of ids, each of shape (tokens,)."""
        lengths = [len(document) for document in documents]
        return cls(np.concatenate(documents), np.concatenate([[0], np.cumsum(lengths)]))

    def reversed(self) -> "Corpus":
        """Every document read from its end, ``xxbos`` still first.

        fastai's `reverse_text` moves ``xxbos`` to the end, where it announces nothing.
        """
        ids = np.array(self.ids)
        for start, end in pairwise(self.offsets.tolist()):
            ids[start + 1 : end] = self.ids[start + 1 : end][::-1]
        return Corpus(ids, self.offsets)


@dataclass(frozen=True)
class TokenizedTexts:
    """Tokenised texts before a vocabulary is chosen.

    tokens: every distinct token, in order of first occurrence.
    ids: uint32, shape (all tokens,), rows of `tokens`; memory-mapped where it was cached.
    offsets: int64, shape (texts + 1,).
    """

    tokens: list[str]
    ids: np.ndarray
    offsets: np.ndarray

    def counts(self, rows: np.ndarray) -> Counter[str]:
        """How often each token occurs in the texts `rows`, in order of first occurrence there."""
        counts: Counter[str] = Counter()
        for ids in self._blocks(rows):
            numbers, first, found = np.unique(ids, return_index=True, return_counts=True)
            order = np.argsort(first)
            pairs = zip(numbers[order].tolist(), found[order].tolist(), strict=True)
            counts.update({self.tokens[i]: n for i, n in pairs})
        return counts

    def numericalize(self, vocab: Sequence[str], rows: np.ndarray) -> Corpus:
        """The texts `rows` as ids of `vocab`; a token it lacks becomes ``xxunk``."""
        known = {token: i for i, token in enumerate(vocab)}
        table = np.array([known.get(t, UNK_ID) for t in self.tokens], id_dtype(len(vocab)))
        offsets = np.concatenate([[0], np.cumsum(np.diff(self.offsets)[rows])])
        made = np.empty(offsets[-1], table.dtype)
        done = 0
        for ids in self._blocks(rows):
            made[done : done + len(ids)] = table[ids]
            done += len(ids)
        return Corpus(made, offsets)

    def _blocks(self, rows: np.ndarray) -> Iterator[np.ndarray]:
        """The ids of the texts `rows`, those of `_BLOCK` texts at a time."""
        ids = np.asarray(self.ids)  # a slice of a memory map costs many times that of an array
        starts, ends = self.offsets[:-1][rows], self.offsets[1:][rows]
        for i in range(0, len(rows), _BLOCK):
            block = zip(starts[i : i + _BLOCK], ends[i : i + _BLOCK], strict=True)
            yield np.concatenate([ids[start:end] for start, end in block])


def cache_folder() -> Path:
    """Where tokenised texts are kept: ``$ULMFIT_CACHE``, else ``data/cache``."""
    return Path(os.environ.get("ULMFIT_CACHE") or Path("data", "cache"))


def tokenize_texts(
    texts: Sequence[str],
    processor: TextProcessor,
    cache: Path | None = None,
    workers: int | None = None,
    say: Callable[[str], None] = print,
) -> TokenizedTexts:
    """Tokenise `texts`, or take from `cache` what an earlier call made of the same ones.

    Args:
        cache: folder of caches; None keeps the result in memory.
        workers: processes; None takes one a core.
    """
    if cache is None:
        return _merge(_tokenize_chunks(texts, processor, workers))
    folder = cache / content_key(texts, processor)
    if not folder.exists():
        say(f"tokenising {len(texts):,} texts")
        _keep(_merge(_tokenize_chunks(texts, processor, workers)), folder)
    return TokenizedTexts(
        read_vocab((folder / "tokens.txt").read_bytes()),
        np.load(folder / "ids.npy", mmap_mode="r"),
        np.load(folder / "offsets.npy"),
    )


def _keep(made: TokenizedTexts, folder: Path) -> None:
    try:
        with atomic_directory(folder, overwrite=False) as temporary:
            (temporary / "tokens.txt").write_bytes(write_vocab(made.tokens))
            np.save(temporary / "ids.npy", made.ids)
            np.save(temporary / "offsets.npy", made.offsets)
    except UserError:
        if not folder.exists():  # else another process made the same meanwhile
            raise


def content_key(texts: Iterable[str], processor: TextProcessor) -> str:
    """Names the tokens of `texts`: the same key means the same texts, rules and tokenizer."""
    digest = hashlib.sha256(processor.tokenizer_key().encode())
    for text in texts:
        digest.update(json.dumps(text).encode())
    return digest.hexdigest()[:32]


_Chunk = tuple[list[str], np.ndarray, np.ndarray]


def _merge(chunks: Iterable[_Chunk]) -> TokenizedTexts:
    numbers: dict[str, int] = {}
    ids, lengths = [], []
    for tokens, chunk_ids, chunk_lengths in chunks:
        table = np.array([numbers.setdefault(t, len(numbers)) for t in tokens], np.uint32)
        ids.append(table[chunk_ids])
        lengths.append(chunk_lengths)
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
    return TokenizedTexts(list(numbers), np.concatenate(ids), offsets)


def _tokenize_chunks(
    texts: Sequence[str], processor: TextProcessor, workers: int | None
) -> Iterator[_Chunk]:
    workers = cores() if workers is None else workers
    chunks = (texts[i : i + _CHUNK] for i in range(0, len(texts), _CHUNK))
    tokenizer = processor.tokenizer
    assert tokenizer is not None, "train the pieces of a subword tokenizer first"
    if workers <= 1 or len(texts) <= _CHUNK:
        yield from (_tokenize_chunk(chunk, tokenizer) for chunk in chunks)
        return
    # Forked, the workers inherit the tokenizer; they touch no torch, whose threads do not survive.
    method = "fork" if "fork" in get_all_start_methods() else "spawn"
    context = get_context(method)
    stopped = context.Event()
    pool = ProcessPoolExecutor(
        workers, mp_context=context, initializer=_start_worker, initargs=(tokenizer, stopped)
    )
    try:
        yield from _in_order(pool, chunks, ahead=2 * workers)
    finally:
        stopped.set()  # after Ctrl-C, neither what was begun nor what waits is worked off
        pool.shutdown(cancel_futures=True)


def _in_order(
    pool: ProcessPoolExecutor, chunks: Iterator[Sequence[str]], ahead: int
) -> Iterator[_Chunk]:
    """Results in the order of `chunks`, with at most `ahead` of them under way."""
    waiting: list[Future[_Chunk]] = [pool.submit(_work, c) for c in islice(chunks, ahead)]
    while waiting:
        yield waiting.pop(0).result()
        waiting += [pool.submit(_work, c) for c in islice(chunks, 1)]


_worker_tokenizer: Tokenizer
_worker_stopped: Event


def _start_worker(tokenizer: Tokenizer, stopped: Event) -> None:
    global _worker_tokenizer, _worker_stopped
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent has the word
    _worker_tokenizer, _worker_stopped = tokenizer, stopped


def _work(texts: Sequence[str]) -> _Chunk:
    wanted = takewhile(lambda text: not _worker_stopped.is_set(), texts)
    return _tokenize_chunk(wanted, _worker_tokenizer)


def _tokenize_chunk(texts: Iterable[str], tokenizer: Tokenizer) -> _Chunk:
    """Distinct tokens, ids into them (all tokens,), and the length of each text."""
    numbers: dict[str, int] = {}
    ids: list[int] = []
    lengths: list[int] = []
    for text in texts:
        tokens = tokenizer.tokenize(apply_rules(text))
        ids += [numbers.setdefault(token, len(numbers)) for token in tokens]
        lengths.append(len(tokens))
    return list(numbers), np.array(ids, np.uint32), np.array(lengths, np.int64)
