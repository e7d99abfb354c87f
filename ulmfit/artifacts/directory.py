"""A model directory; its files are read only after their hashes were verified.

Weights are safetensors, all else is JSON or text: no file of a model directory can run code.
"""

import csv
import hashlib
import io
import math
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ulmfit.artifacts import weights
from ulmfit.artifacts.manifest import KINDS, Manifest
from ulmfit.artifacts.weights import Header, largest
from ulmfit.base.atomic import os_errors_as
from ulmfit.base.errors import UserError
from ulmfit.base.untrusted import parse_json, read_bounded, sha256_bounded

if TYPE_CHECKING:  # torch takes seconds to import; a command that only checks --out needs none
    import numpy as np
    from torch import Tensor

    from ulmfit.artifacts.seen import Seen
    from ulmfit.text.processor import TextProcessor

MANIFEST, METRICS, HISTORY, CARD = "manifest.json", "metrics.json", "history.csv", "README.md"
PLOT, SEEN, ENSEMBLE = "history.png", "seen.bin", "ensemble.json"
ENCODER, HEAD = "encoder.safetensors", "head.safetensors"
LINEAR, NGRAMS = "linear.safetensors", "ngrams.txt"
ALWAYS = (ENCODER, HEAD, HISTORY, CARD)  # hashed files in every network's directory
ALWAYS_LINEAR = (LINEAR, NGRAMS, CARD)  # hashed files in every linear classifier's directory
ALWAYS_STUDENT = (LINEAR, CARD)  # hashed n-grams need no list
PROCESSOR = ("processor.json", "vocab.txt", "spm.model")
_MAY = {*ALWAYS, PLOT, SEEN, *PROCESSOR}  # all possible hashed files of a network
_MAY_LINEAR = {*ALWAYS_LINEAR, SEEN}
NOT_NEEDED = {SEEN}  # may be missing though the manifest names it: `ulmfit.push` keeps it back


