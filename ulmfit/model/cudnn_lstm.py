"""An LSTM layer on a GPU: in bfloat16, with the weights where cuDNN expects them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ulmfit.base.precision import cudnn_has_bfloat16

State = tuple[Tensor, Tensor]


def format_on_gpu(inputs: Tensor) -> torch.dtype:
    """The inputs' format; with autocast, bfloat16 if cuDNN has it, else float32.

    Never float16, to which autocast casts cuDNN's LSTM: gradients of single tokens vanish in it.
    """
    if not torch.is_autocast_enabled("cuda"):
        return inputs.dtype
    return torch.bfloat16 if cudnn_has_bfloat16(inputs.device) else torch.float32


def flat_lstm(
    inputs: Tensor, state: State, weights: Sequence[Tensor], dtype: torch.dtype
) -> tuple[Tensor, State]:
    """A layer in `dtype`, with its weights in one buffer, so that cuDNN does not copy them.

    inputs: (batch, time, n_in); weights: in the order of nn.LSTM's parameters.
    """
    flat = torch.cat([weight.to(dtype).flatten() for weight in weights])
    parts = flat.split([weight.numel() for weight in weights])
    views = [part.view_as(weight) for part, weight in zip(parts, weights, strict=True)]
    begin = [part.to(dtype) for part in state]
    # Autocast always casts cuDNN's LSTM to float16 (ATen/cudnn/AutocastRNN.cpp).
    with torch.autocast(inputs.device.type, enabled=False):
        learns = torch.is_grad_enabled()
        found = torch.lstm(inputs.to(dtype), begin, views, True, 1, 0.0, learns, False, True)
    outputs, hidden, cell = found
    return outputs, (hidden, cell)
