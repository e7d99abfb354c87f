"""A page about predictions without labels: classes, confidence, and the least sure texts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from fastcore.xml import FT, H1, Article, B, Div, Footer, Header, Main, P, Span

from ulmfit.data.labels import Labels
from ulmfit.inference.scoring import EMPTY
from ulmfit.report.figures import confidence_figure
from ulmfit.report.page import POLICY, made_with
from ulmfit.report.parts import document, figure, section, table
from ulmfit.report.style import STYLE
from ulmfit.report.texts import percent, text_block

_BINS = 10
_SHOWN = 20
_BEST = 3  # classes of a text


@dataclass(frozen=True)
class Summary:
    """The predictions on one file.

    probabilities: shape (texts, classes). notes: one a text, '' where none is due.
    remark: why the page has no accuracy.
    """

    data: str
    labels: Labels
    texts: Sequence[str]
    probabilities: np.ndarray
    notes: Sequence[str]
    remark: str
    precision: str


def summary_page(summary: Summary, theme: str = "") -> str:
    """The summary as one HTML page; `theme` as for `document`."""
    title = f"Predictions on {summary.data}"
    header = Header(H1(title), P(f"{summary.remark}."), _tiles(summary))
    sections = [
        section("classes", "Predicted classes", _classes(summary)),
        section("confidence", "Confidence", *_confidence(summary)),
        section("unsure", "Least sure texts", *_unsure(summary)),
    ]
    footer = Footer(P(made_with(summary.precision), cls="note"))
    main = Main(header, *sections)
    return document(title, STYLE, main, footer, policy=POLICY, theme=theme)


def _tiles(summary: Summary) -> FT:
    confidence = summary.labels.confidence(summary.probabilities)
    empty = sum(note == EMPTY for note in summary.notes)
    unknown = sum(note not in ("", EMPTY) for note in summary.notes)
    facts = [
        ("texts", f"{len(summary.texts):,}"),
        ("mean confidence", f"{confidence.mean():.3f}"),
        ("confidence < 0.75", f"{(confidence < 0.75).mean():.1%}"),
        ("empty texts", f"{empty:,}"),
        ("few known words", f"{unknown:,}"),
    ]
    made = [Div(Span(name), B(value), cls="tile") for name, value in facts]
    return Div(*made, cls="tiles")


def _classes(summary: Summary) -> FT:
    labels, chosen = summary.labels, summary.labels.decide(summary.probabilities)
    counts = chosen.sum(0) if labels.multi else np.bincount(chosen, minlength=len(labels.classes))
    order = np.argsort(-counts, kind="stable").tolist()
    total = len(summary.texts)
    rows = [(labels.classes[i], f"{counts[i]:,}", f"{counts[i] / total:.1%}") for i in order]
    if labels.multi:
        none = int((~chosen.any(1)).sum())
        rows.append(("(none of the labels)", f"{none:,}", f"{none / total:.1%}"))
    return table(["class", "texts", "share"], rows)


def _confidence(summary: Summary) -> list[FT]:
    confidence = summary.labels.confidence(summary.probabilities)
    counts, edges = np.histogram(confidence, _BINS, (0, 1))
    shown = list(zip(edges[:-1], edges[1:], counts.tolist(), strict=True))
    rows = [(f"{low:.1f} to {high:.1f}", f"{count:,}") for low, high, count in shown if count]
    what = "the least certain label" if summary.labels.multi else "the predicted class"
    caption = f"Texts by the probability of {what}"
    alt = f"Histogram of {len(confidence):,} confidences; the table has the numbers"
    drawn = figure(confidence_figure(counts, edges), caption, alt)
    return [Div(drawn, table(["confidence", "texts"], rows), cls="grid")]


def _unsure(summary: Summary) -> list[FT]:
    confidence = summary.labels.confidence(summary.probabilities)
    order = np.argsort(confidence, kind="stable")[:_SHOWN].tolist()
    note = "A label for these texts teaches the model more than one for others."
    return [P(note, cls="note"), *(_card(summary, row) for row in order)]


def _card(summary: Summary, row: int) -> FT:
    found = summary.probabilities[row]
    best = np.argsort(-found, kind="stable")[:_BEST].tolist()
    facts = [Span(f"row {row + 1:,}")]
    facts += [Span(B(summary.labels.classes[i]), f" {percent(found[i])}") for i in best]
    note = [P(summary.notes[row].capitalize(), cls="note")] if summary.notes[row] else []
    return Article(P(*facts, cls="verdict"), *text_block(summary.texts[row]), *note, cls="card")
