"""Requests a second to the server, and their times, compared with a plain loop of `predict`.

The server runs in its own process, and its clients in this one. Each client sends one review after
the other over one connection.
"""

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np

from benchmarks.common import Row, alternate, median, rate_row, script
from benchmarks.texts import classifier, reviews

CLIENTS = (1, 8, 32)
TEXTS = 512
SECONDS = 20.0


def peer(clients: int) -> dict[str, Any]:
    """`Classifier.predict`, text by text, in one process; the same for any number of clients."""
    from ulmfit.base.precision import keep_memory, use_all_cores
    from ulmfit.inference.ensemble import Classifier

    keep_memory()
    use_all_cores()
    loaded = Classifier.load(classifier())
    texts = reviews(TEXTS)
    loaded.predict(texts[:8])
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        loaded.predict([texts[done % TEXTS]])
        done += 1
    return {"value": done / (time.perf_counter() - began)}


def ours(clients: int) -> dict[str, Any]:
    """The server under so many clients."""
    texts = reviews(TEXTS)
    with _serving() as port, ThreadPoolExecutor(clients) as pool:
        _client(port, texts[:8], 2.0)
        began = time.perf_counter()
        parts = pool.map(lambda i: _client(port, texts[i:] + texts[:i], SECONDS), range(clients))
        waited = np.concatenate(list(parts))
        seconds = time.perf_counter() - began
    p50, p99 = np.percentile(1000 * waited, [50, 99])
    return {"value": len(waited) / seconds, "p50_ms": float(p50), "p99_ms": float(p99)}


def _client(port: int, texts: list[str], seconds: float) -> list[float]:
    """Seconds that each request took."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    waited: list[float] = []
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        body = json.dumps({"text": texts[len(waited) % len(texts)]})
        sent = time.perf_counter()
        connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
        answer = json.load(connection.getresponse())
        waited.append(time.perf_counter() - sent)
        assert "label" in answer, answer
    connection.close()
    return waited


@contextmanager
def _serving() -> Iterator[int]:
    """The port of a server that has started."""
    command = [sys.executable, "-m", "ulmfit.serve", "--clf", str(classifier()), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        address = process.stdout.readline().split()[0]
        yield int(address.rpartition(":")[2])
    finally:
        process.terminate()
        process.wait()


def rows(runs: int) -> list[Row]:
    """One row for each number of clients."""
    classifier()  # trained before anything is timed
    made = []
    for clients in CLIENTS:
        found = alternate("benchmarks.serving", runs, {"clients": clients})
        p50, p99 = (median(found["ours"], name) for name in ("p50_ms", "p99_ms"))
        made.append(
            rate_row(
                f"serve_{clients}",
                f"server, {clients} client{'s' * (clients > 1)}: p50 {p50:,.0f} ms, p99 "
                f"{p99:,.0f} ms; beside it a loop of ulmfit's own `predict`",
                found,
                "reviews/s",
                details={"p50_ms": p50, "p99_ms": p99},
            )
        )
    return made


if __name__ == "__main__":
    script("benchmarks.serving", {"peer": peer, "ours": ours}, rows)
