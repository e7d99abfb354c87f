"""csv and tsv files for `torture.fuzz`: random rows, and the bytes that programs write for them."""

import gzip
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pandas as pd
import pyarrow as pa

ENDS = ("\n", "\r\n", "\r")
NAMES = ("text", "label", "split", "id", "é 😀", "The text", "n", "x y", "text_2")
WORDS = (
    *("good", "film", "the", "don't", "été", "漢字", "😀", "a.", "(b)", "#1", "//", "£", "a, b"),
    *("7", "7.0", "07", "-1", "1e5", "1,000", "True", "NA", "null", "None", "nan", "-", "=", "#"),
    *("'", ",", ";", "|", "\\", "\\n", "x;y", "p|q", "", "", " ", "  ", "' '", " lead", "trail "),
    *("\u2028", "\x85", "\x0b", "\x0c", "\x1c", "\ufeff", "\u200b", "\xa0"),
)
QUOTES = ('"', '""', '"""', '"word"', '"two words"', 'say "hi" now', '"start', 'end"', '6"', '\\"')
LINES = ("\n", "\r\n", "\r", "one\ntwo", "\n\n", "a\r\nb", "\t")
SEPARATORS = {".csv": ",,,,,,;;;\t|", ".tsv": "\t\t\t\t\t\t\t,;|"}
LONG = 200_000  # characters of the longest cells


@dataclass(frozen=True)
class Written:
    """A file and what it holds.

    flags: separator, quoting and encoding, with which nothing is left to guess.
    refused: why the file has to be refused; empty if it has rows.
    """

    ending: str
    content: bytes
    columns: list[str]
    rows: list[list[Any]]
    flags: dict[str, str] = field(default_factory=dict)
    refused: str = ""


def delimited(rng: random.Random) -> Written:
    """A csv or tsv file, quoted or not, in one of several encodings, now and then a faulty one."""
    ending = rng.choice([".csv", ".csv", ".tsv"])
    width = rng.choice([1, 2, 2, 2, 3, 4])
    # One column has no separator, so that the usual one is taken for it.
    sep = rng.choice(SEPARATORS[ending] if width > 1 else SEPARATORS[ending][0])
    encoding = _one_of(rng, {"utf-8": 78, "utf-8-sig": 10, "utf-16": 3, "cp1252": 9})
    style = rng.choice(list(STYLES))
    columns = rng.sample(NAMES, width)
    rows = _rows(rng, width, sep, style)
    if encoding == "cp1252":
        columns = [_in_cp1252(name) for name in columns]
        rows = [[_in_cp1252(cell) for cell in row] for row in rows]
    if width > 1 and rng.random() < 0.04:  # a sheet with empty columns behind the others
        behind = [""] * rng.randint(1, 2)
        columns, rows = [*columns, *behind], [[*row, *behind] for row in rows]
    refused, table = "", [columns, *rows]
    if rows and rng.random() < 0.05:
        refused, table = "ragged", _ragged(rng, table)
    text = STYLES[style](rng, table, sep)
    content = text.encode(encoding)
    if encoding.startswith("utf-8") and rng.random() < 0.04:
        refused, place = "encoding", rng.randrange(len(content) + 1)
        content = content[:place] + rng.choice([b"\xff", b"\xc3 ", b"\xe9a"]) + content[place:]
    flags = {"sep": sep, "quoting": "none" if style == "none" else "minimal", "encoding": encoding}
    return packed(rng, Written(ending, content, columns, rows, flags, refused))


def packed(rng: random.Random, made: Written) -> Written:
    """The file, or now and then the same packed."""
    if rng.random() > 0.05:
        return made
    ending = rng.choice([".gz", ".zst"])
    pack = gzip.compress if ending == ".gz" else partial(pa.compress, codec="zstd", asbytes=True)
    return replace(made, ending=made.ending + ending, content=pack(made.content))


def _one_of(rng: random.Random, weights: dict[str, int]) -> str:
    return rng.choices(list(weights), list(weights.values()))[0]


def _in_cp1252(text: str) -> str:
    return text.encode("cp1252", "replace").decode("cp1252")


def count_of_rows(rng: random.Random) -> int:
    """Mostly some dozens."""
    return rng.choice([0, 1, 2, 3, *range(4, 30), 60, 60]) if rng.random() < 0.99 else 500


# --- cells of text ------------------------------------------------------------------------------


