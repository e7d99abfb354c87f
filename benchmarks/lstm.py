"""One LSTM layer (640 to 640, bfloat16): fast numbers of rows, and the cost of a neighbour.

A neighbour is a second process that keeps one core busy. By default, OpenMP waits in a loop for
milliseconds ("peer"). In the project, waiting threads give up their core ("ours").
"""

import statistics
import subprocess
import sys
import time
from typing import Any

import torch

from benchmarks.common import Row, alternate, measure, script, single_row, time_row
from ulmfit.base.cores import cores
from ulmfit.base.precision import keep_memory

FEATURES, STEPS = 640, 72
ROWS = (16, 24, 32, 64, 96, 97, 104, 112, 113, 128, 136, 160, 256)
CALLS = 7


def seconds(rows: int) -> float:
    """Of one call, in the middle of some."""
    layer = torch.nn.LSTM(FEATURES, FEATURES, batch_first=True).bfloat16().eval()
    inputs = torch.randn(rows, STEPS, FEATURES).bfloat16()
    state = torch.zeros(1, rows, FEATURES).bfloat16()
    found = []
    with torch.no_grad():
        for _ in range(CALLS + 1):
            began = time.perf_counter()
            layer(inputs, (state, state))
            found.append(time.perf_counter() - began)
    return statistics.median(found[1:])


def gigaflops(rows: int) -> float:
    """Of one call."""
    return 2 * rows * STEPS * 4 * FEATURES * 2 * FEATURES / seconds(rows) / 1e9


def side(neighbours: int = 0) -> dict[str, Any]:
    """GFLOP/s by number of rows; or, beside busy processes, milliseconds of a call."""
    keep_memory()
    torch.set_num_threads(cores())
    if not neighbours:
        return {"value": gigaflops(128), "rows": {rows: round(gigaflops(rows)) for rows in ROWS}}
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(neighbours)]
    try:
        return {"value": 1000 * seconds(128)}
    finally:
        for process in busy:
            process.kill()


def rows(runs: int) -> list[Row]:
    """Rows, then the neighbour."""
    name = "benchmarks.lstm"
    by_rows = [measure(name, "ours", {})["rows"] for _ in range(runs)]
    middle = {n: statistics.median(found[n] for found in by_rows) for n in by_rows[0]}
    found = alternate(name, runs, {"neighbours": 1})
    return [
        single_row(
            "lstm_rows",
            "one LSTM layer, 128 rows (97 and others in the JSON)",
            middle["128"],
            "GFLOP/s",
            runs=runs,
            details={"rows": middle},
        ),
        time_row(
            "lstm_neighbour",
            "the same beside a busy process; OpenMP's default wait as peer",
            found,
            "ms",
        ),
    ]


if __name__ == "__main__":
    script("benchmarks.lstm", {"peer": side, "ours": side}, rows)
