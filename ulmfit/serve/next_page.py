"""The page of the language model: a text, and the probabilities of its next word."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastcore import xml as html
from fastcore.xml import FT, H2, Div, P, Span

from ulmfit.inference.language_model import LanguageModel
from ulmfit.inference.next_words import NextWord
from ulmfit.serve.examples import PROMPTS
from ulmfit.serve.page import example_buttons, text_area
from ulmfit.serve.site import NEXT, Frame, Site, framed, problem


@dataclass(frozen=True)
class NextView:
    """The variable content of the page; `words` is None before there is a text."""

    text: str = ""
    words: Sequence[NextWord] | None = None
    error: str = ""
    theme: str = "auto"


def next_page(site: Site, lm: LanguageModel, view: NextView) -> str:
    """The whole page as HTML; every text in it is escaped."""
    word = "word before" if lm.backwards else "next word"
    again = [html.Input(type="hidden", name="again", value="yes")] if view.words is not None else []
    form = html.Form(
        html.Label("Text", fr="text"),
        text_area(view.text),
        *again,
        html.Button(f"Show the {word}", type="submit"),
        action=f"{NEXT}#words",
        method="post",
        id="next",
    )
    parts = [
        html.H1(f"What is the {word}?"),
        P(_about(lm), cls="note"),
        *problem(view.error),
        form,
        *([] if lm.backwards else example_buttons(PROMPTS, "", f"{NEXT}#words")),
        *([_words(view.words, word)] if view.words is not None else []),
    ]
    return framed(site, Frame(NEXT, view.theme, "next"), "ulmfit: next word", *parts)


def _about(lm: LanguageModel) -> str:
    manifest = lm.artifact.manifest
    name = lm.artifact.path.resolve().name
    return f"The language model {name}, size {manifest.size}, reads the text {manifest.direction}."


def _words(words: Sequence[NextWord], word: str) -> FT:
    rest = max(0.0, 1 - sum(found.probability for found in words))
    return html.Section(
        H2(f"Probabilities of the {word}"),
        P("Choose a word to add it to the text.", cls="note"),
        html.Form(
            *[_row(found) for found in words],
            _bar(Span("all other words"), rest),
            action=f"{NEXT}#words",
            method="post",
        ),
        cls="result",
        id="words",
    )


def _row(found: NextWord) -> FT:
    if not found.word:
        return _bar(Span("(end of the text)"), found.probability)
    button = html.Button(
        found.word, type="submit", name="text", value=found.text, cls="word", dir="auto"
    )
    return _bar(Span(button), found.probability)


def _bar(name: FT, probability: float) -> FT:
    share = f"{100 * probability:.1f}"
    return Div(
        name,
        Div(html.I(style=f"width:{share}%"), role="presentation"),
        Span(f"{share} %"),
        cls="bar",
    )
