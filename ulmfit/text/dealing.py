"""The part of each batch that one of several processes reads.

The batches themselves are those of one process: they depend on seed and epoch, not on the number
of processes.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Part:
    """Process number `rank` of `count`."""

    rank: int = 0
    count: int = 1

    def lanes(self, lanes: int) -> slice:
        """Its rows of the stream of a language model: neighbours, as many as the others have."""
        return slice(lanes * self.rank // self.count, lanes * (self.rank + 1) // self.count)

    def every(self, things: int) -> np.ndarray:
        """Every `count`-th of some things, int64, in rising order."""
        return np.arange(self.rank, things, self.count)

    def dealt(self, documents: int) -> np.ndarray:
        """Its places in a batch that is sorted by length, int64, in rising order.

        Dealt to and fro (0, 1, 1, 0, 0, 1, ...), so that all processes get about the same tokens.
        """
        places = np.arange(documents)
        turn, seat = np.divmod(places, self.count)
        return places[np.where(turn % 2, self.count - 1 - seat, seat) == self.rank]


WHOLE = Part()


@dataclass(frozen=True)
class Rows:
    """The rows of a batch that this process has.

    Masks of dropout are drawn for all rows in every process: so the random generators of all
    processes stay equal, and the masks are those of one process.

    own: places in the whole batch, int64, in rising order. total: rows of the whole batch.
    """

    own: Tensor
    total: int

    def of(self, drawn: Tensor, wanted: int) -> Tensor:
        """The own rows of `drawn`, (total, ...), and zeros up to `wanted` rows of padding."""
        found = drawn[self.own.to(drawn.device)]
        missing = wanted - len(found)
        if missing <= 0:
            return found
        return torch.cat([found, found.new_zeros(missing, *found.shape[1:])])

    def first(self, count: int, total: int) -> "Rows":
        """Its first `count` rows, of `total` rows."""
        return replace(self, own=self.own[:count], total=total)


@dataclass(frozen=True)
class Shared:
    """What a process knows about the batch of which it has a part.

    lengths: of all documents, int64, in falling order. rows: the documents that this process has;
    with none, its batch has one that does not count. weight: of its part in the loss of the whole
    batch, 0 to 1; the weights of all processes have the sum 1.
    """

    lengths: Tensor
    rows: Rows
    weight: float

    @property
    def places(self) -> np.ndarray:
        """The documents of this process's batch as places in the whole batch, int64."""
        own = self.rows.own.numpy()
        return own if len(own) else np.zeros(1, np.int64)
