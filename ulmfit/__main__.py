"""`python -m ulmfit`: all stages of a recipe, the ensemble of its classifiers, the evaluation.

With a corpus, stage 1 runs first; otherwise an existing language model is the start.
"""

import json
import shlex
import textwrap
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from ulmfit import evaluate
from ulmfit.artifacts.directory import read_metrics
from ulmfit.artifacts.ensemble import Ensemble, read_ensemble
from ulmfit.artifacts.manifest import direction, library_versions
from ulmfit.artifacts.writing import update_metrics
from ulmfit.base.atomic import atomic_write
from ulmfit.base.cli import in_processes, run_command, settings_flags
from ulmfit.base.errors import UserError
from ulmfit.base.log import logger, show_result
from ulmfit.base.printable import visible
from ulmfit.data.spec import DataFlags
from ulmfit.text.ids import hold_ids

if TYPE_CHECKING:
    from ulmfit.pipeline.plan import Plan
    from ulmfit.pipeline.run import Trained
    from ulmfit.training.settings import ClassifierSettings

_SHOWN = 110  # characters of a text that the language model wrote; summary.json has all
_ROWS = {
    "fwd": "forward",
    "bwd": "backward",
    "nb": "linear, naive Bayes",
    "tfidf": "linear, TF-IDF",
    "ensemble": "ensemble",
}


@in_processes
@settings_flags(DataFlags, default="")
def main(
    # table of stages/stage2_lm.toml and stage3_clf.toml (default: demo for IMDb, else auto)
    recipe: str | None = None,
    data: str | None = None,  # data set: a name or a path (default: the recipe's)
    corpus: Annotated[str, {"nargs": "+"}] = "",  # general text, for stage 1 to come first
    pretrained: str | None = None,  # language model to start from (default: the recipe's)
    # language model that has read these texts already, in place of stage 2: the name of both
    # directions, without -fwd or -bwd
    lm: str | None = None,
    out: str | None = None,  # folder of the models (default: models/<recipe>)
    # what is trained: fwd, bwd, nb (naive Bayes), tfidf (default: all)
    members: Annotated[str, {"nargs": "+"}] = "",
    multi_label: bool = False,  # a text may have several labels, separated by ;, or none
    labels: int = 0,  # labelled texts to train on, drawn by the seed; 0 for all
    seed: int | None = None,  # seeds data order, initialisation and dropout
    half: bool = False,  # store the weights in half precision
    overwrite: bool = False,  # train existing models again
    jobs: int = 1,  # directions trained at the same time, each in a process: 1 or 2
    minutes: float = 0.0,  # with the recipe auto: what the training may take; 0 for no limit
    stop_after: float = 0.0,  # seconds after which it saves a checkpoint and ends; 0 for no end
    **given: Any,
) -> dict[str, Any]:
    """Fine-tune the language model and train the classifier in both directions, then evaluate.

    Two linear classifiers are trained beside them. All that do not hurt on the validation part
    become one ensemble, the directory clf in --out, which every command takes. Models of an
    earlier call with the same settings and data are kept.
    """
    from ulmfit.base.precision import keep_memory
    from ulmfit.pipeline.crews import crew_for
    from ulmfit.pipeline.followers import leading
    from ulmfit.pipeline.plan import Plan
    from ulmfit.pipeline.run import train
    from ulmfit.training.budget import check_minutes
    from ulmfit.training.members import DIRECTIONS, members_of
    from ulmfit.training.options import deadline_after
    from ulmfit.training.settings import recipe_for

    keep_memory()
    began = time.monotonic()
    check_minutes(minutes)
    if data is None and recipe is None:
        logger.info(
            "no data given: the recipe demo trains on film reviews (imdb-sample); "
            "ulmfit train FILE trains on your own"
        )
    folder = Path(out or Path("models", recipe_for(recipe, data)))
    shared = {"data": data, "seed": seed, "multi_label": multi_label or None, **given}
    shared["labels"] = labels or None
    _check_one_of(bool(overwrite and stop_after), corpus=corpus, pretrained=pretrained, lm=lm)
    wanted = members_of(members)
    plan = Plan.of(
        recipe,
        shared,
        pretrained,
        ready=str(lm or ""),
        overwrite=overwrite,
        half=half,
        deadline=deadline_after(stop_after),
        members=wanted,
        crew=crew_for(jobs, sum(name in DIRECTIONS for name in wanted)),
        minutes=minutes,
    )
    flags = {**shared, "recipe": recipe, "corpus": corpus, "members": members, "lm": str(lm or "")}
    with leading(flags) as first:
        if not first:
            return {}
        trained, plan = train(plan, corpus, folder)
    logger.info("\nevaluating on the test part")
    summary = _summary(plan, trained, began)
    atomic_write(folder / "summary.json", json.dumps(summary, indent=2, sort_keys=True) + "\n")
    show_result(summary_text(summary))
    logger.info(
        f"\nthe figures are in {folder / 'summary.json'}; the ensemble classifies texts:\n"
        f'ulmfit predict --clf {shlex.quote(str(trained.ensemble.path))} --text "..."'
    )
    return summary


def _check_one_of(begins_anew: bool, **starts: str | None) -> None:
    if begins_anew:
        raise UserError(
            "found --overwrite with --stop-after, expected one of them: every call would begin "
            "anew; choose another --out, or delete the models in it"
        )
    given = [f"--{name}" for name, start in starts.items() if start]
    if len(given) > 1:
        raise UserError(f"found {' and '.join(given)}, expected one of them")


