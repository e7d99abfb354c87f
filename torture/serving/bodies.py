"""Bodies of requests to the API that are too large, malformed, or made to cost much."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from torture.common import Row
from torture.serving.target import JSON, Target, judge

_MB = 1_000_000
_VALID = json.dumps(
    {"texts": ["A great film.", "schlecht \u00e4\u20ac\U0001f600", None, ""]}
).encode()
_PIECES = [
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\\u",
    b"\xff",
    b"\x00",
    b"null",
    b"1e9",
    b"-",
]


@dataclass(frozen=True)
class Case:
    """A request to /predict, and the statuses that may answer it."""

    what: str
    body: Any
    allowed: tuple[int, ...] = (400,)
    headers: dict[str, str] = field(default_factory=lambda: JSON)


def bodies(target: Target, tries: int, seed: int, large: bool = True) -> Row:
    """All the cases below, the `large` ones if asked for, and `tries` bodies with random faults."""
    row = Row("server: oversized and malformed bodies")
    sizes = _sizes() if large else ()
    for case in [*sizes, *_values(), *_types(), *_faults(tries, seed)]:
        answer = target.ask("POST", "/predict", case.body, case.headers)
        judge(row, case.what, answer, case.allowed)
    target.settle(row)
    return row


def _sizes() -> Iterator[Case]:
    large = b'{"text": "' + b"a" * (11 * _MB) + b'"}'
    yield Case("11 MB, declared", large, (413,))
    chunks = [large[i : i + _MB // 2] for i in range(0, len(large), _MB // 2)]
    yield Case("11 MB in chunks, undeclared", iter(chunks), (413,))
    yield Case("300 texts", json.dumps({"texts": ["a"] * 300}), (413,))
    yield Case("a text of 100,001 characters", json.dumps({"text": "a" * 100_001}))
    yield Case("3 million empty texts", b'{"texts": [' + b'"",' * 3_000_000 + b'""]}', (413,))
    yield Case("3 million lists", b'{"texts": [' + b"[]," * 3_000_000 + b"[]]}")


def _values() -> Iterator[Case]:
    for opening in (b"[", b'{"text":', b'{"texts":[', b'[{"text":['):
        yield Case(f"100,000 times {opening!r}", opening * 100_000)
    yield Case("a list 100,000 deep", b'{"text":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    for number in (b"9" * 1_000_000, b"1e999", b"-" + b"9" * 5_000, b"1" + b"0" * 4_301, b"1.5"):
        yield Case(f"the number {number[:8]!r}... as text", b'{"text": ' + number + b"}")
    for constant in (b"NaN", b"Infinity", b"true", b"undefined"):
        yield Case(f"{constant!r} as text", b'{"text": ' + constant + b"}")
    yield Case("text twice", b'{"text": "a", "text": "b"}')
    yield Case("text and texts", b'{"text": "a", "texts": ["b"]}')
    yield Case("100,000 keys", json.dumps({str(i): i for i in range(100_000)}))
    yield Case("one key of 1 MB", json.dumps({"k" * _MB: 1}))
    yield Case("nothing", b"")
    yield Case("invalid UTF-8", b'{"text": "\xff\xfe\x80"}')
    yield Case("an overlong NUL", b'{"text": "\xc0\x80"}')
    yield Case("half a surrogate pair in bytes", b'{"text": "\xed\xa0\x80"}', (200, 400))
    yield Case("half a surrogate pair, escaped", b'{"text": "\\ud800"}', (200,))
    yield Case("NUL, escaped", b'{"text": "\\u0000"}', (200,))
    yield Case("UTF-16", '{"text": "a"}'.encode("utf-16"), (200, 400))
    yield Case("a byte order mark", b'\xef\xbb\xbf{"text": "a"}', (200, 400))


def _types() -> Iterator[Case]:
    kinds = ["text/plain", "application/xml", "application/x-www-form-urlencoded", "json", ";", ""]
    kinds += ["multipart/form-data; boundary=x", "application/json2", "a" * 30_000, "\x80\xff"]
    for kind in kinds:
        yield Case(f"content type {kind[:30]!r}", _VALID, (415,), {"Content-Type": kind})
    yield Case("gzip that is none", _VALID, (200, 400, 415), {**JSON, "Content-Encoding": "gzip"})


def _faults(tries: int, seed: int) -> Iterator[Case]:
    rng = random.Random(seed)
    for i in range(tries):
        body = bytearray(_VALID)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(body) + 1)
            body[at : at + rng.choice((0, 0, 1, 5))] = rng.choice(
                (*_PIECES, rng.randbytes(rng.randint(1, 3)))
            )
        yield Case(f"seed {seed}, fault {i}: {bytes(body)!r}", bytes(body), (200, 400))
