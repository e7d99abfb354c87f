"""Which number format is faster, by the work at hand: processor time in bfloat16 and in float32.

One thread, so that the figures are those of one core. Processor time says the same where other
programs run at the same time. Each measurement has a process of its own, and the formats alternate.
The second processor is this one with oneDNN and torch limited to AVX2, as on most laptops; no LSTM
runs in bfloat16 there.

    python -m benchmarks.precision
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import torch

from benchmarks.common import FIGURES, versions
from benchmarks.texts import LM, classifier, reviews
from ulmfit.artifacts.directory import read_artifact
from ulmfit.base.atomic import atomic_write
from ulmfit.base.precision import hardware, has_bfloat16, keep_memory
from ulmfit.inference.language_model import LanguageModel
from ulmfit.inference.loaded import LoadedModel

RESULTS = FIGURES / "precision.json"
SHORT = "A quiet film about the sea, and a very good one."
PROMPT, WORDS = "The plot of this film is", 30
# What is done: a text of a dozen tokens, so many reviews in a batch, so many texts written at once.
WORK = ("short 1", "review 1", "review 8", "review 64", "generate 1", "generate 3", "generate 16")
# The processor: a name, and the variables that limit oneDNN and torch.
LIMITS = {"own": {}, "avx2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}}
FORMATS = ("bfloat16", "float32")
SECONDS = 1.0  # of processor time that a measurement takes at least
CPU = torch.device("cpu")


def task(work: str, number_format: str) -> Callable[[], object]:
    """The work, loaded and ready."""
    kind, count = work.split()
    if kind == "generate":
        model = LanguageModel(read_artifact(LM, "lm"), number_format)
        return lambda: model.generate(PROMPT, int(count), WORDS)
    loaded = LoadedModel(read_artifact(classifier(), "classifier"), number_format)
    texts = [SHORT] if kind == "short" else reviews(64)[: int(count)]
    tokens = loaded.tokenize(texts)
    return lambda: loaded.probabilities(tokens, lambda count: None)


def side(work: str, number_format: str) -> float | None:
    """Milliseconds of the processor for the work; None where no LSTM runs in this format."""
    torch.set_num_threads(1)
    keep_memory()
    if number_format == "bfloat16" and not has_bfloat16(CPU):
        return None
    run = task(work, number_format)
    run()
    found: list[float] = []
    while sum(found) < SECONDS or len(found) < 2:
        began = time.process_time()
        run()
        found.append(time.process_time() - began)
    return 1000 * statistics.median(found)


def measured(work: str, limit: str, number_format: str) -> float | None:
    """`side` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.precision", "--side", work, number_format]
    environment = {**os.environ, **LIMITS[limit], "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def rows(runs: int, works: Sequence[str] = WORK) -> list[dict[str, Any]]:
    """Medians of alternating runs, and how many times as fast bfloat16 is as float32."""
    made = []
    for limit in LIMITS:
        has = measured(works[0], limit, "bfloat16") is not None
        formats = FORMATS if has else ("float32",)
        for work in works:
            found: dict[str, list[float]] = {name: [] for name in formats}
            for _ in range(runs):
                for name in formats:
                    found[name].append(measured(work, limit, name) or 0.0)
            row: dict[str, Any] = {"processor": limit, "work": work}
            row |= {name: statistics.median(values) for name, values in found.items()}
            if has:
                row["ratio"] = row["float32"] / row["bfloat16"]
            row["runs"] = found
            made.append(row)
            print(f"  {row}", file=sys.stderr, flush=True)
    return made


def main() -> None:
    """Measure everything, and write the table and the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", nargs=2, metavar=("WORK", "FORMAT"), help="measure once")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--work", nargs="+", choices=WORK, default=WORK)
    parser.add_argument("--note", default="", help="what else is to be known of the run")
    given = parser.parse_args()
    if given.side:
        print(json.dumps(side(*given.side)))
        return
    found = {
        "rows": rows(given.runs, given.work),
        "unit": "ms of one core",
        "note": given.note,
        "hardware": hardware(),
        "versions": versions(),
        "date": datetime.now(UTC).date().isoformat(),
    }
    atomic_write(RESULTS, json.dumps(found, indent=2) + "\n")
    print("| processor | work | bfloat16, ms | float32, ms | bfloat16 is faster by |")
    print("|---|---|---:|---:|---:|")
    for row in found["rows"]:
        low = f"{row['bfloat16']:,.1f}" if "ratio" in row else ""
        ratio = f"{row['ratio']:.2f}x" if "ratio" in row else ""
        print(f"| {row['processor']} | {row['work']} | {low} | {row['float32']:,.1f} | {ratio} |")


if __name__ == "__main__":
    main()
