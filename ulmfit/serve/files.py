"""The routes of files: scored at once for programs, in the background for the page."""

from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

from ulmfit.base.errors import UserError
from ulmfit.serve.batching import while_there
from ulmfit.serve.file_page import file_page
from ulmfit.serve.forms import fields_of, page_route
from ulmfit.serve.gathered import DEFAULT_LABELS
from ulmfit.serve.limits import KEPT_MINUTES
from ulmfit.serve.page import View, page
from ulmfit.serve.results import REPORT, Form, Job
from ulmfit.serve.site import FILES
from ulmfit.serve.theme import is_theme, remember, theme_of
from ulmfit.serve.uploads import NO_FILE, SCORED, scored_name

_FIELDS = 4  # of a form; the page's have three at most
_GONE = (
    f"there is no such result; results are kept for {KEPT_MINUTES} minutes, fewer while many "
    "files are sent; send the file again"
)


def file_routes() -> list[Route]:
    """The paths of files."""
    address = f"{FILES}/{{key}}"
    return [
        Route("/score", score, methods=["POST"]),
        Route(FILES, send, methods=["POST"]),
        page_route(address, watch, change),
        Route(f"{address}/report", report, methods=["GET"]),
        Route(f"{address}/{SCORED}", scored, methods=["GET"]),
    ]


async def score(request: Request) -> Response:
    """POST: the form's file, with predictions, as csv."""
    check_multipart(request)
    async with request.form(max_files=1, max_fields=_FIELDS) as form:
        upload = form.get("file")
        text_col = str(form.get("text_col") or "text")
        if not isinstance(upload, UploadFile):
            raise UserError(NO_FILE)
        return await while_there(request, request.app.state.uploads.scored(upload, text_col))


async def send(request: Request) -> Response:
    """POST: begin to score the form's file; the reply leads to its page."""
    check_multipart(request)
    async with request.form(max_files=1, max_fields=_FIELDS) as form:
        upload = form.get("file")
        if not isinstance(upload, UploadFile):
            raise UserError(NO_FILE)
        columns = str(form.get("text_col") or "text"), str(form.get("label_col", DEFAULT_LABELS))
        sent = Form(*columns, theme_of(request))
        job = await request.app.state.results.start(upload, sent)
    return RedirectResponse(f"{FILES}/{job.key}", 303)


async def watch(request: Request) -> Response:
    """GET: the page of a file."""
    state = request.app.state
    if (job := _job(request)) is None:
        return _gone(request)
    parts = file_page(state.site, state.results, job, theme_of(request))
    return StreamingResponse(parts, media_type="text/html")


async def change(request: Request) -> Response:
    """POST: other colours for the page of a file, or the end of its result."""
    fields = fields_of(request, await request.body(), request.app.state.limits)
    if (job := _job(request)) is None:
        return _gone(request)
    if "delete" in fields:
        request.app.state.results.drop(job)
        return RedirectResponse("/", 303)
    response = RedirectResponse(f"{FILES}/{job.key}", 303)
    if is_theme(theme := fields.get("theme", "")):
        remember(response, theme)
    return response


async def report(request: Request) -> Response:
    """GET: the report on a file."""
    job = _ended(request)
    if job is None or not job.work.result():
        return _gone(request)
    return HTMLResponse((job.folder / REPORT).read_bytes())


async def scored(request: Request) -> Response:
    """GET: a file with its predictions."""
    if (job := _ended(request)) is None:
        return _gone(request)
    kind = "text/csv; charset=utf-8"
    return FileResponse(job.folder / SCORED, media_type=kind, filename=scored_name(job.name))


def _job(request: Request) -> Job | None:
    job: Job | None = request.app.state.results.get(request.path_params["key"])
    return job


def _ended(request: Request) -> Job | None:
    """The job with a result."""
    job = _job(request)
    return job if job and job.work.done() and not job.problem else None


def _gone(request: Request) -> Response:
    made = page(request.app.state.site, View(error=_GONE, theme=theme_of(request)))
    return HTMLResponse(made, 404)


def check_multipart(request: Request) -> None:
    """Refuse a body without a file, and charsets other than UTF-8.

    Python has encodings that take quadratic time or raise unexpected errors.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data":
        raise UserError(NO_FILE)
    charset = options.get(b"charset", b"utf-8").decode("latin-1")
    if charset.lower() not in ("utf-8", "utf8"):
        raise HTTPException(415, f"found the charset {charset[:20]!r}, expected utf-8")
