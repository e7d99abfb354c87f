"""A server to attack, in its own process on the loopback, and checks that it still works."""

import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from torture.common import ROOT, Row

sys.path.insert(0, str(ROOT / "tests"))
from tiny_models import TEXTS, write_classifier, write_lm

HOST = "127.0.0.1"
# Class names as in a stranger's artifact.
LABELS = ("<script>alert(1)</script>", "\"'><img src=x onerror=alert(2)>")
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SECONDS = 2.0  # the --max-seconds of the servers that are attacked
# With other requests, a text's batch has another shape, and products of matrices are summed in
# another order, which depends on the processor: at most 9e-8 was seen in float32. Another text's
# numbers differ far more.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Answer:
    """A reply; the names of its headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def one_line(self) -> str | None:
        """The error line of a refusal, as JSON or on the page; None if there is none."""
        if self.headers.get("content-type") == "application/json":
            found = json.loads(self.body)
            line = found["error"] if set(found) == {"error"} else None
        else:
            shown = re.search(rb'<p class="error" role="alert">(.*?)</p>', self.body, re.DOTALL)
            line = shown[1].decode() if shown else None
        return None if line is None or "\n" in line else line


@dataclass
class Target:
    """The server's process, requests to it, and its answers before any attack."""

    process: subprocess.Popen
    port: int
    errors: Path  # its stderr
    files: Path  # the only folder for temporary files that it knows
    seen: int = 0  # bytes of `errors`
    expected: list = field(default_factory=list)

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = 60.0,
    ) -> Answer | None:
        """The reply to one request on a connection of its own; None if there is none in time."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=seconds)
        try:
            connection.request(method, path, body, dict(headers or {}))
            return _answer(connection.getresponse())
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def connect(self, seconds: float = 60.0) -> socket.socket:
        """A bare connection."""
        return socket.create_connection((HOST, self.port), timeout=seconds)

    def send(self, sent: bytes, seconds: float = 60.0) -> Answer | None:
        """The first reply to bytes that http.client would not send."""
        with self.connect(seconds) as connection:
            with contextlib.suppress(OSError):  # refused before it was complete: the reply is there
                connection.sendall(sent)
            return first_answer(connection)

    def predictions(self, seconds: float = 60.0) -> list | None:
        """The server's current predictions for `TEXTS`."""
        body = json.dumps({"texts": TEXTS})
        found = self.ask("POST", "/predict", body, JSON, seconds)
        return json.loads(found.body)["predictions"] if found and found.status == 200 else None

    def predictions_after_all(self, seconds: float) -> list | None:
        """Like a client that repeats a request when the server is full."""
        until = time.monotonic() + seconds
        body = json.dumps({"texts": TEXTS})
        while (left := until - time.monotonic()) > 0:
            found = self.ask("POST", "/predict", body, JSON, left)
            if found and found.status == 200:
                return json.loads(found.body)["predictions"]
            if found and (found.status != 503 or "retry-after" not in found.headers):
                return None
            time.sleep(0.2)
        return None

    def as_before(self, found: list | None) -> bool:
        """Whether predictions equal those before any attack, except for rounding."""
        if found is None or len(found) != len(self.expected):
            return False
        return all(map(_same_but_for_rounding, found, self.expected))

    def settle(self, row: Row) -> None:
        """After an attack: an honest request gets the same numbers, and nothing was logged."""
        row.tried += 1
        if self.process.poll() is not None:
            row.fail("crashed", f"the server ended with status {self.process.returncode}")
            return
        found = self.predictions()
        if not self.as_before(found):
            row.fail("lost", f"afterwards {TEXTS} got {found}, before {self.expected}")
        page = self.ask("GET", "/")
        if page is None or page.status != 200:
            row.fail("lost", "afterwards there is no page")
        logged = self.errors.read_bytes()[self.seen :]
        self.seen += len(logged)
        if logged:
            row.fail("crashed", f"the server logged {logged[-600:].decode(errors='replace')!r}")

    def left_behind(self, row: Row, seconds: float = 20.0) -> None:
        """Fail if files of uploads remain after `seconds`; torch keeps a folder of its own."""
        if not eventually(lambda: not list(self.files.glob("ulmfit-*")), seconds):
            row.fail("let_in", f"left behind: {[path.name for path in self.files.iterdir()]}")

    def memory(self, kind: str = "VmRSS") -> float:
        """Megabytes of memory in use or, with "VmHWM", their peak."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{kind}:\s+(\d+) kB", status)[1]) / 1000

    def sockets(self) -> int:
        """Sockets that the server has open."""
        count = 0
        for entry in Path(f"/proc/{self.process.pid}/fd").iterdir():
            try:
                count += os.readlink(entry).startswith("socket:")
            except FileNotFoundError:  # closed meanwhile
                continue
        return count


def _same_but_for_rounding(found: object, expected: object) -> bool:
    """Whether two JSON values are equal except for the rounding of floats."""
    if isinstance(found, float) and isinstance(expected, float):
        return abs(found - expected) <= _ROUNDING
    if isinstance(found, dict) and isinstance(expected, dict):
        return list(found) == list(expected) and all(
            map(_same_but_for_rounding, found.values(), expected.values())
        )
    return found == expected


def judge(row: Row, what: str, answer: Answer | None, allowed: Sequence[int]) -> None:
    """Count one try, and its failure: no answer, another status, a refusal of another form."""
    row.tried += 1
    if answer is None:
        row.fail("crashed", f"{what}: no answer")
    elif answer.status >= 500 and answer.status not in allowed:
        row.fail("crashed", f"{what}: status {answer.status}: {answer.body[:200]!r}")
    elif answer.status not in allowed:
        row.fail("let_in", f"{what}: status {answer.status}, expected one of {allowed}")
    elif answer.status >= 400 and not answer.one_line:
        row.fail("lost", f"{what}: no line says why: {answer.body[:200]!r}")


def eventually(holds, seconds: float) -> bool:
    """Whether `holds()` becomes true within `seconds`."""
    ends = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > ends:
            return False
        time.sleep(0.05)
    return True


def first_answer(connection: socket.socket) -> Answer | None:
    """The next reply on a connection; None if it was closed, or there is none in time."""
    response = http.client.HTTPResponse(connection)
    try:
        response.begin()
        return _answer(response)
    except (OSError, http.client.HTTPException):
        return None


def _answer(response: http.client.HTTPResponse) -> Answer:
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers, response.read())


@contextmanager
def started(folder: Path, seconds: float = SECONDS) -> Iterator[Target]:
    """A server of two tiny classifiers, whose classes have hostile names, and a language model."""
    clf = [folder / name for name in ("clf-fwd", "clf-bwd")]
    if not (lm := folder / "lm").exists():
        write_lm(lm)
    for i, path in enumerate(clf):
        if not path.exists():
            write_classifier(path, backwards=bool(i), seed=i, labels=LABELS)
    errors, files = folder / "stderr", folder / "temporary"
    errors.write_bytes(b"")
    files.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "ulmfit.serve", "--port", "0", "--precision", "float32"]
    command += ["--max-seconds", f"{seconds:g}", "--clf", *map(str, clf), "--lm", str(lm)]
    # On many cores glibc would give each thread an arena of its own, and memory would seem to grow.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
    environment["TMPDIR"] = str(files)
    with errors.open("ab") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
        )
    try:
        line = process.stdout.readline()
        port = re.match(r"http://127\.0\.0\.1:(\d+)", line)
        assert port, line + errors.read_text()
        target = Target(process, int(port[1]), errors, files)
        target.expected = target.predictions()
        assert target.expected
        yield target
    finally:
        process.kill()
        process.communicate()
