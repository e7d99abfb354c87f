"""The forms of the pages: a text to classify, a text to go on with, a file to score."""

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl

from python_multipart.multipart import parse_options_header
from starlette.datastructures import State
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from ulmfit.base.errors import UserError
from ulmfit.inference.ensemble import Classifier
from ulmfit.inference.explanation import Explanation, explain
from ulmfit.inference.next_words import NextWord, next_words
from ulmfit.inference.student import FastClassifier
from ulmfit.serve.batching import while_there
from ulmfit.serve.limits import Limits, busy
from ulmfit.serve.next_page import NextView, next_page
from ulmfit.serve.page import Result, View, page
from ulmfit.serve.site import CLASSIFY, FILES, NEXT
from ulmfit.serve.theme import is_theme, remember, theme_of

Endpoint = Callable[[Request], Awaitable[Response]]
_STEPS = 8  # of integrated gradients; the command has up to 33, but the page must be fast
_PATHS = (CLASSIFY, "/score", NEXT, FILES)
_FIELDS = 4  # of a form; the pages' have three at most
_MOST_ENCODED = 12  # bytes of a form for one character, such as %F0%9F%8E%AC


def page_route(path: str, show: Endpoint, send: Endpoint) -> Route:
    """The route of a page and of its form.

    Two routes of one path would each name their own method alone in Allow.
    """

    async def answer(request: Request) -> Response:
        return await (send if request.method == "POST" else show)(request)

    return Route(path, answer, methods=["GET", "POST"])


def is_form(request: Request) -> bool:
    """Whether errors of a request are shown on a page."""
    path = request.scope["path"]
    return path in _PATHS and (path != NEXT or request.app.state.site.lm is not None)


def with_error(request: Request, line: str) -> str:
    """The page of the request's form with an error."""
    site, theme = request.app.state.site, theme_of(request)
    if request.scope["path"] == NEXT:
        return next_page(site, site.lm, NextView(error=line, theme=theme))
    return page(site, View(error=line, theme=theme))


async def show(request: Request) -> Response:
    """GET: the page of the classifier."""
    return HTMLResponse(page(request.app.state.site, View(theme=theme_of(request))))


async def classify(request: Request) -> Response:
    """POST: classify the form's text and explain the prediction."""
    batcher, limits = request.app.state.batcher, request.app.state.limits
    fields = fields_of(request, await request.body(), limits)
    text, theme = _text(fields), fields.get("theme", "")
    limits.check_text(text)
    result = None
    if not is_theme(theme) or "again" in fields:
        batcher.check_room([text], limits)
        result = await while_there(request, _result(request.app.state, text))
    shown = theme if is_theme(theme) else theme_of(request)
    return _answer(page(request.app.state.site, View(text, result, theme=shown)), theme)


async def show_next(request: Request) -> Response:
    """GET: the page of the language model."""
    site = request.app.state.site
    return HTMLResponse(next_page(site, site.lm, NextView(theme=theme_of(request))))


async def find_next(request: Request) -> Response:
    """POST: the likeliest next words of the form's text."""
    state = request.app.state
    fields = fields_of(request, await request.body(), state.limits)
    text, theme = _text(fields), fields.get("theme", "")
    _check_explained(text, state.limits)
    words = None
    if not is_theme(theme) or "again" in fields:
        words = await while_there(request, _next_words(state, text))
    shown = theme if is_theme(theme) else theme_of(request)
    made = next_page(state.site, state.site.lm, NextView(text, words, theme=shown))
    return _answer(made, theme)


def _check_explained(text: str, limits: Limits) -> None:
    if len(text) > limits.explained:
        raise UserError(
            f"the text has {len(text):,} characters, expected at most {limits.explained:,} for "
            "the next word; cut it"
        )


async def _next_words(state: State, text: str) -> list[NextWord]:
    if state.explanations >= state.limits.explanations:
        raise busy("too many people ask for words")
    state.explanations += 1
    try:
        return await state.batcher.alone(lambda: next_words(state.site.lm, text))
    finally:
        state.explanations -= 1


def _answer(made: str, theme: str) -> HTMLResponse:
    response = HTMLResponse(made)
    if is_theme(theme):
        remember(response, theme)
    return response


def fields_of(request: Request, body: bytes, limits: Limits) -> dict[str, str]:
    """The fields of a form without a file.

    Raises:
        UserError: it is too long.
        HTTPException: it is no such form, or has too many fields.
    """
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
        return dict(parse_qsl(body.decode("latin-1"), max_num_fields=_FIELDS))
    except ValueError:
        raise HTTPException(400, f"found more than {_FIELDS} fields in the form") from None


def _text(fields: dict[str, str]) -> str:
    return fields.get("text", "").replace("\r\n", "\n")  # browsers send line breaks so


async def _result(state: State, text: str) -> Result:
    answers, classifier = await state.batcher.answers([text]), state.batcher.classifier
    said, reader = "", classifier
    if isinstance(classifier, FastClassifier):
        reader = classifier.reader(text)
        who = "full model" if reader is classifier.teacher else "student"
        said = f"The {who} answered."
    words = await _words(state, reader, text)
    return Result(answers.by_model[:, 0], answers.mean[0], words, answers.notes[0], said)


async def _words(state: State, reader: Classifier, text: str) -> Explanation | str:
    batcher, limits = state.batcher, state.limits
    if len(text) > limits.explained:
        return f"Words are highlighted in texts of up to {limits.explained:,} characters."
    if state.explanations >= limits.explanations:  # each takes as long as many predictions
        return "No words are highlighted while many people ask; try again in a moment."
    state.explanations += 1
    try:
        return await batcher.alone(lambda: explain(reader, text, steps=_STEPS))
    except UserError as error:  # an ensemble whose models cut the text into different words
        return f"No words are highlighted: {error}."
    finally:
        state.explanations -= 1
