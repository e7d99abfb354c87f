"""The server as an ASGI application: routes, limits, errors, headers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ulmfit.base.errors import UserError
from ulmfit.inference.ensemble import Classifier
from ulmfit.inference.student import FastClassifier, exact_of
from ulmfit.serve import api, forms
from ulmfit.serve.batching import Batcher
from ulmfit.serve.examples import examples_for
from ulmfit.serve.files import file_routes
from ulmfit.serve.limits import BodyLimit, Limits
from ulmfit.serve.openapi import description
from ulmfit.serve.origins import OwnPage
from ulmfit.serve.results import Results
from ulmfit.serve.site import NEXT, Site
from ulmfit.serve.uploads import Uploads

if TYPE_CHECKING:
    from ulmfit.inference.language_model import LanguageModel

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
    classifier: Classifier | FastClassifier,
    limits: Limits | None = None,
    hosts: Sequence[str] = ("*",),
    thread: ThreadPoolExecutor | None = None,
    lm: "LanguageModel | None" = None,
) -> Starlette:
    """The page and the API for `classifier`.

    Args:
        lm: a language model for a second page; it should have been loaded in `thread`, too.
        thread: the `batching.worker` in which it was loaded, if any.
        hosts: names under which a browser may call the server. With the local ones only, web
            pages cannot reach it by a name of their own that points at this machine.
    """
    limits = limits or Limits()
    site = Site(classifier, lm, examples_for(exact_of(classifier)))

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.batcher, app.state.limits = Batcher(classifier, thread), limits
        app.state.uploads = Uploads(app.state.batcher, limits)
        app.state.results = Results(app.state.uploads)
        app.state.site = site
        app.state.explanations = 0
        app.state.batcher.start()
        yield
        await app.state.results.stop()
        await app.state.batcher.stop()

    app = Starlette(
        routes=[
            forms.page_route("/", forms.show, forms.classify),
            *file_routes(),
            *([] if lm is None else [forms.page_route(NEXT, forms.show_next, forms.find_next)]),
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


async def _describe(request: Request) -> Response:
    state = request.app.state
    has_lm = state.site.lm is not None
    return JSONResponse(description(state.batcher.classifier.labels, state.limits, has_lm))


async def _refused(request: Request, error: Exception) -> Response:
    """The client's error in one line: on the page, or as JSON."""
    status, line, headers = 400, str(error), None
    if isinstance(error, HTTPException):
        status, headers = error.status_code, error.headers
        line = _ROUTING.get(status, error.detail)
    if request.method == "POST" and forms.is_form(request):
        return HTMLResponse(forms.with_error(request, line), status, headers)
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
