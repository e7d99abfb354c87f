"""What a result is of: its data, its settings, and what is behind the names in them."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from ulmfit.artifacts.directory import MANIFEST, file_sha256
from ulmfit.artifacts.manifest import suffix
from ulmfit.artifacts.pretrained import NONE, WT103, find_directory
from ulmfit.compare.plan import RECIPES, Job, Settings
from ulmfit.data.fingerprints import fingerprint
from ulmfit.training.settings import recipe_table

_MODELS = ("lm", "pretrained")  # settings that name a language model
_FILES = ("transformer", "vectors")  # those that may be a folder or a file of somebody else's


def identity(job: Job, settings: Settings, data: str) -> dict[str, Any]:
    """What a result depends on, beside method, labels and seed.

    A recipe stands there with what it says, a file or model that is there with a hash of it: a name
    may mean another one day. (A model of the Hub has only its name.)
    """
    found: dict[str, Any] = {name: getattr(settings, name) for name in job.uses()}
    for name, stage in RECIPES.items():
        if name in found:
            found[name] = {"name": found[name], **recipe_table(stage, found[name])}
    for name in _MODELS:
        if hashes := _manifests(found.get(name), job.directions()):
            found[name] = {"name": found[name], **hashes}
    for name in _FILES:
        if found.get(name) and (path := Path(found[name]).expanduser()).exists():
            found[name] = {"name": found[name], "content": contents(path)}
    return {"data": data, "settings": json.loads(json.dumps(found))}


def _manifests(name: str | None, directions: set[bool]) -> dict[str, str]:
    """By direction, of the language models of that name that are there."""
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


@cache  # a transformer has some hundred MB, and is asked for with every job
def _fingerprint(path: Path, states: tuple[tuple[Path, int, int], ...]) -> str:
    parts = [(str(file.relative_to(path)), file_sha256(file)) for file, *_ in states]
    return fingerprint(parts)[:16]


def differences(kept: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """What two identities have not in common, as it is told."""
    other = ["data"] if kept["data"] != wanted["data"] else []
    before, now = kept["settings"], wanted["settings"]
    for name in {**now, **before}:
        if before.get(name) != now.get(name):
            other.append(_told(name, before.get(name), now.get(name)))
    return other


def _told(name: str, kept: Any, wanted: Any) -> str:
    flag = f"--{name.replace('_', '-')}"
    same = isinstance(kept, dict) and isinstance(wanted, dict) and "name" in kept
    if same and kept["name"] == wanted.get("name"):
        if name in RECIPES:
            return f"contents of the recipe {kept['name']}"
        return f"contents of {kept['name']} ({flag})"
    return flag
