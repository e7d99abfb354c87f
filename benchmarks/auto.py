"""The recipe `auto` beside the linear baselines: ``python -m ulmfit`` on the tweets of `emotion`.

Some labels are kept, and some of the other tweets stay as texts without a label; both are drawn by
the seed. Everything is chosen on validation, which keeps as many labels as train. Test is read
once, by the evaluation at the end. An interrupted run continues.

    python -m benchmarks.auto --labels 100 500 --unlabelled 4000 --seeds 1
"""

import argparse
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.common import FIGURES, WORK
from benchmarks.trials import Figures, Trials
from ulmfit import __main__ as pipeline
from ulmfit.data.load import load_with_test_labels
from ulmfit.data.splits import keep_labels

RESULTS = FIGURES / "auto.json"
DATA = "emotion"


def table_of(labels: int, unlabelled: int, seed: int) -> pd.DataFrame:
    """The data set with so many labels in train and valid, and so many texts without one."""
    kept = keep_labels(load_with_test_labels(DATA), labels, seed)
    spare = kept.index[kept["split"] == "unsup"]
    drawn = np.random.default_rng(seed).permutation(spare)[: unlabelled or len(spare)]
    return kept.drop(spare.difference(drawn))


def run(labels: int, unlabelled: int, seed: int) -> Figures:
    """All stages with the recipe `auto`; the figures of the summary."""
    folder = WORK / "auto" / f"{DATA}-{labels}-{unlabelled}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "texts.parquet"
    if not file.exists():
        table_of(labels, unlabelled, seed).to_parquet(file, index=False)
    found = pipeline.main(data=str(file), seed=seed, half=True, out=str(folder / "models"))
    shutil.rmtree(folder / "models")
    kept = ("accuracy", "f1", "baselines", "weights", "perplexity", "seconds", "test_texts")
    return {name: found[name] for name in kept}


def table(found: dict[str, Figures]) -> str:
    """Markdown, one line a trial."""
    lines = [
        "| trial | forward | backward | best baseline | ensemble |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, figures in sorted(found.items()):
        own = figures["accuracy"]
        best = max(each["accuracy"] for each in figures["baselines"].values())
        cells = (own["fwd"], own["bwd"], best, own["ensemble"])
        lines.append(f"| {name} | {' | '.join(f'{100 * cell:.1f} %' for cell in cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure what is missing and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.auto")
    parser.add_argument("--labels", type=int, nargs="+", default=[500])
    parser.add_argument("--unlabelled", type=int, default=0, help="at most; 0 for all")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    trials = Trials(given.results)
    for labels in given.labels:
        for seed in given.seeds:
            name = f"{DATA}, {labels:,} labels, {given.unlabelled or 'all'} unlabelled, seed {seed}"
            trials.get(name, partial(run, labels, given.unlabelled, seed))
    print(table(trials.found))


if __name__ == "__main__":
    main()
