"""The output of a comparison: table, plots, and compare.md with everything on one page."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ulmfit.base.atomic import atomic_write
from ulmfit.compare import plots
from ulmfit.compare.disagreements import Disputed, disputed, disputed_csv
from ulmfit.compare.feature_cache import FeatureCache
from ulmfit.compare.plan import METHODS, Job
from ulmfit.compare.summary import Row, markdown, summarize, table_csv
from ulmfit.compare.trials import Trials
from ulmfit.data.load import source_name
from ulmfit.report.data import confusion
from ulmfit.report.features import in_two_dimensions, some_of

_TOP = 10  # disputed texts in compare.md
_LONGEST = 300  # characters of one to show
_MOST_CLASSES = 30  # in a readable confusion matrix

FAIR = """\
Every method trains on the same labelled texts, a stratified draw by the seed. It makes its choices
(strength of the regularisation, learning rate, pooling, best epoch) on the same validation part,
which has no more labels than the training part. One function measures each method once on the same
test part; no method gets the labels of test. Each trial runs in its own process.

Accuracy and F1 are means over the seeds, with the worst and the best seed in brackets. Training
seconds count everything that a trial takes, including the search on the validation part. Work that
trials share counts as if each had done it alone: word vectors, static vectors and language models
that were made here, and the features of the transformer for its texts. Ready-made models (a
transformer, a named language model) count as 0 s. Documents a second measures prediction from text
to probabilities, with the model loaded. The model's size is everything that prediction needs on
disk. Peak memory is that of the process.
"""


def write(trials: Trials) -> list[Row]:
    """Write everything into the folder of `trials`; returns the rows of the table."""
    out, judge, settings = trials.out, trials.judge, trials.settings
    shown = {job: result for job, result in trials.found.items() if job.labels is not None}
    rows = summarize(shown, judge.labelled)
    texts = len(judge.texts)
    table = markdown(rows, texts, settings)
    atomic_write(out / "table.md", table)
    atomic_write(out / "table.csv", table_csv(rows, texts, settings))
    results = json.dumps(_results(trials), indent=1, sort_keys=True)
    atomic_write(out / "results.json", results + "\n")
    parts = [_head(trials, rows), "## Results\n", table]
    done = [row for row in rows if row.results]
    if done:
        parts += [_plot(out, "accuracy-time", plots.accuracy_time(done))]
        parts += [_plot(out, "accuracy-labels", plots.accuracy_labels(done))]
        largest = [row for row in done if row.labels == max(row.labels for row in done)]
        parts += _confusions(trials, largest)
        parts += _features(trials, largest)
        parts += _disagreements(trials, largest)
        parts += ["## What was chosen on the validation part\n", _choices(done)]
    parts += ["## How it was measured\n", FAIR, _made_with(trials)]
    atomic_write(out / "compare.md", "\n".join(parts))
    return rows


def _results(trials: Trials) -> dict[str, Any]:
    return {
        "data": source_name(trials.settings.data),
        "settings": {**asdict(trials.settings), "data": source_name(trials.settings.data)},
        "classes": trials.judge.classes,
        "texts": trials.judge.frame["split"].value_counts().to_dict(),
        "results": {job.name: result for job, result in trials.found.items()},
    }


def _head(trials: Trials, rows: Sequence[Row]) -> str:
    judge, settings = trials.judge, trials.settings
    splits = judge.frame["split"].value_counts()
    names = ("train", "valid", "test", "unsup")
    counts = ", ".join(f"{splits[name]:,} {name}" for name in names if name in splits)
    named = [name for name in METHODS if any(row.method == name for row in rows)]
    lines = [
        f"# Methods compared on {source_name(settings.data)}\n",
        f"{len(judge.classes)} classes ({', '.join(judge.classes)}); texts: {counts}.\n",
        *(f"- `{name}`: {METHODS[name].about}" for name in named),
        "",
    ]
    if any(METHODS[name].packages for name in named):
        lines += [f"The transformer is `{_without_folders(settings.transformer)}`.\n"]
    if {"ulmfit", "ulmfit-fwd", "ulmfit-bwd"} & set(named):
        lines += [_language_model(trials)]
    return "\n".join(lines)


def _language_model(trials: Trials) -> str:
    settings = trials.settings
    if settings.lm:
        name = _without_folders(settings.lm)
        results = (trials.found.get(Job(lm), {}) for lm in ("lm-fwd", "lm-bwd"))
        done = [result for result in results if result.get("status") == "done"]
        unread = sorted({result["facts"]["texts of test"] for result in done})
        told = "".join(f"; the texts of test are {found} by it" for found in unread)
        return f"ULMFiT's language model is `{name}`, given ready-made{told}.\n"
    measured = [
        f"{name} {result['facts']['perplexity']}"
        for name in ("lm-fwd", "lm-bwd")
        if "perplexity" in (result := trials.found.get(Job(name), {})).get("facts", {})
    ]
    told = f" (perplexity on held-out texts: {', '.join(measured)})" if measured else ""
    if settings.pretrained == "none":
        return f"ULMFiT's language model is trained only on the unlabelled text{told}.\n"
    name = _without_folders(settings.pretrained)
    return f"ULMFiT's language model is `{name}`, fine-tuned on the unlabelled text{told}.\n"


def _without_folders(name: str) -> str:
    """The last part of a path, because the page may be passed on; other names stay as they are."""
    return Path(name).expanduser().resolve().name if Path(name).expanduser().exists() else name


def _plot(out: Path, name: str, content: bytes) -> str:
    atomic_write(out / f"{name}.png", content)
    return f"![{name}]({name}.png)\n"


def _confusions(trials: Trials, largest: Sequence[Row]) -> list[str]:
    classes = trials.judge.classes
    if len(classes) > _MOST_CLASSES:
        return [f"No confusion matrices: {len(classes):,} classes are too many to read.\n"]
    matrices = {
        row.method: confusion(
            np.concatenate(
                [trials.probabilities(Job(row.method, row.size, n)) for n in row.results]
            ),
            np.tile(trials.judge.truth, len(row.results)),
        )
        for row in largest
    }
    plot = plots.confusions(matrices, classes)
    heading = f"## Confusion at {largest[0].labels:,} labels, all seeds together\n"
    return [heading, _plot(trials.out, "confusion", plot)]


def _features(trials: Trials, largest: Sequence[Row]) -> list[str]:
    """The map of the features from the first trial of `features-lr`."""
    row = next((row for row in largest if row.method == "features-lr"), None)
    if row is None:
        return []
    seed = min(row.results)
    frame = trials.judge.task(row.size, seed)
    rows = some_of(np.flatnonzero(frame["split"] == "train"))
    pooling = row.results[seed]["facts"]["pooling"]
    cache = FeatureCache(trials.shared, frame["text"], trials.settings)
    heading = f"## Features of the frozen transformer, {len(rows):,} labelled texts\n"
    if len(cache.missing(rows)):
        return [heading, "Not drawn: the features are gone with the folder `work`.\n"]
    places, how = in_two_dimensions(cache.read(rows).pooled(pooling))
    classes = trials.judge.classes
    numbers = np.array([classes.index(label) for label in frame["label"].iloc[rows]])
    plot = plots.feature_panels(places, numbers, classes, how)
    told = f"Pooling: {pooling}. Coloured: the texts of the class; grey: the other texts.\n"
    return [heading, told, _plot(trials.out, "features", plot)]


def _disagreements(trials: Trials, largest: Sequence[Row]) -> list[str]:
    judge = trials.judge
    answers = {
        row.method: trials.probabilities(Job(row.method, row.size, min(row.results))).argmax(1)
        for row in largest
    }
    found = disputed(judge.texts, judge.truth, answers, judge.classes)
    atomic_write(trials.out / "disagreements.csv", disputed_csv(found))
    heading = "## Where the methods disagree\n"
    if not found:
        return [heading, "The methods agree on every text of test.\n"]
    told = (
        f"At {largest[0].labels:,} labels, first seed, {len(found):,} of {len(judge.texts):,} "
        "texts of test do not get the same answer from all; those with the most even vote "
        "([all](disagreements.csv)):\n"
    )
    return [heading, told, *(_one(number, each) for number, each in enumerate(found[:_TOP], 1))]


def _one(number: int, text: Disputed) -> str:
    short = " ".join(text.text.split())
    short = short if len(short) <= _LONGEST else short[:_LONGEST].rstrip() + "…"
    quoted = "".join(f"\\{c}" if c in "\\`*_<>[]|#" else c for c in short)
    by_answer: dict[str, list[str]] = {}
    for method, answer in text.answers.items():
        by_answer.setdefault(answer, []).append(method)
    answers = "; ".join(f"{label}: {', '.join(names)}" for label, names in by_answer.items())
    return f"{number}. labelled **{text.label}**: {quoted}\n   - {answers}\n"


def _choices(rows: Sequence[Row]) -> str:
    lines = []
    for row in rows:
        every = (name for result in row.results.values() for name in result["facts"])
        names = [name for name in dict.fromkeys(every) if name != "texts cut"]
        facts = {
            name: [f"{x:.3g}" if isinstance(x, float) else str(x) for x in row.facts(name)]
            for name in names
        }
        told = [f"{name} {', '.join(values)}" for name, values in facts.items()]
        if told:
            lines.append(f"- {row.method}, {row.labels:,} labels: {'; '.join(told)}")
    return "\n".join(lines) + "\n"


def _made_with(trials: Trials) -> str:
    """Hardware and versions, with a warning if seconds of several machines are in one table."""
    done = (result for result in trials.found.values() if result["status"] == "done")
    made = set()
    for result in done:  # old results have neither hardware nor versions
        versions = sorted(result.get("versions", {}).items())
        numbers = ", ".join(f"{name} {number}" for name, number in versions) or "unknown"
        hardware = result.get("hardware", "unknown")
        made.add(f"Hardware: {hardware}. Versions: {numbers}.\n")
    warning = "The machines or versions differ between results; seconds may not be comparable.\n"
    return "\n".join([*([warning] if len(made) > 1 else []), *sorted(made)])
