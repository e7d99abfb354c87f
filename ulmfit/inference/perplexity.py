"""How well a language model predicts the next token."""

import math
from typing import Any

import torch

from ulmfit.base.precision import autocast
from ulmfit.base.progress import progress
from ulmfit.model.lm_loss import LMLoss
from ulmfit.text.batches import LMLoader


@torch.no_grad()
def measure_lm(
    model: Any, loader: LMLoader, device: torch.device, dtype: torch.dtype
) -> dict[str, float]:
    """Loss (nats a token), perplexity and accuracy over all targets of `loader`."""
    loss_func, total, correct, targets = LMLoss(), 0.0, 0, 0
    model.eval()
    model.reset()
    for inputs, expected in progress(loader, len(loader), "measuring perplexity"):
        with autocast(device, dtype):
            prediction = model(inputs.to(device))[0]
            loss = float(loss_func(prediction, expected.to(device)))
        total += loss * expected.numel()
        correct += loss_func.correct
        targets += expected.numel()
    mean = total / targets
    return {"loss": mean, "perplexity": math.exp(min(mean, 700.0)), "accuracy": correct / targets}
