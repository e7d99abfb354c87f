"""Which files of a repository of the Hub make a model, and how large they may be."""

from pathlib import Path

from ulmfit.artifacts.directory import ALWAYS, ALWAYS_LINEAR, METRICS
from ulmfit.artifacts.limits import largest
from ulmfit.artifacts.manifest import Manifest
from ulmfit.base.errors import UserError

# What a model is made of: data, nothing that is ever run.
_ENDINGS = {".csv", ".json", ".md", ".model", ".png", ".safetensors", ".txt"}


def files_of(manifest: Manifest) -> list[str]:
    """The names of a model's files but for the manifest; plain ones, as `Manifest` has checked."""
    always = ALWAYS_LINEAR if manifest.kind == "linear" else ALWAYS
    names = list(dict.fromkeys([METRICS, *always, *manifest.files]))
    odd = [name for name in names if Path(name).suffix not in _ENDINGS]
    if odd:
        raise UserError(
            f"the manifest names {odd[0]}, expected files that end in "
            f"{', '.join(sorted(_ENDINGS))}; nothing was written"
        )
    return names


def check_sizes(repository: object, sizes: dict[str, int | None], names: list[str]) -> None:
    """Refuse, before anything is downloaded, what is missing, too large or of unknown size."""
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
