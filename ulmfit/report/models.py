"""The sections on the models of a report: settings, lineage, learning curves, samples."""

import json
import re
from itertools import chain
from pathlib import PureWindowsPath
from typing import Any

from fastcore.xml import FT, H3, Article, Code, Details, Div, Li, P, Summary, Ul

from ulmfit.artifacts.card import stage_of
from ulmfit.artifacts.directory import Artifact
from ulmfit.report.data import Report
from ulmfit.report.figures import history_figure
from ulmfit.report.parts import figure, table

STAGES = {
    1: "language model of general text (stage 1)",
    2: "language model of the domain (stage 2)",
    3: "classifier (stage 3)",
}


def curves(report: Report) -> list[FT]:
    """Learning curves of each model and of its parents."""
    parts = []
    for name, models in _each_once(report).items():
        drawn = [_curve(named, artifact) for named, artifact in models if artifact.history()]
        parts += [H3(name), Div(*drawn, cls="grid")] if drawn else []
        if report.lineages[name][-1].manifest.parent:
            parts.append(P("Its parent was not found beside it.", cls="note"))
    return parts


def _each_once(report: Report) -> dict[str, list[tuple[str, Artifact]]]:
    """By classifier: the models of its lineage with their names; shared models appear once."""
    seen: set[str] = set()
    found: dict[str, list[tuple[str, Artifact]]] = {}
    for name, line in report.lineages.items():
        pairs = _named(name, line)
        found[name] = [pair for pair in pairs if pair[1].manifest_sha256 not in seen]
        seen.update(artifact.manifest_sha256 for artifact in line)
    return found


def _named(name: str, line: list[Artifact]) -> list[tuple[str, Artifact]]:
    """The models of a lineage with their names; the classifier's is `name`."""
    return [(name, line[0]), *((parent.path.name, parent) for parent in line[1:])]


def _curve(name: str, artifact: Artifact) -> FT:
    rows = artifact.history()
    title = f"{name}: {STAGES[stage_of(artifact.manifest)]}, {artifact.manifest.direction}"
    alt = f"Losses, and accuracy, F1 or perplexity, over {len(rows)} epochs of {name}"
    return figure(history_figure(rows, artifact.manifest_sha256), title, alt)


def samples(report: Report) -> list[FT]:
    """Texts that the parents wrote at the end of their training."""
    parts = []
    for name, artifact in chain.from_iterable(_each_once(report).values()):
        written = artifact.manifest.metrics.get("samples")
        if isinstance(written, list) and written:
            listed = Ul(*(Li(str(text), dir="auto", cls="text") for text in written))
            parts += [H3(f"{name}, {artifact.manifest.direction}"), listed]
    return parts


def model_facts(report: Report) -> list[FT]:
    """The facts about each classifier."""
    return [_facts(name, line) for name, line in report.lineages.items()]


def _facts(name: str, line: list[Artifact]) -> FT:
    manifest = line[0].manifest
    linear, texts = manifest.kind == "linear", manifest.metrics.get("train_texts")
    stored = manifest.labelled_config.temperature
    rows = [
        *([] if linear else [("direction", manifest.direction)]),
        ("features" if linear else "size", manifest.size),
        ("labelled texts", f"{texts:,}" if isinstance(texts, int) else "not recorded"),
        ("temperature", "none" if stored is None else stored),
        ("seed", manifest.seed),
        ("data fingerprint", Code(manifest.data_fingerprint)),
        ("manifest", Code(line[0].manifest_sha256)),
    ]
    if manifest.about:
        rows.append(("about", manifest.about))
    return Article(
        H3(name),
        table(("", ""), rows, head=False),
        P("Lineage, from the classifier back:"),
        Ul(*_lineage_items(name, line)),
        _fold("Recipe", manifest.recipe),
        _fold("Config", manifest.config.as_dict()),
        *([] if linear else [_fold("Tokenizer", manifest.tokenizer)]),
        _fold("Versions of the training", manifest.versions),
        cls="card",
    )


def _lineage_items(name: str, line: list[Artifact]) -> list[FT]:
    items = [
        Li(f"{named}: {STAGES[stage_of(artifact.manifest)]}, {artifact.manifest.size}")
        for named, artifact in _named(name, line)
    ]
    last = line[-1].manifest
    if last.parent:
        items.append(Li("not found: the model with manifest ", Code(last.parent)))
    elif (began := last.recipe.get("pretrained", "none")) != "none":
        items.append(Li(f"began from {without_folders(str(began))}"))
    return items


def _fold(title: str, tree: dict[str, Any]) -> FT:
    rows = [(key, _shown(value)) for key, value in sorted(tree.items())]
    return Details(Summary(title), table(("setting", "value"), rows, head=False))


def _shown(value: object) -> str:
    if isinstance(value, str):
        return without_folders(value)
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def without_folders(text: str) -> str:
    """The last name of a path, to hide its owner's folders; other texts stay as they are."""
    if re.match(r"/|~|\.\.|[A-Za-z]:[\\/]|\\\\", text):
        return PureWindowsPath(text).name or text  # knows both kinds of slashes
    return text
