"""What the hardware does best: number format, memory allocator, device, and seeds."""

import ctypes
import os
import random
import sys
from typing import Any

import numpy as np
import torch
from fastai.callback.core import Callback

from ulmfit.errors import UserError

PRECISIONS = ("auto", "bfloat16", "float32")


def default_device() -> torch.device:
    """The GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def resolve_precision(precision: str, device: torch.device) -> torch.dtype:
    """The number format for products; "auto" is bfloat16 where the hardware multiplies it fast.

    That is CUDA with native bfloat16 and CPUs with AMX or AVX512-BF16. Weights, sums and the
    optimiser stay in float32.
    """
    if precision not in PRECISIONS:
        raise UserError(f"unknown precision {precision!r}; choose one of {', '.join(PRECISIONS)}")
    if precision != "auto":
        return {"bfloat16": torch.bfloat16, "float32": torch.float32}[precision]
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        capabilities = torch.cpu.get_capabilities()
        fast = bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
    return torch.bfloat16 if fast else torch.float32


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """A context in which products run in `dtype`."""
    return torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32)


class Autocast(Callback):
    """Forward pass and loss under autocast (fastai's `MixedPrecision` knows CUDA only).

    bfloat16 has float32's range, so that no gradient scaling is needed.
    """

    order = -5

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype
        self._context: Any = None

    def before_batch(self) -> None:
        self._context = autocast(self.device, self.dtype)
        self._context.__enter__()

    def after_loss(self) -> None:
        self._leave()

    def after_cancel_batch(self) -> None:
        self._leave()

    def after_fit(self) -> None:
        self._leave()

    def _leave(self) -> None:
        if self._context is not None:
            self._context.__exit__(None, None, None)
            self._context = None


def keep_memory() -> None:
    """Tell glibc to keep memory that is freed instead of giving it back to the kernel.

    A training step takes and returns buffers of hundreds of megabytes. By default each is mapped
    afresh and every page of it faults, which costs more time than the arithmetic.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl
        return
    trim_threshold, top_pad, mmap_max = -1, -2, -4  # <malloc.h>
    mallopt(mmap_max, 0)
    mallopt(trim_threshold, 2**31 - 1)
    mallopt(top_pad, 64 << 20)


def use_all_cores() -> None:
    """One thread a core that this process may use, unless OMP_NUM_THREADS says otherwise."""
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(len(os.sched_getaffinity(0)))


def set_seed(seed: int) -> None:
    """Seed Python, NumPy and torch."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
