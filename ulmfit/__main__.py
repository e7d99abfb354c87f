"""`python -m ulmfit`: all stages of a recipe, forward and backward, then the evaluation."""

import json
import time
from pathlib import Path
from typing import Any, NamedTuple

from ulmfit import evaluate, stage2_lm, stage3_clf
from ulmfit.artifacts import MANIFEST, check_output, read_artifact, read_metrics
from ulmfit.atomic import atomic_write
from ulmfit.baseline import NAME as BASELINE
from ulmfit.cli import run_command
from ulmfit.data import load_data
from ulmfit.errors import UserError
from ulmfit.manifest import library_versions
from ulmfit.precision import hardware, keep_memory
from ulmfit.settings import ClassifierSettings, LMSettings, as_recipe, load_settings
from ulmfit.stage import StageResult, direction

DIRECTIONS = {"fwd": False, "bwd": True}


class Plan(NamedTuple):
    """What all stages of a run have in common; `shared` are settings that stages 2 and 3 have."""

    recipe: str
    overwrite: bool
    shared: dict[str, Any]


def main(
    recipe: str = "demo",  # table of stages/stage2_lm.toml and stages/stage3_clf.toml
    data: str | None = None,  # data set: a name or a path (default: the recipe's)
    pretrained: str | None = None,  # language model to start from (default: the recipe's)
    out: str | None = None,  # folder of the models (default: models/<recipe>)
    text_col: str | None = None,  # column of the texts, where --data is a file
    label_col: str | None = None,  # column of the labels, where --data is a file
    split_col: str | None = None,  # column of the splits, where --data is a file
    seed: int | None = None,  # seeds data order, initialisation and dropout
    overwrite: bool = False,  # train again what is there already
) -> dict[str, Any]:
    """Fine-tune the language model, train the classifier, both directions, and evaluate.

    Models that an earlier call finished with the same settings are kept.
    """
    keep_memory()
    began = time.monotonic()
    folder = Path(out or Path("models", recipe))
    columns = {"text_col": text_col, "label_col": label_col, "split_col": split_col}
    shared = {"data": data, "seed": seed, **columns}
    plan = Plan(recipe, overwrite, shared)
    settings = _check(folder, pretrained, plan)
    lms, classifiers = {}, {}
    for name, backwards in DIRECTIONS.items():
        lms[name] = _language_model(folder / f"lm-{name}", backwards, pretrained, plan)
        classifiers[name] = _classifier(folder / f"clf-{name}", backwards, lms[name].path, plan)
    print("\nevaluating on the test part")
    summary = {
        "recipe": recipe,
        "data": settings.data,
        "perplexity": {
            name: {when: lm.metrics[when]["perplexity"] for when in ("before", "after")}
            for name, lm in lms.items()
        },
        **_evaluation([str(c.path) for c in classifiers.values()], settings),
        "seconds": {
            **{f"stage2_{name}": lm.metrics["seconds"] for name, lm in lms.items()},
            **{f"stage3_{name}": clf.metrics["seconds"] for name, clf in classifiers.items()},
            "this_run": round(time.monotonic() - began, 1),
        },
        "models": {
            **{f"lm_{name}": str(lm.path) for name, lm in lms.items()},
            **{f"clf_{name}": str(clf.path) for name, clf in classifiers.items()},
        },
        "samples": lms["fwd"].metrics["samples"],
        "hardware": hardware(),
        "versions": library_versions(),
    }
    atomic_write(folder / "summary.json", json.dumps(summary, indent=2, sort_keys=True) + "\n")
    print(summary_text(summary))
    print(f"\nthe figures are in {folder / 'summary.json'}")
    return summary


def _check(folder: Path, pretrained: str | None, plan: Plan) -> ClassifierSettings:
    """Raise before any training what a later stage would raise; returns stage 3's settings."""
    lm = load_settings(LMSettings, plan.recipe, {**plan.shared, "pretrained": pretrained})
    settings = load_settings(ClassifierSettings, plan.recipe, plan.shared)
    for name in DIRECTIONS:
        for out, kind, of_stage in (
            (folder / f"lm-{name}", "lm", lm),
            (folder / f"clf-{name}", "classifier", settings),
        ):
            if plan.overwrite or not _finished(out, kind, of_stage):
                check_output(out, plan.overwrite)
    frame = load_data(
        settings.data, **settings.columns(), seed=settings.seed, say=lambda line: None
    )
    test = frame[frame["split"] == "test"]
    if test.empty or test["label"].isna().any():
        found = f"{int(test['label'].isna().sum()):,} of {len(test):,} test rows without a label"
        raise UserError(
            f"{settings.data}: found {'no test rows' if test.empty else found}, expected labelled "
            "ones for the evaluation; add them, or run python -m ulmfit.stage2_lm and "
            "ulmfit.stage3_clf by themselves"
        )
    return settings


