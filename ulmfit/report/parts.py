"""Building blocks of pages and of the report's sections, as FastHTML's components.

All content is escaped, except parts marked `Safe`: the figures that this project draws.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from fastcore import xml as html
from fastcore.xml import FT, Div

from ulmfit.report.style import BASE


def document(title: str, style: str, *parts: Any, policy: str = "", theme: str = "") -> str:
    """A whole page. `style` is added to `BASE`; `policy` is a content security policy.

    Args:
        theme: "light" or "dark"; anything else follows the reader's system.
    """
    head = html.Head(
        html.Meta(charset="utf-8"),
        *([html.Meta(http_equiv="Content-Security-Policy", content=policy)] if policy else []),
        html.Meta(name="viewport", content="width=device-width, initial-scale=1"),
        html.Title(title),
        html.Style(html.Safe(BASE + style)),
    )
    chosen = {"data_theme": theme} if theme in ("light", "dark") else {}
    whole = html.Html(head, html.Body(*parts), lang="en", **chosen)
    return html.to_xml(whole, indent=False) + "\n"


def section(name: str, title: str, *parts: Any) -> FT:
    """A section with an anchor for the navigation."""
    return html.Section(html.H2(title), *parts, id=name)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, head: bool = True) -> FT:
    """A table; the first cell of a row is its heading. Wide tables scroll."""
    body = [html.Tr(html.Th(first, scope="row"), *map(html.Td, rest)) for first, *rest in rows]
    # A heading without text is nothing to a screen reader.
    names = [html.Th(name, scope="col") if name else html.Td() for name in columns]
    header = [html.Thead(html.Tr(*names))] if head else []
    return Div(html.Table(*header, html.Tbody(*body)), cls="scroll", tabindex=0)


def figure(svg: str, caption: str, alt: str) -> FT:
    """A drawing with its caption and the text `alt` for screen readers."""
    drawing = Div(html.Safe(svg), role="img", aria_label=alt)
    return html.Figure(drawing, html.Figcaption(caption))


def span(interval: tuple[float, float]) -> str:
    """An interval between two shares."""
    low, high = interval
    return f"{low:.3f}–{high:.3f}"
