"""The addresses of forms and files in OpenAPI's terms: they take forms and send pages and csv."""

from typing import Any

from ulmfit.serve.limits import KEPT_MINUTES, Limits
from ulmfit.serve.site import FILES, NEXT
from ulmfit.serve.theme import THEMES
from ulmfit.serve.uploads import SCORED

_ERRORS = {
    "400": "The form, its file or its text is not what is expected",
    "403": "The request comes from a page of another site",
    "408": "The request took too long to arrive",
    "413": "More bytes than one request may bring",
    "415": "The form has another content type or charset",
    "503": "Too many requests are waiting; try again in a moment",
}
_KEY = {
    "name": "key",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{22}$"},
    "description": "of the address that POST /files leads to; nobody can guess it",
}


def form_paths(limits: Limits, lm: bool) -> dict[str, Any]:
    """The paths of files, and with a language model the path of the next word."""
    address = f"{FILES}/{{key}}"
    file = _file()
    columns = {"text_col": _text("The column of texts", default="text")}
    labels = {"label_col": _text("The column of labels, if there is one", default="label")}
    paths = {
        "/score": {
            "post": _post(
                "A file of texts with a prediction in every row, as csv",
                _body("multipart/form-data", {"file": file, **columns}, ["file"]),
                {"200": _csv("Every row of the file, with its label and probabilities")},
            )
        },
        FILES: {
            "post": _post(
                "Begin to score a file; the reply leads to a page with its progress",
                _body("multipart/form-data", {"file": file, **columns, **labels}, ["file"]),
                {"303": _leads(f"{FILES}/{{key}}, the page of the file")},
            )
        },
        address: {"parameters": [_KEY], "get": _watch(), "post": _change()},
        f"{address}/report": {"parameters": [_KEY], "get": _kept("The report", _page("The page"))},
        f"{address}/{SCORED}": {
            "parameters": [_KEY],
            "get": _kept("Every row of the file with its prediction", _csv("The table")),
        },
    }
    return {**paths, **(_next(limits) if lm else {})}


def _watch() -> dict[str, Any]:
    page = _page("The page; it is sent bit by bit until the file is scored")
    return _kept("The progress of a file, then links to its results", page)


def _change() -> dict[str, Any]:
    fields = {"delete": _text("Delete the result"), "theme": _theme()}
    return _post(
        "Delete the result of a file, or show its page in other colours",
        _body("application/x-www-form-urlencoded", fields, []),
        {"303": _leads("/ after the result is deleted, else the page of the file"), **_gone()},
    )


def _next(limits: Limits) -> dict[str, Any]:
    text = _text("The text to go on with", maxLength=limits.explained)
    again = _text("With a theme: answer for the text, too")
    fields = {"text": text, "theme": _theme(), "again": again}
    page = {"200": _page("The page")}
    return {
        NEXT: {
            "get": {"summary": "The page of the language model", "responses": page},
            "post": _post(
                "The likeliest next words of a text, with their probabilities, on a page",
                _body("application/x-www-form-urlencoded", fields, []),
                page,
            ),
        }
    }


def _post(summary: str, body: dict[str, Any], responses: dict[str, Any]) -> dict[str, Any]:
    """Errors come as the page with one line; those of another site's page as JSON."""
    errors = {status: _error(text) for status, text in _ERRORS.items()}
    return {"summary": summary, "requestBody": body, "responses": {**errors, **responses}}


def _kept(summary: str, found: dict[str, Any]) -> dict[str, Any]:
    return {"summary": summary, "responses": {"200": found, **_gone()}}


def _gone() -> dict[str, Any]:
    return {"404": _page(f"No such result, or it is older than {KEPT_MINUTES} minutes")}


def _body(kind: str, fields: dict[str, Any], required: list[str]) -> dict[str, Any]:
    schema = {"type": "object", "properties": fields, "required": required}
    return {"required": bool(required), "content": {kind: {"schema": schema}}}


def _file() -> dict[str, Any]:
    about = "csv, tsv, jsonl, parquet or xlsx, also packed; the ending of its name says which"
    return {"type": "string", "format": "binary", "description": about}


def _text(about: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "description": about, **more}


def _theme() -> dict[str, Any]:
    names = ", ".join(THEMES)
    return _text(f"The colours of the page: {names}; another name changes nothing")


def _page(about: str) -> dict[str, Any]:
    return {"description": about, "content": {"text/html": {"schema": {"type": "string"}}}}


def _csv(about: str) -> dict[str, Any]:
    return {"description": about, "content": {"text/csv": {"schema": {"type": "string"}}}}


def _leads(to: str) -> dict[str, Any]:
    header = {"description": to, "schema": {"type": "string"}}
    return {"description": f"Leads to {to}", "headers": {"Location": header}}


def _error(about: str) -> dict[str, Any]:
    kinds = {**_page(about)["content"], "application/json": {"schema": _ERROR}}
    return {"description": about, "content": kinds}


_ERROR = {"$ref": "#/components/schemas/Error"}
