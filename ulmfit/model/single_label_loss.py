"""The loss of a classifier with one label for each text, which also learns from probabilities."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import cross_entropy


@dataclass
class SingleLabelLoss:
    """Mean cross-entropy over documents (fastai's `CrossEntropyLossFlat`).

    weight: of each class, shape (classes,).
    label_smoothing: share of each target that all classes divide.
    """

    weight: Tensor | None = None
    label_smoothing: float = 0.0

    def __call__(self, logits: Tensor, truth: Tensor) -> Tensor:
        """`truth`: class numbers, shape (documents,), or probabilities, as `logits`."""
        smoothing = self.label_smoothing
        return cross_entropy(logits.float(), truth, self.weight, label_smoothing=smoothing)