def _language_model(out: Path, backwards: bool, pretrained: str | None, plan: Plan) -> StageResult:
    given = {**plan.shared, "pretrained": pretrained}
    settings = load_settings(LMSettings, plan.recipe, given)
    print(f"\nstage 2, {direction(backwards)}: language model of {settings.data}")
    kept = None if plan.overwrite else _kept(out, "lm", settings)
    return kept or stage2_lm.main(
        recipe=plan.recipe, out=str(out), backwards=backwards, overwrite=plan.overwrite, **given
    )


def _classifier(out: Path, backwards: bool, lm: Path, plan: Plan) -> StageResult:
    settings = load_settings(ClassifierSettings, plan.recipe, plan.shared)
    print(f"\nstage 3, {direction(backwards)}: classifier of {settings.data}")
    kept = None if plan.overwrite else _kept(out, "classifier", settings)
    if kept and read_artifact(out).manifest.parent != read_artifact(lm).manifest_sha256:
        raise UserError(
            f"{out} was trained on another language model than {lm} holds now; pass --overwrite "
            "to train again"
        )
    return kept or stage3_clf.main(
        recipe=plan.recipe,
        lm=str(lm),
        out=str(out),
        backwards=backwards,
        overwrite=plan.overwrite,
        **plan.shared,
    )


def _kept(out: Path, kind: str, settings: LMSettings | ClassifierSettings) -> StageResult | None:
    """What an earlier call with the same settings wrote."""
    if not _finished(out, kind, settings):
        return None
    print(f"{out} is finished already and kept; --overwrite trains again")
    return StageResult(out, read_metrics(out))


def _finished(out: Path, kind: str, settings: LMSettings | ClassifierSettings) -> bool:
    if not (out / MANIFEST).is_file():
        return False
    artifact = read_artifact(out, kind)
    if artifact.manifest.recipe != json.loads(json.dumps(as_recipe(settings))):
        raise UserError(
            f"{out} holds a model of other settings; pass --overwrite to train again, or choose "
            "another --out"
        )
    return True


def _evaluation(folders: list[str], settings: ClassifierSettings) -> dict[str, Any]:
    columns = settings.columns()
    frame = load_data(settings.data, **columns, seed=settings.seed, say=lambda line: None)
    named = evaluate.main(clf=folders, data=settings.data, **columns)  # type: ignore[arg-type]
    names = dict(zip((*DIRECTIONS, "ensemble"), named.values(), strict=True))
    labels = read_artifact(Path(folders[0])).manifest.labels
    baseline = evaluate.measure_baseline(frame, labels)
    return {
        **{figure: {n: f[figure] for n, f in names.items()} for figure in ("accuracy", "f1")},
        "test_texts": baseline["documents"],
        "train_texts": int((frame["split"] == "train").sum()),
        "baseline": {"name": BASELINE, **{k: baseline[k] for k in ("accuracy", "f1")}},
    }


def summary_text(summary: dict[str, Any]) -> str:
    """The table that ends the run."""
    lines = [
        "",
        f"{'perplexity':28}  before   after",
        *(
            f"  {direction(DIRECTIONS[name]):26}  {p['before']:6.1f}  {p['after']:6.1f}"
            for name, p in summary["perplexity"].items()
        ),
        f"{summary['test_texts']:,} test texts, {summary['train_texts']:,} labelled".ljust(28)
        + "  accuracy  macro F1",
    ]
    names = {"fwd": "forward", "bwd": "backward", "ensemble": "ensemble"}
    rows = [(names[n], summary["accuracy"][n], summary["f1"][n]) for n in names]
    baseline = summary["baseline"]
    rows.append((baseline["name"], baseline["accuracy"], baseline["f1"]))
    lines += [f"  {name:36}  {accuracy:.4f}    {f1:.4f}" for name, accuracy, f1 in rows]
    lines.append("seconds")
    lines += [f"  {name:26}  {seconds:6.0f}" for name, seconds in summary["seconds"].items()]
    lines.append("models")
    lines += [f"  {path}" for path in summary["models"].values()]
    lines.append("reviews that the forward model wrote")
    lines += [f"  - {' '.join(sample.split())}" for sample in summary["samples"]]
    return "\n".join(lines)


if __name__ == "__main__":
    run_command(main)
