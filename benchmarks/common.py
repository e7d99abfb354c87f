"""Shared by all benchmarks: alternating measurements of two sides, rows, the table, the JSON.

Each measurement has its own process. So the allocator, the threads and the caches of one side never
help or hurt the other. Run a script with ``python -m benchmarks.<name>``; with ``--side`` it
measures one side once and prints the figures as JSON.
"""

import argparse
import contextlib
import importlib
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ulmfit.base.precision import hardware

FIGURES = Path(__file__).with_name("results")  # what the scripts measured
RESULTS = FIGURES / "results.json"
WORK = Path(__file__).with_name("work")  # models and caches of the benchmarks, git-ignored
SIDES = ("peer", "ours")

Figures = dict[str, Any]


@dataclass
class Row:
    """One line of the table.

    peer, ours: medians in `unit`. ratio: how many times better ours is, for work a second as well
    as for seconds. floor: the limit of matrix arithmetic alone, in the same unit. target: the
    wanted ratio or figure of ours. details: other measurements.
    """

    row: str
    what: str
    peer: float | None
    ours: float
    unit: str
    ratio: float | None = None
    floor: float | None = None
    target: str = ""
    met: bool | None = None
    runs: int = 1
    details: Figures = field(default_factory=dict)
    hardware: str = field(default_factory=hardware)
    versions: Figures = field(default_factory=lambda: versions())
    date: str = field(default_factory=lambda: datetime.now(UTC).date().isoformat())


def versions() -> dict[str, str]:
    """Versions of the libraries that both sides use; spaCy is missing for ids."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in ("torch", "fastai", "spacy"):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def measure(module: str, side: str, arguments: Mapping[str, Any]) -> Figures:
    """One side of a script, once, in a new process."""
    command = [sys.executable, "-m", module, "--side", side, "--arguments", json.dumps(arguments)]
    # `import ulmfit` sets how OpenMP waits, also for child processes.
    environment = {k: v for k, v in os.environ.items() if side == "ours" or k != "GOMP_SPINCOUNT"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def alternate(
    module: str, runs: int, arguments: Mapping[str, Any] | None = None
) -> dict[str, list[Figures]]:
    """`runs` alternating measurements of each side."""
    found: dict[str, list[Figures]] = {side: [] for side in SIDES}
    for i in range(runs):
        for side in SIDES:
            found[side].append(measure(module, side, arguments or {}))
            value = found[side][-1]["value"]
            print(f"    {module} {side} {i + 1}/{runs}: {value:,.4g}", file=sys.stderr, flush=True)
    return found


def median(figures: Sequence[Figures], name: str = "value") -> float:
    """The middle one of several measurements."""
    return statistics.median(f[name] for f in figures)


def rate_row(row: str, what: str, found: dict[str, list[Figures]], unit: str, **more: Any) -> Row:
    """A row of work a second: more is better."""
    peer, ours = median(found["peer"]), median(found["ours"])
    return _judged(Row(row, what, peer, ours, unit, ours / peer, runs=len(found["ours"]), **more))


def time_row(row: str, what: str, found: dict[str, list[Figures]], unit: str, **more: Any) -> Row:
    """A row of time: less is better."""
    peer, ours = median(found["peer"]), median(found["ours"])
    return _judged(Row(row, what, peer, ours, unit, peer / ours, runs=len(found["ours"]), **more))


def _judged(row: Row) -> Row:
    """Compares with a target such as ``2x`` (the ratio) or ``< 20`` (the figure)."""
    if row.target.endswith("x") and row.ratio is not None:
        row.met = row.ratio >= float(row.target[:-1])
    elif row.target.startswith("<"):
        row.met = row.ours < float(row.target[1:])
    return row


def single_row(row: str, what: str, ours: float, unit: str, **more: Any) -> Row:
    """A figure that has no peer."""
    return _judged(Row(row, what, None, ours, unit, **more))


def record(rows: Sequence[Row]) -> None:
    """Put `rows` into results.json, each in place of an earlier one of its name and hardware."""
    old = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    new = {(row.row, row.hardware) for row in rows}
    kept = [row for row in old if (row["row"], row["hardware"]) not in new]
    RESULTS.write_text(json.dumps([*kept, *map(asdict, rows)], indent=1) + "\n")


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of results.json as a Markdown table."""
    lines = [
        "| row | what | fastai | ulmfit | ratio | unit | floor | target |",
        "|---|---|---:|---:|---:|---|---:|---|",
    ]
    for row in rows:
        mark = {True: " (met)", False: " (missed)", None: ""}[row["met"]]
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.1f}x"
        cells = [
            row["row"],
            row["what"],
            *(_number(row[name]) for name in ("peer", "ours")),
            ratio,
            row["unit"],
            _number(row["floor"]),
            row["target"] + mark,
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def script(
    name: str, sides: Mapping[str, Callable[..., Figures]], rows: Callable[[int], list[Row]]
) -> None:
    """The command line of a script: all its rows, or one side once."""
    parser = argparse.ArgumentParser(prog=f"python -m {name}")
    parser.add_argument("--side", choices=SIDES)
    parser.add_argument("--arguments", default="{}", help="JSON")
    parser.add_argument("--runs", type=int, default=3, help="measurements of each side")
    given = parser.parse_args()
    if given.side:
        print(json.dumps(sides[given.side](**json.loads(given.arguments))))
        return
    made = rows(given.runs)
    record(made)
    print(table([asdict(row) for row in made]))


def main(modules: Sequence[str], runs: int) -> None:
    """All scripts one after the other; prints the whole table."""
    for name in modules:
        print(f"{name} ...", file=sys.stderr, flush=True)
        record(importlib.import_module(name).rows(runs))
    own = [row for row in json.loads(RESULTS.read_text()) if row["hardware"] == hardware()]
    print(f"{hardware()}\n\n{table(own)}")