def _summary(plan: "Plan", trained: "Trained", began: float) -> dict[str, Any]:
    from ulmfit.base.precision import hardware
    from ulmfit.data.load import source_name

    general, lms, classifiers, _ = trained
    own = {} if plan.ready else lms  # what stage 2 of this run has trained
    figures = _evaluation(trained, replace(plan.classifier, all_labels=plan.all_labels))
    return {
        "recipe": plan.recipe,
        "data": source_name(plan.classifier.data),
        "perplexity": {
            name: {when: lm.metrics[when]["perplexity"] for when in ("before", "after")}
            for name, lm in own.items()
        },
        **figures,
        "seconds": {
            **{f"stage1_{name}": lm.metrics["seconds"] for name, lm in general.items()},
            **{f"stage2_{name}": lm.metrics["seconds"] for name, lm in own.items()},
            **{f"stage3_{name}": clf.metrics["seconds"] for name, clf in classifiers.items()},
            "this_run": round(time.monotonic() - began, 1),
        },
        "models": {
            **{f"lm_{name}": str(lm.path) for name, lm in lms.items()},
            **{f"clf_{name}": str(clf.path) for name, clf in classifiers.items()},
            "ensemble": str(trained.ensemble.path),
        },
        "samples": next((lm.metrics["samples"] for lm in own.values()), []),
        "hardware": hardware(),
        "versions": library_versions(),
    }


def _evaluation(trained: "Trained", settings: "ClassifierSettings") -> dict[str, Any]:
    from ulmfit.inference.baseline import baseline_names
    from ulmfit.pipeline.checks import baselines_of, labelled

    frame = labelled(settings)
    ensemble = read_ensemble(trained.ensemble.path)
    names = _figures_of_all(trained, ensemble, settings)
    labels = ensemble.artifacts[0].manifest.labelling
    baselines: dict[str, dict[str, Any]] = {}
    if hold_ids(frame["text"]):
        names_of = " and no ".join(baseline_names(labels))
        logger.info(
            f"no {names_of} for comparison: they need the texts, and {settings.data} holds ids"
        )
    else:
        baselines = baselines_of(settings, labels)
    shown = [name for name in ("accuracy", "f1", "f1_micro") if name in labels.figures]
    return {
        **{figure: {n: f[figure] for n, f in names.items()} for figure in shown},
        "weights": {member.name: member.weight for member in ensemble.members},
        "temperature": ensemble.temperature,
        "test_texts": int((frame["split"] == "test").sum()),
        "train_texts": int((frame["split"] == "train").sum()),
        "baselines": {name: {k: f[k] for k in shown} for name, f in baselines.items()},
    }


def _figures_of_all(
    trained: "Trained", ensemble: Ensemble, settings: "ClassifierSettings"
) -> dict[str, dict[str, Any]]:
    """Figures of each classifier, those outside the ensemble included, then of the ensemble."""
    given: dict[str, Any] = {"data": settings.data, **settings.given()}
    together = list(evaluate.main(clf=str(ensemble.path), **given).values())
    inside = dict(zip((member.name for member in ensemble.members), together, strict=False))
    figures = {}
    for name, made in trained.classifiers.items():
        if name not in inside:
            logger.info(f"{made.path}, outside the ensemble")
            (figures[name],) = evaluate.main(clf=str(made.path), **given).values()
            continue
        figures[name] = inside[name]
        measured = read_metrics(ensemble.path / name)["evaluation"]
        update_metrics(made.path, {**read_metrics(made.path), "evaluation": measured})
    return {**figures, "ensemble": together[-1]}


def summary_text(summary: dict[str, Any]) -> str:
    """The table at the end of the run."""
    lines = [
        "",
        *([f"{'perplexity':28}  before   after"] if summary["perplexity"] else []),
        *(
            f"  {direction(name == 'bwd'):26}  {p['before']:6.1f}  {p['after']:6.1f}"
            for name, p in summary["perplexity"].items()
        ),
        f"{summary['test_texts']:,} test texts, {summary['train_texts']:,} labelled".ljust(28)
        + f"{' all right' if 'f1_micro' in summary else '  accuracy'}  macro F1",
    ]
    figures = {_ROWS[n]: (summary["accuracy"][n], summary["f1"][n]) for n in summary["accuracy"]}
    lines += _figures_lines(figures)
    if summary["baselines"]:
        lines.append("baselines, outside the ensemble")
        lines += _figures_lines(
            {name: (found["accuracy"], found["f1"]) for name, found in summary["baselines"].items()}
        )
    lines.append("seconds")
    lines += [f"  {name:26}  {seconds:6.0f}" for name, seconds in summary["seconds"].items()]
    lines.append("models")
    lines += [f"  {path}" for path in summary["models"].values()]
    if summary["samples"]:
        lines.append("texts that the language model wrote")
    short = [
        textwrap.shorten(visible(sample), _SHOWN, placeholder=" ...")
        for sample in summary["samples"]
    ]
    return "\n".join([*lines, *(f"  - {sample}" for sample in short)])


def _figures_lines(figures: dict[str, tuple[float, float]]) -> list[str]:
    return [f"  {name:36}  {accuracy:.4f}    {f1:.4f}" for name, (accuracy, f1) in figures.items()]


if __name__ == "__main__":
    run_command(main)
