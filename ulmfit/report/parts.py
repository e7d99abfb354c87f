"""Building blocks of the report's sections, as FastHTML's components.

All content is escaped, except parts marked `Safe`: the figures that this project draws.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from fastcore.xml import (
    FT,
    H2,
    Div,
    Figcaption,
    Figure,
    Safe,
    Section,
    Span,
    Table,
    Tbody,
    Td,
    Th,
    Thead,
    Tr,
)


def section(name: str, title: str, *parts: Any) -> FT:
    """A section with an anchor for the navigation."""
    return Section(H2(title), *parts, id=name)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, head: bool = True) -> FT:
    """A table; the first cell of a row is its heading. Wide tables scroll."""
    body = [Tr(Th(first, scope="row"), *map(Td, rest)) for first, *rest in rows]
    header = [Thead(Tr(*(Th(name, scope="col") for name in columns)))] if head else []
    return Div(Table(*header, Tbody(*body)), cls="scroll", tabindex=0)


def figure(svg: str, caption: str, alt: str) -> FT:
    """A drawing with its caption and the text `alt` for screen readers."""
    return Figure(Div(Safe(svg), role="img", aria_label=alt), Figcaption(caption))


def span(interval: tuple[float, float]) -> str:
    """An interval between two shares."""
    low, high = interval
    return f"{low:.3f}–{high:.3f}"


def beside(value: str, baseline: str) -> FT:
    """A figure, with the baseline's figure in small print."""
    return Span(value, " ", Span(baseline, cls="base"))
