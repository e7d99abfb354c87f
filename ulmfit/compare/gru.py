"""A bidirectional GRU over frozen vectors of tokens from any source."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pack_padded_sequence

from ulmfit.inference.baseline import score

HIDDEN = 128  # units of each direction
DROPOUT = 0.3
RATE = 1e-3
BATCH = 16
PATIENCE = 5  # epochs without improvement before the training ends
_BUCKET = 50  # batches within which texts are sorted by length

# Numbers of texts -> vectors, shape (texts, tokens, inputs), and lengths, 1 or more, int64.
Inputs = Callable[[np.ndarray], tuple[Tensor, Tensor]]


class GRUClassifier(nn.Module):
    """GRU and a linear layer on its last states.

    The forward state is the one at the end of each text, before any padding; the backward state is
    the one at its beginning.
    """

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.gru = nn.GRU(inputs, HIDDEN, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(DROPOUT)
        self.out = nn.Linear(2 * HIDDEN, classes)

    def forward(self, vectors: Tensor, lengths: Tensor) -> Tensor:
        """Logits, shape (texts, classes); `lengths` on the CPU."""
        packed = pack_padded_sequence(
            self.dropout(vectors.to(self.out.weight.device)),
            lengths,
            batch_first=True,
            enforce_sorted=False,
        )
        _, last = self.gru(packed)  # (directions, texts, HIDDEN)
        return self.out(self.dropout(torch.cat([last[0], last[1]], dim=1)))


def train_gru(
    model: GRUClassifier,
    train: tuple[Inputs, np.ndarray, np.ndarray],
    valid: tuple[Inputs, np.ndarray, np.ndarray],
    epochs: int,
    seed: int,
) -> dict[str, Any]:
    """Train `model`; afterwards it has the weights of its best epoch.

    `train` and `valid` are inputs, lengths of the texts, and class numbers. The best epoch has the
    highest accuracy on valid; in a tie, the smallest loss. Returns the best epoch and the number of
    epochs.
    """
    inputs, lengths, truth = train
    rng, device = np.random.default_rng(seed), model.out.weight.device
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    best, kept, best_epoch, epoch = (-1.0, 0.0), {}, 0, 0
    for epoch in range(1, epochs + 1):
        model.train()
        for rows in _shuffled(lengths, rng):
            loss = cross_entropy(model(*inputs(rows)), torch.from_numpy(truth[rows]).to(device))
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        now = score(gru_probabilities(model, valid[0], valid[1]), valid[2])
        if now > best:
            best, best_epoch = now, epoch
            kept = {name: value.clone() for name, value in model.state_dict().items()}
        elif epoch - best_epoch >= PATIENCE:
            break
    model.load_state_dict(kept)
    return {"best epoch": best_epoch, "epochs": epoch}


@torch.no_grad()
def gru_probabilities(model: GRUClassifier, inputs: Inputs, lengths: np.ndarray) -> np.ndarray:
    """Probabilities, shape (texts, classes), in the order of the texts."""
    model.eval()
    order = np.argsort(-lengths, kind="stable")
    found = np.empty((len(lengths), model.out.out_features), np.float32)
    for start in range(0, len(order), 4 * BATCH):
        rows = order[start : start + 4 * BATCH]
        found[rows] = model(*inputs(rows)).softmax(1).cpu().numpy()
    return found


def parameter_bytes(model: nn.Module) -> int:
    """Bytes of the weights on disk."""
    return sum(value.numel() * value.element_size() for value in model.state_dict().values())


def _shuffled(lengths: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Batches of texts of about the same length, in random order."""
    order = rng.permutation(len(lengths))
    batches = []
    for start in range(0, len(order), BATCH * _BUCKET):
        bucket = order[start : start + BATCH * _BUCKET]
        bucket = bucket[np.argsort(lengths[bucket], kind="stable")]
        batches += [bucket[n : n + BATCH] for n in range(0, len(bucket), BATCH)]
    return [batches[n] for n in rng.permutation(len(batches))]
