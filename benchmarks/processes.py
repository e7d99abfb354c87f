"""Training in 1, 2 and 4 processes of this machine, beside what `benchmarks.scale` reckons.

    python -m benchmarks.processes [--steps 20] [--runs 1]

All stages train size small on the bundled sample, all layers, with gloo under torchrun; stage 1
begins with random weights. The
batch is that of all processes together, and the cores are divided among them. So the arithmetic of
a step is the same in each row, and the cost model adds to the time of one process the jitter and
the ring all-reduce alone. The speed of this machine's loopback network goes into it as measured:
sums of as many bytes, in the same processes, while nothing else is computed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from fastai.callback.core import Callback, CancelFitException

from benchmarks.common import FIGURES, WORK, versions
from benchmarks.scale import INPUTS, Step, simulate
from ulmfit.base.atomic import atomic_file, atomic_write
from ulmfit.base.cores import cores
from ulmfit.base.joining import joined
from ulmfit.base.precision import hardware, resolve_precision
from ulmfit.base.processes import Group
from ulmfit.data.load import load_data
from ulmfit.data.spec import DataSpec
from ulmfit.stage1_pretrain import Pretraining
from ulmfit.stage2_lm import DomainTuning
from ulmfit.stage3_clf import ClassifierTraining
from ulmfit.training.options import options_and_settings
from ulmfit.training.settings import ClassifierSettings, LMSettings, PretrainSettings
from ulmfit.training.stage import set_up
from ulmfit.training.together import start_equally, tokens_of

RESULTS = FIGURES / "processes.json"
STAGES, PRECISIONS, PROCESSES = (1, 2, 3), ("float32", "auto"), (1, 2, 4)
ROWS = 16  # of a batch of all processes
WARM_UP = 2
SUMS = 7  # of all gradients, and ten times as many of a single number, to measure the network

# What was measured of each stage, precision and number of processes.
Measured = dict[tuple[int, str, int], list[dict[str, Any]]]


class Steps(Callback):
    """The loss, the tokens and the end of every step; ends the training after `steps` timed ones.

    busy: seconds of the processor in the timed steps.
    """

    order = 100
    run_valid = False

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.losses: list[float] = []
        self.read: list[int] = []
        self.ends: list[float] = []

    def after_batch(self) -> None:
        self.losses.append(self.learn.loss.item())
        self.read.append(tokens_of(self.xb[0]))
        self.ends.append(time.perf_counter())
        if len(self.ends) == WARM_UP:
            self.began = time.process_time()
        elif len(self.ends) == WARM_UP + self.steps:
            self.busy = time.process_time() - self.began
            raise CancelFitException


@dataclass
class Summed:
    """Counts what goes through `group.add`."""

    group: Group
    bytes: int = 0

    def __post_init__(self) -> None:
        self.add = self.group.add
        self.group.add = self.counted  # type: ignore[method-assign]

    def counted(self, tensors: Sequence[torch.Tensor]) -> None:
        """As `Group.add`."""
        self.bytes += sum(tensor.nbytes for tensor in tensors)
        self.add(tensors)


def stage_of(number: int, precision: str) -> Any:
    """A stage with the recipe of `make demo`, but with `ROWS` texts a batch."""
    given = {"recipe": "general", "batch_size": ROWS, "precision": precision}
    if number == 1:
        general = options_and_settings(PretrainSettings, {**given, "recipe": "demo"})[1]
        return Pretraining([sample()], "text", general, backwards=False)
    if number == 2:
        return DomainTuning(options_and_settings(LMSettings, given)[1], backwards=False)
    options, settings = options_and_settings(ClassifierSettings, given)
    return ClassifierTraining("wiki-en-small-fwd", settings, options)


def sample() -> Path:
    """The texts of the bundled sample as a corpus; the parent process writes them."""
    file = WORK / "processes" / "sample.parquet"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(file) as written:
            load_data(DataSpec("imdb-sample"))[["text"]].to_parquet(written, index=False)
    return file


def side(number: int, precision: str, steps: int) -> dict[str, Any] | None:
    """One training in the launched processes; the figures in the first of them, else None."""
    with joined() as group:
        stage = stage_of(number, precision)
        stage.read()
        place = set_up(stage.settings)
        learn, _ = stage.build(place)
        start_equally(learn.model, {})
        clock, summed = Steps(steps), Summed(group)
        with learn.no_bar(), learn.no_logging():
            learn.fit_one_cycle(1, 4e-3, cbs=clock)
        step_bytes = summed.bytes // (steps + WARM_UP)
        every = group.exchange(
            {"busy": clock.busy, "peak": _peak(), "threads": torch.get_num_threads()}
        )
        network = _network(group, learn.model)
        if not group.first:
            return None
        tokens, ends = clock.read[WARM_UP:], clock.ends[WARM_UP - 1 :]
        seconds = [end - begin for begin, end in pairwise(ends)]
        rates = [read / spent for read, spent in zip(tokens, seconds, strict=True)]
        return {
            "step_seconds": statistics.median(seconds),
            "step_tokens": statistics.fmean(tokens),
            "per_second": statistics.median(rates),
            "per_cpu_second": sum(tokens) / sum(each["busy"] for each in every),
            "step_bytes": step_bytes,
            "peak_megabytes": [each["peak"] for each in every],
            "threads": [each["threads"] for each in every],
            "losses": clock.losses,
            "seconds": seconds,
            **network,
            "load": os.getloadavg()[0],
        }


def _peak() -> float:
    """The peak of this process's resident memory, MB of 10^6 bytes.

    `resource.getrusage` has the peak of the parent at the time of the start, too.
    """
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024 / 1e6


def _network(group: Group, model: Any) -> dict[str, float]:
    """Bytes of all gradients; median seconds to sum them, and to sum a single number."""
    if group.count == 1:
        return {}
    gradients = [torch.zeros_like(weight) for weight in model.parameters() if weight.requires_grad]
    found: dict[str, float] = {"sum_bytes": sum(tensor.nbytes for tensor in gradients)}
    for name, tensors, times in (
        ("sum_seconds", gradients, SUMS),
        ("short_sum_seconds", [torch.zeros(1)], 10 * SUMS),
    ):
        several = []
        for _ in range(times + 1):
            group.sums(0)  # all begin at the same time
            began = time.perf_counter()
            group.add(tensors)
            several.append(time.perf_counter() - began)
        found[name] = statistics.median(several[1:])  # the first one makes connections
    return found


def predicted(alone: dict[str, Any], row: dict[str, Any], processes: int) -> Step:
    """What the cost model says of a step, from that of one process and the measured network."""
    rounds = 2 * (processes - 1)
    latency = row["short_sum_seconds"] / rounds
    moved = max(row["sum_seconds"] - row["short_sum_seconds"], 1e-9)
    link = {"latency": latency, "bandwidth": rounds * row["sum_bytes"] / processes / moved}
    jitter = tomllib.loads(INPUTS.read_text())["jitter"]
    return simulate(alone["step_seconds"], row["step_bytes"], processes, link, jitter)


_MEDIANS = (
    *("step_seconds", "step_tokens", "step_bytes", "per_second", "per_cpu_second"),
    *("sum_bytes", "sum_seconds", "short_sum_seconds"),
)


def summed_up(several: Sequence[dict[str, Any]], alone: dict[str, Any] | None) -> dict[str, Any]:
    """Medians of equal measurements; beside those of one process, `alone`, if there are several."""
    first = several[0]
    row = {n: statistics.median(one[n] for one in several) for n in _MEDIANS if n in first}
    row |= {name: first[name] for name in ("threads", "losses")}
    peaks = zip(*(one["peak_megabytes"] for one in several), strict=True)
    row["peak_megabytes"] = [max(of_rank) for of_rank in peaks]
    if alone is not None:
        step = predicted(alone, row, len(row["threads"]))
        apart = [abs(a - b) for a, b in zip(row["losses"], alone["losses"], strict=True)]
        row |= {
            "predicted_per_second": alone["per_second"] * alone["step_seconds"] / step.seconds,
            "predicted_all_reduce_seconds": step.all_reduce,
            "largest_loss_difference": max(apart),
        }
    row["runs"] = several
    return row


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows in Markdown."""
    lines = [
        "| stage | precision | processes | tokens/s | predicted | tokens a CPU second "
        "| MB summed a step | peak MB of each | loss differs by |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        peaks = row["peak_megabytes"]
        several = row["processes"] > 1
        cells = [
            f"{row['stage']}",
            row["precision"],
            f"{row['processes']}",
            f"{row['per_second']:,.0f}",
            f"{row['predicted_per_second']:,.0f}" if several else "",
            f"{row['per_cpu_second']:,.0f}",
            f"{row['step_bytes'] / 1e6:.1f}" if several else "",
            f"{min(peaks):,.0f} to {max(peaks):,.0f}" if several else f"{peaks[0]:,.0f}",
            f"{row['largest_loss_difference']:.0e}" if several else "",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _measured(number: int, precision: str, processes: int, steps: int) -> dict[str, Any]:
    """One measurement, in new processes."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    own = ["-m", "benchmarks.processes", "--stage", str(number), "--precision", precision]
    command = [*launcher, "--nproc-per-node", str(processes), *own, "--steps", str(steps)]
    more = {
        "OMP_NUM_THREADS": str(max(1, cores() // processes)),
        "ULMFIT_CACHE": str(WORK / "cache"),
        "CUDA_VISIBLE_DEVICES": "",
    }
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **more}
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def rows_of(measured: Measured) -> list[dict[str, Any]]:
    """The row of each way; the way of one process comes before those of several."""
    rows: list[dict[str, Any]] = []
    alone: dict[tuple[int, str], dict[str, Any]] = {}
    for (number, precision, processes), several in measured.items():
        row = summed_up(several, alone.get((number, precision)))
        alone.setdefault((number, precision), row)
        rows.append({"stage": number, "precision": precision, "processes": processes, **row})
    return rows


def _write(rows: Sequence[dict[str, Any]], given: argparse.Namespace) -> None:
    found = {
        "rows": rows,
        "batch_rows": ROWS,
        "steps": given.steps,
        "auto": str(resolve_precision("auto", torch.device("cpu"))).removeprefix("torch."),
        "note": given.note,
        "hardware": hardware(),
        "versions": versions(),
        "date": datetime.now(UTC).date().isoformat(),
    }
    atomic_write(RESULTS, json.dumps(found, indent=1) + "\n")


def main() -> None:
    """Measure everything, and write the table and the JSON; or measure one training."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20, help="that are timed")
    parser.add_argument("--runs", type=int, default=1, help="measurements of each row")
    parser.add_argument("--note", default="", help="what else is to be known of the run")
    parser.add_argument("--stage", type=int, choices=STAGES, help="train it in these processes")
    parser.add_argument("--precision", choices=PRECISIONS)
    given = parser.parse_args()
    if given.stage:
        if (found := side(given.stage, given.precision, given.steps)) is not None:
            print(json.dumps(found))
        return
    sample()
    ways = [(s, p, n) for s in STAGES for p in PRECISIONS for n in PROCESSES]
    measured: Measured = {way: [] for way in ways}
    for run in range(given.runs):
        for way in ways:
            measured[way].append(_measured(*way, given.steps))
            speed = measured[way][-1]["per_second"]
            print(f"  {way} {run + 1}/{given.runs}: {speed:,.0f} tokens/s", file=sys.stderr)
    rows = rows_of(measured)
    _write(rows, given)
    print(table(rows))


if __name__ == "__main__":
    main()
