"""Text files, in UTF-8 unless said otherwise; an error names the file and the line."""

import codecs
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

from ulmfit.base.errors import UserError
from ulmfit.data.formats_packed import open_bytes

_MARK = "\ufeff"  # of the byte order


@contextmanager
def text_lines(path: Path, newline: str, encoding: str = "") -> Iterator[TextIO]:
    """The lines of a file, their ends as they are; what keeps it from being read is told."""
    if encoding and codecs.lookup(encoding).name == "utf-8":
        encoding = ""
    try:
        with open_bytes(path) as raw:
            mark = _mark(encoding)
            if mark and raw.peek(len(mark)).startswith(mark):
                raw.read(len(mark))
            yield TextIOWrapper(raw, encoding=encoding or "utf-8-sig", newline=newline)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); check the file's permissions"
        ) from None
    except UnicodeError:  # of UTF-16, not always a UnicodeDecodeError
        found = _not_in(encoding, path, newline) if encoding else _not_utf8(path, newline)
        raise found from None


def _mark(encoding: str) -> bytes:
    """The mark of the byte order where the encoding has one that decoding leaves in the text."""
    try:
        return _MARK.encode(encoding) if encoding else b""
    except UnicodeError:
        return b""


def _not_in(encoding: str, path: Path, newline: str) -> UserError:
    # Whatever the encoding, decoding puts the mark of a fault into the line.
    line = 1
    with open_bytes(path) as raw:
        file = TextIOWrapper(raw, encoding=encoding, errors="replace", newline=newline)
        with suppress(UnicodeError):
            line = next((n for n, text in enumerate(file, 1) if "\ufffd" in text), 1)
    return UserError(
        f"{path}, line {line}: found bytes that are not {encoding}; name the encoding of the file "
        "with --encoding, or leave it out for UTF-8"
    )


def _not_utf8(path: Path, newline: str) -> UserError:
    # The decoder knows the place within its buffer alone: here is the line.
    with open_bytes(path) as file:
        if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return UserError(
                f"{path}: found UTF-16, expected UTF-8; pass --encoding utf-16, or save the file "
                "as UTF-8"
            )
    with open_bytes(path) as file:
        number = 1
        for line in file:
            try:
                line.decode()
            except UnicodeDecodeError as error:
                if newline == "":  # a carriage return alone ends a line, too
                    number += line.count(b"\r", 0, error.start)
                byte = line[error.start : error.start + 1]
                return UserError(
                    f"{path}, line {number}: found the byte 0x{byte.hex()}, which is not UTF-8; "
                    f"{_way_out(byte)}, or save the file as UTF-8"
                )
            number += 1
            if newline == "":
                number += line.count(b"\r") - line.endswith(b"\r\n")
    return UserError(f"{path}: changed while it was read; run the command again")


def _way_out(byte: bytes) -> str:
    try:
        shown = byte.decode("cp1252")
    except UnicodeDecodeError:  # five bytes are none there
        return "name its encoding with --encoding"
    if not shown.isprintable():
        return "name its encoding with --encoding"
    return f"pass --encoding cp1252 (Windows) if {shown} stands there"
