"""Batches: the contiguous LM stream and length-sorted, padded classifier batches.

The order of the data depends on seed and epoch only. So a run can continue within an epoch, and
equal runs get equal batches. A GPU gets the next batch during the current one.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from ulmfit.base.errors import UserError, listed
from ulmfit.base.precision import row_block
from ulmfit.text.corpus import Corpus
from ulmfit.text.dealing import WHOLE, Part, Rows, Shared
from ulmfit.text.processor import PAD_ID

# Training batches are cut from stretches of this many batches, sorted by length, as in fastai's
# `SortedDL`. This needs little padding and still gives other batches every epoch.
_SORTED_STRETCH = 50
_CPU = torch.device("cpu")

T = TypeVar("T")


@dataclass
class LMLoader:
    """Batches of a language model: fastai's `LMDataLoader`, batch by batch.

    The stream of all documents is cut into `batch_size` parts of equal length. Row r of a batch
    continues row r of the batch before, so the hidden state carries over. Each batch is (inputs,
    targets), int64, shape (batch_size, seq_len); the last one is shorter. Targets are the inputs
    shifted by one token.

    With `shuffle`, `epoch` selects the order of the documents. A pass reads the part `share` of
    the stream. `start` is the first batch of the next pass; the pass sets it back to 0. Batches
    are on `device`. With a `part`, they have only this process's rows of each batch.
    """

    corpus: Corpus
    batch_size: int = 64
    seq_len: int = 72
    shuffle: bool = False
    seed: int = 0
    epoch: int = 0
    share: float = 1.0
    start: int = 0
    device: torch.device = _CPU
    part: Part = WHOLE

    def __post_init__(self) -> None:
        self.bs, self.dataset = self.batch_size, self.corpus  # fastai's names

    @property
    def lanes(self) -> slice:
        """The rows of each batch that it yields."""
        return self.part.lanes(self.batch_size)

    @property
    def row_length(self) -> int:
        """Tokens that a row reads in a pass."""
        return int((len(self.corpus.ids) - 1) * self.share) // self.batch_size

    def __len__(self) -> int:
        if self.lanes.start == self.lanes.stop:  # fewer rows than processes
            return 0
        return -(-self.row_length // self.seq_len)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return on_device(self._batches(), self.device)

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        ids = self._stream()
        inputs = self._rows(ids[:-1])
        targets = self._rows(ids[1:])
        first, self.start = self.start, 0
        if not len(self):
            return
        for position in range(first * self.seq_len, self.row_length, self.seq_len):
            columns = slice(position, position + self.seq_len)
            yield _int64(inputs[:, columns]), _int64(targets[:, columns])

    def _rows(self, ids: np.ndarray) -> np.ndarray:
        rows = ids[: self.batch_size * self.row_length].reshape(self.batch_size, -1)
        return rows[self.lanes]

    def _stream(self) -> np.ndarray:
        if not self.shuffle:
            return self.corpus.ids
        order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self.corpus))
        return np.concatenate([self.corpus[document] for document in order])


def lm_loader(
    corpus: Corpus,
    batch_size: int,
    seq_len: int,
    purpose: str,
    shuffle: bool = False,
    seed: int = 0,
    part: Part = WHOLE,
) -> LMLoader:
    """Batches to train on, with `shuffle`, or to measure on; errors name the `purpose`.

    Raises UserError if there are too few tokens for one batch, or if the processes cannot have
    equal parts of it.
    """
    if shuffle and batch_size % part.count:
        fit = [str(n) for n in range(2, batch_size + 1) if batch_size % n == 0]
        raise UserError(
            f"found {part.count} processes, expected a number that divides the batch size of "
            f"{batch_size}: {listed(fit) or 1}; start so many, or change --batch-size"
        )
    # A small validation part does not fill a large batch; a narrower one measures the same.
    rows = batch_size if shuffle else min(batch_size, len(corpus.ids) // 100 or 1)
    loader = LMLoader(corpus, rows, seq_len, shuffle, seed, part=part)
    if loader.row_length < 1:
        raise UserError(
            f"found {len(corpus.ids):,} tokens to {purpose}, expected more than the batch size "
            f"of {rows}; give more text or a smaller --batch-size"
        )
    return loader


def _int64(ids: np.ndarray) -> Tensor:
    return torch.from_numpy(ids.astype(np.int64))


@dataclass(frozen=True)
class DocumentBatch:
    """Documents of a batch, longest first.

    ids: int64, shape (documents, longest), padded at the end.
    lengths: int64, shape (documents,), in falling order.
    shared: the whole batch, if this is the part of one of several processes.
    """

    ids: Tensor
    lengths: Tensor
    shared: Shared | None = None

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "DocumentBatch":
        """The batch on a device; the lengths stay on the CPU, for Python."""
        return replace(self, ids=self.ids.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "DocumentBatch":
        """The batch in pinned memory, from which a GPU copies without the CPU."""
        return replace(self, ids=self.ids.pin_memory())


def collate(documents: Sequence[np.ndarray]) -> DocumentBatch:
    """Pad `documents` (longest first) at the end, to the length of the longest."""
    lengths = torch.tensor([len(document) for document in documents])
    ids = torch.full((len(documents), int(lengths[0])), PAD_ID)
    for row, document in zip(ids, documents, strict=True):
        row[: len(document)] = _int64(document)
    return DocumentBatch(ids, lengths)


@dataclass
class ClassifierLoader:
    """Batches of a classifier, each (`DocumentBatch`, labels of shape (documents,), int64).

    For a multi-label classifier, labels are 0 and 1, shape (documents, classes). Probabilities as
    labels are float32, of the same shape.

    With `shuffle`: batches of `batch_size` documents of about equal length, in random order. The
    longest batch comes first, so that memory runs out at once or never (as in `SortedDL`).
    Without: all documents, longest first; a batch has at most `tokens` tokens, padding included.

    `epoch`, `share` (of the documents), `start` and `device` as in `LMLoader`. With a `part`, a
    batch to train on has some of the documents, and knows the others (`Shared`); of the rest,
    documents are dealt, or whole batches if they have weights. `weights`: of each document in the
    loss, shape (documents,); None for equal ones.
    """

    corpus: Corpus
    labels: np.ndarray
    batch_size: int = 32
    shuffle: bool = False
    seed: int = 0
    tokens: int = 131_072
    epoch: int = 0
    share: float = 1.0
    start: int = 0
    device: torch.device = _CPU
    part: Part = WHOLE
    weights: np.ndarray | None = None

    def __post_init__(self) -> None:
        self.bs, self.dataset = self.batch_size, self.corpus
        self._lengths = self.corpus.lengths
        self._fixed = None if self.shuffle else self._by_tokens()

    def __len__(self) -> int:
        if self._fixed is not None:
            return len(self._dealt(self._fixed))
        return len(_cut(np.arange(self._documents), self.batch_size))

    def __iter__(self) -> Iterator[tuple[DocumentBatch, Tensor]]:
        return on_device(self._batches(), self.device)

    def _batches(self) -> Iterator[tuple[DocumentBatch, Tensor]]:
        batches = self._shuffled() if self._fixed is None else self._dealt(self._fixed)
        first, self.start = self.start, 0
        for whole in batches[first:]:
            shared = self._shared(whole) if self.shuffle and self.part.count > 1 else None
            documents = whole if shared is None else whole[shared.places]
            batch = replace(collate([self.corpus[d] for d in documents]), shared=shared)
            labels = self.labels[documents]
            soft = np.issubdtype(labels.dtype, np.floating)
            yield batch, torch.from_numpy(labels.astype(np.float32 if soft else np.int64))

    @property
    def _documents(self) -> int:
        return max(1, int(len(self.corpus) * self.share))

    @property
    def order(self) -> np.ndarray:
        """Documents in the order of the (unshuffled) batches, int64, shape (documents,)."""
        assert self._fixed is not None, "the order of shuffled batches changes every epoch"
        return np.concatenate(self._fixed)

    def _shared(self, documents: np.ndarray) -> Shared:
        own = self.part.dealt(len(documents))
        weights = np.ones(len(self.corpus)) if self.weights is None else self.weights
        weight = float(weights[documents[own]].sum() / weights[documents].sum())
        rows = Rows(torch.from_numpy(own), len(documents))
        return Shared(torch.from_numpy(self._lengths[documents]), rows, weight)

    def _dealt(self, batches: list[np.ndarray]) -> list[np.ndarray]:
        """This process's part of batches without a gradient."""
        if self.part.count == 1:
            return batches
        if self.weights is not None:  # the mean over a batch has the weights of its documents
            return [batches[i] for i in self.part.every(len(batches))]
        parts = [batch[self.part.every(len(batch))] for batch in batches]
        return [part for part in parts if len(part)]

    def _by_tokens(self) -> list[np.ndarray]:
        order = np.argsort(-self._lengths, kind="stable")
        batches, start = [], 0
        while start < len(order):
            fit = max(1, self.tokens // max(1, int(self._lengths[order[start]])))
            block = row_block(fit)
            fit -= fit % block if fit > block else 0
            batches.append(order[start : start + fit])
            start += fit
        return batches

    def _shuffled(self) -> list[np.ndarray]:
        rng = np.random.default_rng([self.seed, self.epoch])
        order = rng.permutation(len(self.corpus))[: self._documents]
        batches = []
        for part in _cut(order, self.batch_size * _SORTED_STRETCH):
            part = part[np.argsort(-self._lengths[part], kind="stable")]
            batches += _cut(part, self.batch_size)
        longest = max(range(len(batches)), key=lambda b: self._lengths[batches[b][0]])
        rest = [b for b in rng.permutation(len(batches)) if b != longest]
        return [batches[b] for b in [longest, *rest]]


def _cut(documents: np.ndarray, size: int) -> list[np.ndarray]:
    """Parts of `size` documents; a single last document joins the part before (for batch norm)."""
    batches = [documents[i : i + size] for i in range(0, len(documents), size)]
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [np.concatenate(batches[-2:])]
    return batches


def on_device(
    batches: Iterator[tuple[Any, ...]], device: torch.device
) -> Iterator[tuple[Any, ...]]:
    """Each batch with its parts (tensors, or objects with `to`) on `device`."""
    if device.type != "cuda":
        for batch in batches:
            yield tuple(part.to(device) for part in batch)
        return

    def fetch() -> tuple[Any, ...] | None:
        batch = next(batches, None)
        if batch is None:
            return None
        return tuple(part.pin_memory().to(device, non_blocking=True) for part in batch)

    yield from ahead(fetch)


def ahead(fetch: Callable[[], T | None]) -> Iterator[T]:
    """The results of `fetch` until it returns None; a thread calls it one item ahead."""
    with ThreadPoolExecutor(1) as pool:
        upcoming = pool.submit(fetch)
        while (item := upcoming.result()) is not None:
            upcoming = pool.submit(fetch)
            yield item
