"""Tokenised documents: each text is tokenised once, in parallel, and cached by its content.

Tokens are numbered in order of first occurrence, without a vocabulary. A vocabulary is chosen from
the counts and applied with a table. So language model and classifier, forward and backward, share
one tokenisation of the data.
"""

import hashlib
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ulmfit.base.atomic import atomic_directory, beside, os_errors_as
from ulmfit.base.errors import UserError
from ulmfit.base.lock import in_turn
from ulmfit.base.log import logger
from ulmfit.base.processes import current
from ulmfit.base.progress import Progress
from ulmfit.text.blocks import Texts, each
from ulmfit.text.ids import hold_ids, tokens_of
from ulmfit.text.processor import UNK_ID, TextProcessor, id_dtype, read_vocab, write_vocab
from ulmfit.text.workers import Chunk, tokenize_chunks

# Documents to count or numericalise at a time. numpy's index and sort need 8 to 24 bytes a token,
# too much for all of IMDb at once.
_BLOCK = 2000
# Tokenises texts in blocks, in their order, as `tokenize_chunks` does.
Engine = Callable[[Texts, TextProcessor], Generator[Chunk]]
_UNFINISHED = 24 * 3600  # seconds after which an unfinished file counts as abandoned


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
        """Number of tokens of each document, int64, shape (documents,)."""
        return np.diff(self.offsets)

    def reversed(self) -> "Corpus":
        """Every document read from its end, ``xxbos`` still first.

        fastai's `reverse_text` moves ``xxbos`` to the end, where it marks no beginning.
        """
        ids = np.array(self.ids)
        for start, end in pairwise(self.offsets.tolist()):
            ids[start + 1 : end] = self.ids[start + 1 : end][::-1]
        return Corpus(ids, self.offsets)


@dataclass(frozen=True)
class TokenizedTexts:
    """Tokenised texts before a vocabulary is chosen.

    tokens: every distinct token, in order of first occurrence.
    ids: uint32, shape (all tokens,), rows of `tokens`; memory-mapped if cached.
    offsets: int64, shape (texts + 1,).
    """

    tokens: list[str]
    ids: np.ndarray
    offsets: np.ndarray

    def counts(self, rows: np.ndarray) -> Counter[str]:
        """How often each token occurs in the texts `rows`, in order of first occurrence there."""
        counts = np.zeros(len(self.tokens), np.int64)
        order = [np.empty(0, np.uint32)]  # new tokens of each block
        for ids in self._blocks(rows):
            new, first = np.unique(ids[counts[ids] == 0], return_index=True)
            order.append(new[np.argsort(first)])
            counts += np.bincount(ids, minlength=len(counts))
        found = np.concatenate(order)
        pairs = zip(found.tolist(), counts[found].tolist(), strict=True)
        return Counter({self.tokens[i]: n for i, n in pairs})

    def numericalize(self, vocab: Sequence[str], rows: np.ndarray) -> Corpus:
        """The texts `rows` as ids of `vocab`; other tokens become ``xxunk``."""
        known = {token: i for i, token in enumerate(vocab)}
        table = np.array([known.get(t, UNK_ID) for t in self.tokens], id_dtype(len(vocab)))
        offsets = np.concatenate([[0], np.cumsum(np.diff(self.offsets)[rows])])
        made = np.empty(offsets[-1], table.dtype)
        done = 0
        for ids in self._blocks(rows):
            made[done : done + len(ids)] = table[ids]
            done += len(ids)
        return Corpus(made, offsets)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """The sum of each text's `values`, a row for each of `tokens`; int64, shape (texts, k)."""
        found = np.zeros((len(self.offsets) - 1, values.shape[1]), np.int64)
        rows = np.flatnonzero(np.diff(self.offsets))
        done = 0
        for ids in self._blocks(rows):
            some = rows[done : done + _BLOCK]
            starts = np.cumsum(np.diff(self.offsets)[some]) - np.diff(self.offsets)[some]
            found[some] = np.add.reduceat(values[ids], starts, dtype=np.int64)
            done += len(some)
        return found

    def _blocks(self, rows: np.ndarray) -> Iterator[np.ndarray]:
        """The ids of the texts `rows`, `_BLOCK` texts at a time."""
        starts, ends = self.offsets[:-1][rows], self.offsets[1:][rows]
        for i in range(0, len(rows), _BLOCK):
            ids = _mapped_anew(self.ids)
            block = zip(starts[i : i + _BLOCK], ends[i : i + _BLOCK], strict=True)
            yield np.concatenate([ids[start:end] for start, end in block])


def _mapped_anew(ids: np.ndarray) -> np.ndarray:
    """`ids` as a plain array, whose slices are cheaper than those of a memory map.

    Pages stay in memory as long as their map, so each use gets a map of its own.
    """
    if isinstance(ids, np.memmap) and ids.filename is not None:
        return np.asarray(np.memmap(ids.filename, ids.dtype, "r", ids.offset, ids.shape))
    return np.asarray(ids)


