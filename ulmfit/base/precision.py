"""What the hardware does best: number format, memory allocator, device, and seeds."""

import contextlib
import ctypes
import functools
import os
import platform
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ulmfit.base.cores import cores
from ulmfit.base.errors import UserError
from ulmfit.base.number_formats import PRECISIONS

VARIABLE = "ULMFIT_PRECISION"  # overrides "auto"
# oneDNN's instruction sets that lack a fast bfloat16 product, by ONEDNN_MAX_CPU_ISA's names.
_NO_AMX = (
    "SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI",
    "AVX512_CORE_BF16", "AVX512_CORE_FP16", "AVX10_1_512",
)  # fmt: skip
_NO_BF16 = _NO_AMX[:7]


def default_device() -> torch.device:
    """The GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def resolve_precision(precision: str, device: torch.device) -> torch.dtype:
    """The number format of products. Weights, sums and the optimiser stay in float32.

    "auto" is the format that the environment variable ULMFIT_PRECISION names. Without it, "auto"
    is bfloat16 where the hardware multiplies it fast: CUDA with native bfloat16, CPUs with AMX
    or AVX512-BF16. ONEDNN_MAX_CPU_ISA, oneDNN's own limit, counts as the CPU's.

    Raises:
        UserError: an unknown format, or bfloat16 where no LSTM runs in it.
    """
    name = "precision"
    if precision == "auto" and (override := os.environ.get(VARIABLE)):
        name, precision = VARIABLE, override
    found = f"{name} is {precision!r}"
    if precision not in PRECISIONS:
        raise UserError(f"{found}, expected one of {', '.join(PRECISIONS)}")
    if precision == "auto":
        return torch.bfloat16 if _fast_bfloat16(device) else torch.float32
    if precision == "bfloat16" and not has_bfloat16(device):
        raise UserError(f"{found}, but no LSTM runs in it on this machine; use auto or float32")
    return getattr(torch, precision)


def _fast_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(bfloat16_features())


def bfloat16_features() -> list[str]:
    """What the CPU has for fast bfloat16 products, within oneDNN's limit: amx_bf16, avx512_bf16."""
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", os.environ.get("DNNL_MAX_CPU_ISA", "")).upper()
    capabilities = torch.cpu.get_capabilities()
    lacking = {"amx_bf16": _NO_AMX, "avx512_bf16": _NO_BF16}
    return [
        feature
        for feature, limits in lacking.items()
        if capabilities.get(feature) and limit not in limits
    ]


@functools.cache
def has_bfloat16(device: torch.device) -> bool:
    """Whether an LSTM runs in bfloat16, fast or not: oneDNN's wants a CPU with AVX-512."""
    lstm = torch.nn.LSTM(16, 16, device=device)
    try:
        with torch.no_grad(), autocast(device, torch.bfloat16):
            lstm(torch.zeros(2, 2, 16, device=device))
    except RuntimeError:
        return False
    return True


@functools.cache
def cudnn_has_bfloat16(device: torch.device) -> bool:
    """Whether cuDNN's LSTM runs in bfloat16: from version 9.13 on, on cards that have it."""
    version = torch.backends.cudnn.version() or 0
    return version >= 91300 and torch.cuda.get_device_capability(device)[0] >= 8


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """A context in which products run in `dtype`."""
    return torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32)


def row_block(rows: int) -> int:
    """Products in low precision are fast for about so many `rows` if they are a multiple of this.

    oneDNN's bfloat16 LSTM cuts the rows into equal blocks: 97 rows, a prime, take five times as
    long as 112, and 136, which is 8 x 17, still twice as long as 160. Tensor cores work on
    multiples of 8.
    """
    if rows <= 4:
        return 1
    return 8 if rows <= 16 else 16 if rows <= 64 else 32


def keep_memory() -> None:
    """Tell glibc to keep memory that is freed instead of giving it back to the kernel.

    A training step takes and returns buffers of hundreds of megabytes. By default each is mapped
    afresh and every page of it faults, which costs more time than the arithmetic.
    """
    mallopt = _glibc("mallopt")
    if mallopt is not None:
        trim_threshold, top_pad, mmap_max = -1, -2, -4  # <malloc.h>
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, 2**31 - 1)
        mallopt(top_pad, 64 << 20)


def return_holes() -> None:
    """Give the kernel back what lies free between blocks in use.

    The price of `keep_memory`: blocks of many sizes leave holes that no request fits, and over
    hours the heap would grow by gigabytes. Done every few minutes, this costs no time to speak of.
    """
    malloc_trim = _glibc("malloc_trim")
    if malloc_trim is not None:
        malloc_trim(0)


def _glibc(function: str) -> Any:
    """A function of the C library; None where that is not glibc."""
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), function, None)


def use_all_cores() -> None:
    """One thread a core that this process may use, unless OMP_NUM_THREADS says otherwise."""
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(cores())


def hardware() -> str:
    """Name of what computes here, for figures: CPU model and cores, and the GPU if there is one."""
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next((x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), name)
    count = cores()
    parts = [name, f"{count} core{'s' if count != 1 else ''}", *bfloat16_features()]
    if override := os.environ.get(VARIABLE, "auto").replace("auto", ""):
        parts.append(f"{VARIABLE}={override}")
    if torch.cuda.is_available():
        parts.append(torch.cuda.get_device_name())
    return ", ".join(parts)


def set_seed(seed: int) -> None:
    """Seed Python, NumPy and torch."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
