"""The texts of a report: those with the highest loss, and correct ones with high confidence."""

import numpy as np
from fastcore.xml import FT, H3, Article, B, Details, Div, P, Safe, Span, Summary

from ulmfit.report.data import Report, hardest, losses, surest
from ulmfit.text.ids import is_empty

LONGEST = 400  # characters that are shown without a click
SURE_ONES = 3  # of each class


def hardest_texts(report: Report) -> list[FT]:
    """The texts with the highest loss, ranked; the first ones have an explanation."""
    rows = hardest(report.best.probabilities, report.truth, report.shown, report.labels)
    return [_card(report, row, rank) for rank, row in enumerate(rows, 1)]


def surest_texts(report: Report) -> list[FT]:
    """The correctly classified texts of each class with the highest probability."""
    parts: list[FT] = []
    most = min(SURE_ONES, report.shown)
    found = surest(report.best.probabilities, report.truth, most, report.labels)
    for label, rows in zip(report.labels.classes, found, strict=True):
        parts.append(H3(label))
        none = "No text correctly gets it." if report.labels.multi else "No text is correct."
        parts += [_card(report, row) for row in rows] or [P(none)]
    return parts


def _card(report: Report, row: int, rank: int | None = None) -> FT:
    loss = losses(report.best.probabilities[[row]], report.truth[[row]], report.labels)[0]
    facts = _several(report, row) if report.labels.multi else _one(report, row)
    facts.append(Span(f"loss {loss:.2f}"))
    if report.near[row]:
        nearly = "" if report.repeated[row] else ", in nearly the same words"
        facts.append(Span(f"also in the training{nearly}"))
    number = [Span(f"#{rank}")] if rank else []
    return Article(
        P(*number, *facts, cls="verdict"),
        *text_block(report.texts[row]),
        *(_explanation(report, row) if rank and row in report.explanations else []),
        cls="card",
    )


def _one(report: Report, row: int) -> list[FT]:
    probabilities, true = report.best.probabilities[row], int(report.truth[row])
    classes = report.labels.classes
    predicted = int(probabilities.argmax())
    return [
        Span("labelled ", B(classes[true])),
        Span(
            "predicted ",
            B(classes[predicted], cls="right" if predicted == true else "wrong"),
            f" ({percent(probabilities[predicted])})",
        ),
        Span(f"probability of the label {percent(probabilities[true])}"),
    ]


def _several(report: Report, row: int) -> list[FT]:
    """True and predicted labels, with the probability of each."""
    probabilities, true = report.best.probabilities[row], report.truth[row]
    predicted = report.labels.decide(probabilities)
    labelled, found = report.labels.decode(np.stack([true, predicted]))
    facts = [
        Span("labelled ", B(labelled or "(none)")),
        Span("predicted ", B(found or "(none)", cls="right" if labelled == found else "wrong")),
    ]
    shown = [
        f"{report.labels.classes[n]} {percent(probabilities[n])}"
        for n in np.flatnonzero(true | predicted).tolist()
    ]
    return [*facts, Span(f"probabilities: {', '.join(shown)}")] if shown else facts


def _explanation(report: Report, row: int) -> list[FT]:
    meaning = "Blue words speak for the predicted class, orange words against it."
    if report.labels.multi:
        meaning = "Blue words speak for the most probable label, orange words against it."
    summary = Summary("words that moved the prediction")
    return [Details(summary, P(meaning, cls="note"), Div(Safe(report.explanations[row])))]


def text_block(text: str) -> list[FT]:
    """A text; a long one is folded."""
    if is_empty(text):
        return [P("(an empty text)", cls="note")]
    if len(text) <= LONGEST:
        return [_block(text)]
    summary = Summary(f"all {len(text):,} characters")
    return [_block(text[:LONGEST].rstrip() + "…"), Details(summary, _block(text))]


def _block(text: str) -> FT:
    return Div(text, dir="auto", cls="text")


def percent(probability: float) -> str:
    """Enough digits to show that a probability is not exactly 0 or 1."""
    shown = f"{probability:.1%}"
    return {"100.0%": "> 99.9%", "0.0%": "< 0.1%"}.get(shown, shown)
