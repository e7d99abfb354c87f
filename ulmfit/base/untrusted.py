"""Untrusted files: only regular files are read, in bounded memory and time.

A model directory may come from an attacker. Sizes are checked before a file is read or memory is
allocated.
"""

import hashlib
import json
import math
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

from ulmfit.base.errors import UserError

DEEPEST = 32  # levels of lists and objects in JSON
HIGHEST = 2**63  # bound of whole numbers in JSON, of either sign


@contextmanager
def plain_file(file: Path, largest: int) -> Iterator[BufferedReader]:
    """Yield `file`, opened for reading.

    Raises UserError if it is no regular file or has more than `largest` bytes, OSError if it
    cannot be opened.
    """
    found = file.stat()  # before it is opened: opening a named pipe waits for a writer
    if not stat.S_ISREG(found.st_mode):
        raise UserError(f"{file} is no regular file; copy or train the model again")
    if found.st_size > largest:
        raise UserError(
            f"{file} has {found.st_size:,} bytes, expected {largest:,} at most; copy or train the "
            "model again"
        )
    with file.open("rb") as opened:
        yield opened


def read_bounded(file: Path, largest: int) -> bytes:
    """The content of `file`; same errors as `plain_file`."""
    with plain_file(file, largest) as opened:
        return opened.read(largest)


def sha256_bounded(file: Path, largest: int) -> str:
    """The sha256 of a file's bytes, in hexadecimal; same errors as `plain_file`."""
    with plain_file(file, largest) as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def parse_json(content: bytes | str, where: object) -> Any:
    """The value of a JSON text; messages call it `where`.

    Raises UserError for invalid JSON, a repeated key in an object, a number that is not finite or
    needs more than 64 bits, more than `DEEPEST` levels, or a lone surrogate.
    """
    try:
        text = content.decode() if isinstance(content, bytes) else content
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_no_number)
        _check(value, DEEPEST)
    except RecursionError:
        raise UserError(f"{where} is not valid JSON: it is nested too deeply") from None
    except ValueError as error:
        raise UserError(f"{where} is not valid JSON: {error}") from error
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {json.dumps(twice)[:60]} stands twice in one object")
    return found


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _check(value: Any, depth: int) -> None:
    """Raise ValueError if a parsed value breaks a rule of `parse_json`."""
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
            raise ValueError("a text has half a surrogate pair")
    elif isinstance(value, int | float):
        if abs(value) >= HIGHEST if isinstance(value, int) else not math.isfinite(value):
            raise ValueError("a number is beyond what 64 bits hold")
    elif isinstance(value, (dict, list)):
        if depth == 0:
            raise ValueError(f"it is nested deeper than {DEEPEST} levels")
        for item in [*value, *value.values()] if isinstance(value, dict) else value:
            _check(item, depth - 1)


def file_sha256(path: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
