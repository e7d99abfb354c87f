"""The loss of a multi-label classifier, which also counts its decisions."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


@dataclass
class MultiLabelLoss:
    """Mean binary cross-entropy over documents and classes.

    smoothing: share of each target that is divided between yes and no: 1 becomes 1 - smoothing / 2.
    pos_weight: weight of a document with the label, for each class, shape (classes,).
    hits, named: counts in the last batch: correct labels, and predicted plus true labels; micro F1
        is 2 x hits / named.
    """

    smoothing: float = 0.0
    pos_weight: Tensor | None = None
    hits: int = 0
    named: int = 0

    def __call__(self, logits: Tensor, truth: Tensor) -> Tensor:
        """Both of shape (documents, classes); `truth` is 0 and 1, or probabilities."""
        given, true = logits.detach() >= 0, truth >= 0.5
        self.hits = int((given & true).sum())
        self.named = int(given.sum() + true.sum())
        targets = truth.float() * (1 - self.smoothing) + self.smoothing / 2
        return binary_cross_entropy_with_logits(logits.float(), targets, pos_weight=self.pos_weight)
