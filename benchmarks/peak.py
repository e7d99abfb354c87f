"""The peak of matrix arithmetic on this machine: products of two 2048 x 2048 matrices."""

import time
from functools import cache
from itertools import pairwise
from typing import Any

import torch

from benchmarks.common import Row, script, single_row
from ulmfit.base.precision import default_device, resolve_precision, use_all_cores

SIZE = 2048


def gigaflops(dtype: torch.dtype, repeats: int = 30) -> float:
    """Of the fastest of `repeats` products, in 10^9 operations a second."""
    use_all_cores()
    device = default_device()
    left, right = (torch.randn(SIZE, SIZE, device=device).to(dtype) for _ in range(2))
    best = float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        left @ right
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - began)
    return 2 * SIZE**3 / best / 1e9


@cache
def peak() -> float:
    """Operations a second in the precision that `auto` takes here."""
    return gigaflops(resolve_precision("auto", default_device())) * 1e9


def recurrent_weights(sizes: tuple[int, int, int]) -> int:
    """Weights of an LSTM stack that every token is multiplied with: (embedding, hidden, layers)."""
    embedding, hidden, layers = sizes
    widths = [embedding, *[hidden] * (layers - 1), embedding]
    return sum(4 * n_out * (n_in + n_out) for n_in, n_out in pairwise(widths))


def rows(runs: int) -> list[Row]:
    """Float32, and bfloat16 where it is fast."""
    return [
        single_row(
            f"peak_{name}", f"product of {SIZE}^3, {name}", gigaflops(dtype), "GFLOP/s", runs=30
        )
        for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16))
    ]


def side(**_: Any) -> dict[str, Any]:
    """There is no peer."""
    return {"value": peak()}


if __name__ == "__main__":
    script("benchmarks.peak", {"peer": side, "ours": side}, rows)
