"""Files that are scored in the background: their addresses and pages; the page of the next word."""

import contextlib
import random
import re
import string
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

from torture.common import Row
from torture.serving.forms import (
    MARKUP,
    MULTIPART,
    Elements,
    file_part,
    part,
    same_elements,
    whole,
)
from torture.serving.target import FORM, Target, eventually, judge

_ADDRESS = re.compile(r"/files/[\w-]{22}")
_CSV = b"text,label\nA great film.,a\ndull,b\n"
# On the page while the file is classified.
_PROGRESS = {("progress", "aria-label", "max", "value"), ("div", "aria-label", "class", "role")}
_KEPT = 16  # results, as `Limits.kept` says
_KEYS = (
    "",
    "/",
    ".",
    "..",
    "../model",
    "%2e%2e",
    "%2e%2e%2fmodel",
    "..%5c..%5cetc",
    "%00",
    "a%00",
    "*",
    "?key=a",
    "x" * 22,
    "A" * 10_000,
    "%ff%fe",
    "%0d%0aX-Injected:%201",
    "../../../../etc/passwd",
    "%E2%80%AE",
    "None",
    "0",
    "-1",
    "report",
    "scored.csv",
)


def keys(target: Target, tries: int, seed: int) -> Row:
    """Addresses that nobody was given lead to no result, and a given one serves two files only."""
    row = Row("server: addresses of results that were guessed")
    rng, letters = random.Random(seed), string.ascii_letters + string.digits + "-_"
    guessed = ["".join(rng.choices(letters, k=22)) for _ in range(tries)]
    address = _send(target, row, "a file", _CSV)
    key = address.rpartition("/")[2]
    near = [key[:-1], key + "a", key.swapcase(), key[::-1], f"{key}%00", f"{key};a", f"{key}%20"]
    for name in [*_KEYS, *guessed, *near]:
        for ending in ("", "/report", "/scored.csv"):
            what = f"GET /files/{name[:40]}{ending}"
            judge(row, what, target.ask("GET", f"/files/{name}{ending}"), (400, 404, 405, 414))
        answer = target.ask("POST", f"/files/{name}", "delete=yes", FORM)
        judge(row, f"POST /files/{name[:40]}", answer, (400, 404, 405, 414))
    target.ask("GET", address)  # to its end
    for ending in ("/", "/../model", "/input.csv", "/report/..", "/scored.csv/", "/scored.csv%00"):
        judge(row, f"the file's {ending}", target.ask("GET", address + ending), (400, 404))
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        judge(row, f"{method} of the page", target.ask(method, address), (400, 405))
    for body in (b"theme=" + b"x" * 1_000_000, b"&" * 100_000, b"a=b&" * 50, b"%ff=%00"):
        allowed = (303, 400, 413)
        judge(row, f"{body[:20]!r}", target.ask("POST", address, body, FORM), allowed)
    for body in (b'{"delete": true}', whole()):
        judge(row, f"{body[:20]!r}", target.ask("POST", address, body, MULTIPART), (415,))
    judge(row, "the file after all", target.ask("GET", f"{address}/scored.csv"), (200,))
    _delete(target, row, address)
    target.settle(row)
    return row


def pages(target: Target) -> Row:
    """Markup in the file's name, columns, texts and labels adds nothing to its page or report."""
    row = Row("server: markup on the pages of files")
    plain = _send(target, row, "a plain file", _CSV)
    plain_page = _PROGRESS | Elements.of(target.ask("GET", plain))
    plain_report = Elements.of(target.ask("GET", f"{plain}/report"))
    _delete(target, row, plain)
    for text in MARKUP:
        quoted = '"' + text.replace('"', '""') + '"'
        content = f"text,label\n{quoted},{quoted}\nA great film.,b\n".encode()
        name = f"{text.replace(chr(34), '%22')}.csv"
        if not (address := _send(target, row, f"the file {text!r}", content, name)):
            continue
        same_elements(row, f"the page of {text!r}", target.ask("GET", address), plain_page)
        report = target.ask("GET", f"{address}/report")
        same_elements(row, f"the report of {text!r}", report, plain_report)
        _delete(target, row, address)
    for column in ("other", *MARKUP):  # no file has it, so the page says that in one line
        named = part(column.encode(), 'Content-Disposition: form-data; name="label_col"')
        address = _send(target, row, f"the column {column!r}", _CSV, "a.csv", named)
        page = target.ask("GET", address)
        if column == "other":
            plain_page = _PROGRESS | Elements.of(page)
        same_elements(row, f"the page of the column {column!r}", page, plain_page)
    target.settle(row)
    return row


