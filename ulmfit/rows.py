"""Rows of csv, tsv and jsonl files one by one, in memory that does not grow with the file.

Every error names the file and the line.
"""

import csv
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from ulmfit.errors import UserError

LONGEST_FIELD = 2**31 - 1  # characters; the csv module's own limit of 131,072 is under a long text


def csv_rows(path: Path, delimiter: str = ",") -> Iterator[list[str]]:
    """The header, then the rows, as many strings each; nothing if the file is empty.

    Raises:
        UserError: a row is malformed or of another length, two columns have the same name, or
            the file is not UTF-8.
    """
    # Python's csv rather than pandas: it knows the line of an error, and pandas takes a row of
    # too few or too many fields without a word.
    limit = csv.field_size_limit(LONGEST_FIELD)
    try:
        with text_lines(path, newline="") as lines:  # \n, \r\n and \r all end a row
            rows = _equal_rows(path, csv.reader(lines, delimiter=delimiter, strict=True))
            for header in rows:
                yield distinct(path, [name.strip() for name in header])
                yield from rows
    finally:
        csv.field_size_limit(limit)


def _equal_rows(path: Path, reader: Any) -> Iterator[list[str]]:
    header: list[str] = []
    start = 1  # line on which the row begins
    try:
        for row in reader:
            if row and header and len(row) != len(header):
                raise UserError(
                    f"{path}, line {start}: found {len(row)} fields, expected {len(header)} "
                    f"({', '.join(header)}); put a field that holds the separator or a line end "
                    "in double quotes"
                )
            header = header or row
            if row:
                yield row
            elif len(header) == 1:
                yield [""]  # of one column, a blank line is a row whose text is empty
            start = reader.line_num + 1
    except csv.Error as error:
        raise UserError(
            f"{path}, line {start}: found a malformed row ({error}); close every double quote, "
            "and double those within a quoted field"
        ) from None


def json_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The object of each line that is not blank.

    Raises:
        UserError: a line holds no JSON object, or the file is not UTF-8.
    """
    with text_lines(path, newline="\n") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _json_object(path, number, line.removesuffix("\n"))


def _json_object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path}, line {number}: found malformed JSON ({error.msg}, column {error.colno}); "
            "expected one JSON object a line"
        ) from None
    except (RecursionError, ValueError):  # deeper than Python's stack; thousands of digits
        raise UserError(
            f"{path}, line {number}: found JSON that is nested too deep or has a number too long; "
            "expected one JSON object a line"
        ) from None
    if not isinstance(found, dict):
        raise UserError(
            f"{path}, line {number}: found a JSON {type(found).__name__}, expected one JSON "
            'object a line, such as {"text": "...", "label": "..."}'
        )
    if "\\ud" in line.lower():
        found = {key: _mend(value) for key, value in found.items()}
    return found


def _mend(value: Any) -> Any:
    # Half a surrogate pair, as a cut emoji leaves it, cannot be encoded again: U+FFFD instead.
    if not isinstance(value, str):
        return value
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def distinct(path: Path, names: list[str]) -> list[str]:
    """`names`, which no two columns share; raises UserError if two do."""
    twice = sorted(name for name, times in Counter(names).items() if times > 1)
    if twice:
        raise UserError(
            f"{path}: found more than one column named {', '.join(map(repr, twice))}, expected "
            "distinct names; rename or remove the others"
        )
    return names


@contextmanager
def text_lines(path: Path, newline: str) -> Iterator[TextIO]:
    """The lines of a UTF-8 file, their ends as they are; what keeps it from being read is told."""
    try:
        with path.open(encoding="utf-8-sig", newline=newline) as file:
            yield file
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); check the file's permissions"
        ) from None
    except UnicodeDecodeError:
        raise _not_utf8(path) from None


def _not_utf8(path: Path) -> UserError:
    # The decoder knows the place within its buffer alone: here is the line.
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                return UserError(
                    f"{path}, line {number}: found the byte 0x{line[error.start]:02x}, which is "
                    "not UTF-8; save the file as UTF-8"
                )
    return UserError(f"{path}: changed while it was read; run the command again")
