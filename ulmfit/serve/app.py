"""The server as an ASGI application: routes, limits, errors, headers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qsl

from python_multipart.multipart import parse_options_header
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders, State, UploadFile
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ulmfit.base.errors import UserError
from ulmfit.inference.ensemble import Classifier
from ulmfit.inference.explanation import Explanation, explain
from ulmfit.serve import api
from ulmfit.serve.batching import Batcher, while_there
from ulmfit.serve.limits import BodyLimit, Limits
from ulmfit.serve.openapi import description
from ulmfit.serve.origins import OwnPage
from ulmfit.serve.page import Result, View, page
from ulmfit.serve.uploads import NO_FILE, Uploads

_STEPS = 8  # of integrated gradients; the command has 32, but the page must be fast
_FORMS = ("/", "/score")
_FIELDS = 4  # of a form; the page's have two at most
_MOST_ENCODED = 12  # bytes of a form for one character, such as %F0%9F%8E%AC
_HERE = "this server has GET /, /health, /model and /openapi.json, and POST /predict"
_ROUTING = {404: f"nothing here; {_HERE}", 405: f"not with this method; {_HERE}"}
# With any text in it, the page loads, runs and sends nothing, and no other page frames it.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with none, browsers do not say where a form comes from
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def make_app(
    classifier: Classifier,
    limits: Limits | None = None,
    hosts: Sequence[str] = ("*",),
    thread: ThreadPoolExecutor | None = None,
) -> Starlette:
    """The page and the API for `classifier`.

    Args:
        thread: the `batching.worker` in which it was loaded, if any.
        hosts: names under which a browser may call the server. With the local ones only, web
            pages cannot reach it by a name of their own that points at this machine.
    """
    limits = limits or Limits()

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.batcher, app.state.limits = Batcher(classifier, thread), limits
        app.state.uploads = Uploads(app.state.batcher, limits)
        app.state.explanations = 0
        app.state.batcher.start()
        yield
        await app.state.batcher.stop()

    app = Starlette(
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
            Middleware(OwnPage, names=hosts),
            Middleware(BodyLimit, limits=limits),
        ],
        exception_handlers={
            HTTPException: _refused,
            UserError: _refused,
            ClientDisconnect: _left,
            Exception: _failed,
        },
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # one path for each resource
    return app


async def _show(request: Request) -> Response:
    return HTMLResponse(_page(request, View()))


async def _classify(request: Request) -> Response:
    """Classify the form's text and explain the prediction."""
    batcher, limits = request.app.state.batcher, request.app.state.limits
    text = _sent_text(request, await request.body(), limits)
    limits.check_text(text)
    batcher.check_room([text], limits)
    result = await while_there(request, _result(request.app.state, text))
    return HTMLResponse(_page(request, View(text, result)))


def _sent_text(request: Request, body: bytes, limits: Limits) -> str:
    kind, _ = parse_options_header(request.headers.get("content-type"))
    if kind not in (b"", b"application/x-www-form-urlencoded"):
        raise HTTPException(
            415,
            f"found the content type {kind.decode('latin-1')[:60]!r}, expected "
            "application/x-www-form-urlencoded",
        )
    if len(body) > _MOST_ENCODED * limits.characters:  # decoding it takes seconds
        raise UserError(f"the text has more than {limits.characters:,} characters, the limit here")
    try:
        fields = dict(parse_qsl(body.decode("latin-1"), max_num_fields=_FIELDS))
    except ValueError:
        raise HTTPException(400, f"found more than {_FIELDS} fields in the form") from None
    return fields.get("text", "").replace("\r\n", "\n")  # browsers send line breaks so


async def _result(state: State, text: str) -> Result:
    answers = await state.batcher.answers([text])
    return Result(
        answers.by_model[:, 0], answers.mean[0], await _words(state, text), answers.notes[0]
    )


async def _words(state: State, text: str) -> Explanation | str:
    batcher, limits = state.batcher, state.limits
    if len(text) > limits.explained:
        return f"Words are highlighted in texts of up to {limits.explained:,} characters."
    if state.explanations >= limits.explanations:  # each takes as long as many predictions
        return "No words are highlighted while many people ask; try again in a moment."
    state.explanations += 1
    try:
        return await batcher.alone(lambda: explain(batcher.classifier, text, steps=_STEPS))
    except UserError as error:  # an ensemble whose models cut the text into different words
        return f"No words are highlighted: {error}."
    finally:
        state.explanations -= 1


async def _score(request: Request) -> Response:
    """The form's file, with predictions, as csv."""
    _check_multipart(request)
    async with request.form(max_files=1, max_fields=_FIELDS) as form:
        upload = form.get("file")
        text_col = str(form.get("text_col") or "text")
        if not isinstance(upload, UploadFile):
            raise UserError(NO_FILE)
        return await while_there(request, request.app.state.uploads.scored(upload, text_col))


def _check_multipart(request: Request) -> None:
    """Refuse a body without a file, and charsets other than UTF-8.

    Python has encodings that take quadratic time or raise unexpected errors.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data":
        raise UserError(NO_FILE)
    charset = options.get(b"charset", b"utf-8").decode("latin-1")
    if charset.lower() not in ("utf-8", "utf8"):
        raise HTTPException(415, f"found the charset {charset[:20]!r}, expected utf-8")


async def _describe(request: Request) -> Response:
    state = request.app.state
    return JSONResponse(description(state.batcher.classifier.labels, state.limits))


def _page(request: Request, view: View) -> str:
    return page(request.app.state.batcher.classifier, view)


async def _refused(request: Request, error: Exception) -> Response:
    """The client's error in one line: on the page, or as JSON."""
    status, line, headers = 400, str(error), None
    if isinstance(error, HTTPException):
        status, headers = error.status_code, error.headers
        line = _ROUTING.get(status, error.detail)
    if request.scope["path"] in _FORMS and request.method == "POST":
        return HTMLResponse(_page(request, View(error=line)), status, headers)
    return JSONResponse({"error": line}, status, headers)


async def _left(request: Request, error: Exception) -> Response:
    return Response(status_code=400)  # nobody reads it


async def _failed(request: Request, error: Exception) -> Response:
    """An error of the server itself; Starlette raises it again for the log."""
    return JSONResponse({"error": "the server failed on this request; its log says why"}, 500)


class _Headers:
    """Adds `_HEADERS` to every response, and responds if the server ends before the application."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        try:
            await self.app(scope, receive, with_headers)
        except asyncio.CancelledError:
            if not started:
                ending = JSONResponse({"error": "the server is shutting down"}, 503)
                await ending(scope, receive, with_headers)