def cache_folder() -> Path:
    """Where tokenised texts are kept: ``$ULMFIT_CACHE``, else ``data/cache``."""
    return Path(os.environ.get("ULMFIT_CACHE") or Path("data", "cache"))


def tokenize_texts(
    texts: Texts,
    processor: TextProcessor,
    cache: Path | None = None,
    workers: int | None = None,
    engine: Engine | None = None,
) -> TokenizedTexts:
    """Tokenise `texts`, or read the result of an earlier call from `cache`.

    Args:
        texts: a sequence or a column of strings, or of `TextIds` from the same tokenizer.
        cache: folder of caches, to which ids are streamed; None keeps them in memory.
        workers: number of processes; None starts one for each core.
        engine: what tokenises in place of these processes.
    """

    def chunks_of() -> Generator[Chunk]:
        return engine(texts, processor) if engine else tokenize_chunks(texts, processor, workers)

    if hold_ids(texts):
        return TokenizedTexts(*tokens_of(texts, processor))
    if cache is None:
        ids = BytesIO()
        with closing(chunks_of()) as chunks:
            shown = _with_progress(chunks, len(texts))
            tokens, offsets = _number(shown, lambda part: ids.write(part.data))
        return TokenizedTexts(tokens, np.frombuffer(ids.getbuffer(), np.uint32), offsets)
    folder = cache / content_key(texts, processor)
    with current().after_first(f"tokens/{folder.name}"):  # the others read it
        if not folder.exists():
            with in_turn(beside(folder, "lock")):  # the other direction reads it
                _tokenize_into(folder, len(texts), chunks_of)
    return TokenizedTexts(
        read_vocab((folder / "tokens.txt").read_bytes()),
        np.load(folder / "ids.npy", mmap_mode="r"),
        np.load(folder / "offsets.npy"),
    )


def _tokenize_into(folder: Path, total: int, chunks_of: Callable[[], Generator[Chunk]]) -> None:
    """Write the tokens of `total` texts, unless another process has done so."""
    if folder.exists():
        return
    logger.info(f"tokenising {total:,} texts")
    _remove_leftovers(folder.parent)
    with closing(chunks_of()) as chunks:
        _keep(_with_progress(chunks, total), folder)


def _with_progress(chunks: Iterable[Chunk], total: int) -> Iterator[Chunk]:
    """The chunks of `total` texts, while their progress is shown."""
    shown = Progress(total, "tokenising", "texts")
    for chunk in chunks:
        yield chunk
        shown.advance(len(chunk[2]))


def content_key(texts: Texts, processor: TextProcessor) -> str:
    """A key for the tokens of `texts`: an equal key means equal texts, rules and tokenizer."""
    digest = hashlib.sha256(processor.tokenizer_key().encode())
    for text in each(texts):
        digest.update(json.dumps(text).encode())
    return digest.hexdigest()[:32]


def _keep(chunks: Iterable[Chunk], folder: Path) -> None:
    """Write tokens, ids and offsets of `chunks` into `folder`; stream the ids."""
    try:
        with atomic_directory(folder, False) as temporary, os_errors_as(f"cannot write {folder}"):
            with (temporary / "ids.npy").open("wb") as file:
                _write_header(file, 0)
                tokens, offsets = _number(chunks, lambda ids: file.write(ids.data))
                file.seek(0)
                _write_header(file, int(offsets[-1]))
            (temporary / "tokens.txt").write_bytes(write_vocab(tokens))
            np.save(temporary / "offsets.npy", offsets)
    except UserError:
        if not folder.exists():  # otherwise another process has written the same folder
            raise


def _write_header(file: BinaryIO, count: int) -> None:
    # numpy leaves room for more digits, so the header has the same length for any count.
    described = {"descr": np.dtype(np.uint32).str, "fortran_order": False, "shape": (count,)}
    np.lib.format.write_array_header_1_0(file, described)


def _number(
    chunks: Iterable[Chunk], keep: Callable[[np.ndarray], object]
) -> tuple[list[str], np.ndarray]:
    """Distinct tokens and offsets of all `chunks`; `keep` gets the ids (uint32) of each chunk."""
    numbers: dict[str, int] = {}
    lengths = [np.zeros(1, np.int64)]
    for tokens, ids, chunk_lengths in chunks:
        table = np.array([numbers.setdefault(t, len(numbers)) for t in tokens], np.uint32)
        keep(table[ids])
        lengths.append(chunk_lengths)
    return list(numbers), np.cumsum(np.concatenate(lengths))


def _remove_leftovers(cache: Path) -> None:
    """Remove unfinished files of killed runs."""
    for temporary in cache.glob(f".{'[0-9a-f]' * 32}.*.tmp"):  # as `atomic_directory` names them
        with suppress(OSError):  # another process may remove it at the same time
            written = max(path.stat().st_mtime for path in (temporary, *temporary.iterdir()))
            if written < time.time() - _UNFINISHED:
                shutil.rmtree(temporary)
