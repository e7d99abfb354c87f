"""Files of a model's repository on the Hub, and their largest sizes."""

from collections.abc import Mapping
from pathlib import Path

from ulmfit.artifacts.directory import METRICS, NOT_NEEDED, always_there
from ulmfit.artifacts.manifest import Manifest
from ulmfit.artifacts.weights import largest
from ulmfit.base.errors import UserError

# Endings of a model's files; none is ever run.
_ENDINGS = {".csv", ".json", ".md", ".model", ".png", ".safetensors", ".txt"}


def files_of(manifest: Manifest, there: Mapping[str, object], folder: str = "") -> list[str]:
    """Names of a model's files without the manifest; `Manifest` has checked that they are plain.

    Args:
        there: the names in the repository; a file that is not needed may be missing there.
        folder: the model's folder in the repository, with a slash.

    Raises:
        UserError: a file has an ending that no model's file has.
    """
    names = list(dict.fromkeys([METRICS, *always_there(manifest), *manifest.files]))
    odd = [name for name in names if Path(name).suffix not in _ENDINGS and name not in NOT_NEEDED]
    if odd:
        raise UserError(
            f"the manifest names {odd[0]}, expected files that end in "
            f"{', '.join(sorted(_ENDINGS))}; nothing was written"
        )
    return [name for name in names if name not in NOT_NEEDED or folder + name in there]


def check_sizes(repository: object, sizes: Mapping[str, int | None], names: list[str]) -> None:
    """Raise UserError before the download if a file is missing, too large or of unknown size."""
    for name in names:
        if name not in sizes:
            raise UserError(f"{repository} holds no model of ulmfit: {name} is missing there")
        size, most = sizes[name], largest(Path(name).name)
        if size is None or size > most:
            found = "of unknown size" if size is None else f"of {size / 1e6:,.1f} MB"
            raise UserError(
                f"found {name} {found} in {repository}, expected {most / 1e6:,.1f} MB at most; "
                "nothing was written"
            )
