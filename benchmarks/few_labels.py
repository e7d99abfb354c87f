"""Accuracy on IMDb's test part against the number of labels (ULMFiT paper, figure 3).

Methods: ULMFiT (with the bundled language model of film reviews, fine-tuned on all unlabelled
text), the same classifier from random weights, and logistic regression on TF-IDF and on words
weighted by naive Bayes. Forward models; three seeds of draw and training up to 2,000 labels. It
takes hours on two cores; an interrupted run continues. The figures are written to few_labels.json,
table and plot to docs/.

    python -m benchmarks.few_labels [--counts 100 500] [--draw]

Another language model, such as one of size base: --lm, --recipe (for all labels) and --results.
"""

import argparse
import statistics
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.common import FIGURES
from benchmarks.trials import Figures, Trials, classifier
from ulmfit import evaluate
from ulmfit.data.labels import SingleLabels
from ulmfit.data.load import load_with_test_labels
from ulmfit.data.spec import DataSpec
from ulmfit.data.splits import keep_labels
from ulmfit.inference.baseline import NAIVE_BAYES, TFIDF, baseline_names
from ulmfit.inference.evaluation import measure_baselines

RESULTS = FIGURES / "few_labels.json"
PLOT = Path(__file__).parents[1] / "docs" / "few-labels.png"
ULMFIT, SCRATCH = "ULMFiT", "without stages 1 and 2"
METHODS = (ULMFIT, SCRATCH, TFIDF, NAIVE_BAYES)
COUNTS = (100, 500, 2000, 8000, 0)  # 0: all of train, less the tenth held out for validation
FEW = 2000  # up to so many labels: several seeds, and the recipe for few labels
SEEDS = (1, 2, 3)
LM, RECIPE = "imdb-lm-small", "imdb-small"


def seeds(count: int) -> Sequence[int]:
    """One seed for many labels: the trainings are long and differ little."""
    return SEEDS if 0 < count <= FEW else SEEDS[:1]


def measure(method: str, count: int, seed: int, lm: str = LM, recipe: str = RECIPE) -> Figures:
    """Train on `count` labels and measure on test; `recipe`: for more than a few labels."""
    if method in baseline_names():
        return _baseline(method, count, seed)
    few = 0 < count <= FEW
    scratch = "imdb-scratch" if few else "imdb-scratch-many"
    chosen = {ULMFIT: "imdb-few" if few else recipe, SCRATCH: scratch}[method]
    return classifier(
        f"few-{chosen}-{count}-{seed}",
        _on_test,
        recipe=chosen,
        data="imdb",
        lm=lm if method == ULMFIT else "none",
        labels=count,
        seed=seed,
    )


def _on_test(path: Path) -> Figures:
    (figures,) = evaluate.main(clf=str(path)).values()
    return {name: figures[name] for name in ("accuracy", "f1", "ece", "documents")}


def _baseline(name: str, count: int, seed: int) -> Figures:
    frame = load_with_test_labels(DataSpec("imdb", seed=seed))
    labels = sorted(set(frame.loc[frame["split"] == "train", "label"]))
    kept = keep_labels(frame, count, seed)
    figures = measure_baselines(kept, SingleLabels(labels), names=[name])[name]
    train = int((kept["split"] == "train").sum())
    shown = ("accuracy", "f1", "ece", "documents")
    return {**{key: figures[key] for key in shown}, "train_documents": train}


def summary(found: dict[str, Figures]) -> dict[str, dict[int, list[float]]]:
    """Accuracies by method and number of labels."""
    accuracies: dict[str, dict[int, list[float]]] = {method: {} for method in METHODS}
    for name, figures in found.items():
        method = name.rpartition(", ")[0].rpartition(", ")[0]
        labels = figures["train_documents"]
        accuracies[method].setdefault(labels, []).append(figures["accuracy"])
    return accuracies


def table(accuracies: dict[str, dict[int, list[float]]]) -> str:
    """Markdown: mean, and the range over seeds where there are several."""
    counts = sorted({count for of_method in accuracies.values() for count in of_method})
    lines = [
        f"| labels | {' | '.join(METHODS)} |",
        "|---:|" + "---:|" * len(METHODS),
    ]
    for count in counts:
        cells = [_cell(accuracies[method].get(count, [])) for method in METHODS]
        lines.append(f"| {count:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(values: list[float]) -> str:
    if not values:
        return ""
    mean = f"{100 * statistics.mean(values):.1f} %"
    spread = f" ({100 * min(values):.1f} to {100 * max(values):.1f})"
    return mean + (spread if len(values) > 1 else "")


def draw(accuracies: dict[str, dict[int, list[float]]], path: Path) -> None:
    """Accuracy against labels, one line a method, a bar from the worst to the best seed."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    colours = ("tab:blue", "tab:gray", "tab:orange", "tab:green")
    for method, colour in zip(METHODS, colours, strict=True):
        points = sorted(accuracies[method].items())
        if not points:
            continue
        counts = [count for count, _ in points]
        means = [100 * statistics.mean(values) for _, values in points]
        low = [100 * min(values) for _, values in points]
        high = [100 * max(values) for _, values in points]
        axes.plot(counts, means, marker="o", label=method, color=colour)
        axes.fill_between(counts, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.set_xscale("log")
    ticks = sorted({count for of_method in accuracies.values() for count in of_method})
    axes.set_xticks(ticks, [f"{count:,}" for count in ticks])
    axes.minorticks_off()
    axes.set_xlabel("labelled reviews")
    axes.set_ylabel("accuracy on IMDb's test part, %")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> None:
    """Measure what is missing; print the table, draw the plot."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.few_labels")
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--lm", default=LM, help="language model that ULMFiT starts from")
    parser.add_argument("--recipe", default=RECIPE, help="of stage 3, for more than a few labels")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--draw", action="store_true", help="only table and plot")
    given = parser.parse_args()
    trials = Trials(given.results)
    if not given.draw:
        runs: list[tuple[Any, ...]] = [
            (method, count, seed)
            for count in given.counts
            for method in given.methods
            for seed in seeds(count)
            if seed in given.seeds
        ]
        for method, count, seed in runs:
            name = f"{method}, {count or 'all'} labels, seed {seed}"
            run = partial(measure, method, count, seed, given.lm, given.recipe)
            trials.get(name, run)
    accuracies = summary(trials.found)
    print(table(accuracies))
    if given.results == RESULTS:
        draw(accuracies, PLOT)


if __name__ == "__main__":
    main()
