"""The bundled models, by name.

They lie in models/ of a checkout, or in a package of their own (`PACKAGES`), or are fetched from
the Hub. Such a package names its folder by an entry point of the group `GROUP`.
"""

import json
from collections.abc import Iterator, Sequence
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

LANGUAGE_MODEL = "lm"
CLASSIFIER = "classifier"  # kinds of models, as in a manifest
DEFAULT_CLASSIFIER = "imdb-small"
GENERAL = "wiki-en-small"  # the language model that stage 2 starts from
DIRECTIONS = ("fwd", "bwd")
HUB = "hf://"  # prefix of names on the Hugging Face Hub
GROUP = "ulmfit.models"

# Name of each bundled model -> the package on PyPI that has it in both directions.
PACKAGES = {
    GENERAL: "ulmfit-models-en",
    DEFAULT_CLASSIFIER: "ulmfit-models-en",
    "imdb-lm-small": "ulmfit-models-en-imdb-lm",
}

Paths = str | Path | Sequence[str | Path]


def folder() -> Path | None:
    """The folder models/ of the checkout; None if the package is installed elsewhere."""
    project = Path(__file__).parents[2]
    # Beside an installed package, a folder of this name would be somebody else's package.
    return project / "models" if (project / "pyproject.toml").is_file() else None


def folders() -> list[Path]:
    """The existing folders of bundled models: the checkout's goes before those of packages."""
    found = [path for path in (folder(), *_installed()) if path]
    return [path for path in found if path.is_dir()]


def _installed() -> Iterator[Path]:
    """The folders of the installed packages with models; none of them is imported."""
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.value):
        spec = find_spec(entry.value)
        yield from map(Path, (spec and spec.submodule_search_locations) or ())


def names(kind: str) -> list[str]:
    """Names of the bundled models of a kind on this machine, without -fwd and -bwd."""
    manifests = (file for each in folders() for file in each.glob("*-fwd/manifest.json"))
    found = {path.parent.name for path in manifests if _kind(path) == kind}
    return sorted(name.removesuffix("-fwd") for name in found)


def _kind(manifest: Path) -> str | None:
    try:
        return str(json.loads(manifest.read_bytes())["kind"])
    except (OSError, ValueError, KeyError, TypeError):  # no model
        return None


def find(name: str, directions: Sequence[str] = DIRECTIONS) -> list[Path]:
    """The directories of the bundled model `name`; none if no bundled model has this name.

    A model that is not on this machine is fetched from the Hub.

    Args:
        name: with -fwd or -bwd, or without, for all `directions`.

    Raises:
        UserError: the model is not on this machine and cannot be fetched.
    """
    if name in ("", "..") or name != Path(name).name:  # a path
        return []
    directed = [f"{name}-{direction}" for direction in directions]
    for place in folders():
        for candidates in ([name], directed):
            if found := [place / each for each in candidates if (place / each).is_dir()]:
                return found
    if not (package := PACKAGES.get(name.removesuffix("-fwd").removesuffix("-bwd"))):
        return []
    from ulmfit.artifacts.fetching import fetch

    return fetch(directed if name in PACKAGES else [name], package)


def model_folders(named: Paths) -> list[str]:
    """The model directories for `named`: directories, or names of bundled models.

    A name without -fwd or -bwd stands for both. Other names are returned unchanged; the caller
    reports them. Raises UserError as `find`.
    """
    several = [named] if isinstance(named, (str, Path)) else named
    return [str(found) for name in several for found in _folders(name)]


def _folders(name: str | Path) -> Sequence[str | Path]:
    if str(name).startswith(HUB):
        from ulmfit.artifacts.hub import resolve

        return [resolve(str(name))]
    if Path(name).exists():
        return [name]
    return find(str(name)) or [name]
