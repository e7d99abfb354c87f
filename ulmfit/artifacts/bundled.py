"""The models that come with the package, by name."""

import json
from collections.abc import Sequence
from pathlib import Path

LANGUAGE_MODEL = "lm"
CLASSIFIER = "classifier"  # a manifest's words for the kinds
DEFAULT_CLASSIFIER = "imdb-small"
GENERAL = "wiki-en-small"  # the language model that stage 2 starts from
DIRECTIONS = ("fwd", "bwd")
HUB = "hf://"  # what a name begins with that is one of the Hugging Face Hub

Paths = str | Path | Sequence[str | Path]


def folder() -> Path:
    """Where they lie: in the installed package, or in the checkout's models/."""
    package = Path(__file__).parents[1]
    inside = package / "bundled"
    return inside if inside.is_dir() else package.parent / "models"


def names(kind: str) -> list[str]:
    """Those of a kind, without -fwd and -bwd."""
    manifests = folder().glob("*-fwd/manifest.json")
    found = [path.parent.name for path in manifests if _kind(path) == kind]
    return sorted(name.removesuffix("-fwd") for name in found)


def _kind(manifest: Path) -> str | None:
    try:
        return str(json.loads(manifest.read_bytes())["kind"])
    except (OSError, ValueError, KeyError, TypeError):  # what is no model is not offered
        return None


def model_folders(named: Paths) -> list[str]:
    """The model directories for `named`, from the command line or from Python.

    A directory stands for itself, and the name of a bundled model for its directory; without -fwd
    or -bwd, for both. Other names are returned unchanged; the caller reports them.
    """
    several = [named] if isinstance(named, (str, Path)) else named
    return [str(found) for name in several for found in _folders(name)]


def _folders(name: str | Path) -> list[str | Path]:
    if str(name).startswith(HUB):
        from ulmfit.artifacts.hub import resolve

        return [resolve(str(name))]
    if Path(name).exists():
        return [name]
    directed = [folder() / f"{name}-{direction}" for direction in DIRECTIONS]
    for candidates in ([folder() / name], directed):
        found = [path for path in candidates if path.is_dir()]
        if found and str(name):
            return list(found)
    return [name]
