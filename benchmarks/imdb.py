"""The bundled classifiers and two logistic regressions on IMDb's official test part.

Reads the labels of test once. The figures are written to imdb.json, and belong into the README.

    python -m benchmarks.imdb [--evaluation FILE]

An evaluation takes an hour on two cores with AVX2, and seconds on a GPU. FILE is the output of
``python -m ulmfit.evaluate --clf imdb-small --data imdb --output FILE`` on another machine.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.common import FIGURES, versions
from ulmfit import evaluate
from ulmfit.artifacts import bundled
from ulmfit.artifacts.directory import read_artifact, read_metrics
from ulmfit.base.atomic import atomic_write
from ulmfit.base.log import show_progress
from ulmfit.base.precision import hardware
from ulmfit.data.labels import SingleLabels
from ulmfit.data.load import load_with_test_labels
from ulmfit.inference.evaluation import measure_baselines

RESULTS = FIGURES / "imdb.json"
CLASSIFIER, LM, WIKI = "imdb-small", "imdb-lm-small", "wiki-en-small"
NAMES = ("forward", "backward", "ensemble")


def training(name: str) -> dict[str, Any]:
    """What is known of a bundled model in both directions: recipe, time, metrics."""
    found = {}
    for folder in map(Path, bundled.model_folders(name)):
        manifest = read_artifact(folder).manifest
        metrics = {k: v for k, v in manifest.metrics.items() if k != "samples"}
        found[manifest.direction] = {
            "recipe": manifest.recipe,
            "seed": manifest.seed,
            "metrics": metrics,
            "versions": manifest.versions,
            "seconds": read_metrics(folder).get("seconds"),
        }
    return found


def evaluation(file: Path | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Figures by direction, and what the evaluation says of its hardware and versions.

    Raises:
        SystemExit: `file` is of other models than the bundled ones.
    """
    if file is None:
        named = evaluate.main(clf=CLASSIFIER, data="imdb")
        return dict(zip(NAMES, named.values(), strict=True)), {
            "hardware": hardware(),
            "versions": versions(),
        }
    made = json.loads(file.read_text())
    folders = list(map(Path, bundled.model_folders(CLASSIFIER)))
    hashes = [model["manifest_sha256"] for model in made["models"]]
    if hashes != [read_artifact(folder).manifest_sha256 for folder in folders]:
        raise SystemExit(f"{file} is of other models than {', '.join(map(str, folders))}")
    figures = [made["figures"][name] for name in (*(f.name for f in folders), "ensemble")]
    about = {name: made[name] for name in ("hardware", "versions", "precision", "seconds")}
    return dict(zip(NAMES, figures, strict=True)), about


def measure(file: Path | None) -> dict[str, Any]:
    """Evaluate, and train the baselines on the same labels."""
    figures, about = evaluation(file)
    frame = load_with_test_labels("imdb")
    labels = sorted(set(frame.loc[frame["split"] == "train", "label"]))
    figures |= measure_baselines(frame, SingleLabels(labels))
    return {
        "figures": figures,
        "models": {name: training(name) for name in (WIKI, LM, CLASSIFIER)},
        "evaluation": about,
    }


def table(found: dict[str, Any]) -> str:
    """Markdown: accuracy, F1, calibration; and accuracy without texts of the training."""
    lines = [
        "| 25,000 test reviews | accuracy | macro F1 | ECE | accuracy without repeated texts |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, figures in found["figures"].items():
        kept = figures.get("without_repeated")
        cells = [
            name,
            f"{100 * figures['accuracy']:.2f} %",
            f"{100 * figures['f1']:.2f} %",
            f"{figures['ece']:.4f}",
            f"{100 * kept['accuracy']:.2f} %" if kept else "",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def perplexities(found: dict[str, Any]) -> str:
    """One line a direction: before and after stage 2."""
    lines = []
    for direction, trained in found["models"][LM].items():
        before, after = (trained["metrics"][when]["perplexity"] for when in ("before", "after"))
        lines.append(f"perplexity on held-out reviews, {direction}: {before:.1f} -> {after:.1f}")
    return "\n".join(lines)


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.imdb")
    parser.add_argument("--evaluation", type=Path, metavar="FILE")
    show_progress()
    found = measure(parser.parse_args().evaluation)
    atomic_write(RESULTS, json.dumps(found, indent=1, sort_keys=True) + "\n")
    print(perplexities(found))
    print(table(found))


if __name__ == "__main__":
    main()
