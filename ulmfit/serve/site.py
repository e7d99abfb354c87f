"""The content of all pages of one server, and the frame around each."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastcore import xml as html
from fastcore.xml import FT, P

from ulmfit.inference.ensemble import Classifier
from ulmfit.inference.student import FastClassifier
from ulmfit.report.parts import document
from ulmfit.serve.examples import Examples
from ulmfit.serve.limits import KEPT_MINUTES
from ulmfit.serve.style import STYLE
from ulmfit.serve.theme import switch

if TYPE_CHECKING:
    from ulmfit.inference.language_model import LanguageModel

CLASSIFY, NEXT, FILES = "/", "/next", "/files"


@dataclass(frozen=True)
class Site:
    """What a server answers with; `lm` is None without a language model."""

    classifier: Classifier | FastClassifier
    lm: "LanguageModel | None" = None
    examples: Examples = field(default_factory=Examples)


@dataclass(frozen=True)
class Frame:
    """Of one page: its address, the reader's theme, and the form that the switch sends."""

    path: str
    theme: str
    form: str


def framed(site: Site, frame: Frame, title: str, *parts: Any) -> str:
    """A whole page with navigation, switch and footer; every text in it is escaped."""
    bar = html.Div(
        *_pages(site, frame.path), switch(frame.theme, frame.form, frame.path), cls="top"
    )
    main = html.Main(*parts, id="main")
    skip = html.A("Skip to the content", href="#main", cls="skip")
    top = html.Header(skip, bar)
    return document(title, STYLE, top, main, footer(), theme=frame.theme)


def framed_parts(site: Site, frame: Frame, title: str, *parts: Any) -> tuple[str, str]:
    """`framed`, cut after `parts`: more HTML may be sent between both."""
    made = framed(site, frame, title, *parts)
    place = made.rindex("</main>")
    return made[:place], made[place:]


def _pages(site: Site, path: str) -> Sequence[FT]:
    """Links to the other pages, if there are any."""
    if site.lm is None:
        return (
            []
            if path == CLASSIFY
            else [html.Nav(_link("Classify", CLASSIFY, path), aria_label="Pages")]
        )
    links = _link("Classify", CLASSIFY, path), _link("Next word", NEXT, path)
    return [html.Nav(*links, aria_label="Pages")]


def _link(name: str, to: str, path: str) -> FT:
    return html.A(name, href=to, **({"aria_current": "page"} if to == path else {}))


def problem(line: str) -> list[FT]:
    """The client's error on a page; nothing without one."""
    return [P(line, cls="error", role="alert")] if line else []


def footer() -> FT:
    """What programs use instead, and what becomes of texts."""
    return html.Footer(
        P(
            "Programs ask ",
            html.Code("POST /predict"),
            " with ",
            html.Code('{"text": "..."}'),
            "; see ",
            html.A("the API's description", href="/openapi.json"),
            ". Texts stay on the machine that runs this server. It keeps no typed text, and the "
            f"result of a file for {KEPT_MINUTES} minutes at most.",
            cls="note",
        )
    )
