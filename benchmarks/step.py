"""Measures a training step of a language model before a long run: speed, and its slow parts.

It needs neither data nor a tokenizer: the ids are drawn. It prints tokens/s, TFLOP/s, the share of
the step's time in matrix products (including the LSTM's), and the other slow parts. For the GPU
rows of docs/base.md:

    python -m benchmarks.step --batch-size 256 [--chunk 8192] [--precision float32]
"""

import time
from typing import Any

import numpy as np
import torch
from fastai.callback.core import Callback, CancelFitException
from fastcore.script import call_parse
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from benchmarks.peak import recurrent_weights
from ulmfit.base.precision import default_device, hardware, resolve_precision
from ulmfit.model import lm_loss
from ulmfit.model.build import build_lm
from ulmfit.model.sizes import SIZES, EncoderConfig
from ulmfit.text.corpus import Corpus
from ulmfit.text.processor import id_dtype
from ulmfit.training.learner import lm_learner, lm_loaders
from ulmfit.training.settings import LMSettings
from ulmfit.training.stage import set_up

WARM_UP, PROFILED, SHOWN = 5, 3, 8
# Parts of the names of kernels and operators that multiply matrices.
PRODUCTS = (
    "gemm", "cutlass", "cublas", "nvjet", "lstm", "rnn", "addmm", "::mm", "matmul", "linear",
)  # fmt: skip


class Clock(Callback):
    """Times some steps, profiles some more, and ends the training."""

    order = 70

    def __init__(self, steps: int, device: torch.device) -> None:
        self.steps, self.device = steps, device
        self.done = 0
        kinds = [ProfilerActivity.CPU]
        if device.type == "cuda":
            kinds.append(ProfilerActivity.CUDA)
        self.profile = profile(activities=kinds)

    def after_batch(self) -> None:
        self.done += 1
        if self.done == WARM_UP:
            self.began = self._now()
        if self.done == WARM_UP + self.steps:
            self.seconds = self._now() - self.began
            self.profile.start()
        if self.done == WARM_UP + self.steps + PROFILED:
            self._now()
            self.profile.stop()
            raise CancelFitException

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.monotonic()


def measure(
    size: str, vocab: int, batch_size: int, seq_len: int, steps: int, precision: str
) -> dict[str, Any]:
    """tokens_per_second, tflops, products (share of the time) and others (name -> share)."""
    settings = LMSettings(batch_size=batch_size, seq_len=seq_len, precision=precision)
    place = set_up(settings)
    model = build_lm(EncoderConfig(vocab, *SIZES[size]), settings.drop_mult, 0.5)
    batch = batch_size * seq_len
    tokens = batch * (WARM_UP + steps + PROFILED + 1)
    ids = np.random.default_rng(0).integers(9, vocab, tokens).astype(id_dtype(vocab))
    train = Corpus(ids, np.linspace(0, tokens, tokens // 500 + 2).astype(np.int64))
    loaders = lm_loaders(train, train, settings, backwards=False)
    learn = lm_learner(model, loaders, settings, place.device, place.dtype)
    clock = Clock(steps, place.device)
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(1, 1e-3, cbs=clock)
    speed = batch * steps / clock.seconds
    weights = recurrent_weights(SIZES[size]) + vocab * SIZES[size][0]
    products, others = shares(clock.profile, place.device)
    return {
        "tokens_per_second": speed,
        "tflops": 6 * weights * speed / 1e12,  # two forward, four backward
        "products": products,
        "others": others,
    }


def shares(profiled: Any, device: torch.device) -> tuple[float, dict[str, float]]:
    """Of the profiled time: the share of matrix products, and those of what else takes long."""
    spent: dict[str, float] = {}
    for event in profiled.key_averages():
        on_gpu = event.device_type == DeviceType.CUDA
        if on_gpu == (device.type == "cuda"):
            seconds = event.self_device_time_total if on_gpu else event.self_cpu_time_total
            spent[event.key] = spent.get(event.key, 0.0) + seconds
    total = sum(spent.values()) or 1.0
    is_product = {name: any(part in name.lower() for part in PRODUCTS) for name in spent}
    products = sum(seconds for name, seconds in spent.items() if is_product[name]) / total
    rest = sorted((s / total, name) for name, s in spent.items() if not is_product[name])
    return products, {name: share for share, name in rest[: -SHOWN - 1 : -1]}


@call_parse
def main(
    size: str = "base",  # tiny, small or base
    vocab: int = 60_000,  # words
    batch_size: int = 256,  # rows
    seq_len: int = 80,  # tokens of a row
    steps: int = 30,  # steps that are timed
    precision: str = "auto",  # auto, bfloat16 or float32
    chunk: int = 0,  # tokens that the softmax takes at a time on a GPU; 0 as in training
) -> dict[str, Any]:
    """Measure a training step."""
    if chunk:
        lm_loss._CHUNK_ON_GPU = chunk
    found = measure(size, vocab, batch_size, seq_len, steps, precision)
    name = str(resolve_precision(precision, default_device())).removeprefix("torch.")
    print(f"{hardware()}: {size}, {vocab:,} words, batch {batch_size} x {seq_len}, {name}")
    print(f"{found['tokens_per_second']:,.0f} tokens/s, {found['tflops']:.1f} TFLOP/s")
    if torch.cuda.is_available():
        print(f"{torch.cuda.max_memory_allocated() / 2**30:.1f} GiB at most")
    print(f"{found['products']:4.0%} of the time in matrix products and the LSTM")
    for name, share in found["others"].items():
        print(f"{share:4.0%} {name[:90]}")
    return found
