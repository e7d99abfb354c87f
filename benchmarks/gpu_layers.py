"""Times of one LSTM layer on a GPU, forward and backward: number format, rows, graph or not.

cuDNN has a one-kernel LSTM for float16 and some shapes, none for bfloat16. A recorded layer costs
no launches, so its time shows what the kernels themselves take.

    python -m benchmarks.gpu_layers
"""

import json
import time
from collections.abc import Callable, Sequence
from statistics import median

import torch
from torch import Tensor

from benchmarks.common import FIGURES
from ulmfit.base.precision import hardware
from ulmfit.model.cudnn_lstm import flat_lstm

TIME, CALLS, REPEATS = 72, 20, 5
WIDTHS, ROWS = (640, 1152), (64, 128, 256, 512)


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
    return median(found)


def recorded(call: Callable[[], object]) -> Callable[[], object]:
    """`call` as a CUDA graph."""
    for _ in range(3):
        call()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay


def layer(width: int, rows: int, dtype: torch.dtype) -> Callable[[], Sequence[Tensor]]:
    """A layer's forward and backward pass."""
    device = torch.device("cuda")
    weights = list(torch.nn.LSTM(width, width, batch_first=True).to(device).parameters())
    inputs = torch.randn(rows, TIME, width, device=device, dtype=dtype, requires_grad=True)
    gradient = torch.randn_like(inputs)
    zeros = torch.zeros(1, rows, width, device=device, dtype=dtype)

    def call() -> Sequence[Tensor]:
        outputs, _ = flat_lstm(inputs, (zeros, zeros), weights, dtype)
        return torch.autograd.grad(outputs, [inputs, *weights], gradient)

    return call


def main() -> None:
    """Measure, print, and write benchmarks/results/gpu_layers.json."""
    if not torch.cuda.is_available():
        raise SystemExit("no GPU found; this measures layers on a GPU")
    found = []
    print("| width | rows | format | ms | ms, recorded |\n|---:|---:|---|---:|---:|")
    for width in WIDTHS:
        for rows in ROWS:
            for dtype in (torch.bfloat16, torch.float16):
                call = layer(width, rows, dtype)
                name = str(dtype).removeprefix("torch.")
                plain, graph = milliseconds(call), milliseconds(recorded(call))
                found.append([width, rows, name, plain, graph])
                print(f"| {width} | {rows} | {name} | {plain:.2f} | {graph:.2f} |", flush=True)
    made = {"hardware": hardware(), "cudnn": torch.backends.cudnn.version(), "time": TIME}
    columns = ["width", "rows", "format", "ms", "ms_recorded"]
    made["layers"] = [dict(zip(columns, row, strict=True)) for row in found]
    text = json.dumps(made, indent=2) + "\n"
    (FIGURES / "gpu_layers.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
