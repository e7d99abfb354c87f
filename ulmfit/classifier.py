"""The parts of the classifier: documents of any length -> pooled features -> classes.

fastai's `SentenceEncoder` takes the first rows of a padded batch for the non-empty ones of a
chunk, which is wrong in the last, partial chunk: a prediction depends on its batch-mates
(fastai#3379). Here lengths say which rows a chunk has.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from ulmfit.loaders import DocumentBatch


class Pooled(NamedTuple):
    """What the encoder makes of a batch.

    features: (documents, 3 x features): last, maximum and mean over each document.
    activation: mean square of the outputs (AR of Merity et al. 2017), a scalar.
    slowness: mean square of their change from token to token (TAR), a scalar.
    """

    features: Tensor
    activation: Tensor
    slowness: Tensor


class DocumentEncoder(nn.Module):
    """Runs a language model's encoder over whole documents and pools what it says.

    Documents are read in chunks of `bptt` tokens with the state carried on, gradients within a
    chunk (as fastai's `SentenceEncoder`, ULMFiT section 3.3). A chunk holds the documents that
    reach into it and no others. The last `max_len` tokens of a document are pooled; chunks in which
    no document of the batch is pooled yet are read without gradients.
    """

    def __init__(self, module: Any, bptt: int = 72, max_len: int = 1440) -> None:
        super().__init__()
        self.module = module
        self.bptt = bptt
        self.max_len = max_len

    def reset(self) -> None:
        """Forget the state."""
        self.module.reset()

    def forward(self, batch: DocumentBatch) -> Pooled:
        lengths = batch.lengths
        frozen = not any(p.requires_grad for p in self.module.parameters())
        self._start(len(lengths))
        pool = _Pool(lengths, self.max_len, batch.ids.device)
        # Where pooling starts in the batch: chunks before it need no gradients.
        first_pooled = int((lengths - self.max_len).clamp(min=0).min())
        for start in range(0, int(lengths[0]), self.bptt):
            rows = int((lengths > start).sum())
            chunk = batch.ids[:rows, start : start + self.bptt]
            unpooled = start + chunk.shape[1] <= first_pooled
            with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen and not unpooled):
                outputs = self.module(chunk)  # (rows, time, features)
            if not unpooled:
                pool.add(outputs, start)
        return pool.result()

    def _start(self, documents: int) -> None:
        # The state is made for this many rows, so that no chunk finds rows of another batch.
        self.module.bs = documents
        self.module.reset()


class _Pool:
    """Concat pooling (ULMFiT section 3.3), chunk by chunk."""

    def __init__(self, lengths: Tensor, max_len: int, device: torch.device) -> None:
        self.lengths = lengths.to(device)
        self.first = (self.lengths - max_len).clamp(min=0)
        self.last: Tensor | None = None
        self.maximum: Tensor | None = None
        self.total: Tensor | None = None
        self.square = torch.zeros((), device=device)
        self.change = torch.zeros((), device=device)
        self.changes = 0

    def add(self, outputs: Tensor, start: int) -> None:
        """Take in (rows, time, features) that begin at token `start`."""
        outputs = outputs.float()
        rows, time, _ = outputs.shape
        position = torch.arange(start, start + time, device=outputs.device)
        lengths, first = self.lengths[:rows, None], self.first[:rows, None]
        pooled = ((position < lengths) & (position >= first))[:, :, None]
        inside = outputs.masked_fill(~pooled, 0)
        ends = (lengths - 1 - start).clamp(0, time - 1)[:, :, None]
        last = outputs.gather(1, ends.expand(-1, 1, outputs.shape[2]))[:, 0]
        last = last.masked_fill(lengths > start + time, 0)
        highest = outputs.masked_fill(~pooled, -torch.inf).amax(1)
        self._merge(last, highest, inside.sum(1))
        self.square = self.square + inside.square().sum()
        both = pooled[:, 1:] & pooled[:, :-1]
        self.change = self.change + (outputs.diff(dim=1) * both).square().sum()
        self.changes += int(both.sum())

    def _merge(self, last: Tensor, highest: Tensor, total: Tensor) -> None:
        missing = (0, 0, 0, len(self.lengths) - len(last))
        last, total = pad(last, missing), pad(total, missing)
        highest = pad(highest, missing, value=-torch.inf)
        if self.last is None or self.maximum is None or self.total is None:
            self.last, self.maximum, self.total = last, highest, total
        else:
            self.last = self.last + last
            self.maximum = torch.maximum(self.maximum, highest)
            self.total = self.total + total

    def result(self) -> Pooled:
        assert self.last is not None
        assert self.maximum is not None
        assert self.total is not None
        counts = self.lengths - self.first
        features = self.last.shape[1]
        mean = self.total / counts[:, None]
        return Pooled(
            torch.cat([self.last, self.maximum, mean], 1),
            self.square / (counts.sum() * features),
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
        return self.layers(pooled.features), pooled.activation, pooled.slowness
