"""The rows of training and classifying on a GPU: fastai's `to_fp16` against the project's bfloat16.

The same measurements as in lm_train, clf_train and clf_infer, with more batches, alternating in one
process: on a GPU, allocator and threads of one side do not disturb the other, and separate
processes would mostly start up. It works from ids or texts.

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
from benchmarks.lm_train import Shape

SHAPES = {  # row -> size and batch: as on a CPU, and as the recipe [imdb] trains on a GPU
    "lm_train_small": ("small", Shape(reviews=4000, batches=100)),
    "lm_train_base": ("base", Shape(reviews=4000, batches=100)),
    "lm_train_recipe": ("base", Shape(256, 80, 60_000, reviews=10_000, batches=50)),
}
CLASSIFIER_BATCHES = 80
CLASSIFIED = 10_000
Side = Callable[[], Figures]
_SIDES = (clf_train.peer, clf_train.ours)


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
    """Training a language model."""
    made = []
    for name, (size, shape) in SHAPES.items():
        peer = partial(lm_train.peer, size, shape)
        ours = partial(lm_train.ours, size, shape=shape)
        what = f"{size}, {shape.rows} x {shape.seq_len} tokens, {shape.words:,} words"
        found = by_turns(name, runs, peer, ours)
        made.append(
            rate_row(name, f"training a language model, {what}", found, "tokens/s", target="2x")
        )
    return made


def classifier_rows(runs: int) -> list[Row]:
    """Training a classifier, all layers and the head alone."""
    made = []
    for frozen in (False, True):
        name = "clf_train_frozen" if frozen else "clf_train"
        sides = (partial(side, frozen, CLASSIFIER_BATCHES) for side in _SIDES)
        what = "training a classifier, small" + (", encoder frozen" if frozen else "")
        made.append(rate_row(name, what, by_turns(name, runs, *sides), "documents/s"))
    return made


def inference_rows(runs: int) -> list[Row]:
    """Classifying, sizes small (and how far the two sides agree) and base."""
    made = []
    with tempfile.TemporaryDirectory() as folder:
        for size in ("small", "base"):
            peer = partial(clf_infer.peer, size, folder, CLASSIFIED)
            ours = partial(clf_infer.ours, size, folder, count=CLASSIFIED)
            name = "clf_infer" if size == "small" else f"clf_infer_{size}"
            found = by_turns(name, runs, peer, ours)
            details = {}
            if size == "small":
                one, other = (np.load(Path(folder, f"{side}.npy")) for side in ("auto", "peer"))
                details["against_fastai"] = clf_infer.agreement(one, other)
            what = f"classifying {CLASSIFIED:,} reviews, {size}"
            made.append(rate_row(name, what, found, "documents/s", target="4x", details=details))
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
