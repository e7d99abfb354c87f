"""The texts of a report: those of the highest loss, and those that are surest and right."""

from fastcore.xml import FT, H3, Article, B, Details, Div, P, Safe, Span, Summary

from ulmfit.reporting.data import Report, hardest, losses, surest

LONGEST = 400  # characters that are shown at once
SURE_ONES = 3  # of each class


def hardest_texts(report: Report) -> list[FT]:
    """The texts with the highest loss, ranked, with what explains the first of them."""
    rows = hardest(report.best.probabilities, report.truth, report.shown)
    return [_card(report, row, rank) for rank, row in enumerate(rows, 1)]


def surest_texts(report: Report) -> list[FT]:
    """The texts of each class that are classified rightly with the highest probability."""
    parts: list[FT] = []
    found = surest(report.best.probabilities, report.truth, min(SURE_ONES, report.shown))
    for label, rows in zip(report.labels, found, strict=True):
        parts.append(H3(label))
        parts += [_card(report, row) for row in rows] or [P("None is classified rightly.")]
    return parts


def _card(report: Report, row: int, rank: int | None = None) -> FT:
    probabilities, true = report.best.probabilities[row], int(report.truth[row])
    predicted = int(probabilities.argmax())
    loss = losses(report.best.probabilities[[row]], report.truth[[row]])[0]
    facts = [
        Span("labelled ", B(report.labels[true])),
        Span(
            "predicted ",
            B(report.labels[predicted], cls="right" if predicted == true else "wrong"),
            f" ({_percent(probabilities[predicted])})",
        ),
        Span(f"probability of the label {_percent(probabilities[true])}"),
        Span(f"loss {loss:.2f}"),
    ]
    if report.repeated[row]:
        facts.append(Span("also in the training"))
    number = [Span(f"#{rank}")] if rank else []
    return Article(
        P(*number, *facts, cls="verdict"),
        *_text(report.texts[row]),
        *(_explanation(report.explanations[row]) if rank and row in report.explanations else []),
        cls="card",
    )


def _explanation(html: str) -> list[FT]:
    meaning = "Blue speaks for the class that was predicted, orange against it."
    summary = Summary("words that moved the prediction")
    return [Details(summary, P(meaning, cls="note"), Div(Safe(html)))]


def _text(text: str) -> list[FT]:
    if not text.strip():
        return [P("(an empty text)", cls="note")]
    if len(text) <= LONGEST:
        return [_block(text)]
    summary = Summary(f"all {len(text):,} characters")
    return [_block(text[:LONGEST].rstrip() + "…"), Details(summary, _block(text))]


def _block(text: str) -> FT:
    return Div(text, dir="auto", cls="text")


def _percent(probability: float) -> str:
    """Enough digits to tell a text apart from a certain one."""
    shown = f"{probability:.1%}"
    return {"100.0%": "> 99.9%", "0.0%": "< 0.1%"}.get(shown, shown)
