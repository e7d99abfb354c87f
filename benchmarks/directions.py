"""`python -m ulmfit` with one direction after the other, and with both side by side.

The same training twice: stages 2 and 3 of some reviews in both directions, from general text. One
direction after the other trains on all threads; side by side, each trains on half of them. Each
measurement is a command of its own, and the ways alternate.

    python -m benchmarks.directions [--reviews 300] [--runs 3]
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.common import FIGURES, WORK, versions
from ulmfit.base.atomic import atomic_write
from ulmfit.base.precision import hardware
from ulmfit.data.load import load_with_test_labels

RESULTS = FIGURES / "directions.json"
WAYS = {"one after the other": 1, "side by side": 2}


def write_reviews(file: Path, count: int) -> None:
    """`count` rows of the sample's split train, and a tenth of that of the others."""
    frame = load_with_test_labels("imdb-sample")
    counts = {"train": count, "valid": count // 10, "test": count // 10}
    parts = [frame[frame["split"] == name].sample(n, random_state=0) for name, n in counts.items()]
    file.parent.mkdir(parents=True, exist_ok=True)
    written = frame.loc[[row for part in parts for row in part.index], ["text", "label", "split"]]
    written.to_parquet(file, index=False)


def measured(jobs: int, data: Path, folder: Path) -> dict[str, Any]:
    """Seconds of the command and of its stages."""
    shutil.rmtree(folder, ignore_errors=True)
    given = ["--data", str(data), "--recipe", "general", "--members", "fwd", "bwd"]
    command = [sys.executable, "-m", "ulmfit", *given, "--out", str(folder), "--jobs", str(jobs)]
    began = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = time.monotonic() - began
    summary = json.loads((folder / "summary.json").read_text())
    stages = {name: s for name, s in summary["seconds"].items() if name != "this_run"}
    return {"seconds": seconds, "stages": stages}


def main() -> None:
    """Measure both ways, and write the table and the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reviews", type=int, default=300)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    data, folder = WORK / "directions.parquet", WORK / "directions"
    write_reviews(data, given.reviews)
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    for n in range(given.runs):
        for way, jobs in WAYS.items():
            found[way].append(measured(jobs, data, folder))
            took = found[way][-1]["seconds"]
            print(f"  {way} {n + 1}/{given.runs}: {took:.1f} s", file=sys.stderr, flush=True)
    shutil.rmtree(folder)
    rows = {
        way: {"seconds": statistics.median(one["seconds"] for one in several), "runs": several}
        for way, several in found.items()
    }
    alone, beside = (rows[way]["seconds"] for way in WAYS)
    made = {
        "rows": rows,
        "ratio": alone / beside,
        "reviews": given.reviews,
        "hardware": hardware(),
        "versions": versions(),
        "date": datetime.now(UTC).date().isoformat(),
    }
    atomic_write(RESULTS, json.dumps(made, indent=1, sort_keys=True) + "\n")
    print("| both directions | seconds |\n|---|---:|")
    for way, row in rows.items():
        print(f"| {way} | {row['seconds']:.1f} |")
    print(f"\n{alone / beside:.2f}x")


if __name__ == "__main__":
    main()
