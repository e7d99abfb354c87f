"""The loss of a classifier with one label a text, which also learns from probabilities."""

from typing import Any

from fastai.losses import CrossEntropyLossFlat
from torch import Tensor
from torch.nn.functional import cross_entropy


class SingleLabelLoss(CrossEntropyLossFlat):
    """fastai's cross-entropy; targets are class numbers, or float: probabilities of each class."""

    def __call__(self, inp: Tensor, targ: Tensor, **kwargs: Any) -> Tensor:
        """`inp`: logits, shape (documents, classes); `targ`: (documents,) or (documents, classes).

        fastai's loss flattens its targets; probabilities must keep their shape.
        """
        if targ.is_floating_point():
            return cross_entropy(inp.float(), targ, label_smoothing=self.func.label_smoothing)
        return super().__call__(inp, targ, **kwargs)
