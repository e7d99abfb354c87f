"""An LSTM layer on a GPU, in the number format for which cuDNN has the fastest kernels.

cuDNN runs a layer in one kernel if it is in float16, of a fitting shape (`one_kernel`). In bfloat16
it launches five kernels a time step. float16 has too small a range for gradients: those of single
tokens vanish. So only the layer itself is in float16, and its gradients are scaled in it (`Scale`);
the rest of the network stays in bfloat16 and needs no scaling.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ulmfit.base.precision import cudnn_has_bfloat16, fast_gpu

State = tuple[Tensor, Tensor]

# The largest gradient of a layer's outputs, as float16. The layer's own sums may be 4,000 times as
# large, and a gradient of 2**-28 of it is not yet 0.
_LARGEST = 16.0
_LOWERED, _RECOVERY = 0.25, 2 ** (1 / 256)  # the factors on it after an overflow, and in each pass
_LEAST = 2.0**-8


class Scale:
    """The scale of a layer's gradients in float16, chosen anew in every backward pass.

    It is a power of two, so scaling changes no digit. Everything stays on the GPU: nothing waits.
    A tensor of gradients that overflows becomes 0; later ones are scaled less, and slowly as much
    as before again. Gradients that come in as NaN or infinity stay so.
    """

    def __init__(self) -> None:
        self.largest: Tensor | None = None  # float32 scalar: that of the scaled gradient
        self.factor: Tensor | None = None
        self.finite = torch.tensor(True)  # whether the gradient came in finite

    def choose(self, gradient: Tensor) -> Tensor:
        """The factor for `gradient`, the one of the layer's outputs."""
        if self.largest is None:
            self.largest = torch.full((), _LARGEST, device=gradient.device)
        self.largest.mul_(_RECOVERY).clamp_(_LEAST, _LARGEST)
        found = gradient.abs().amax().float()
        factor = (self.largest / found).log2().floor().clamp(-60, 60).exp2()
        self.finite = found.isfinite()
        self.factor = torch.where((found > 0) & self.finite, factor, torch.ones_like(factor))
        return self.factor

    def undone(self, gradient: Tensor, dtype: torch.dtype) -> Tensor:
        """`gradient` without the factor; 0 if it overflowed."""
        assert self.factor is not None, "the layer's outputs had no gradient"
        assert self.largest is not None
        overflowed = ~gradient.isfinite().all() & self.finite
        self.largest.mul_(1 - (1 - _LOWERED) * overflowed.float())
        return (gradient.float() / self.factor).to(dtype).masked_fill_(overflowed, 0)


class _Into(torch.autograd.Function):
    """A tensor in the layer's format; its gradient comes back unscaled, in the tensor's format."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, dtype: torch.dtype, scale: Scale) -> Tensor:
        ctx.scale, ctx.dtype = scale, tensor.dtype
        return tensor.to(dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return ctx.scale.undone(gradient, ctx.dtype), None, None


class _OutOf(torch.autograd.Function):
    """The layer's outputs in another format; their gradient goes in scaled."""

    @staticmethod
    def forward(ctx: Any, outputs: Tensor, dtype: torch.dtype, scale: Scale) -> Tensor:
        ctx.scale, ctx.dtype = scale, outputs.dtype
        return outputs.to(dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        factor = ctx.scale.choose(gradient)
        return (gradient.float() * factor).to(ctx.dtype), None, None


def format_on_gpu(inputs: Tensor) -> torch.dtype:
    """The inputs' format; with autocast, bfloat16 if cuDNN has it, else float32."""
    if not torch.is_autocast_enabled("cuda"):
        return inputs.dtype
    return torch.bfloat16 if cudnn_has_bfloat16(inputs.device) else torch.float32


def one_kernel(rows: int, n_in: int, n_out: int, device: torch.device) -> bool:
    """Whether cuDNN runs a float16 layer in one kernel: torch's condition (ATen/cudnn/RNN.cpp)."""
    shape = n_in % 128 == 0 and n_out % 128 == 0 and n_out <= 1024
    if not (shape and rows % 8 == 0 and rows <= 128):
        return False
    about = torch.cuda.get_device_properties(device)
    return about.major >= 8 and about.minor != 6 and about.multi_processor_count >= 98


def lstm_on_gpu(
    inputs: Tensor, state: State, weights: Sequence[Tensor], scale: Scale
) -> tuple[Tensor, State]:
    """A layer under autocast: in float16 where that is one kernel, else as `format_on_gpu`.

    inputs: (batch, time, n_in); weights: in the order of nn.LSTM's parameters. The outputs have
    the format of `format_on_gpu`. In float16, there is no gradient by the last state.
    """
    dtype = format_on_gpu(inputs)
    rows, _, n_in = inputs.shape
    fits = fast_gpu() and one_kernel(rows, n_in, weights[1].shape[1], inputs.device)
    if fits and dtype == torch.bfloat16:
        return scaled_lstm(inputs, state, weights, dtype, scale)
    return flat_lstm(inputs, state, weights, dtype)


def scaled_lstm(
    inputs: Tensor,
    state: State,
    weights: Sequence[Tensor],
    dtype: torch.dtype,
    scale: Scale,
    inner: torch.dtype = torch.float16,
) -> tuple[Tensor, State]:
    """A layer in the format `inner`, with outputs in `dtype`; gradients inside are scaled."""
    flat = _Into.apply(torch.cat([weight.flatten() for weight in weights]), inner, scale)
    parts = flat.split([weight.numel() for weight in weights])
    views = [part.view_as(weight) for part, weight in zip(parts, weights, strict=True)]
    begin = [part.to(inner) for part in state]
    outputs, hidden, cell = _lstm(_Into.apply(inputs, inner, scale), begin, views)
    return _OutOf.apply(outputs, dtype, scale), (hidden.detach(), cell.detach())


def flat_lstm(
    inputs: Tensor, state: State, weights: Sequence[Tensor], dtype: torch.dtype
) -> tuple[Tensor, State]:
    """A layer in `dtype`, with its weights in one buffer, so that cuDNN does not copy them."""
    flat = torch.cat([weight.to(dtype).flatten() for weight in weights])
    parts = flat.split([weight.numel() for weight in weights])
    views = [part.view_as(weight) for part, weight in zip(parts, weights, strict=True)]
    begin = [part.to(dtype) for part in state]
    outputs, hidden, cell = _lstm(inputs.to(dtype), begin, views)
    return outputs, (hidden, cell)


def _lstm(
    inputs: Tensor, state: list[Tensor], weights: list[Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    # Autocast always casts cuDNN's LSTM to float16 (ATen/cudnn/AutocastRNN.cpp).
    with torch.autocast(inputs.device.type, enabled=False):
        learns = torch.is_grad_enabled()
        return torch.lstm(inputs, state, weights, True, 1, 0.0, learns, False, True)
