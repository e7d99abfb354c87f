"""Self-training with few labels: a teacher labels the unlabelled texts, students learn from them.

The tweets of `emotion`. Teachers are the classifiers of both directions and NB-weighted logistic
regression, in one ensemble. In each round, a student of each direction learns the ensemble's
answers to the unlabelled texts (stage 3 with a teacher), then the real labels (stage 3 from the
student); they and the regression are the teachers of the next round. Members and weights are chosen
on validation. Test is read once, for each ensemble. An interrupted run continues.

    python -m benchmarks.self_training --labels 500 --seeds 1
"""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.common import FIGURES, WORK
from benchmarks.trials import Figures, Trials
from ulmfit import evaluate, stage2_lm, stage3_clf
from ulmfit.artifacts.config import NB_LR
from ulmfit.artifacts.directory import MANIFEST
from ulmfit.pipeline.checks import labelled
from ulmfit.training.linear import train_linear
from ulmfit.training.members import put_together
from ulmfit.training.settings import ClassifierSettings, load_settings

RESULTS = FIGURES / "self-training.json"
DATA, RECIPE, ROUNDS = "emotion", "few", 2
BATCH = 32
DIRECTIONS = {"fwd": False, "bwd": True}
# Found on validation with 500 labels, seed 1: more passes than in the recipe `few`.
TEACHER = {"updates": 400, "lr": 1e-2, "weight_decay": 0.1}
AGAIN = {"updates": 100, "lr": 3e-3, "weight_decay": 0.1}
STUDENT = [{"epochs": 1, "lr": 1e-2}]


def language_model(name: str) -> Path:
    """Stage 2 on the tweets, made once for each direction."""
    out = WORK / "self-training" / f"lm-{name}"
    if not (out / MANIFEST).exists():
        backwards = DIRECTIONS[name]
        stage2_lm.main(
            recipe=RECIPE, data=DATA, out=str(out), backwards=backwards, samples=0, half=True
        )
    return out


def steps(plan: dict[str, float], labels: int) -> list[dict[str, float]]:
    """One step for all layers, with about as many updates as `plan` says."""
    epochs = max(1, round(plan["updates"] * BATCH / labels))
    return [{"epochs": epochs, "lr": plan["lr"], "weight_decay": plan["weight_decay"]}]


def classifier(out: Path, name: str, **settings: Any) -> Path:
    """A classifier by stage 3; one that is there already is kept."""
    if not (out / MANIFEST).exists():
        given = {"recipe": RECIPE, "data": DATA, "batch_size": BATCH, "half": True}
        stage3_clf.main(out=str(out), backwards=DIRECTIONS[name], **{**given, **settings})
    return out


def measured(folder: Path) -> Figures:
    """Figures of an ensemble and its members on test."""
    found = evaluate.main(clf=str(folder), data=DATA)
    return {
        Path(name).name: {key: figures[key] for key in ("accuracy", "f1", "log_loss")}
        for name, figures in found.items()
    }


def run(labels: int, seed: int, trials: Trials) -> None:
    """All rounds with one draw of labels."""
    folder = WORK / "self-training" / f"{labels}-{seed}"
    common = {"labels": labels, "seed": seed}
    settings = load_settings(ClassifierSettings, RECIPE, {"data": DATA, **common})
    frame = labelled(settings)
    linear = folder / "nb"
    if not (linear / MANIFEST).exists():
        train_linear(NB_LR, frame, settings, linear)
    members = {
        name: classifier(
            folder / f"clf-{name}",
            name,
            lm=str(language_model(name)),
            steps=steps(TEACHER, labels),
            **common,
        )
        for name in DIRECTIONS
    }
    for number in range(ROUNDS + 1):
        ensemble = folder / f"ensemble-{number}"
        put_together(ensemble, {**members, "nb": linear}, frame, settings)
        trials.get(
            f"{DATA}, {labels:,} labels, {number} rounds, seed {seed}",
            partial(measured, ensemble),
        )
        if number < ROUNDS:
            members = {
                name: _taught(folder, name, number + 1, str(ensemble), common) for name in members
            }


def _taught(folder: Path, name: str, number: int, teacher: str, common: dict[str, int]) -> Path:
    """The classifier of one direction after round `number`."""
    student = classifier(
        folder / f"student-{number}-{name}",
        name,
        lm=str(language_model(name)),
        teacher=teacher,
        teacher_texts=0,
        steps=STUDENT,
        **common,
    )
    again = steps(AGAIN, common["labels"])
    return classifier(folder / f"clf-{number}-{name}", name, lm=str(student), steps=again, **common)


def table(found: dict[str, Figures]) -> str:
    """Markdown, one line a trial."""
    lines = ["| trial | forward | backward | NB-LR | ensemble |", "|---|---:|---:|---:|---:|"]
    for name, figures in sorted(found.items()):
        cells = [figures.get(key, {}).get("accuracy") for key in ("fwd", "bwd", "nb", "ensemble")]
        shown = ("left out" if cell is None else f"{100 * cell:.1f} %" for cell in cells)
        lines.append(f"| {name} | {' | '.join(shown)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure what is missing and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.self_training")
    parser.add_argument("--labels", type=int, nargs="+", default=[500])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    trials = Trials(given.results)
    for labels in given.labels:
        for seed in given.seeds:
            run(labels, seed, trials)
    print(table(trials.found))


if __name__ == "__main__":
    main()