def _rows(rng: random.Random, width: int, sep: str, style: str) -> list[list[str]]:
    """Cells that `style` can write."""
    quotes = rng.choice([0, 0.02, 0.02, 0.1, 0.4])
    breaks = 0 if style == "none" else rng.choice([0, 0, 0.02, 0.2])
    rows = [
        [cell_of_text(rng, quotes, breaks) for _ in range(width)] for _ in range(count_of_rows(rng))
    ]
    if rows and style == "none" and rng.random() < 0.4:
        _open_and_close(rng, rows)
    if len(rows) > 2 and breaks and rng.random() < 0.2:
        inner = [sep.join(row) for row in rows[:2]]  # a quoted text that looks like whole rows
        rows[-1][rng.randrange(width)] = "\n".join(["from:", *inner, "end"])
    if rows and rng.random() < 0.01:
        rows[0][0] = rng.choice(["a", "ab ", "é", "a. "]) * (LONG // 2)
    if style != "none":
        return rows
    return [
        ["".join("_" if c in f"{sep}\r\n" else c for c in cell) for cell in row] for row in rows
    ]


def cell_of_text(rng: random.Random, quotes: float = 0.1, breaks: float = 0.1) -> str:
    """Some words, with quotes and line ends in a share of the cells."""
    parts = rng.choices(WORDS, k=rng.choice([0, 1, 1, 2, 3, 8]))
    for rate, pieces in ((quotes, QUOTES), (breaks, LINES)):
        if rng.random() < rate:
            parts.insert(rng.randrange(len(parts) + 1), rng.choice(pieces))
    if rng.random() < 0.002:
        parts.append("\0")
    return rng.choice([" ", " ", ""]).join(parts)


def _open_and_close(rng: random.Random, rows: list[list[str]]) -> None:
    """Let a cell begin with a quote, and one of a later row end with one."""
    first, last = sorted(rng.choices(range(len(rows)), k=2))
    column = rng.randrange(len(rows[0]))
    rows[first][column] = '"' + rows[first][column].strip('"')
    rows[last][column] = rows[last][column].strip('"') + '"'


# --- the styles of programs ---------------------------------------------------------------------


def _none(rng: random.Random, table: Sequence[Sequence[str]], sep: str) -> str:
    return _lines(rng, [sep.join(row) for row in table])


def _minimal(rng: random.Random, table: Sequence[Sequence[str]], sep: str) -> str:
    return _quoted(rng, table, sep, lambda cell: False)


def _all(rng: random.Random, table: Sequence[Sequence[str]], sep: str) -> str:
    return _quoted(rng, table, sep, lambda cell: True)


def _some(rng: random.Random, table: Sequence[Sequence[str]], sep: str) -> str:
    return _quoted(rng, table, sep, lambda cell: rng.random() < 0.3)


def _lenient(rng: random.Random, table: Sequence[Sequence[str]], sep: str) -> str:
    """Quotes within a field do not make it a quoted one."""
    return _quoted(rng, table, sep, lambda cell: False, lambda cell: cell.startswith('"'))


def _pandas(rng: random.Random, table: Sequence[Sequence[str]], sep: str) -> str:
    frame = pd.DataFrame(table[1:], columns=table[0]) if _rectangular(table) else None
    if frame is None or any("\r" in cell for row in table for cell in row):
        return _minimal(rng, table, sep)  # pandas leaves a carriage return unquoted: rows break
    return frame.to_csv(index=False, sep=sep, lineterminator=rng.choice(ENDS[:2]))


STYLES: dict[str, Callable[[random.Random, Sequence[Sequence[str]], str], str]] = {
    "none": _none,
    "minimal": _minimal,
    "all": _all,
    "some": _some,
    "lenient": _lenient,
    "pandas": _pandas,
}


def _quoted(
    rng: random.Random,
    table: Sequence[Sequence[str]],
    sep: str,
    also: Callable[[str], bool],
    if_quote: Callable[[str], bool] = lambda cell: '"' in cell,
) -> str:
    def written(cell: str) -> str:
        # A lone empty cell would be a blank line; Excel and csv.writer quote it, too.
        needed = if_quote(cell) or any(c in cell for c in f"{sep}\r\n") or (not cell and alone)
        return f'"{cell.replace(chr(34), 2 * chr(34))}"' if needed or also(cell) else cell

    alone = len(table[0]) == 1
    return _lines(rng, [sep.join(map(written, row)) for row in table])


def _lines(rng: random.Random, lines: list[str]) -> str:
    """The lines with ends of one kind or of several, the last one with or without."""
    ends = [rng.choice(ENDS)] if rng.random() < 0.9 else list(ENDS)
    text = ""
    for line in lines:
        end = rng.choice(ends)
        if not line and text.endswith("\r"):
            end = "\r"  # \r and \n would be one line end
        text += line + end
    bare = lines[-1] and rng.random() < 0.15
    return text.rstrip("\r\n") if bare and lines[-1][-1] not in "\r\n" else text


def _rectangular(table: Sequence[Sequence[str]]) -> bool:
    return len({len(row) for row in table}) == 1


def _ragged(rng: random.Random, table: list[list[str]]) -> list[list[str]]:
    place = rng.randrange(1, len(table))
    row = table[place]
    # A row of one empty field would be a blank line.
    changed = row[:-1] if row[:-1] not in ([], [""]) and rng.random() < 0.5 else [*row, "more"]
    return [*table[:place], changed, *table[place + 1 :]]