def many(target: Target, files: int) -> Row:
    """Many files, pages that nobody reads to their end: results are limited, then deleted."""
    row = Row("server: many files in the background")
    sent = []
    for i in range(files):
        if address := _send(target, row, f"file {i}", _CSV):
            sent.append(address)
            with contextlib.suppress(OSError), target.connect() as leaving:
                leaving.sendall(f"GET {address} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    for address in sent:
        target.ask("GET", address)
    kept = [address for address in sent if _status(target, f"{address}/scored.csv") == 200]
    row.tried += len(sent)
    if len(kept) > _KEPT:
        row.fail("let_in", f"{len(kept)} results are kept, expected {_KEPT} at most")
    if sent[-1:] != kept[-1:]:
        row.fail("lost", "the last file has no result")
    for address in sent:
        target.ask("POST", address, "delete=yes", FORM)
        judge(row, "a deleted result", target.ask("GET", f"{address}/report"), (404,))
    target.left_behind(row)
    target.settle(row)
    return row


def next_words(target: Target, asking: int) -> Row:
    """Texts of all kinds for the language model, and many who ask at once."""
    row = Row("server: texts for the next word")
    plain = Elements.of(target.ask("POST", "/next", "text=A+great+film", FORM))
    for text in (*MARKUP, "\x00\x1b[31m", "\ud800".encode("utf-8", "surrogatepass"), "\u202e" * 99):
        found = target.ask("POST", "/next", urlencode({"text": text}), FORM)
        judge(row, f"the text {text!r}", found, (200, 400))
        same_elements(row, f"the text {text!r}", found, plain)
    for text in ("", " ", "\n" * 4_000, "a " * 2_400, "xxbos xxpad xxmask", "\U0001f3ac" * 4_000):
        found = target.ask("POST", "/next", urlencode({"text": text}), FORM)
        judge(row, f"{len(text)} characters, {text[:10]!r}", found, (200, 400))
    for text in ("a" * 5_001, "a " * 50_000, "a" * 2_000_000):
        found = target.ask("POST", "/next", urlencode({"text": text}), FORM)
        judge(row, f"{len(text)} characters", found, (400, 413))
    for body in ("text=a&theme=x%22onload%3D", "again=yes", "theme=dark", "text=a&text=b&text=c"):
        judge(row, body, target.ask("POST", "/next", body, FORM), (200, 400))
    for method in ("PUT", "DELETE", "TRACE"):
        judge(row, method, target.ask(method, "/next"), (400, 405))
    long = urlencode({"text": "the sea " * 600})
    with ThreadPoolExecutor(asking) as threads:
        found = list(threads.map(lambda _: target.ask("POST", "/next", long, FORM), range(asking)))
    for answer in found:
        judge(row, f"one of {asking} who ask at once", answer, (200, 503))
    target.settle(row)
    return row


def _send(
    target: Target, row: Row, what: str, data: bytes, name: str = "a.csv", *parts: bytes
) -> str:
    """The address of a file's page; '' and a failure if there is none."""
    body = whole(file_part(name, data), *parts)
    found = []

    def taken() -> bool:
        found[:] = [target.ask("POST", "/files", body, MULTIPART)]
        return found[0] is None or found[0].status != 503  # others are being scored

    eventually(taken, 60)
    judge(row, what, found[0], (303,))
    address = found[0].headers.get("location", "") if found[0] else ""
    if not _ADDRESS.fullmatch(address):
        row.fail("lost", f"{what} leads to {address[:80]!r}")
        return ""
    return address


def _delete(target: Target, row: Row, address: str) -> None:
    """Delete a result: afterwards it is gone, for a second deletion, too."""
    target.ask("GET", address)  # to its end
    answer = target.ask("POST", address, "delete=yes", FORM)
    judge(row, "deleting", answer, (303,))
    for ending in ("", "/report", "/scored.csv"):
        judge(row, f"deleted{ending}", target.ask("GET", address + ending), (404,))
    judge(row, "deleting again", target.ask("POST", address, "delete=yes", FORM), (404,))


def _status(target: Target, path: str) -> int:
    answer = target.ask("GET", path)
    return answer.status if answer else 0
