"""The rows of training and classifying on a GPU: fastai's `to_fp16` against the project's bfloat16.

The same measurements as lm_train, clf_train and clf_infer, with ten times as many batches, all in
one process, the two sides by turns: on a GPU neither allocator nor threads of one side stand
in the way of the other, and a process each would spend its time on the start. From ids or texts.

    python -m benchmarks.on_gpu [--runs 3]
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks import clf_infer, clf_train, lm_train
from benchmarks.common import SIDES, Figures, Row, rate_row, record, table

MORE = 10  # times as many batches as on a CPU
Side = Callable[[], Figures]


def by_turns(name: str, runs: int, peer: Side, ours: Side) -> dict[str, list[Figures]]:
    """`runs` measurements of each side; one of each before, that is not counted, warms up."""
    found: dict[str, list[Figures]] = {side: [] for side in SIDES}
    for i in range(runs + 1):
        for side, measured in zip(SIDES, (peer, ours), strict=True):
            figures = measured()
            if i:
                found[side].append(figures)
                print(f"    {name} {side} {i}/{runs}: {figures['value']:,.4g}", file=sys.stderr)
    return found


def lm_rows(runs: int) -> list[Row]:
    """Training a language model, sizes small and base."""
    lm_train.REVIEWS, lm_train.BATCHES = 4000, lm_train.BATCHES * MORE
    return [
        rate_row(
            f"lm_train_{size}",
            f"training a language model, {size}",
            by_turns(size, runs, partial(lm_train.peer, size), partial(lm_train.ours, size)),
            "tokens/s",
            target="2x",
        )
        for size in ("small", "base")
    ]


def classifier_rows(runs: int) -> list[Row]:
    """Training a classifier, all layers and the head alone."""
    clf_train.BATCHES *= MORE
    clf_train.REVIEWS = clf_train.ROWS * (clf_train.BATCHES + clf_train.WARM_UP)
    return [
        rate_row(
            "clf_train_frozen" if frozen else "clf_train",
            "training a classifier, small" + (", encoder frozen" if frozen else ""),
            by_turns(
                f"frozen {frozen}",
                runs,
                partial(clf_train.peer, frozen),
                partial(clf_train.ours, frozen),
            ),
            "documents/s",
        )
        for frozen in (False, True)
    ]


def inference_rows(runs: int) -> list[Row]:
    """Classifying, sizes small (and how far the two sides agree) and base."""
    clf_infer.REVIEWS = {"small": 10_000, "base": 10_000}
    made = []
    with tempfile.TemporaryDirectory() as folder:
        for size in ("small", "base"):
            peer, ours = (partial(side, size, folder) for side in (clf_infer.peer, clf_infer.ours))
            found = by_turns(f"infer {size}", runs, peer, ours)
            details = {}
            if size == "small":
                one, other = (np.load(Path(folder, f"{name}.npy")) for name in ("auto", "peer"))
                details["against_fastai"] = clf_infer.agreement(one, other)
            made.append(
                rate_row(
                    "clf_infer" if size == "small" else f"clf_infer_{size}",
                    f"classifying {clf_infer.REVIEWS[size]:,} reviews, {size}",
                    found,
                    "documents/s",
                    target="4x",
                    details=details,
                )
            )
    return made


def main() -> None:
    """Measure, record, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.on_gpu")
    parser.add_argument("--runs", type=int, default=3, help="measurements of each side")
    runs = parser.parse_args().runs
    if not torch.cuda.is_available():
        raise SystemExit("no GPU found; on a CPU: python -m benchmarks")
    for rows in (lm_rows, classifier_rows, inference_rows):
        made = rows(runs)
        record(made)
        print(table([asdict(row) for row in made]), flush=True)


if __name__ == "__main__":
    main()
