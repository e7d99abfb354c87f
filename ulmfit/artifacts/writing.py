"""Writing of model directories: complete or not at all, and never over other files."""

import csv
import hashlib
import io
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ulmfit.artifacts.directory import (
    ALWAYS,
    CARD,
    ENCODER,
    ENSEMBLE,
    HEAD,
    HISTORY,
    LINEAR,
    MANIFEST,
    METRICS,
    NGRAMS,
    PLOT,
    SEEN,
    Artifact,
    check_present,
)
from ulmfit.artifacts.manifest import KINDS, Manifest, json_text, plain
from ulmfit.artifacts.weights import largest
from ulmfit.base.atomic import atomic_directory, atomic_write, check_parent, os_errors_as
from ulmfit.base.errors import UserError
from ulmfit.base.untrusted import parse_json, read_bounded

if TYPE_CHECKING:  # torch takes seconds to import; a command that only checks --out needs none
    import numpy as np
    from torch import Tensor


def write_artifact(
    out: Path,
    *,
    manifest: Manifest,
    encoder: "dict[str, Tensor]",
    head: "dict[str, Tensor]",
    processor_files: dict[str, bytes],
    history: list[dict[str, Any]],
    card: str,
    plot: bytes = b"",
    seen: bytes = b"",
    metrics: dict[str, Any] | None = None,
    overwrite: bool = False,
    half: bool = False,
) -> Path:
    """Write a model directory, complete or not at all, and return its path.

    The same arguments give the same bytes.

    Args:
        manifest: its `files` is filled in here.
        plot: the history as a PNG.
        seen: the content of ``seen.bin`` (see `artifacts.seen`).
        metrics: the content of ``metrics.json``; by default the manifest's metrics.
        half: store the weights as float16; they are read as float32.

    Raises:
        UserError: as `check_output`, or the system refuses to write.
    """
    if reserved := {MANIFEST, METRICS, PLOT, SEEN, *ALWAYS}.intersection(processor_files):
        raise ValueError(f"the text processor may not write {sorted(reserved)}")
    contents = dict(processor_files)
    contents[ENCODER] = _tensor_bytes(encoder, half)
    contents[HEAD] = _tensor_bytes(head, half)
    contents[HISTORY] = _csv(history).encode()
    if plot:
        contents[PLOT] = plot
    if seen:
        contents[SEEN] = seen
    contents[CARD] = card.encode()
    return _write(out, manifest, contents, metrics, overwrite)


def write_linear(
    out: Path,
    *,
    manifest: Manifest,
    arrays: "dict[str, np.ndarray]",
    ngrams: Sequence[str],
    card: str,
    seen: bytes = b"",
    metrics: dict[str, Any] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the model directory of a linear classifier, as `write_artifact` does a network's.

    `arrays` are float32, or float16 for a student; row n of `ngrams` has column n of the weights. A
    student has no `ngrams`.
    """
    from safetensors.numpy import save

    contents = {
        # safetensors writes an array's memory as it lies, whatever its order.
        LINEAR: save({name: array.copy("C") for name, array in arrays.items()}),
        CARD: card.encode(),
    }
    if not manifest.is_student:
        contents[NGRAMS] = "".join(f"{ngram}\n" for ngram in ngrams).encode()
    if seen:
        contents[SEEN] = seen
    return _write(out, manifest, contents, metrics, overwrite)


def _write(
    out: Path,
    manifest: Manifest,
    contents: dict[str, bytes],
    metrics: dict[str, Any] | None,
    overwrite: bool,
) -> Path:
    """Write `contents`, with their hashes in the manifest, and the metrics beside them."""
    check_output(out, overwrite)
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    text = replace(manifest, files=hashes).to_json()
    Manifest.from_json(text, out / MANIFEST, out)  # raises if it could not be read again
    contents[METRICS] = json_text(manifest.metrics if metrics is None else metrics).encode()
    contents[MANIFEST] = text.encode()
    with atomic_directory(out, overwrite) as directory:
        for name, data in contents.items():
            with os_errors_as(f"cannot write {out}"):
                (directory / name).write_bytes(data)
    return out


def check_output(out: Path, overwrite: bool) -> None:
    """Raise a UserError before the training if `write_artifact` could not write to `out`.

    With `overwrite`, a model may be replaced, but never other files.
    """
    check_parent(out)
    if not out.exists():
        return
    if not out.is_dir():
        raise UserError(f"{out} is a file, --out takes a directory; choose another --out")
    with os_errors_as(f"cannot read {out}"):
        foreign = _foreign(out)
        empty = not any(out.iterdir())
    if foreign:
        names = ", ".join(foreign[:3]) + (", ..." if len(foreign) > 3 else "")
        raise UserError(
            f"{out} contains files that are not part of a model ({names}); choose another --out"
        )
    if not empty and not overwrite:
        raise UserError(f"{out} already holds a model; choose another --out or pass --overwrite")


def copy_artifact(artifact: Artifact, folder: Path, with_seen: bool = True) -> None:
    """Copy the files of a model into a new `folder`; without ``seen.bin`` it stays readable."""
    folder.mkdir()
    for name in (MANIFEST, METRICS, *artifact.names()):
        if with_seen or name != SEEN:
            shutil.copyfile(artifact.path / name, folder / name)


def update_metrics(path: Path, metrics: dict[str, Any]) -> None:
    """Replace ``metrics.json`` of the model directory `path`, in one step; it has no hash.

    Raises UserError if `path` is neither a model nor an ensemble, or cannot be written.
    """
    if not path.is_dir():
        raise UserError(f"{path} does not exist")
    if not (path / ENSEMBLE).is_file():
        check_present(path, MANIFEST)
    atomic_write(path / METRICS, json_text(metrics))


def _foreign(out: Path) -> list[str]:
    """Names in `out` that are no part of a model, which may be of another format version."""
    own = {MANIFEST, METRICS}
    try:
        found = parse_json(read_bounded(out / MANIFEST, largest(MANIFEST)), MANIFEST)
        is_model = found["kind"] in KINDS and type(found["format_version"]) is int
        own = own.union(found["files"]) if is_model else set()
    except (OSError, UserError, KeyError, TypeError):
        own = set()
    return sorted(e.name for e in out.iterdir() if e.name not in own or not e.is_file())


def _csv(rows: list[dict[str, Any]]) -> str:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: plain(value) for key, value in row.items()} for row in rows)
    return text.getvalue()


def _tensor_bytes(tensors: "dict[str, Tensor]", half: bool) -> bytes:
    from safetensors.torch import save

    return save({name: _stored(tensor, half) for name, tensor in tensors.items()})


def _stored(tensor: "Tensor", half: bool) -> "Tensor":
    import torch

    # A copy, because safetensors refuses tensors that share memory, such as tied weights.
    tensor = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
    if not half or not tensor.is_floating_point():
        return tensor
    small = tensor.half()
    # Numbers above 65,504 would become infinite in float16.
    return small if torch.equal(small.isfinite(), tensor.isfinite()) else tensor
