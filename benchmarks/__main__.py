"""``python -m benchmarks``: every row, some 40 minutes on two cores. Run nothing beside it."""

import argparse

from benchmarks.common import main

MODULES = [
    f"benchmarks.{name}"
    for name in (
        "peak",
        "lstm",
        "tokenizing",
        "lm_train",
        "clf_train",
        "clf_infer",
        "export",
        "serving",
        "generating",
        "startup",
        "loss_curve",
    )
]

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="measurements of each side")
    main(MODULES, parser.parse_args().runs)
