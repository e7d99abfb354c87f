"""The identity of a result: its data, its settings, and the content behind their names."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from ulmfit.artifacts.directory import MANIFEST
from ulmfit.artifacts.manifest import suffix
from ulmfit.artifacts.pretrained import NONE, WT103, find_directory
from ulmfit.base.untrusted import file_sha256
from ulmfit.compare.plan import RECIPES, Job, Settings
from ulmfit.data.fingerprints import fingerprint
from ulmfit.training.settings import recipe_table


def identity(job: Job, settings: Settings, data: str) -> dict[str, Any]:
    """Everything a result depends on, besides method, labels and seed.

    It has the content of recipes and the hashes of files and models, because their names may mean
    something else later. (A model of the Hub has only its name.)
    """
    found: dict[str, Any] = {name: getattr(settings, name) for name in job.uses()}
    for name, stage in RECIPES.items():
        if name in found:
            found[name] = {"name": found[name], **recipe_table(stage, found[name])}
    for name in ("lm", "pretrained"):
        if hashes := _manifests(found.get(name), job.directions()):
            found[name] = {"name": found[name], **hashes}
    for name in ("transformer", "vectors"):
        if found.get(name) and (path := Path(found[name]).expanduser()).exists():
            found[name] = {"name": found[name], "content": contents(path)}
    return {"data": data, "settings": json.loads(json.dumps(found))}


def _manifests(name: str | None, directions: set[bool]) -> dict[str, str]:
    """Hashes of the language models with that name, by direction."""
    if name in (None, NONE, WT103):
        return {}
    found = {suffix(backwards): find_directory(name, backwards) for backwards in sorted(directions)}
    manifests = {end: folder / MANIFEST for end, folder in found.items() if folder}
    return {end: file_sha256(file) for end, file in manifests.items() if file.is_file()}


def contents(path: Path) -> str:
    """A fingerprint of a file, or of all files in a folder."""
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    states = [(file, file.stat().st_mtime_ns, file.stat().st_size) for file in files]
    return _fingerprint(path, tuple(states))


@cache  # a transformer has some hundred MB, and every job needs its hash
def _fingerprint(path: Path, states: tuple[tuple[Path, int, int], ...]) -> str:
    parts = [(str(file.relative_to(path)), file_sha256(file)) for file, *_ in states]
    return fingerprint(parts)[:16]


def differences(kept: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """The differences between two identities, in words for the user."""
    other = ["data"] if kept["data"] != wanted["data"] else []
    before, now = kept["settings"], wanted["settings"]
    for name in {**now, **before}:
        if before.get(name) != now.get(name):
            other.append(_told(name, before.get(name), now.get(name)))
    return other


def _told(name: str, kept: Any, wanted: Any) -> str:
    flag = f"--{name.replace('_', '-')}"
    named = [value.get("name") if isinstance(value, dict) else None for value in (kept, wanted)]
    if named[0] is None or named[0] != named[1]:
        return flag
    recipe = name in RECIPES
    return f"contents of the recipe {named[0]}" if recipe else f"contents of {named[0]} ({flag})"
