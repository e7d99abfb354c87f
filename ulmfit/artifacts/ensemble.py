"""A directory of classifiers: ``ensemble.json``, and a model directory for each member.

``ensemble.json`` names the members by the sha256 of their manifests, which have those of all other
files: what it names cannot change unseen. A member is a sub-directory, so that the directory can
be copied and shared as it is, and nothing in it leads elsewhere.
"""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from ulmfit.artifacts.directory import (
    CARD,
    ENSEMBLE,
    MANIFEST,
    METRICS,
    Artifact,
    check_pair,
    check_present,
    read_artifact,
)
from ulmfit.artifacts.manifest import CLASSIFIERS, FORMAT_VERSION, PLAIN_NAME, json_text, plain
from ulmfit.artifacts.weights import largest
from ulmfit.artifacts.writing import copy_artifact
from ulmfit.base.atomic import atomic_directory, atomic_write, check_parent, os_errors_as
from ulmfit.base.errors import UserError
from ulmfit.base.untrusted import file_sha256, parse_json, read_bounded

MOST_MEMBERS = 16
_AGAIN = "copy the ensemble or train it again"


class Member(NamedTuple):
    """A member in ``ensemble.json``: its sub-directory, its manifest's hash, its weight."""

    name: str
    manifest_sha256: str
    weight: float


@dataclass(frozen=True)
class Ensemble:
    """An ensemble's directory that was read: members and artifacts are in one order."""

    path: Path
    members: tuple[Member, ...]
    temperature: float
    labels: list[str]
    metrics: dict[str, Any] = field(default_factory=dict)
    artifacts: tuple[Artifact, ...] = ()

    def to_json(self) -> str:
        """The text of ``ensemble.json``."""
        return json_text(
            {
                "format_version": FORMAT_VERSION,
                "kind": "ensemble",
                "members": [member._asdict() for member in self.members],
                "temperature": self.temperature,
                "labels": self.labels,
                "metrics": self.metrics,
            }
        )


def is_ensemble(path: Path) -> bool:
    """Whether `path` is an ensemble's directory."""
    return (path / ENSEMBLE).is_file()


def model_sha256(path: Path) -> str:
    """What identifies a model or an ensemble: the sha256 of its manifest or ``ensemble.json``."""
    return file_sha256(path / (ENSEMBLE if is_ensemble(path) else MANIFEST))


def read_ensemble(path: Path) -> Ensemble:
    """The ensemble in directory `path`, every file of every member verified.

    Raises:
        UserError: ``ensemble.json`` is damaged or names what is no member beside it; a member is
            missing, was altered, or has other labels.
    """
    return _with_members(read_members_of(path))


def read_members_of(path: Path) -> Ensemble:
    """What ``ensemble.json`` of directory `path` says, as `parse_ensemble`; no member is read."""
    file = path / ENSEMBLE
    check_present(path, ENSEMBLE)
    with os_errors_as(f"cannot read {file}"):
        return parse_ensemble(read_bounded(file, largest(ENSEMBLE)), path)


def _with_members(ensemble: Ensemble) -> Ensemble:
    """`ensemble` with its members read and verified; raises as `read_ensemble`."""
    artifacts = []
    for member in ensemble.members:
        folder = ensemble.path / member.name
        if folder.is_symlink():
            raise UserError(f"{folder} is a link, a member's directory was expected; {_AGAIN}")
        artifact = read_artifact(folder, *CLASSIFIERS)
        if artifact.manifest_sha256 != member.manifest_sha256:
            raise UserError(
                f"{folder} is not the member that {ENSEMBLE} names: its {MANIFEST} was altered; "
                f"{_AGAIN}"
            )
        if artifact.manifest.labels != ensemble.labels:
            raise UserError(
                f"{folder} has the labels {', '.join(artifact.manifest.labels)}, {ENSEMBLE} has "
                f"{', '.join(ensemble.labels)}; {_AGAIN}"
            )
        artifacts.append(artifact)
    check_pair(artifacts)
    return replace(ensemble, artifacts=tuple(artifacts))


def parse_ensemble(text: bytes, path: Path, where: object | None = None) -> Ensemble:
    """What the text of an ``ensemble.json`` says; no member is read. `where` is for messages.

    Raises:
        UserError: it is no JSON object, of another format version, or says what cannot be.
    """
    where = where or path / ENSEMBLE
    found: Any = parse_json(text, where)
    if not isinstance(found, dict):
        raise UserError(f"{where} holds no JSON object; {_AGAIN}")
    version = found.get("format_version")
    if version != FORMAT_VERSION:
        raise UserError(
            f"{where}: format version {_short(version)}, this program reads version "
            f"{FORMAT_VERSION}; update ulmfit, or train the ensemble again"
        )
    members: Any
    labels: Any
    temperature: Any
    members, labels = found.get("members"), found.get("labels")
    temperature, metrics = found.get("temperature"), found.get("metrics", {})
    problem = _problem_of_members(members)
    if not problem and (not isinstance(labels, list) or not all(_is_text(x) for x in labels)):
        problem = f'"labels" is {_short(labels)}, a list of texts was expected'
    if not problem and not _is_positive(temperature):
        problem = f'"temperature" is {_short(temperature)}, a finite number above 0 was expected'
    if not problem and not isinstance(metrics, dict):
        problem = f'"metrics" is {_short(metrics)}, an object was expected'
    if problem:
        raise UserError(f"{where}: {problem}; {_AGAIN}")
    named = tuple(Member(**member) for member in members)
    return Ensemble(path, named, float(temperature), labels, metrics)


