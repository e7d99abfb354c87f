"""The ancestors of a model.

A manifest names its parent by the sha256 of the parent's manifest, which has the sha256 of every
other file. So one trusted hash of a manifest verifies all ancestors.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from ulmfit.artifacts import bundled
from ulmfit.artifacts.directory import MANIFEST, Artifact, read_artifact
from ulmfit.artifacts.weights import largest
from ulmfit.base.errors import UserError
from ulmfit.base.untrusted import sha256_bounded


def lineage(artifact: Artifact, among: Sequence[Path] = ()) -> Iterator[Artifact]:
    """The model, its parent, the parent's parent and so on, as far as they are found.

    Each is searched by the hash of its manifest: beside the model, in the directories `among`, and
    among the bundled models. Raises UserError if a parent is damaged.
    """
    found: Artifact | None = artifact
    while found:
        yield found
        found = _parent(found, among)


def _parent(artifact: Artifact, among: Sequence[Path]) -> Artifact | None:
    wanted = artifact.manifest.parent
    for folder in (artifact.path.resolve().parent, *among, *bundled.folders()) if wanted else ():
        for file in (folder / MANIFEST, *sorted(folder.glob(f"*/{MANIFEST}"))):
            if _hash(file) == wanted:
                return read_artifact(file.parent)
    return None


def _hash(manifest: Path) -> str | None:
    with suppress(OSError, UserError):  # a file that cannot be read is not the parent's
        return sha256_bounded(manifest, largest(MANIFEST))
    return None
