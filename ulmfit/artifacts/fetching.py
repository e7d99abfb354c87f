"""Bundled models from the Hub, for an installation without them.

Each direction is a repository of its own, ``hf://OWNER/NAME-fwd``. The hash of its manifest is
fixed here, and the manifest has the hash of every other file. So it does not matter who owns the
repository: another model is refused.
"""

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from ulmfit.artifacts.bundled import HUB
from ulmfit.artifacts.directory import MANIFEST
from ulmfit.base.errors import UserError
from ulmfit.base.untrusted import file_sha256

OWNER_VARIABLE = "ULMFIT_HUB"  # the environment variable with another owner, for copies
OWNER = "ulmfit"

# sha256 of manifest.json of each bundled model.
MANIFESTS = {
    "imdb-lm-small-bwd": "fd86217837c8fe5c5503802a086ab6238e2967f02f2b1a6782b1a20c88404c37",
    "imdb-lm-small-fwd": "1d8f021fac16526f5ad38b6ed3df01b0c2a9fbeb1f1d2643530675af5a71f561",
    "imdb-small-bwd": "a9f75e0b97d9f24db90dd225ae3091dbf0e1998ae1d46566b0f2b8e5d3befdfd",
    "imdb-small-fwd": "af3cfde0cf17ac9d04c91a77d2264e41dda2f7fbe676acd99e86f30077e1d185",
    "wiki-en-small-bwd": "c64f081cf065fcffb444b3bcd274c9e84212d37fd3d5666f7fde82eeefb64259",
    "wiki-en-small-fwd": "b4caf6caa4186b09350cdcba4080fe54e5acf8749fd8dec839b2edd422413ae9",
}


def fetch(wanted: Sequence[str], package: str) -> list[Path]:
    """The directories of bundled models, pulled from the Hub once and cached.

    Args:
        wanted: names with direction, of `MANIFESTS`.
        package: the package on PyPI that has them, for messages.

    Raises:
        UserError: huggingface_hub is missing, or the Hub does not have them or has other models.
    """
    return [_fetch(name, package) for name in wanted]


def _fetch(name: str, package: str) -> Path:
    from ulmfit.artifacts.hub import Repository, cached_at, resolve

    repository = f"{HUB}{os.environ.get(OWNER_VARIABLE) or OWNER}/{name}"
    advice = f"{name} is not installed: pip install {package}"
    # Without the library, the Hub is no way that was chosen.
    if (
        find_spec("huggingface_hub") is None
        and not cached_at(Repository.parse(repository)).exists()
    ):
        raise UserError(advice)
    try:
        path = resolve(repository)
    except UserError as error:
        raise UserError(f"{advice} ({error})") from error
    if file_sha256(path / MANIFEST) != MANIFESTS[name]:
        raise UserError(
            f"{repository} is another model than {name}, by the hash of its manifest; delete "
            f"{path}, and install the right one: pip install {package}"
        )
    return path
