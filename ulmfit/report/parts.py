"""Parts that every section of a report is made of, as FastHTML's components.

Whatever is put into them is escaped, but for what is marked `Safe`: the figures that this project
draws.
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
    """A section that the navigation can lead to."""
    return Section(H2(title), *parts, id=name)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, head: bool = True) -> FT:
    """The first cell of a row is its heading. Wide ones are scrolled, not squeezed."""
    body = [Tr(Th(first, scope="row"), *map(Td, rest)) for first, *rest in rows]
    header = [Thead(Tr(*(Th(name, scope="col") for name in columns)))] if head else []
    return Div(Table(*header, Tbody(*body)), cls="scroll", tabindex=0)


def figure(svg: str, caption: str, alt: str) -> FT:
    """A drawing with its caption; `alt` is for who does not see it."""
    return Figure(Div(Safe(svg), role="img", aria_label=alt), Figcaption(caption))


def span(interval: tuple[float, float]) -> str:
    """An interval between two shares."""
    low, high = interval
    return f"{low:.3f}–{high:.3f}"


def beside(value: str, baseline: str) -> FT:
    """A figure, and in small the baseline's."""
    return Span(value, " ", Span(baseline, cls="base"))
