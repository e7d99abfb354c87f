"""Text files in UTF-8; an error names the file and the line."""

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

from ulmfit.base.errors import UserError
from ulmfit.data.formats_packed import open_bytes


@contextmanager
def text_lines(path: Path, newline: str, encoding: str = "") -> Iterator[TextIO]:
    """The lines of a text file, their ends as they are; what keeps it from being read is told."""
    try:
        with open_bytes(path) as raw:
            yield TextIOWrapper(raw, encoding=encoding or "utf-8-sig", newline=newline)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); check the file's permissions"
        ) from None
    except UnicodeDecodeError:
        raise _not_utf8(path, newline) from None


def _not_utf8(path: Path, newline: str) -> UserError:
    # The decoder knows the place within its buffer alone: here is the line.
    with open_bytes(path) as file:
        if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return UserError(f"{path}: found UTF-16, expected UTF-8; save the file as UTF-8")
    with open_bytes(path) as file:
        number = 1
        for line in file:
            try:
                line.decode()
            except UnicodeDecodeError as error:
                if newline == "":  # a carriage return alone ends a line, too
                    number += line.count(b"\r", 0, error.start)
                return UserError(
                    f"{path}, line {number}: found the byte 0x{line[error.start]:02x}, which is "
                    "not UTF-8; save the file as UTF-8"
                )
            number += 1
            if newline == "":
                number += line.count(b"\r") - line.endswith(b"\r\n")
    return UserError(f"{path}: changed while it was read; run the command again")
