"""`python -m ulmfit`: all stages of a recipe, forward and backward, then the evaluation."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ulmfit import evaluate, stage2_lm, stage3_clf
from ulmfit.artifacts import MANIFEST, Artifact, check_output, read_artifact, read_metrics
from ulmfit.atomic import atomic_write
from ulmfit.baseline import NAME as BASELINE
from ulmfit.cli import run_command
from ulmfit.data import load_data, source_name
from ulmfit.draws import keep_labels
from ulmfit.errors import UserError
from ulmfit.manifest import library_versions
from ulmfit.precision import hardware, keep_memory
from ulmfit.pretrained import find_pretrained
from ulmfit.settings import ClassifierSettings, LMSettings, as_recipe, load_settings
from ulmfit.stage import StageResult, direction
from ulmfit.visible import visible

DIRECTIONS = {"fwd": False, "bwd": True}


class Plan(NamedTuple):
    """What all stages of a run have in common; `shared` was given for stages 2 and 3."""

    recipe: str
    overwrite: bool
    shared: dict[str, Any]
    pretrained: str | None  # as it was given
    lm: LMSettings
    classifier: ClassifierSettings

    @classmethod
    def of(
        cls, recipe: str, overwrite: bool, shared: dict[str, Any], pretrained: str | None
    ) -> "Plan":
        """The settings of both stages, checked before either begins."""
        lm = load_settings(LMSettings, recipe, {**shared, "pretrained": pretrained})
        classifier = load_settings(ClassifierSettings, recipe, shared)
        return cls(recipe, overwrite, shared, pretrained, lm, classifier)


def main(
    recipe: str = "demo",  # table of stages/stage2_lm.toml and stages/stage3_clf.toml
    data: str | None = None,  # data set: a name or a path (default: the recipe's)
    pretrained: str | None = None,  # language model to start from (default: the recipe's)
    out: str | None = None,  # folder of the models (default: models/<recipe>)
    text_col: str | None = None,  # column of the texts, where --data is a file
    label_col: str | None = None,  # column of the labels, where --data is a file
    split_col: str | None = None,  # column of the splits, where --data is a file
    multi_label: bool = False,  # a text may have several labels, separated by ;, or none
    seed: int | None = None,  # seeds data order, initialisation and dropout
    overwrite: bool = False,  # train again what is there already
) -> dict[str, Any]:
    """Fine-tune the language model, train the classifier, both directions, and evaluate.

    Models that an earlier call finished with the same settings, of the same data, are kept.
    """
    keep_memory()
    began = time.monotonic()
    folder = Path(out or Path("models", recipe))
    columns = {"text_col": text_col, "label_col": label_col, "split_col": split_col}
    shared = {"data": data, "seed": seed, "multi_label": multi_label or None, **columns}
    plan = Plan.of(recipe, overwrite, shared, pretrained)
    _check(folder, plan)
    lms, classifiers = {}, {}
    for name, backwards in DIRECTIONS.items():
        lms[name] = _language_model(folder / f"lm-{name}", backwards, plan)
        classifiers[name] = _classifier(folder / f"clf-{name}", backwards, lms[name].path, plan)
    print("\nevaluating on the test part")
    summary = {
        "recipe": recipe,
        "data": source_name(plan.classifier.data),
        "perplexity": {
            name: {when: lm.metrics[when]["perplexity"] for when in ("before", "after")}
            for name, lm in lms.items()
        },
        **_evaluation([str(c.path) for c in classifiers.values()], plan.classifier),
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


def _check(folder: Path, plan: Plan) -> None:
    """Raise before any training what a later stage, or the evaluation, would raise."""
    settings = plan.classifier
    frame = _labelled(settings)
    classes = stage3_clf.classes_of(frame, settings.multi_label)
    by_themselves = "or run python -m ulmfit.stage2_lm and ulmfit.stage3_clf by themselves"
    if not (frame["split"] == "test").any():
        raise UserError(
            f"{settings.data}: found no test rows, expected labelled ones for the evaluation; add "
            f"them, {by_themselves}"
        )
    try:
        evaluate.check_test_labels(settings, classes)
    except UserError as error:
        raise UserError(f"{error}; correct them, {by_themselves}") from None
    for name, backwards in DIRECTIONS.items():
        parent = _parent(plan.lm.pretrained, backwards)
        lm, classifier = folder / f"lm-{name}", folder / f"clf-{name}"
        if _stays(lm, plan):
            _check_kept(lm, "lm", plan.lm, lambda: _lm_data(plan.lm))
            if read_artifact(lm).manifest.parent != (parent and parent.manifest_sha256):
                raise UserError(
                    f"{lm} was made from another language model than {plan.lm.pretrained} is now; "
                    "pass --overwrite to train again, or choose another --out"
                )
        if _stays(classifier, plan):
            _check_kept(
                classifier, "classifier", settings, lambda: stage3_clf.data_fingerprint(frame)
            )


def _labelled(settings: ClassifierSettings) -> pd.DataFrame:
    frame = load_data(
        settings.data,
        **settings.columns(),
        seed=settings.seed,
        multi_label=settings.multi_label,
        say=lambda line: None,
    )
    return keep_labels(frame, settings.labels, settings.seed, settings.multi_label)


def _parent(pretrained: str, backwards: bool) -> Artifact | None:
    parent = find_pretrained(pretrained, backwards)
    if parent and parent.manifest.direction != direction(backwards):
        raise UserError(
            f"{parent.path} is a {parent.manifest.direction} language model, and a "
            f"{direction(backwards)} one is needed as well; give --pretrained what the names of "
            "both have in common, without -fwd and -bwd"
        )
    return parent


def _lm_data(settings: LMSettings) -> str:
    frame = stage2_lm.read_frame(settings, say=lambda line: None)
    return stage2_lm.data_fingerprint(frame, settings.lm_text)


def _stays(out: Path, plan: Plan) -> bool:
    """Whether a model is there already and kept; raises if none can be written there."""
    if (out / MANIFEST).is_file() and not plan.overwrite:
        return True
    check_output(out, plan.overwrite)
    return False


def _check_kept(
    out: Path, kind: str, settings: LMSettings | ClassifierSettings, data: Callable[[], str]
) -> None:
    manifest = read_artifact(out, kind).manifest
    if manifest.recipe != json.loads(json.dumps(as_recipe(settings))):
        found = "holds a model of other settings"
    elif manifest.data_fingerprint != data():
        found = f"was trained on other data than {settings.data} holds now"
    else:
        return
    raise UserError(f"{out} {found}; pass --overwrite to train again, or choose another --out")


def _language_model(out: Path, backwards: bool, plan: Plan) -> StageResult:
    print(f"\nstage 2, {direction(backwards)}: language model of {plan.lm.data}")
    return _kept(out, plan) or stage2_lm.main(
        recipe=plan.recipe,
        out=str(out),
        backwards=backwards,
        overwrite=plan.overwrite,
        pretrained=plan.pretrained,
        **plan.shared,
    )


def _classifier(out: Path, backwards: bool, lm: Path, plan: Plan) -> StageResult:
    print(f"\nstage 3, {direction(backwards)}: classifier of {plan.classifier.data}")
    kept = _kept(out, plan)
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


def _kept(out: Path, plan: Plan) -> StageResult | None:
    """What an earlier call wrote, found by `_check` to be of the same settings and data."""
    if not _stays(out, plan):
        return None
    print(f"{out} is finished already and kept; --overwrite trains again")
    return StageResult(out, read_metrics(out))


def _evaluation(folders: list[str], settings: ClassifierSettings) -> dict[str, Any]:
    named = evaluate.main(clf=folders, data=settings.data, **settings.columns())  # type: ignore[arg-type]
    names = dict(zip((*DIRECTIONS, "ensemble"), named.values(), strict=True))
    labels = read_artifact(Path(folders[0])).manifest.labels
    baseline = evaluate.baseline_of(settings, labels)
    shown = ("accuracy", "f1", "f1_micro") if settings.multi_label else ("accuracy", "f1")
    return {
        **{figure: {n: f[figure] for n, f in names.items()} for figure in shown},
        "test_texts": baseline["documents"],
        "train_texts": int((_labelled(settings)["split"] == "train").sum()),
        "baseline": {"name": BASELINE, **{k: baseline[k] for k in shown}},
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
        + f"{' all right' if 'f1_micro' in summary else '  accuracy'}  macro F1",
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
    lines += [f"  - {visible(' '.join(sample.split()))}" for sample in summary["samples"]]
    return "\n".join(lines)


if __name__ == "__main__":
    run_command(main)
