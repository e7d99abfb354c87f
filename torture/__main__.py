"""All of the torture: what was tried, how often, and what was lost, crashed or let in.

    python -m torture [kills strangers ...] [--scale 1.0] [--seed 0]

Exits with 1 unless every count is zero.
"""

import argparse
import importlib
import os
import sys
import time
from pathlib import Path

from torture.common import Row, table

SCRIPTS = sorted(
    path.stem
    for path in Path(__file__).parent.glob("*.py")
    if not path.stem.startswith("_") and path.stem != "common"
)


def main() -> int:
    """Run the named scripts, or all; print each row when it is done, and then the table."""
    parser = argparse.ArgumentParser(prog="python -m torture")
    parser.add_argument("scripts", nargs="*", metavar="SCRIPT", help=", ".join(SCRIPTS))
    parser.add_argument("--scale", type=float, default=1.0, help="share of the usual number")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if unknown := sorted(set(given.scripts) - set(SCRIPTS)):
        parser.error(f"no script {unknown[0]!r}; there are {', '.join(SCRIPTS)}")
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # what is promised of weights is promised of the CPU
    rows: list[Row] = []
    for name in given.scripts or SCRIPTS:
        began = time.monotonic()
        for row in importlib.import_module(f"torture.{name}").rows(given.scale, given.seed):
            rows.append(row)
            tried = f"skipped, as {row.skipped}" if row.skipped else f"{row.tried:,} tried"
            print(f"{name}: {row.what}: {tried}", *row.told, sep="\n  ", flush=True)
        print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
    print(table(rows))
    return 0 if all(row.clean for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
