"""Untrusted files: read in bounded memory and time, and only if they are plain files.

What a model directory holds was perhaps written by somebody who means no good. Nothing in it is
opened, allocated or built before its size was looked at.
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

DEEPEST = 32  # lists and objects within one another, in JSON
HIGHEST = 2**63  # whole numbers in JSON are below it, and above its negative


@contextmanager
def plain_file(file: Path, largest: int) -> Iterator[BufferedReader]:
    """Yield `file`, opened for reading, if it is a file of at most `largest` bytes.

    A named pipe or a device is not waited for. Raises UserError for what is no such file, OSError
    if it cannot be opened.
    """
    found = file.stat()  # first: opening a named pipe waits for somebody who writes into it
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
    """The content of `file`; raises as `plain_file`."""
    with plain_file(file, largest) as opened:
        return opened.read(largest)


def sha256_bounded(file: Path, largest: int) -> str:
    """The sha256 of a file's bytes, in hexadecimal; raises as `plain_file`."""
    with plain_file(file, largest) as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def parse_json(content: bytes | str, where: object) -> Any:
    """The value of a JSON text in which nothing is odd; `where` is its name for messages.

    Raises:
        UserError: it is no JSON; a key stands twice in one object; a number is none or beyond
            what 64 bits hold; it is nested deeper than `DEEPEST`; or a text has half a surrogate
            pair.
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
    """Raise ValueError for what `parse_json` refuses in a value that was parsed."""
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
            raise ValueError("a text has half a surrogate pair")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("a number is beyond what 64 bits hold")
    elif isinstance(value, int):
        if abs(value) >= HIGHEST:
            raise ValueError("a number is beyond what 64 bits hold")
    elif isinstance(value, (dict, list)):
        if depth == 0:
            raise ValueError(f"it is nested deeper than {DEEPEST} levels")
        if isinstance(value, dict):
            for key in value:
                _check(key, depth)
            value = list(value.values())
        for item in value:
            _check(item, depth - 1)
