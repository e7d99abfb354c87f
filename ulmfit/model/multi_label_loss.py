"""The loss of a multi-label classifier, and the decisions that it has seen."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


@dataclass
class MultiLabelLoss:
    """Mean binary cross-entropy over documents and classes.

    smoothing: share of each target that yes and no divide: 1 becomes 1 - smoothing / 2.
    pos_weight: how much a document that has the label counts for its class, shape (classes,).
    hits, named: of the last batch, labels that were rightly given, and those given plus those true;
        micro F1 is 2 x hits / named.
    """

    smoothing: float = 0.0
    pos_weight: Tensor | None = None
    hits: int = 0
    named: int = 0

    def __call__(self, logits: Tensor, truth: Tensor) -> Tensor:
        """Both of shape (documents, classes); `truth` is 0 and 1."""
        given, true = logits.detach() >= 0, truth > 0
        self.hits = int((given & true).sum())
        self.named = int(given.sum() + true.sum())
        targets = truth.float() * (1 - self.smoothing) + self.smoothing / 2
        return binary_cross_entropy_with_logits(logits.float(), targets, pos_weight=self.pos_weight)