@dataclass(frozen=True)
class Artifact:
    """A model directory whose files were verified by `read_artifact`."""

    path: Path
    manifest: Manifest
    manifest_sha256: str  # a child's manifest names it as its parent

    def encoder(self) -> "dict[str, Tensor]":
        """The encoder's tensors by name, as float32 (integers as they are), on the CPU."""
        return weights.read_tensors(self.path / ENCODER)

    def headers(self) -> "dict[str, Header]":
        """Type and shape of every tensor of encoder and head, without loading them."""
        parts = [weights.read_headers(self.path / name) for name in (ENCODER, HEAD)]
        return {**parts[0], **parts[1]}

    def head(self) -> "dict[str, Tensor]":
        """The head's tensors by name, as float32 (integers as they are), on the CPU."""
        return weights.read_tensors(self.path / HEAD)

    def linear(self) -> "dict[str, np.ndarray]":
        """The arrays of a linear classifier by name, float32."""
        return weights.read_arrays(self.path / LINEAR)

    def ngrams(self) -> list[str]:
        """The n-grams of a linear classifier, in the order of its weights.

        Raises:
            UserError: they are not as many as the config says, or one is empty or stands twice.
        """
        file, expected = self.path / NGRAMS, self.manifest.linear_config.ngrams
        lines = _decoded(self._read(NGRAMS), file).removesuffix("\n").split("\n")
        distinct = len({line for line in lines if line})
        if len(lines) == distinct == expected:
            return lines
        raise UserError(
            f"{file} has {len(lines):,} lines, {distinct:,} of them different n-grams; the "
            f"manifest's config has {expected:,}; copy or train the model again"
        )

    def linear_headers(self) -> "dict[str, Header]":
        """Type and shape of each array of a linear classifier, which are not loaded for it."""
        return weights.read_headers(self.path / LINEAR)

    @property
    def weights_sha256(self) -> str:
        """The sha256 of the largest file, which is equal for two copies of a model."""
        return self.manifest.files[LINEAR if self.manifest.kind == "linear" else ENCODER]

    def card(self) -> str:
        """The model card, README.md."""
        return _decoded(self._read(CARD), self.path / CARD)

    def processor_files(self) -> dict[str, bytes]:
        """The text processor's files by name."""
        return {name: self._read(name) for name in PROCESSOR if name in self.manifest.files}

    def plot(self) -> bytes:
        """The history as a PNG; empty if there is none."""
        return self._read(PLOT) if PLOT in self.manifest.files else b""

    def names(self) -> list[str]:
        """The hashed files that are there."""
        missing = {name for name in NOT_NEEDED if not (self.path / name).exists()}
        return [name for name in self.manifest.files if name not in missing]

    def seen_file(self) -> bytes:
        """``seen.bin``, or nothing."""
        return self._read(SEEN) if SEEN in self.names() else b""

    def seen(self) -> "Seen | None":
        """The texts that a classifier was trained and validated on (`artifacts.seen`), if known.

        Raises:
            UserError: seen.bin is damaged.
        """
        from ulmfit.artifacts.seen import parse_seen

        return parse_seen(self.seen_file(), self.path / SEEN) if SEEN in self.names() else None

    def _read(self, name: str) -> bytes:
        with os_errors_as(f"cannot read {self.path / name}"):
            return read_bounded(self.path / name, largest(name))

    def processor(self) -> "TextProcessor":
        """The text processor.

        Raises:
            UserError: its files are damaged, tokenizer or vocabulary differ from the manifest, or
                the model is linear and has no text processor.
        """
        if self.manifest.kind == "linear":
            raise UserError(
                f"{self.path} holds a linear classifier, which has no text processor; name a model "
                "that a stage wrote"
            )
        from ulmfit.text.processor import TextProcessor

        try:
            processor = TextProcessor.from_files(self.processor_files())
        except UserError as error:
            raise UserError(f"{self.path}: {error}") from None
        found, expected = processor.description(), self.manifest.tokenizer
        found |= {"vocab_sz": len(processor.vocab)}
        expected = expected | {"vocab_sz": self.manifest.network.encoder.vocab_sz}
        differ = sorted(key for key in found | expected if found.get(key) != expected.get(key))
        if differ:
            key = differ[0]
            raise UserError(
                f"{self.path}: the text processor is not the one that the encoder was trained with:"
                f" found {key} {found.get(key)}, {MANIFEST} has {expected.get(key)};"
                " copy or train the model again"
            )
        return processor

    def history(self) -> list[dict[str, Any]]:
        """A row for each epoch: numbers as numbers, empty cells as None; none for a linear model.

        Raises UserError if history.csv is no table.
        """
        if HISTORY not in self.manifest.files:
            return []
        text = _decoded(self._read(HISTORY), self.path / HISTORY)
        try:
            head, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
            return [dict(zip(head, map(_number, row), strict=True)) for row in rows]
        except (csv.Error, ValueError) as error:
            raise UserError(
                f"{self.path / HISTORY} is damaged: {error}; copy or train the model again"
            ) from None


def read_artifact(path: Path, *kinds: str, ignored: str | None = None) -> Artifact:
    """The model in directory `path`, every file verified.

    Args:
        kinds: the expected kinds; any if none is given.
        ignored: a key of the manifest's config that is neither checked nor kept.

    Raises:
        UserError: the directory is missing, incomplete, altered, of another format version or
            kind, or has a link that leads out of it.
    """
    if not path.is_dir():
        # The stages' alone: a linear classifier is not looked for by itself.
        writers = [KINDS[kind][1] for kind in kinds[:1] or ("lm", "classifier")]
        found = "is a file, a model directory was expected" if path.exists() else "does not exist"
        raise UserError(f"{path} {found}; {'; '.join(writers)}")
    check_present(path, MANIFEST)
    with os_errors_as(f"cannot read {path}"):
        text = read_bounded(path / MANIFEST, largest(MANIFEST))
        manifest = Manifest.from_json(text, path / MANIFEST, path, ignored)
        if kinds and manifest.kind not in kinds:
            expected, writer = KINDS[kinds[0]]
            raise UserError(
                f"{path} holds {KINDS[manifest.kind][0]}, {expected} was expected; {writer}"
            )
        _verify(path, manifest)
    return Artifact(path, manifest, hashlib.sha256(text).hexdigest())


