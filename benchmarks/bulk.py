"""Rows a second of `predict` in one process, and of its engines: two processes, two actors of Ray.

The same short texts, the bundled classifier, one thread a process everywhere, and float32, so that
the answers can be compared. Each measurement has a process of its own, and the ways alternate.
`per_second` is between the first finished shard and the last one: loading models and starting Ray
are in `start_seconds`. `per_cpu_second` is of the workers' processor time, without the first shard
of each: it says the same where other programs run at the same time. The answers of each way are
compared with those of the first.

    python -m benchmarks.bulk [--rows 8000] [--runs 3]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.common import FIGURES, versions
from benchmarks.memory import SHORT
from benchmarks.texts import reviews
from ulmfit.base.atomic import atomic_write
from ulmfit.base.precision import hardware
from ulmfit.bulk.local import in_processes, in_this_process
from ulmfit.bulk.on_ray import on_ray
from ulmfit.bulk.plan import Shard
from ulmfit.bulk.run import Bulk, Engine, predict_bulk
from ulmfit.bulk.shards import Done, Task

RESULTS = FIGURES / "bulk.json"
WAYS: dict[str, Engine] = {
    "predict, 1 process": in_this_process,
    "2 processes": partial(in_processes, 2),
    "ray, 2 actors": partial(on_ray, 2, None),
}
SHARDS = 16


@dataclass(frozen=True)
class Timed(Done):
    """A finished shard, the process that wrote it, and the processor's seconds that it took."""

    process: int = 0
    cpu: float = 0.0


@dataclass(frozen=True)
class TimedTask(Task):
    """A task whose workers say what each shard took."""

    def run(self, shard: Shard, tell: Callable[[int], object] | None = None) -> Timed:
        """As `Task.run`."""
        began = time.process_time()
        done = super().run(shard, tell)
        return Timed(**asdict(done), process=os.getpid(), cpu=time.process_time() - began)


def of_workers(shards: Sequence[Timed]) -> float:
    """Rows a second of the processor, without the first shard of each process."""
    known: set[int] = set()
    rows = seconds = 0.0
    for done in shards:
        if done.process in known:
            rows, seconds = rows + done.rows, seconds + done.cpu
        known.add(done.process)
    return rows / seconds


def write_texts(folder: Path, rows: int) -> None:
    """One file of `rows` different short texts."""
    texts = [f"{text[:SHORT]} {i}" for i, text in enumerate(reviews(min(rows, 20_000)))]
    several = (texts * (rows // len(texts) + 1))[:rows]
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"id": range(rows), "text": several}), folder / "texts.parquet")


def side(way: str, clf: str, source: Path, out: Path, rows: int) -> dict[str, Any]:
    """One measurement."""
    finished: list[tuple[float, Timed]] = []

    def timed(task: Task, shards: Sequence[Shard], tell: Any) -> Iterator[Done]:
        for done in WAYS[way](TimedTask(**task.__dict__), shards, tell):
            assert isinstance(done, Timed)
            finished.append((time.perf_counter(), done))
            yield done

    began = time.perf_counter()
    bulk = Bulk(str(source), str(out), precision="float32", shard_rows=-(-rows // SHARDS))
    predict_bulk(bulk, clf, timed)
    total = time.perf_counter() - began
    first, last = finished[0][0], finished[-1][0]
    return {
        "per_second": sum(done.rows for _, done in finished[1:]) / (last - first),
        "per_cpu_second": of_workers([done for _, done in finished]),
        "seconds": total,
        "start_seconds": first - began,
        "load": os.getloadavg()[0],
    }


def answers(out: Path) -> pa.Table:
    """All rows of an output folder."""
    return pa.concat_tables([pq.read_table(file) for file in sorted(out.glob("part-*.parquet"))])


def compared(out: Path, reference: Path) -> dict[str, Any]:
    """Whether rows and labels are those of the reference, and the largest difference."""
    ours, theirs = answers(out), answers(reference)
    same = all(ours.column(n).equals(theirs.column(n)) for n in ("id", "text", "label", "note"))
    floats = [field.name for field in theirs.schema if field.type == pa.float32()]
    apart = [np.abs(ours.column(n).to_numpy() - theirs.column(n).to_numpy()).max() for n in floats]
    return {"rows_and_labels_equal": same, "largest_difference": float(max(apart))}


def summed_up(measured: dict[str, list[dict[str, Any]]], folder: Path) -> dict[str, Any]:
    """Medians of each way, its ratio to the first, and its answers beside the first one's."""
    made: dict[str, Any] = {}
    for place, way in enumerate(way for way in WAYS if measured[way]):
        several = measured[way]
        made[way] = {
            name: statistics.median(one[name] for one in several)
            for name in ("per_second", "per_cpu_second", "seconds", "start_seconds")
        }
        first = made[next(iter(WAYS))]
        for name in ("per_second", "per_cpu_second"):
            made[way][f"{name}_ratio"] = made[way][name] / first[name]
        made[way] |= compared(folder / f"out-{place}", folder / "out-0")
        made[way]["runs"] = several
    return made


def main() -> None:
    """Measure all ways, and write the table and the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clf", default="imdb-small-fwd")
    parser.add_argument("--rows", type=int, default=8000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--note", default="", help="what else is to be known of the run")
    parser.add_argument("--way", choices=WAYS, help="measure one way, once")
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    if given.way:
        out = given.folder / f"out-{[*WAYS].index(given.way)}"
        print(json.dumps(side(given.way, given.clf, given.folder / "in", out, given.rows)))
        return
    with tempfile.TemporaryDirectory() as folder:
        write_texts(Path(folder, "in"), given.rows)
        measured: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
        for n in range(given.runs):
            for place, way in enumerate(WAYS):
                for old in Path(folder, f"out-{place}").glob("*"):
                    old.unlink()
                measured[way].append(_measured(way, given, folder))
                print(f"  {way} {n + 1}/{given.runs}: {measured[way][-1]}", file=sys.stderr)
                found = summed_up(measured, Path(folder))
                _write(found, given)
        print(table(found))


def _measured(way: str, given: argparse.Namespace, folder: str) -> dict[str, Any]:
    flags = ["--way", way, "--clf", given.clf, "--rows", str(given.rows), "--folder", folder]
    command = [sys.executable, "-m", "benchmarks.bulk", *flags]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # as Ray sets it for an actor
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _write(rows: dict[str, Any], given: argparse.Namespace) -> None:
    found = {
        "rows": rows,
        "texts": given.rows,
        "clf": given.clf,
        "note": given.note,
        "hardware": hardware(),
        "versions": versions(),
        "date": datetime.now(UTC).date().isoformat(),
    }
    atomic_write(RESULTS, json.dumps(found, indent=2) + "\n")


def table(rows: dict[str, Any]) -> str:
    """The rows in Markdown."""
    lines = [
        "| way | texts/s | ratio | texts a CPU second | ratio | s to first shard | difference |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for way, row in rows.items():
        lines.append(
            f"| {way} | {row['per_second']:,.0f} | {row['per_second_ratio']:.2f}x "
            f"| {row['per_cpu_second']:,.0f} | {row['per_cpu_second_ratio']:.2f}x "
            f"| {row['start_seconds']:.0f} | {row['largest_difference']:.0e} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    from benchmarks.bulk import main as run  # workers look its classes up by their module

    run()
