"""HTTP itself: malformed, ambiguous and pipelined requests, and foreign origins."""

import json
import random
import re
from collections.abc import Iterator

from torture.common import Row
from torture.serving.target import FORM, JSON, Target, judge

_HOST = b"Host: localhost\r\n"
_POST = b"POST /predict HTTP/1.1\r\n" + _HOST + b"Content-Type: application/json\r\n"
_BODY = b'{"text": "a"}'
_BAD = {
    "no HTTP": b"hello\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/9.9": b"GET / HTTP/9.9\r\n" + _HOST + b"\r\n",
    "an unknown method": b"STEAL / HTTP/1.1\r\n" + _HOST + b"\r\n",
    "a path of 1 MB": b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\n" + _HOST + b"\r\n",
    "a header of 1 MB": b"GET / HTTP/1.1\r\nX: " + b"a" * 1_000_000 + b"\r\n\r\n",
    "300,000 headers": b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 300_000 + b"\r\n",
    "NUL in a header": b"GET / HTTP/1.1\r\n" + _HOST + b"X: a\x00b\r\n\r\n",
    "a name with a blank": b"GET / HTTP/1.1\r\n" + _HOST + b"X y: a\r\n\r\n",
    "a length below 0": _POST + b"Content-Length: -1\r\n\r\n" + _BODY,
    "a length of 100 digits": _POST + b"Content-Length: " + b"9" * 100 + b"\r\n\r\n" + _BODY,
    "two lengths": _POST + b"Content-Length: 13\r\nContent-Length: 5\r\n\r\n" + _BODY,
    "a length and chunks": _POST
    + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nd\r\n"
    + _BODY
    + b"\r\n0\r\n\r\n",
    "an unknown encoding": _POST + b"Transfer-Encoding: chunked, x\r\n\r\n" + _BODY,
    "a chunk of 2^64 bytes": _POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 17 + b"\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
}
_PATHS = (
    "/../etc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "//127.0.0.1:9/",
    "/predict/",
    "/score",
    "/\\",
)
_PATHS += ("/%00", "/%ff%fe", "/docs", "/static/a.js", "/predict;a", "/.env", "/" + "a" * 5_000)
_FOREIGN = (
    "reviews.example",
    "localhost.reviews.example",
    "127.0.0.1.reviews.example",
    "",
    "0.0.0.0",
)
_FOREIGN += (
    "localhost@reviews.example",
    "reviews.example:80",
    "[::2]",
    "[",
    "localhost:x",
    "2130706433",
)


def protocol(target: Target, tries: int, seed: int) -> Row:
    """Malformed requests, `tries` random bytes, unknown methods and paths, pipelined requests."""
    row = Row("server: malformed HTTP, methods, paths, pipelining")
    for what, sent in _BAD.items():
        judge(row, what, target.send(sent), (400, 405, 413, 431))
    rng = random.Random(seed)
    for _ in range(tries):
        # A possible beginning of a request is refused only after its time limit.
        sent = bytes([rng.randrange(128, 256)]) + rng.randbytes(rng.randint(1, 300))
        judge(row, f"seed {seed}: {sent[:40]!r}", target.send(sent), (400,))
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"):
        judge(row, method, target.ask(method, "/predict"), (405,))
        judge(row, method, target.ask(method, "/nothing"), (404,))
    for path in ("/", "/health", "/model", "/openapi.json"):
        judge(row, f"HEAD {path}", target.ask("HEAD", path), (200,))
        judge(row, f"POST {path}", target.ask("POST", path, b"{}", JSON), (405, 415))
    for path in _PATHS:
        judge(row, path[:40], target.ask("GET", path), (404, 405))
    _upgrades(target, row)
    _pipelined(target, row)
    target.settle(row)
    return row


def _upgrades(target: Target, row: Row) -> None:
    for kind in (b"websocket", b"h2c", b"x"):
        head = b"GET /health HTTP/1.1\r\n" + _HOST + b"Connection: Upgrade\r\nUpgrade: " + kind
        sent = head + b"\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        answer = target.send(sent + b"Sec-WebSocket-Version: 13\r\n\r\n")
        judge(row, f"upgrade to {kind!r}", answer, (200, 400))


def _pipelined(target: Target, row: Row) -> None:
    """Many requests in one piece get their answers in order."""
    texts = ["film", "great " * 300, "", "dull \u00e4"] * 10
    bodies = [json.dumps({"texts": [text] * (i + 1)}).encode() for i, text in enumerate(texts)]
    sent = b"".join(_POST + b"Content-Length: %d\r\n\r\n" % len(body) + body for body in bodies)
    with target.connect() as connection:
        connection.sendall(sent)
        connection.sendall(b"GET /health HTTP/1.1\r\nConnection: close\r\n" + _HOST + b"\r\n")
        taken = b""
        while got := connection.recv(1 << 16):
            taken += got
    row.tried += len(bodies)
    answers = list(_replies(taken))
    counts = [len(answer["predictions"]) for answer in answers[:-1]]
    if counts != [i + 1 for i in range(len(bodies))] or answers[-1]["status"] != "ok":
        row.fail("lost", f"{len(bodies)} pipelined requests got answers of {counts} texts")


def _replies(taken: bytes) -> Iterator[dict]:
    while taken:
        head, _, rest = taken.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        if not head.startswith(b"HTTP/1.1 200 OK") or not length:
            return
        yield json.loads(rest[: int(length[1])])
        taken = rest[int(length[1]) :]


def origins(target: Target) -> Row:
    """Host names of other machines, and requests that a browser sends for other sites' pages."""
    row = Row("server: foreign host names and origins")
    for host in _FOREIGN:
        for method, path in (("GET", "/"), ("POST", "/predict")):
            answer = target.ask(method, path, _BODY, {**JSON, "Host": host})
            judge(row, f"{method} {path} at {host!r}", answer, (400,))
    own = f"localhost:{target.port}"
    foreign = [
        {"Origin": o} for o in ("http://reviews.example", "null", "http://localhost:1", "http://[")
    ]
    foreign += [{"Sec-Fetch-Site": site} for site in ("cross-site", "same-site", "x")]
    for headers in foreign:
        for path in ("/", "/score", "/predict"):
            answer = target.ask("POST", path, b"text=a", {**FORM, "Host": own, **headers})
            judge(row, f"POST {path} of {headers}", answer, (403,))
    for headers in ({"Origin": f"http://{own}"}, {"Sec-Fetch-Site": "same-origin"}, {}):
        answer = target.ask("POST", "/", b"text=a", {**FORM, "Host": own, **headers})
        judge(row, f"POST / of {headers}", answer, (200,))
    target.settle(row)
    return row