def _problem_of_members(members: Any) -> str:
    if not isinstance(members, list) or not 0 < len(members) <= MOST_MEMBERS:
        found = f"{len(members):,} members" if isinstance(members, list) else _short(members)
        return f'"members" is {found}, a list of 1 to {MOST_MEMBERS} was expected'
    for member in members:
        if not isinstance(member, dict) or set(member) != {*Member._fields}:
            return f'"members" has {_short(member)}, {", ".join(Member._fields)} were expected'
        name, weight = member["name"], member["weight"]
        # A name is joined to the directory: "../x" or "/x" would read elsewhere.
        if not isinstance(name, str) or not PLAIN_NAME.fullmatch(name):
            return f'"members" names {_short(name)}, a sub-directory\'s plain name was expected'
        if not _is_text(member["manifest_sha256"]):
            return f"the manifest_sha256 of {name} is no text"
        if not _is_positive(weight) or weight > 1:
            return f"the weight of {name} is {_short(weight)}, a number above 0 was expected"
    names = [member["name"] for member in members]
    if twice := [name for name in names if names.count(name) > 1]:
        return f'"members" names {twice[0]} twice'
    total = math.fsum(member["weight"] for member in members)
    return "" if math.isclose(total, 1, abs_tol=1e-6) else f"the weights sum to {total:g}, not to 1"


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_positive(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value <= sys.float_info.max


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def check_ensemble_output(out: Path, overwrite: bool) -> None:
    """Raise, before any training, the UserError that `write_ensemble` would raise for `out`.

    `overwrite` allows to replace an ensemble, never to delete files that belong to none.
    """
    check_parent(out)
    if not out.exists():
        return
    if not out.is_dir():
        raise UserError(f"{out} is a file, an ensemble's directory was expected; choose another")
    own = {ENSEMBLE, METRICS, CARD}
    with suppress(UserError, OSError):
        text = read_bounded(out / ENSEMBLE, largest(ENSEMBLE))
        own |= {member.name for member in parse_ensemble(text, out).members}
    with os_errors_as(f"cannot read {out}"):
        names = sorted(entry.name for entry in out.iterdir())
    if foreign := [name for name in names if name not in own]:
        shown = ", ".join(foreign[:3]) + (", ..." if len(foreign) > 3 else "")
        raise UserError(
            f"{out} holds what is no part of an ensemble ({shown}) and is left alone; choose "
            "another --out"
        )
    if names and not overwrite:
        raise UserError(f"{out} already holds an ensemble; choose another --out")


def write_ensemble(
    out: Path,
    members: Mapping[str, Artifact],
    weights: Sequence[float],
    *,
    temperature: float = 1.0,
    metrics: dict[str, Any] | None = None,
    card: str = "",
    overwrite: bool = False,
) -> Path:
    """Write an ensemble's directory, complete or not at all, with copies of its members.

    `members` are classifiers by the names that they get, `weights` theirs in the same order.
    Raises UserError as `check_ensemble_output` and `check_pair` do.
    """
    check_ensemble_output(out, overwrite)
    check_pair(list(members.values()))
    first = next(iter(members.values())).manifest
    named = [
        Member(name, artifact.manifest_sha256, float(weight))
        for (name, artifact), weight in zip(members.items(), weights, strict=True)
    ]
    kept: Any = plain(metrics or {})
    text = Ensemble(out, tuple(named), temperature, first.labels, kept).to_json()
    parse_ensemble(text.encode(), out)  # what could not be read again is not written
    with atomic_directory(out, overwrite) as directory, os_errors_as(f"cannot write {out}"):
        for name, artifact in members.items():
            copy_artifact(artifact, directory / name)
        (directory / CARD).write_bytes(card.encode())
        (directory / METRICS).write_bytes(json_text(metrics or {}).encode())
        (directory / ENSEMBLE).write_bytes(text.encode())
    return out


def store_ensemble_temperature(ensemble: Ensemble, temperature: float) -> None:
    """Write ``ensemble.json`` anew with `temperature`, all else as it was."""
    text = replace(ensemble, temperature=temperature).to_json()
    atomic_write(ensemble.path / ENSEMBLE, text)
