"""The server as an ASGI application: routes, limits, errors, headers."""

import contextlib
from collections.abc import AsyncIterator, Sequence

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders, UploadFile
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ulmfit.errors import UserError
from ulmfit.explain import Explanation, explain
from ulmfit.predict import Classifier
from ulmfit.serving import api
from ulmfit.serving.batching import Batcher
from ulmfit.serving.limits import BodyLimit, Limits
from ulmfit.serving.openapi import description
from ulmfit.serving.page import Result, View, page
from ulmfit.serving.uploads import scored

_STEPS = 8  # of integrated gradients, where the command has 32: somebody waits for the page
_FORMS = ("/", "/score")
_HERE = "this server has GET /, /health, /model and /openapi.json, and POST /predict"
_ROUTING = {404: f"nothing here; {_HERE}", 405: f"not with this method; {_HERE}"}
# Whatever a text holds: nothing is loaded or run, nothing is sent elsewhere, nobody frames it.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def make_app(
    classifier: Classifier, limits: Limits | None = None, hosts: Sequence[str] = ("*",)
) -> Starlette:
    """The page and the API for `classifier`.

    Args:
        hosts: names under which a browser may call the server; the local ones alone keep out
            pages of the web that point a name of theirs at this machine.
    """
    limits = limits or Limits()

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.batcher, app.state.limits = Batcher(classifier), limits
        app.state.batcher.start()
        yield
        await app.state.batcher.stop()

    return Starlette(
        routes=[
            Route("/", _show, methods=["GET"]),
            Route("/", _classify, methods=["POST"]),
            Route("/score", _score, methods=["POST"]),
            Route("/predict", api.predict, methods=["POST"]),
            Route("/health", api.health, methods=["GET"]),
            Route("/model", api.model, methods=["GET"]),
            Route("/openapi.json", _describe, methods=["GET"]),
        ],
        middleware=[
            Middleware(_Headers),
            Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts)),
            Middleware(BodyLimit, limits=limits),
        ],
        exception_handlers={HTTPException: _refused, UserError: _refused, Exception: _failed},
        lifespan=lifespan,
    )


async def _show(request: Request) -> Response:
    return HTMLResponse(_page(request, View()))


async def _classify(request: Request) -> Response:
    """The form's text: its classes and the words that moved the prediction."""
    batcher, limits = request.app.state.batcher, request.app.state.limits
    async with request.form(max_files=0, max_fields=4, max_part_size=limits.body_bytes) as form:
        # Browsers send line breaks as \r\n.
        text = str(form.get("text", "")).replace("\r\n", "\n")
    limits.check_text(text)
    by_model = (await batcher.probabilities([text]))[:, 0]
    words = await _words(batcher, text, limits)
    return HTMLResponse(_page(request, View(text, Result(by_model, words))))


async def _words(batcher: Batcher, text: str, limits: Limits) -> Explanation | str:
    if len(text) > limits.explained:
        return f"Words are highlighted in texts of up to {limits.explained:,} characters."
    try:
        return await batcher.alone(lambda: explain(batcher.classifier, text, steps=_STEPS))
    except UserError as error:  # an ensemble whose models cut the text into different words
        return f"No words are highlighted: {error}."


async def _score(request: Request) -> Response:
    """The form's file, with predictions, as csv."""
    batcher, limits = request.app.state.batcher, request.app.state.limits
    async with request.form(max_files=1, max_fields=4) as form:
        upload = form.get("file")
        text_col = str(form.get("text_col") or "text")
        if not isinstance(upload, UploadFile):
            raise UserError("no file chosen; choose a csv, tsv, jsonl or parquet file of texts")
        return await scored(upload, text_col, batcher, limits)


async def _describe(request: Request) -> Response:
    state = request.app.state
    return JSONResponse(description(state.batcher.classifier.labels, state.limits))


def _page(request: Request, view: View) -> str:
    return page(request.app.state.batcher.classifier, view)


async def _refused(request: Request, error: Exception) -> Response:
    """What the client did wrong, as one line: on the page, or as JSON."""
    status, line, headers = 400, str(error), None
    if isinstance(error, HTTPException):
        status, headers = error.status_code, error.headers
        line = _ROUTING.get(status, error.detail)
    if request.url.path in _FORMS and request.method == "POST":
        return HTMLResponse(_page(request, View(error=line)), status, headers)
    return JSONResponse({"error": line}, status, headers)


async def _failed(request: Request, error: Exception) -> Response:
    """A fault of the server's own; Starlette raises it again, for the log to have it."""
    return JSONResponse({"error": "the server failed on this request; its log says why"}, 500)


class _Headers:
    """Adds `_HEADERS` to every response."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await self.app(scope, receive, with_headers)
