"""Layers of a head whose batch is divided among processes: batch norm and dropout.

torch's `SyncBatchNorm` runs on GPUs only. Here sums over all processes make the statistics, on any
device. In training, every result is the one that a single process has for the whole batch.
"""

from typing import Any

import torch
from torch import Tensor, nn

from ulmfit.base.processes import current
from ulmfit.text.dealing import Rows


def shared_layer(layer: nn.Module, features: Tensor, rows: Rows) -> Tensor:
    """`layer` in training; features of (rows, size), those after `rows.own` do not count."""
    if isinstance(layer, nn.BatchNorm1d):
        return _batch_norm(layer, features, rows)
    if isinstance(layer, nn.Dropout):
        return _dropout(layer, features, rows)
    return layer(features)


class _Sum(torch.autograd.Function):
    """The sum over the processes; its gradient is the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        total = own.clone()
        current().add([total])
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        current().add([total])
        return total


def _batch_norm(layer: nn.BatchNorm1d, features: Tensor, rows: Rows) -> Tensor:
    # In float64, because the mean of the squares minus the square of the mean loses digits.
    own = features[: len(rows.own)].double()
    sums = _Sum.apply(torch.stack([own.sum(0), own.square().sum(0)])) / rows.total
    mean, variance = sums[0], sums[1] - sums[0].square()
    with torch.no_grad():
        assert layer.running_mean is not None
        assert layer.running_var is not None
        assert layer.num_batches_tracked is not None
        assert layer.momentum is not None
        unbiased = variance * (rows.total / max(1, rows.total - 1))
        layer.running_mean.lerp_(mean.to(layer.running_mean.dtype), layer.momentum)
        layer.running_var.lerp_(unbiased.to(layer.running_var.dtype), layer.momentum)
        layer.num_batches_tracked += 1
    normal = (features.double() - mean) * (variance + layer.eps).rsqrt()
    return (normal * layer.weight.double() + layer.bias.double()).to(features.dtype)


def _dropout(layer: nn.Dropout, features: Tensor, rows: Rows) -> Tensor:
    if layer.p == 0:
        return features
    kept = features.new_empty(rows.total, features.shape[1]).bernoulli_(1 - layer.p)
    return features * rows.of(kept.div_(1 - layer.p), len(features))