def read_metrics(path: Path) -> dict[str, Any]:
    """The content of ``metrics.json`` in the model directory `path`; it has no hash.

    Raises UserError if it is missing, damaged, or a link that leads out of the directory.
    """
    check_present(path, METRICS)
    with os_errors_as(f"cannot read {path / METRICS}"):
        text = read_bounded(path / METRICS, largest(METRICS))
    with suppress(UserError):
        if isinstance(found := parse_json(text, METRICS), dict):
            return found
    raise UserError(f"{path / METRICS} is missing or damaged; copy or train the model again")


def check_pair(artifacts: list[Artifact]) -> None:
    """Raise UserError unless the probabilities of these classifiers may be averaged.

    They need the same labels in the same order, the same kind of labels and the same data, and no
    model may appear twice. Tokenizers and vocabularies may differ.
    """
    for a, b in combinations(artifacts, 2):
        ours, theirs = a.manifest, b.manifest
        several = [x for x in (a, b) if x.manifest.labelling.multi]
        if len(several) == 1:
            found = f"{several[0].path} alone is multi-label"
        elif ours.labels != theirs.labels:
            found = f"labels {', '.join(ours.labels)} against {', '.join(theirs.labels)}"
        elif ours.data_fingerprint != theirs.data_fingerprint:
            found = f"data {ours.data_fingerprint} against {theirs.data_fingerprint}"
        elif (ours.direction, a.weights_sha256) == (theirs.direction, b.weights_sha256):
            found = "they are the same model twice"
        else:
            continue
        raise UserError(f"{a.path} and {b.path} make no ensemble: {found}")


def always_there(manifest: Manifest) -> tuple[str, ...]:
    """The hashed files in every directory of a model of this kind."""
    if manifest.is_student:
        return ALWAYS_STUDENT
    return ALWAYS_LINEAR if manifest.kind == "linear" else ALWAYS


def _verify(path: Path, manifest: Manifest) -> None:
    linear = manifest.kind == "linear"
    for name in always_there(manifest):
        if name not in manifest.files:
            raise UserError(f'{path / MANIFEST}: "files" lacks {name}')
    known = _MAY_LINEAR if linear else _MAY
    if unknown := sorted(manifest.files.keys() - known):
        raise UserError(
            f'{path / MANIFEST}: "files" names {unknown[0]}, expected none but '
            f"{', '.join(sorted(known))}"
        )
    for name, expected in manifest.files.items():
        if name in NOT_NEEDED and not (path / name).is_symlink() and not (path / name).exists():
            continue
        check_present(path, name)
        if sha256_bounded(path / name, largest(name)) != expected:
            raise UserError(
                f"{path / name} was altered: its sha256 is not the one in {MANIFEST};"
                " copy or train the model again"
            )


def check_present(path: Path, name: str) -> None:
    """Raise UserError unless the model directory `path` contains the file `name` itself."""
    file = path / name
    if file.is_symlink() and not _within(file, path):
        raise UserError(f"{file} is a link that leads out of the model directory")
    if not file.exists():
        raise UserError(f"{path} is incomplete: {name} is missing; copy or train the model again")


def _within(file: Path, path: Path) -> bool:
    try:
        return file.resolve().is_relative_to(path.resolve())
    except RuntimeError:  # a link that leads to itself
        return False


def _decoded(content: bytes, file: Path) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise UserError(f"{file} is not UTF-8; copy or train the model again") from None


def _number(text: str) -> int | float | str | None:
    with suppress(ValueError):
        number = float(text)
        if math.isfinite(number):
            return int(text) if text.lstrip("+-").isdecimal() and abs(number) < 1e15 else number
    return text or None
