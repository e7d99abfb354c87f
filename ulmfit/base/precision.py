"""Settings that fit the hardware: number format, memory allocator and device; and the seeds."""

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
from ulmfit.base.launch import local_world_size
from ulmfit.base.number_formats import PRECISIONS

VARIABLE = "ULMFIT_PRECISION"  # overrides "auto"
# oneDNN's instruction sets without AMX or AVX512-BF16, as in ONEDNN_MAX_CPU_ISA.
_NO_AMX = (
    "SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI",
    "AVX512_CORE_BF16", "AVX512_CORE_FP16", "AVX10_1_512",
)  # fmt: skip
_NO_BF16 = _NO_AMX[:7]


def default_device() -> torch.device:
    """The GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def resolve_precision(precision: str, device: torch.device) -> torch.dtype:
    """The number format of products. Weights, sums and the optimiser stay in float32.

    "auto" is the value of the environment variable ULMFIT_PRECISION. Without it, "auto" is
    bfloat16 on hardware that multiplies it fast: CUDA with native bfloat16, CPUs with AMX or
    AVX512-BF16, within the limit of ONEDNN_MAX_CPU_ISA. There it is the faster one for all that is
    done: one text, batches, and writing texts (`python -m benchmarks.precision`).

    Raises UserError if the format is unknown, or no LSTM runs in bfloat16 on this machine.
    """
    name = "precision"
    if precision == "auto" and (override := os.environ.get(VARIABLE)):
        name, precision = VARIABLE, override
    found = f"{name} is {precision!r}"
    if precision not in PRECISIONS:
        raise UserError(f"{found}, expected one of {', '.join(PRECISIONS)}")
    if precision == "auto":
        on_gpu = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        on_cpu = device.type != "cuda" and bfloat16_features()
        return torch.bfloat16 if on_gpu or on_cpu else torch.float32
    if precision == "bfloat16" and not has_bfloat16(device):
        raise UserError(f"{found}, but no LSTM runs in it on this machine; use auto or float32")
    return getattr(torch, precision)


def bfloat16_features() -> list[str]:
    """The CPU's features for fast bfloat16 within oneDNN's limit: amx_bf16, avx512_bf16."""
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", os.environ.get("DNNL_MAX_CPU_ISA", "")).upper()
    has, lacking = torch.cpu.get_capabilities(), {"amx_bf16": _NO_AMX, "avx512_bf16": _NO_BF16}
    return [name for name, limits in lacking.items() if has.get(name) and limit not in limits]


@functools.cache
def has_bfloat16(device: torch.device) -> bool:
    """Whether an LSTM runs in bfloat16, fast or not; oneDNN's needs a CPU with AVX-512."""
    lstm = torch.nn.LSTM(16, 16, device=device)
    try:
        with torch.no_grad(), autocast(device, torch.bfloat16):
            lstm(torch.zeros(2, 2, 16, device=device))
    except RuntimeError:
        return False
    return True


@functools.cache
def cudnn_has_bfloat16(device: torch.device) -> bool:
    """Whether cuDNN's LSTM runs in bfloat16: since version 9.13, on Ampere and later cards."""
    version = torch.backends.cudnn.version() or 0
    return version >= 91300 and torch.cuda.get_device_capability(device)[0] >= 8


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """A context in which products run in `dtype`."""
    return torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32)


def row_block(rows: int) -> int:
    """The block size for about `rows` rows: low precision is fast for multiples of it.

    oneDNN's bfloat16 LSTM cuts the rows into equal blocks. 97 rows (a prime) take five times as
    long as 112; 136 (8 x 17) take twice as long as 160. Tensor cores work on multiples of 8.
    """
    if rows <= 4:
        return 1
    return 8 if rows <= 16 else 16 if rows <= 64 else 32


def keep_memory() -> None:
    """Make glibc keep freed memory instead of returning it to the kernel.

    A training step allocates and frees buffers of hundreds of megabytes. By default each is mapped
    anew and every page of it faults, which takes more time than the arithmetic.
    """
    if (mallopt := _glibc("mallopt")) is not None:
        trim_threshold, top_pad, mmap_max = -1, -2, -4  # <malloc.h>
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, 2**31 - 1)
        mallopt(top_pad, 64 << 20)


def return_holes() -> None:
    """Return free memory between used blocks to the kernel; call this every few minutes.

    With `keep_memory`, blocks of many sizes leave holes that fit no request. Over hours the heap
    would grow by gigabytes.
    """
    if (malloc_trim := _glibc("malloc_trim")) is not None:
        malloc_trim(0)


def _glibc(function: str) -> Any:
    """A function of the C library; None if that is not glibc."""
    linux = sys.platform.startswith("linux")
    return getattr(ctypes.CDLL(None), function, None) if linux else None


def use_all_cores() -> None:
    """Start one thread for each usable core, unless OMP_NUM_THREADS is set.

    Several processes of a machine that were launched together divide its cores.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, cores() // local_world_size()))


def hardware() -> str:
    """The hardware's name, to go with figures: CPU model, cores, and the GPU if there is one."""
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
