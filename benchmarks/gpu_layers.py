"""Times of one LSTM layer on a GPU, forward and backward: number format, rows, graph or not.

It shows which format is faster for which batch, and what the launches of kernels cost.

    python -m benchmarks.gpu_layers
"""

import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ulmfit.base.precision import hardware
from ulmfit.model.cudnn_lstm import Scale, flat_lstm, one_kernel, scaled_lstm

TIME, CALLS, REPEATS = 72, 20, 5
WIDTHS, ROWS = (640, 1024, 1152), (64, 128, 256, 512)


def milliseconds(call: Callable[[], object]) -> float:
    """The median of a call's time over `REPEATS` series of `CALLS` calls."""
    for _ in range(3):
        call()
    found = []
    for _ in range(REPEATS):
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(CALLS):
            call()
        torch.cuda.synchronize()
        found.append((time.perf_counter() - began) / CALLS * 1e3)
    return sorted(found)[REPEATS // 2]


def recorded(call: Callable[[], object]) -> Callable[[], object]:
    """`call` as a CUDA graph."""
    for _ in range(3):
        call()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay


def layer(width: int, rows: int, half: bool) -> Callable[[], Sequence[Tensor]]:
    """A layer's forward and backward pass, in float16 (`half`) or bfloat16."""
    device, dtype = torch.device("cuda"), torch.bfloat16
    weights = list(torch.nn.LSTM(width, width, batch_first=True).to(device).parameters())
    inputs = torch.randn(rows, TIME, width, device=device, dtype=dtype, requires_grad=True)
    gradient = torch.randn_like(inputs)
    zeros = torch.zeros(1, rows, width, device=device, dtype=dtype)
    state, scale = (zeros, zeros), Scale()

    def call() -> Sequence[Tensor]:
        if half:
            outputs, _ = scaled_lstm(inputs, state, weights, dtype, scale)
        else:
            outputs, _ = flat_lstm(inputs, state, weights, dtype)
        return torch.autograd.grad(outputs, [inputs, *weights], gradient)

    return call


def main() -> None:
    """Measure and print."""
    if not torch.cuda.is_available():
        raise SystemExit("no GPU found; this measures layers on a GPU")
    print(f"{hardware()}, cuDNN {torch.backends.cudnn.version()}")
    print("| width | rows | format | one kernel | ms | ms, recorded | million tokens/s |")
    print("|---:|---:|---|---|---:|---:|---:|")
    for width in WIDTHS:
        for rows in ROWS:
            for half in (False, True):
                call = layer(width, rows, half)
                plain, graph = milliseconds(call), milliseconds(recorded(call))
                one = half and one_kernel(rows, width, width, torch.device("cuda"))
                name = "float16" if half else "bfloat16"
                speed = rows * TIME / min(plain, graph) / 1e3
                mark = "yes" if one else ""
                cells = (width, rows, name, mark, f"{plain:.2f}", f"{graph:.2f}", f"{speed:.2f}")
                print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main()
