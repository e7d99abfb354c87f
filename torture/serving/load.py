"""Slow clients, thousands of connections, disconnecting clients, Ctrl-C, 10,000 requests."""

import contextlib
import itertools
import json
import random
import resource
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tiny_models import TEXTS

from torture.common import Row
from torture.serving.files import upload
from torture.serving.forms import FORM, MULTIPART, file_part, whole
from torture.serving.target import (
    HOST,
    JSON,
    SECONDS,
    Target,
    eventually,
    first_answer,
    judge,
    started,
)

_HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
_ENOUGH = SECONDS + 5 + 30  # seconds: the server's limit, its grace, and some for a slow machine
# Allowed growth of memory over thousands of requests: holes in the heap (with `keep_memory`, glibc
# keeps freed memory, and each thread has its own part). A leak of 4 kB a request would be 40 MB
# after 10,000.
FLAT_MB = 32


def slow(target: Target, clients: int) -> Row:
    """Clients that send a head, a body or nothing very slowly, and some that never read."""
    row = Row("server: slow clients")
    before = target.sockets()
    beginnings = {
        "nothing": b"",
        "line ends": b"\r\n",
        "a head": b"GET / HT",
        "a body": _HEAD + b"Content-Length: 100000\r\n\r\n",
        "a body to no address": b"POST /x" + _HEAD[13:] + b"Content-Length: 100000\r\n\r\n",
        "a chunk": _HEAD + b"Transfer-Encoding: chunked\r\n\r\n100\r\n",
    }
    held = {what: [target.connect() for _ in range(clients)] for what in beginnings}
    readers = [_never_read(target) for _ in range(max(1, clients // 10))]
    ends = time.monotonic() + _ENOUGH
    for what, connections in held.items():
        _drip(connections, beginnings[what])
    if not target.as_before(target.predictions(seconds=30)):
        row.fail("lost", "no answer within 30 seconds beside slow clients")
    while time.monotonic() < ends and target.sockets() > before:
        for what, connections in held.items():
            _drip(
                connections, b"\r\n" if what == "line ends" else b"a" if what != "nothing" else b""
            )
        time.sleep(0.3)
    row.tried += clients * len(held) + len(readers)
    if (left := target.sockets() - before) > 0:
        row.fail("let_in", f"{left} connections are still open after {_ENOUGH:.0f} seconds")
    for connection in [*readers, *itertools.chain(*held.values())]:
        connection.close()
    target.left_behind(row)
    target.settle(row)
    return row


def _drip(connections: list[socket.socket], sent: bytes) -> None:
    for connection in connections:
        with contextlib.suppress(OSError):  # closed by the server, as it should
            connection.send(sent)


def _never_read(target: Target) -> socket.socket:
    """A connection with a reply of megabytes that the client never reads."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect((HOST, target.port))
    connection.settimeout(20)
    head = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with contextlib.suppress(OSError):  # the server reads no more while its replies are not read
        connection.sendall(head * 20_000)
    return connection


def crowd(target: Target, idle: int, asking: int) -> Row:
    """`idle` connections without a request, then `asking` requests at the same moment."""
    row = Row("server: thousands of connections")
    most = _let_open(max(idle, asking))
    if most < max(idle, asking):
        row.told.append(
            f"connections: {most:,} at once, as this system lets a process open no more"
        )
    idle, asking = min(idle, most), min(asking, most)
    held = []
    for _ in range(idle):
        with contextlib.suppress(OSError):
            held.append(target.connect())
    row.tried += idle
    # The newest of too many are refused: if all are younger than a second, it is this one.
    found = target.predictions_after_all(60)
    if not target.as_before(found):
        row.fail("lost", f"within 60 seconds beside {idle:,} idle connections: {found}")
    for connection in held:
        connection.close()
    time.sleep(0.5)
    _at_once(target, row, asking)
    target.settle(row)
    return row


def _at_once(target: Target, row: Row, asking: int) -> None:
    body = json.dumps({"texts": TEXTS}).encode()
    request = _HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
    connections = [target.connect() for _ in range(asking)]
    for connection in connections:
        with contextlib.suppress(OSError):
            connection.sendall(request)
    for connection in connections:
        answer = first_answer(connection)
        connection.close()
        judge(row, f"one of {asking:,} at once", answer, (200, 503))
        if answer and answer.status == 503 and "retry-after" not in answer.headers:
            row.fail("lost", "a reply 503 does not say when to come back")
        if answer and answer.status == 200:
            found = json.loads(answer.body)["predictions"]
            if not target.as_before(found):
                row.fail("lost", f"{found}, expected {target.expected}")


def _let_open(connections: int) -> int:
    """Let this process hold so many connections; returns how many the system lets it hold."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    endless, others = resource.RLIM_INFINITY, 500
    wanted = connections + others
    if now != endless and now < wanted:
        now = wanted if most == endless else min(wanted, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (now, most))
    return connections if now == endless else max(1, min(connections, now - others))


def leaving(target: Target, requests: int, seed: int) -> Row:
    """Clients that disconnect: while sending, while waiting, during the reply."""
    row = Row("server: clients that go away")
    rng = random.Random(seed)
    for _ in range(requests):
        sent = rng.choice(_requests())
        part = sent if rng.random() < 0.7 else sent[: rng.randrange(len(sent))]
        with target.connect() as connection:
            if rng.random() < 0.3:  # with a TCP reset
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01" + b"\x00" * 7)
            with contextlib.suppress(OSError):
                connection.sendall(part)
            if rng.random() < 0.3:
                time.sleep(rng.random() / 20)
        row.tried += 1
    if not eventually(lambda: _waiting(target) == 0, 60):
        row.fail("let_in", f"{_waiting(target)} texts of nobody are still waiting")
    target.left_behind(row)
    target.settle(row)
    return row


def _requests() -> list[bytes]:
    """Requests that take the server a while."""
    found = []
    for path, body, headers in (
        ("/predict", json.dumps({"texts": ["great film " * 500] * 50}).encode(), JSON),
        ("/", b"text=" + b"great+film+" * 300, FORM),
        ("/score", whole(file_part("a.csv", b"text\n" + b"great film\n" * 20_000)), MULTIPART),
    ):
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        head += f"Content-Type: {headers['Content-Type']}\r\n\r\n"
        found.append(head.encode() + body)
    return found


def _waiting(target: Target) -> int:
    found = target.ask("GET", "/health")
    return json.loads(found.body)["waiting"] if found else -1


def endings(folder: Path, times: int) -> Row:
    """Ctrl-C while clients ask, a file is scored, and others hold connections."""
    row = Row("server: Ctrl-C under load")
    for _ in range(times):
        with started(folder) as target, ThreadPoolExecutor(5) as pool:
            ended = threading.Event()
            asking = [pool.submit(_ask_until, target, ended) for _ in range(4)]
            rows = b"text\n" + b"great film\n" * 2_000
            scoring = pool.submit(upload, target, "a.csv", rows)
            held = [target.connect() for _ in range(20)]
            time.sleep(1)
            target.process.send_signal(signal.SIGINT)
            row.tried += 1
            if not eventually(lambda: target.process.poll() is not None, 135):
                row.fail("crashed", "no end 135 seconds after Ctrl-C")
                target.process.kill()
            ended.set()
            for found in asking:
                for answer in found.result():
                    judge(row, "a request before Ctrl-C", answer, (200, 503))
            judge(row, "a file before Ctrl-C", scoring.result(), (200, 503))
            if target.process.returncode not in (0, 130):
                row.fail("crashed", f"status {target.process.returncode} after Ctrl-C")
            if logged := target.errors.read_text().replace("interrupted\n", ""):
                row.fail("crashed", f"after Ctrl-C the server said {logged[-600:]!r}")
            target.left_behind(row, seconds=0)
            for connection in held:
                connection.close()
    return row


def _ask_until(target: Target, ended: threading.Event) -> list:
    """The replies to one request after the other, until the server refuses."""
    answers = []
    body = json.dumps({"texts": TEXTS})
    while not ended.is_set() and len(answers) < 10_000:
        answer = target.ask("POST", "/predict", body, JSON)
        if answer is None:  # refused at the server's end, or lost: the two look alike
            break
        answers.append(answer)
    return answers


def flat_memory(target: Target, requests: int, seed: int) -> Row:
    """Requests of all kinds, and the server's memory after a tenth of them and after all."""
    row = Row("server: memory over many requests")
    _mixed(target, row, requests // 10, seed)
    before = target.memory()
    _mixed(target, row, requests - requests // 10, seed + 1)
    grown = target.memory() - before
    if grown > FLAT_MB:
        row.fail("let_in", f"memory grew by {grown:.0f} MB, expected {FLAT_MB} at most")
    row.told.append(f"memory: {before:.0f} MB after {requests // 10:,}, {grown:+.1f} MB after all")
    target.left_behind(row)
    target.settle(row)
    return row


def _mixed(target: Target, row: Row, requests: int, seed: int) -> None:
    """Four clients share the requests."""
    with ThreadPoolExecutor(4) as pool:
        parts = [pool.submit(_one_client, target, requests // 4, seed * 4 + i) for i in range(4)]
        for part in parts:
            for what, answer, allowed in part.result():
                judge(row, what, answer, allowed)


def _one_client(target: Target, requests: int, seed: int) -> list:
    rng = random.Random(seed)
    found = []
    for _ in range(requests):
        what, method, path, body, headers, allowed = _any(rng)
        found.append((what, target.ask(method, path, body, headers), allowed))
    return found


def _any(rng: random.Random) -> tuple:
    words = " ".join(rng.choices(("great", "film", "dull", "<b>", "x" * 30), k=rng.randint(0, 60)))
    kind = rng.random()
    if kind < 0.02:
        rows = "text\n" + "".join(f"{words}\n" for _ in range(rng.randint(1, 20)))
        return (
            "a file",
            "POST",
            "/score",
            whole(file_part("a.csv", rows.encode())),
            MULTIPART,
            (200,),
        )
    if kind < 0.04:
        return "a bad file", "POST", "/score", whole(file_part("a.csv", b"b\n")), MULTIPART, (400,)
    if kind < 0.08:
        return "the form", "POST", "/", f"text={words}".encode(), FORM, (200,)
    if kind < 0.18:
        return "no JSON", "POST", "/predict", words.encode(), JSON, (400,)
    if kind < 0.28:
        return "a page", "GET", rng.choice(("/", "/health", "/openapi.json")), None, {}, (200,)
    if kind < 0.3:
        texts = json.dumps({"texts": [words] * rng.randint(1, 30)})
        return "texts", "POST", "/predict", texts, JSON, (200,)
    return "a text", "POST", "/predict", json.dumps({"text": words}), JSON, (200,)
