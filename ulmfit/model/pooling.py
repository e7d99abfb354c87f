"""The parts of the classifier: documents of any length -> pooled features -> classes.

fastai's `SentenceEncoder` takes wrong rows of the last, partial chunk, so a prediction depends on
the other documents of its batch (fastai#3379). Here the lengths decide which rows a chunk has.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from ulmfit.base.precision import row_block
from ulmfit.model.awd_lstm import AWDLSTM, share_rows
from ulmfit.model.shared_layers import shared_layer
from ulmfit.text.batches import DocumentBatch
from ulmfit.text.dealing import Rows, Shared
from ulmfit.text.processor import PAD_ID


class Pooled(NamedTuple):
    """The encoder's output for a batch.

    features: (documents, 3 x features): last, maximum and mean over each document.
    activation: mean square of the outputs (AR of Merity et al. 2017), a scalar; 0 in evaluation.
    slowness: mean square of their change from token to token (TAR), a scalar; 0 in evaluation.
    rows: of the whole batch, if this is the part of one of several processes; the scalars are then
        its part of the sum over the processes.
    """

    features: Tensor
    activation: Tensor
    slowness: Tensor
    rows: Rows | None = None


class _Chunk(NamedTuple):
    """Tokens of a batch from `start` on, of the documents that are long enough.

    tokens: ids, (rows, time), or features, (rows, time, features); rows after the `documents` are
    padding. pooled: whether any token is pooled.
    """

    start: int
    documents: int
    pooled: bool
    tokens: Tensor


class DocumentEncoder(nn.Module):
    """Runs a language model's encoder over whole documents and pools its outputs.

    Documents are read in chunks of `bptt` tokens. The state carries over; gradients stay within a
    chunk (as in fastai's `SentenceEncoder`, ULMFiT section 3.3). The last `max_len` tokens of a
    document are pooled; chunks before them are read without gradients.
    """

    def __init__(self, module: AWDLSTM, bptt: int = 72, max_len: int = 1440) -> None:
        super().__init__()
        self.module, self.bptt, self.max_len = module, bptt, max_len

    def reset(self) -> None:
        """Forget the state."""
        self.module.reset()

    def forward(self, batch: DocumentBatch) -> Pooled:
        lengths, shared = batch.lengths, batch.shared if self.training else None
        learns = torch.is_grad_enabled() and any(p.requires_grad for p in self.parameters())
        pool = _Pool(lengths, self.max_len, batch.ids.device, self.training)
        self.module.reset()
        self.module.draw_masks()
        for chunk in self._embedded(self._chunks(batch), learns):
            if shared:
                share_rows(self, self._rows(shared, chunk.start, chunk.documents))
            with torch.set_grad_enabled(learns and chunk.pooled):
                outputs = self.module.read(chunk.tokens)  # (rows, time, features)
            if chunk.pooled:
                pool.add(outputs[: chunk.documents], chunk.start)
        if shared is None:
            return pool.result()
        for start in self._starts(lengths, shared):  # longer documents of other processes
            self.module.skip(self._rows(shared, start, 0))
        share_rows(self, None)
        return self._part(pool.result(), batch, shared)

    def _rows(self, shared: Shared, start: int, documents: int) -> Rows:
        """The rows of the whole batch's chunk from `start` on, of which `documents` are here."""
        device = self.module.encoder.weight.device
        total = fast_rows(int((shared.lengths > start).sum()), device)
        return shared.rows.first(documents, total)

    def _starts(self, lengths: Tensor, shared: Shared) -> range:
        """Chunks of the whole batch after those of this process's documents."""
        done = -(-int(lengths[0]) // self.bptt) * self.bptt
        return range(done, int(shared.lengths[0]), self.bptt)

    def _part(self, pooled: Pooled, batch: DocumentBatch, shared: Shared) -> Pooled:
        """`pooled` with the scalars as parts of the sums over all processes."""
        counted = float(len(shared.rows.own) > 0)
        own, whole = self._pooled(batch.lengths), self._pooled(shared.lengths)
        return pooled._replace(
            activation=pooled.activation * (counted * own[0] / whole[0]),
            slowness=pooled.slowness * (counted * own[1] / max(1, whole[1])),
            rows=shared.rows,
        )

    def _pooled(self, lengths: Tensor) -> tuple[int, int]:
        """Tokens that are pooled, and steps from one to the next within a chunk."""
        first = (lengths - self.max_len).clamp(min=0)
        chunks = -(-lengths // self.bptt) - first // self.bptt
        tokens = int((lengths - first).sum())
        return tokens, tokens - int(chunks.sum())

    def _chunks(self, batch: DocumentBatch) -> Iterator["_Chunk"]:
        first_pooled = (batch.lengths - self.max_len).clamp(min=0).tolist()
        longest = int(batch.lengths[0])
        for start in range(0, longest, self.bptt):
            documents = int((batch.lengths > start).sum())
            end = min(start + self.bptt, longest)
            ids = batch.ids[:documents, start:end]
            missing = fast_rows(documents, ids.device) - documents
            # The shortest document of the chunk has the earliest pooled token.
            pooled = first_pooled[documents - 1] < end
            yield _Chunk(start, documents, pooled, pad(ids, (0, 0, 0, missing), value=PAD_ID))

    def _embedded(self, chunks: Iterable["_Chunk"], learns: bool) -> Iterator["_Chunk"]:
        """Features, (rows, time, features), in the place of ids."""
        # All chunks with a gradient share one look-up, because the gradient of each look-up has the
        # size of the vocabulary. The others come one by one, for the memory of long documents.
        together: Iterator[Tensor] = iter(())
        if learns:
            chunks = list(chunks)
            ids = [chunk.tokens.reshape(-1) for chunk in chunks if chunk.pooled]
            together = iter(self.module.embed(torch.cat(ids)).split([len(part) for part in ids]))
        for chunk in chunks:
            if learns and chunk.pooled:
                features = next(together).view(*chunk.tokens.shape, -1)
            else:
                with torch.no_grad():
                    features = self.module.embed(chunk.tokens)
            yield chunk._replace(tokens=features)


def fast_rows(rows: int, device: torch.device) -> int:
    """`rows`, or a few more, so that low precision is fast (see `row_block`)."""
    if not torch.is_autocast_enabled(device.type):
        return rows
    block = row_block(rows)
    return -(-rows // block) * block


class _Pool:
    """Concat pooling (ULMFiT section 3.3), chunk by chunk."""

    def __init__(
        self, lengths: Tensor, max_len: int, device: torch.device, regularized: bool
    ) -> None:
        self.lengths, self.first = lengths, (lengths - max_len).clamp(min=0)
        self.device, self.regularized = device, regularized
        self.merged: tuple[Tensor, Tensor, Tensor] | None = None  # last, maximum, sum
        self.square = torch.zeros((), device=device)
        self.change = torch.zeros((), device=device)
        self.changes = 0

    def add(self, outputs: Tensor, start: int) -> None:
        """Add (rows, time, features) that begin at token `start`."""
        rows, time, _ = outputs.shape
        position = torch.arange(start, start + time)
        lengths, first = self.lengths[:rows, None], self.first[:rows, None]
        pooled = (position < lengths) & (position >= first)  # (rows, time)
        inside, highest = outputs, outputs
        if not pooled.all():
            outside = self._there(~pooled)[:, :, None]
            inside = outputs.masked_fill(outside, 0)
            highest = outputs.masked_fill(outside, -torch.inf)
        self._merge(
            self._last(outputs, start), highest.amax(1).float(), inside.sum(1, dtype=torch.float32)
        )
        if self.regularized:
            self._regularize(inside.float(), pooled)

    def _there(self, tensor: Tensor) -> Tensor:
        """`tensor` on the device, without waiting for the GPU."""
        return tensor.to(self.device, non_blocking=True)

    def _last(self, outputs: Tensor, start: int) -> Tensor:
        """The features of each document's last token; zeros if it is in a later chunk."""
        rows, time, features = outputs.shape
        ends = self.lengths[:rows] - 1 - start
        at = self._there(ends.clamp(max=time - 1))[:, None, None].expand(-1, 1, features)
        later = self._there(ends >= time)[:, None]
        return outputs.gather(1, at)[:, 0].float().masked_fill(later, 0)

    def _regularize(self, inside: Tensor, pooled: Tensor) -> None:
        self.square = self.square + inside.square().sum()
        both = pooled[:, 1:] & pooled[:, :-1]
        change = inside.diff(dim=1)
        if not both.all():
            change = change * self._there(both)[:, :, None]
        self.change = self.change + change.square().sum()
        self.changes += int(both.sum())

    def _merge(self, last: Tensor, highest: Tensor, total: Tensor) -> None:
        missing = (0, 0, 0, len(self.lengths) - len(last))
        last, total = pad(last, missing), pad(total, missing)
        highest = pad(highest, missing, value=-torch.inf)
        if self.merged is not None:
            last, total = self.merged[0] + last, self.merged[2] + total
            highest = torch.maximum(self.merged[1], highest)
        self.merged = last, highest, total

    def result(self) -> Pooled:
        assert self.merged is not None, "no chunk was pooled"
        last, maximum, total = self.merged
        counts = self.lengths - self.first
        features = last.shape[1]
        mean = total / self._there(counts)[:, None]
        return Pooled(
            torch.cat([last, maximum, mean], 1),
            self.square / (int(counts.sum()) * features),
            self.change / max(1, self.changes * features),
        )


class PoolingClassifier(nn.Module):
    """Two blocks of batch norm, dropout and a linear layer (fastai's `PoolingLinearClassifier`).

    forward gives (logits of shape (documents, classes), activation, slowness).
    """

    def __init__(
        self, features: int, n_classes: int, hidden: int, dropouts: tuple[float, float]
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm1d(3 * features),
            nn.Dropout(dropouts[0]),
            nn.Linear(3 * features, hidden, bias=False),
            nn.ReLU(inplace=True),
            nn.BatchNorm1d(hidden),
            nn.Dropout(dropouts[1]),
            nn.Linear(hidden, n_classes, bias=False),
        )

    def forward(self, pooled: Pooled) -> tuple[Tensor, Tensor, Tensor]:
        features = pooled.features
        if pooled.rows is None:
            return self.layers(features), pooled.activation, pooled.slowness
        for layer in self.layers:
            features = shared_layer(layer, features, pooled.rows)
        return features, pooled.activation, pooled.slowness
