"""Schedules of stage 3 for few labels, compared on validation; test is not read.

The result is the recipe `few`. Forward models of size small on the tweets of `emotion`, from one
language model by stage 2's recipe `few`. An interrupted run continues; the figures are written to
schedules.json.

    python -m benchmarks.schedules --labels 500 2000
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.common import FIGURES, WORK
from benchmarks.trials import Figures, Trials, classifier
from ulmfit import stage2_lm
from ulmfit.artifacts.directory import MANIFEST

RESULTS = FIGURES / "schedules.json"
DATA, RECIPE = "emotion", "few"

Settings = dict[str, Any]


def _at_once(lr: float, epochs: int, drop_mult: float) -> Settings:
    """All layers from the start, at one rate."""
    steps = [{"epochs": epochs, "lr": lr}]
    return {"steps": steps, "batch_size": 32, "drop_mult": drop_mult}


def _gradual(lrs: Sequence[Any], epochs: Sequence[int], batch_size: int) -> Settings:
    """The head, then the layer below it as well, then all."""
    steps = [
        {"groups": groups, "epochs": count, "lr": lr}
        for groups, count, lr in zip((1, 2, 0), epochs, lrs, strict=True)
    ]
    return {"steps": steps, "batch_size": batch_size, "drop_mult": 0.5}


VARIANTS: dict[str, Settings] = {
    "gradual, low rates below": _gradual((1e-2, [3e-3, 6e-3], [1e-3, 4e-3]), (3, 2, 6), 16),
    "gradual, 1e-02": _gradual((1e-2, 1e-2, 1e-2), (1, 1, 6), 32),
    **{
        f"at once, {lr:.0e}, {epochs} epochs, drop_mult {drop_mult}": _at_once(
            lr, epochs, drop_mult
        )
        for lr, epochs, drop_mult in (
            (4e-3, 12, 0.5),
            (4e-3, 12, 0.2),
            (1e-2, 6, 0.5),
            (1e-2, 12, 0.5),
            (1e-2, 12, 1.0),
            (2e-2, 6, 0.5),
            (2e-2, 12, 0.5),
            (4e-2, 12, 0.5),
        )
    },
}


def language_model() -> Path:
    """Stage 2 on the tweets, made once."""
    out = WORK / "schedules" / "lm"
    if not (out / MANIFEST).exists():
        stage2_lm.main(recipe=RECIPE, data=DATA, out=str(out), samples=0, half=True)
    return out


def measure(labels: int, variant: str, seed: int) -> Figures:
    """One classifier, its figures of the validation part."""
    return classifier(
        f"schedule-{labels}-{seed}",
        lambda path: {"data": DATA},
        recipe=RECIPE,
        data=DATA,
        lm=str(language_model()),
        labels=labels,
        seed=seed,
        **VARIANTS[variant],
    )


def name_of(labels: int, variant: str, seed: int) -> str:
    """Of a trial in the JSON file."""
    return f"{DATA}, {labels:,} labels, {variant}, seed {seed}"


def table(found: dict[str, Figures], labels: Sequence[int]) -> str:
    """Markdown, one line a schedule, one column a number of labels: mean of the seeds."""
    lines = [
        f"| schedule | {' | '.join(f'{count:,} labels' for count in labels)} |",
        f"|---|{'---:|' * len(labels)}",
    ]
    for variant in VARIANTS:
        cells = []
        for count in labels:
            start = name_of(count, variant, 0)[:-1]
            runs = [f for name, f in found.items() if name.startswith(start)]
            values = [run["valid_accuracy"] for run in runs]
            cells.append(f"{100 * mean(values):.1f} %" if values else "")
        if any(cells):
            lines.append(f"| {variant} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure what is missing and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.schedules")
    parser.add_argument("--labels", type=int, nargs="+", default=[500, 2000])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--variants", type=int, nargs="+", help="numbers of schedules, from 0")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    chosen = list(VARIANTS)
    if given.variants:
        chosen = [chosen[number] for number in given.variants]
    trials = Trials(given.results)
    for seed in given.seeds:
        for variant in chosen:
            for count in given.labels:
                name = name_of(count, variant, seed)
                trials.get(name, partial(measure, count, variant, seed))
    print(table(trials.found, given.labels))


if __name__ == "__main__":
    main()
