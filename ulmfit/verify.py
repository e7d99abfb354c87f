"""Check every hash of a model and of its parents, and show the tree."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from ulmfit.artifacts.card import stage_of
from ulmfit.artifacts.directory import ENSEMBLE, Artifact, read_artifact
from ulmfit.artifacts.ensemble import Ensemble, is_ensemble, read_ensemble
from ulmfit.artifacts.lineage import lineage
from ulmfit.base.cli import run_command
from ulmfit.base.errors import UserError
from ulmfit.base.log import show_result
from ulmfit.base.printable import visible

# The figures to show from the metrics of the stage.
_FIGURES = ("accuracy", "f1_micro", "f1", "perplexity")
_SHOWN_LABELS = 5


def main(
    *model: str,  # the directory of the model or the ensemble to check
    among: Annotated[str, {"nargs": "+"}] = "",  # directories that may hold its parents, or are one
) -> list[Path]:
    """Check every file of a model and of its parents, back to the root, and print the tree.

    Parents are looked for by the hash of their manifest: beside the model, in --among, and among
    the bundled models. A missing parent is named; an altered one is an error. Returns the verified
    directories, the model first.
    """
    if len(model) != 1:
        raise UserError(f"found {len(model)} model directories, expected one; name one to check")
    places = [Path(place) for place in ([among] if isinstance(among, str) else among) if place]
    if missing := [place for place in places if not place.is_dir()]:
        raise UserError(f"--among names {missing[0]}, which is no directory")
    path = Path(model[0])
    if not is_ensemble(path):
        return _verified(read_artifact(path), places)
    ensemble = read_ensemble(path)
    show_result("\n".join(visible(line) for line in _ensemble_facts(ensemble)))
    # The parents of members lie where the members were trained: beside the ensemble.
    places.append(path.resolve().parent)
    found = [_verified(artifact, places) for artifact in ensemble.artifacts]
    return [path, *(one for several in found for one in several)]


def _verified(model: Artifact, places: list[Path]) -> list[Path]:
    """The directories of a model and its parents, printed as a tree."""
    verified: list[Artifact] = []
    # One by one: an altered parent does not hide the models verified before it.
    for artifact in lineage(model, places):
        show_result("\n".join(_indented(_facts(artifact, bool(verified)), len(verified))))
        verified.append(artifact)
    show_result("\n".join(_indented([_end(verified[-1])], len(verified))))
    return [artifact.path for artifact in verified]


def _ensemble_facts(ensemble: Ensemble) -> list[str]:
    shares = ", ".join(f"{member.name} {member.weight:.3f}" for member in ensemble.members)
    return [
        f"{ensemble.path}: {len(ensemble.members)} members, all as {ENSEMBLE} names them",
        f"  weights {shares}",
        f"  temperature {ensemble.temperature:g}",
    ]


def _indented(lines: list[str], depth: int) -> Iterator[str]:
    return (f"{'  ' * depth}{visible(line)}" for line in lines)


def _facts(artifact: Artifact, is_parent: bool) -> list[str]:
    manifest, path = artifact.manifest, artifact.path
    names = artifact.names()
    size = sum((path / name).stat().st_size for name in names) / 1e6
    about = f"{manifest.kind}, {manifest.direction}, {manifest.size} (stage {stage_of(manifest)})"
    if manifest.kind == "linear":
        about = f"linear, {manifest.size}"
    facts = [
        f"{'parent ' if is_parent else ''}{path}: {len(names)} files, {size:,.1f} MB, verified",
        f"  {about}",
        f"  manifest {artifact.manifest_sha256}",
        f"  data {manifest.data_fingerprint}",
    ]
    if manifest.labels:
        more = f" and {len(manifest.labels) - _SHOWN_LABELS:,} more"
        shown = ", ".join(manifest.labels[:_SHOWN_LABELS])
        facts.append(f"  labels {shown}{more if len(manifest.labels) > _SHOWN_LABELS else ''}")
    return facts + [f"  {line}" for line in _figures(manifest.metrics)]


def _figures(metrics: dict[str, Any]) -> list[str]:
    """A line of figures for each measured part, such as valid."""
    lines = []
    for part, measured in sorted(metrics.items()):
        found = measured if isinstance(measured, dict) else {}
        shown = [f"{k} {found[k]:.4g}" for k in _FIGURES if type(found.get(k)) in (int, float)]
        lines += [f"{part}: {', '.join(shown)}"] if shown else []
    return lines


def _end(last: Artifact) -> str:
    """The end of the tree: the root, or a parent that was not found."""
    manifest = last.manifest
    began = str(manifest.recipe.get("pretrained", "none"))
    if manifest.parent:
        named = "" if began == "none" else f", called {began} in the recipe"
        return (
            f"parent with manifest {manifest.parent}{named}: not found; --among DIR names a place "
            "to look for it"
        )
    if began != "none":
        return f"root: {began}, weights without a manifest"
    if manifest.is_student:
        return f"root: taught by the manifests {', '.join(manifest.student_config.teachers)}"
    if manifest.kind == "linear":
        return "root: trained on the labelled texts alone"
    if "made_by" in manifest.recipe:
        return f"root: made by {manifest.recipe['made_by']}"
    return "root: random weights"


if __name__ == "__main__":
    run_command(main)
