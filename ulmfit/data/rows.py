"""Rows of csv, tsv and jsonl files one by one, in memory that does not grow with the file.

Every error names the file and the line.
"""

import codecs
import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from ulmfit.base.errors import UserError

LONGEST_FIELD = 2**31 - 1  # characters; the csv module's own limit of 131,072 is under a long text
_MOST_KEYS = 10_000  # of all rows of a file of JSON: each is a column
_DEEPEST = 100  # levels of a JSON value


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
                yield _names(path, header)
                yield from rows
    finally:
        csv.field_size_limit(limit)


def _names(path: Path, header: list[str]) -> list[str]:
    if any("\0" in name for name in header):
        raise UserError(
            f"{path}, line 1: found NUL characters in the names of the columns, as a file in "
            "UTF-16 has, expected UTF-8; save the file as UTF-8"
        )
    return distinct(path, [name.strip() for name in header])


def _equal_rows(path: Path, reader: Any) -> Iterator[list[str]]:
    header: list[str] = []
    start = 1  # line on which the row begins
    try:
        for row in reader:
            if row and header and len(row) != len(header):
                raise UserError(
                    f"{path}, line {start}: found {len(row)} fields, expected {len(header)} "
                    f"({listed(header)}); put a field that holds the separator or a line end "
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
    keys: set[str] = set()
    with text_lines(path, newline="\n") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                found = _json_object(path, number, line.removesuffix("\n"))
                keys.update(found)
                if len(keys) > _MOST_KEYS:
                    raise UserError(
                        f"{path}, line {number}: found more than {_MOST_KEYS:,} different keys, "
                        "expected the same few in every object; put what differs into one of them"
                    )
                yield found


def _json_object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path}, line {number}: found malformed JSON ({error.msg}, column {error.colno}); "
            "expected one JSON object a line"
        ) from None
    except RecursionError:
        raise _too_deep(path, number) from None
    except ValueError:  # Python's limit on the digits of an integer
        raise UserError(
            f"{path}, line {number}: found a number of thousands of digits, expected a number or a "
            "text; put it in double quotes"
        ) from None
    if not isinstance(found, dict):
        raise UserError(
            f"{path}, line {number}: found a JSON {type(found).__name__}, expected one JSON "
            'object a line, such as {"text": "...", "label": "..."}'
        )
    if line.count("[") + line.count("{") > _DEEPEST and _depth(found) > _DEEPEST:
        raise _too_deep(path, number)
    return _mend(found) if "\\ud" in line.lower() else found


def _too_deep(path: Path, number: int) -> UserError:
    return UserError(
        f"{path}, line {number}: found JSON nested more than {_DEEPEST} levels deep, expected an "
        "object of texts and numbers; flatten it"
    )


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level:
        depth += 1
        inner = (v.values() if isinstance(v, dict) else v for v in level)
        level = [item for part in inner for item in part if isinstance(item, dict | list)]
    return depth


def _mend(value: Any) -> Any:
    # Half a surrogate pair, as a cut emoji leaves it, cannot be encoded again: U+FFFD instead.
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_mend(key): _mend(item) for key, item in value.items()}
    return [_mend(item) for item in value] if isinstance(value, list) else value


def listed(names: Iterable[object]) -> str:
    """Names for a line of an error: ten of them, none longer than 40 characters, on one line."""
    shown = [str(name) for name in names]
    short = [f"{name[:40]}..." if len(name) > 40 else name for name in shown[:10]]
    plain = [name if name.isprintable() else repr(name)[1:-1] for name in short]
    return ", ".join([*plain, f"... ({len(shown):,} in all)"] if len(shown) > 10 else plain)


def distinct(path: Path, names: list[str]) -> list[str]:
    """`names`, which no two columns share; raises UserError if two do."""
    twice = sorted(name for name, times in Counter(names).items() if times > 1)
    if twice:
        raise UserError(
            f"{path}: found more than one column named {listed(map(repr, twice))}, expected "
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
        raise _not_utf8(path, newline) from None


def _not_utf8(path: Path, newline: str) -> UserError:
    # The decoder knows the place within its buffer alone: here is the line.
    with path.open("rb") as file:
        if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return UserError(f"{path}: found UTF-16, expected UTF-8; save the file as UTF-8")
        file.seek(0)
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
