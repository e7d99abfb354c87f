"""The value of each part: the paper's ablations (ULMFiT section 5) at size small.

All variants have the same budget: stage 2 reads IMDb's training text once, and stage 3 trains on
2,000 labels. Forward models, accuracy on the validation part (2,000 reviews), three seeds of stage
3. Test is not read. An interrupted run continues; the figures are written to ablations.json.

    python -m benchmarks.ablations
"""

import argparse
import statistics
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.common import FIGURES, WORK
from benchmarks.trials import Figures, Trials, classifier
from ulmfit import stage2_lm
from ulmfit.artifacts.directory import MANIFEST, read_artifact
from ulmfit.training.settings import LMSettings, load_settings

RESULTS = FIGURES / "ablations.json"
LABELS, SEEDS = 2000, (1, 2, 3)
SHARE = 1.0  # of IMDb's training text that stage 2 reads

Settings = dict[str, Any]
# name -> settings of stage 2 (None: no stage 2) and of stage 3
VARIANTS: dict[str, tuple[Settings | None, Settings]] = {
    "all parts": ({}, {}),
    "no stage 1": ({"pretrained": "none"}, {}),
    "no stage 2": (None, {"lm": "wiki-en-small"}),
    "neither stage 1 nor 2": (None, {"lm": "none"}),
    "neither, all layers from the start": (None, {"lm": "none", "unfreeze": "all"}),
    "equal rates in stage 3": ({}, {"rates": "equal"}),
    "all layers from the start": ({}, {"unfreeze": "all"}),
    "all layers from the start, equal rates": ({}, {"unfreeze": "all", "rates": "equal"}),
    "head alone": ({}, {"unfreeze": "last"}),
    "slanted triangular in stages 2 and 3": ({"schedule": "slanted"}, {"schedule": "slanted"}),
    "constant rate in stages 2 and 3": ({"schedule": "constant"}, {"schedule": "constant"}),
}


def language_model(given: Settings) -> Path:
    """Stage 2 on the budget, made once."""
    name = "-".join(map(str, given.values())) or "all"
    out = WORK / "ablations" / f"lm-{name}"
    if not (out / MANIFEST).exists():
        recipe = load_settings(LMSettings, "imdb-small", {})
        steps = [{"epochs": 1, "share": SHARE, "lr": recipe.steps[-1].lr}]
        stage2_lm.main(
            recipe="imdb-small", out=str(out), steps=steps, samples=0, half=True, **given
        )
    return out


def measure(name: str, seed: int) -> Figures:
    """One variant's classifier."""
    lm, given = VARIANTS[name]
    more: Settings = {}
    figures: Figures = {}
    if lm is not None:
        folder = language_model(lm)
        more["lm"] = str(folder)
        figures["perplexity"] = read_artifact(folder).manifest.metrics["after"]["perplexity"]
    made = classifier(
        f"ablation-{seed}",
        lambda path: figures,
        recipe="imdb-few",
        data="imdb",
        labels=LABELS,
        seed=seed,
        **more,
        **given,
    )
    return {**made, "stage2": lm, "stage3": given}


def table(found: dict[str, Figures]) -> str:
    """Markdown, one line a variant."""
    lines = [
        "| variant | accuracy on validation | worst and best seed | perplexity |",
        "|---|---:|---:|---:|",
    ]
    for variant in VARIANTS:
        runs = [f for name, f in found.items() if name.rpartition(", seed ")[0] == variant]
        if not runs:
            continue
        values = [100 * run["valid_accuracy"] for run in runs]
        perplexity = runs[0].get("perplexity")
        cells = [
            variant,
            f"{statistics.mean(values):.1f} %",
            f"{min(values):.1f} to {max(values):.1f}",
            f"{perplexity:.1f}" if perplexity else "",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure what is missing and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ablations")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    trials = Trials(given.results)
    for seed in given.seeds:
        for name in VARIANTS:
            trials.get(f"{name}, seed {seed}", partial(measure, name, seed))
    print(table(trials.found))


if __name__ == "__main__":
    main()
