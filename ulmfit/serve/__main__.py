"""The command that serves classifiers: a web page and a JSON API on this machine."""

import csv
import logging
import os
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated

from ulmfit.artifacts import bundled
from ulmfit.base.cli import run_command
from ulmfit.base.errors import UserError
from ulmfit.base.imports import importing
from ulmfit.base.log import logger
from ulmfit.data.csv_rows import LONGEST_FIELD
from ulmfit.inference.ensemble import DEFAULT, Classifier
from ulmfit.inference.loaded_int8 import chosen_precision
from ulmfit.inference.student import FastClassifier, check_fast, load_answering

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from ulmfit.inference.language_model import LanguageModel
    from ulmfit.serve.limits import Limits

_LOCAL = ("localhost", "127.0.0.1", "[::1]")
_GRACE = 30  # seconds for requests to end after Ctrl-C
_CONNECTIONS = 1_000
_OTHER_FILES = 200  # open files besides connections: models, libraries, uploads


def main(
    clf: Annotated[str, {"nargs": "+"}] = DEFAULT,  # classifiers' directories, or a bundled name
    lm: str = "",  # a language model, for a page of the next word: a directory or a bundled name
    host: str = "127.0.0.1",  # address to listen on; 0.0.0.0 lets the whole network in
    port: int = 8000,  # 0 takes a free one
    precision: str = "auto",  # float32: equal in any batch; bfloat16: faster; auto: by hardware
    int8: bool = False,  # 8-bit weights: faster, a few labels differ; needs the extra export
    fast: bool = False,  # a student answers what it is sure of, see ulmfit.distill
    student: str | None = None,  # with --fast: its directory (default: student, beside --clf)
    max_mb: float = 10.0,  # largest request in megabytes, including an uploaded file
    max_texts: int = 256,  # most texts of one request to the API
    max_chars: int = 100_000,  # most characters of one text
    max_rows: int = 100_000,  # most rows of an uploaded file
    max_seconds: float = 30.0,  # for a request to arrive, and for a client to take the reply
) -> None:
    """Serve classifiers on a web page and as a JSON API, until Ctrl-C.

    There are no passwords and no encryption. To listen beyond this machine, put a server that has
    them in front.
    """
    precision = chosen_precision(precision, int8)
    check_fast(fast, student)
    most = {"mb": max_mb, "texts": max_texts, "chars": max_chars, "rows": max_rows}
    for name, value in {**most, "seconds": max_seconds}.items():
        if not 0 < value < float("inf"):
            raise UserError(f"--max-{name} is {value:g}, expected more than 0")
    # oneDNN caches its code for each shape of a batch, some hundred kilobytes each. Texts of many
    # lengths would make a server grow by hundreds of megabytes until the cache is full.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
    with _listen(host, port) as listener:
        from ulmfit.serve.app import make_app
        from ulmfit.serve.batching import worker
        from ulmfit.serve.limits import Limits

        limits = Limits(int(max_mb * 1e6), max_texts, max_chars, max_rows, seconds=max_seconds)
        thread = worker()
        classifier = thread.submit(_load, clf, precision, fast, student).result()
        model = thread.submit(_load_lm, lm, precision).result() if lm else None
        app = make_app(classifier, limits, _names(host), thread, model)
        _serve(app, limits, host, listener)


def _load(
    clf: bundled.Paths, precision: str, fast: bool, student: str | None
) -> Classifier | FastClassifier:
    with importing():
        from ulmfit.base.precision import use_all_cores
    use_all_cores()
    return load_answering(clf, precision, fast, student)


def _load_lm(lm: str, precision: str) -> "LanguageModel":
    from ulmfit.inference.language_model import LanguageModel

    return LanguageModel.load(lm, precision)


def _listen(host: str, port: int) -> socket.socket:
    """A socket on the address; a port in use is noticed before the models are loaded."""
    if not 0 <= port < 1 << 16:
        raise UserError(f"--port is {port}, expected a number from 0 to 65535")
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=1024)
    except OSError as error:
        # For an unknown name, the number is not one of the system's.
        number = error.errno or 0
        reason = os.strerror(number) if number > 0 else error.strerror
        raise UserError(
            f"cannot listen on {host}, port {port}: {reason}; choose another --port or --host"
        ) from error


def _serve(app: "Starlette", limits: "Limits", host: str, listener: socket.socket) -> None:
    import uvicorn

    from ulmfit.serve.connections import Connection

    class Bounded(Connection):
        seconds, most = limits.seconds, _room()

    # Readers of csv raise the module's limit for a while; they would lower it for each other.
    csv.field_size_limit(LONGEST_FIELD)
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # it logs malformed forms
    config = uvicorn.Config(
        app,
        http=Bounded,
        ws="none",
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE,
        access_log=False,  # requests are private
        log_level="error",  # clients get their errors; the log would fill up
        server_header=False,
        lifespan="on",
    )
    shown = f"[{host}]" if ":" in host else host
    ready = f"http://{shown}:{listener.getsockname()[1]}  (Ctrl-C ends it)"

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            logger.info(ready)  # only once Ctrl-C works

    Server(config).run(sockets=[listener])


def _room() -> int:
    """The number of connections that the system allows this process, at most `_CONNECTIONS`."""
    try:
        import resource
    except ImportError:  # Windows has no such bound
        return _CONNECTIONS
    wanted = 2 * _CONNECTIONS + _OTHER_FILES  # refused connections are open for a moment, too
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if now != resource.RLIM_INFINITY and now < wanted:
        now = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (now, most))
    return _CONNECTIONS if now >= wanted or now < 0 else max(1, (now - _OTHER_FILES) // 2)


def _names(host: str) -> tuple[str, ...]:
    """The host names that a request may use; with an open --host, any."""
    if host == "localhost":
        return _LOCAL
    try:
        return _LOCAL if ip_address(host).is_loopback else ("*",)
    except ValueError:  # a host name instead of an address
        return (host, *_LOCAL)


if __name__ == "__main__":
    run_command(main)
