"""The web page: a text with its prediction, and files. It needs no script."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from fastcore import xml as html
from fastcore.xml import FT, H2, H3, Div, P, Span

from ulmfit.data.formats import READ_ENDINGS
from ulmfit.data.load import source_name
from ulmfit.inference.ensemble import Classifier
from ulmfit.inference.explanation import Explanation
from ulmfit.inference.scoring import prediction_columns
from ulmfit.inference.student import FastClassifier, exact_of
from ulmfit.serve.gathered import DEFAULT_LABELS
from ulmfit.serve.site import CLASSIFY, FILES, Frame, Site, framed, problem

_MOST_BARS = 20  # classes, the most probable first


@dataclass(frozen=True)
class Result:
    """The page's result for one text.

    by_model: shape (models, classes). mean: of all of them together, shape (classes,).
    words: the explanation, or a sentence that says why there is none.
    note: on a text that the models cannot read; '' where none is due.
    said: who answered, where a student may; else ''.
    """

    by_model: np.ndarray
    mean: np.ndarray
    words: Explanation | str
    note: str = ""
    said: str = ""


@dataclass(frozen=True)
class View:
    """The variable content of the page."""

    text: str = ""
    result: Result | None = None
    error: str = ""
    theme: str = "auto"


def page(site: Site, view: View) -> str:
    """The whole page as HTML; every text in it is escaped."""
    classifier = site.classifier
    parts = [
        html.H1("What is this text?"),
        P(_about(classifier), cls="note"),
        *problem(view.error),
        _text_form(view),
        *example_buttons(site.examples.texts, site.examples.note, "/#result"),
        *([_result(classifier, view.text, view.result)] if view.result else []),
        _file_form(),
    ]
    return framed(site, Frame(CLASSIFY, view.theme, "classify"), "ulmfit", *parts)


def _about(classifier: Classifier | FastClassifier) -> str:
    manifests = [loaded.artifact.manifest for loaded in exact_of(classifier).models]
    trained = sorted({source_name(str(m.recipe["data"])) for m in manifests if "data" in m.recipe})
    several = f"{len(manifests)} models, averaged" if len(manifests) > 1 else "one model"
    classes = classifier.labels[:10]
    more = f" and {len(classifier.labels) - 10:,} more" if len(classifier.labels) > 10 else ""
    on = f", trained on {', '.join(trained)}" if trained else ""
    fast = ""
    if isinstance(classifier, FastClassifier):
        fast = " A student of theirs answers the texts that it is sure of."
    return f"Classes: {', '.join(classes)}{more}. {several.capitalize()}{on}.{fast}"


def _text_form(view: View) -> FT:
    # With a result, the switch of colours gives the result again.
    again = [html.Input(type="hidden", name="again", value="yes")] if view.result else []
    return html.Form(
        html.Label("Text", fr="text"),
        text_area(view.text),
        *again,
        html.Button("Classify", type="submit"),
        action="/#result",
        method="post",
        id="classify",
    )


def text_area(text: str) -> FT:
    """The field of a page's text."""
    # The first line break after the tag is not part of the text, in HTML.
    return html.Textarea(f"\n{text}", id="text", name="text", required=True, dir="auto")


def example_buttons(texts: Sequence[str], note: str, action: str) -> list[FT]:
    """Texts to try with one click; nothing without any."""
    if not texts:
        return []
    buttons = [
        html.Button(text, type="submit", name="text", value=text, dir="auto") for text in texts
    ]
    title = Span("Or try one of these:", id="examples-title")
    said = [P(note, cls="note")] if note else []
    return [
        html.Form(
            title,
            *buttons,
            *said,
            action=action,
            method="post",
            cls="examples",
            aria_labelledby="examples-title",
        )
    ]


def _result(classifier: Classifier | FastClassifier, text: str, result: Result) -> FT:
    mean = result.mean
    order = np.argsort(-mean, kind="stable")[:_MOST_BARS]
    columns = prediction_columns(mean[None], classifier.labelling)
    notes = [P(line, cls="note") for line in (result.note.capitalize(), result.said) if line]
    return html.Section(
        H2("Prediction"),
        P(columns["label"][0] or "none of the labels", cls="label"),
        *notes,
        *_bars(classifier.labels, mean, order),
        *_words(result.words),
        *_by_model(classifier, result.by_model, order),
        cls="result",
        id="result",
    )


def _bars(labels: list[str], probabilities: np.ndarray, order: np.ndarray) -> list[FT]:
    return [_bar(labels[i], f"{100 * float(probabilities[i]):.1f}") for i in order]


def _bar(label: str, share: str) -> FT:
    filled = Div(html.I(style=f"width:{share}%"), role="presentation")
    return Div(Span(label), filled, Span(f"{share} %"), cls="bar")


def _by_model(
    classifier: Classifier | FastClassifier, by_model: np.ndarray, order: np.ndarray
) -> list[FT]:
    if len(by_model) == 1:
        return []
    parts = []
    for loaded, probabilities in zip(classifier.models, by_model, strict=True):
        name = loaded.artifact.path.resolve().name
        parts.append(H3(f"{loaded.reading[0].upper()}{loaded.reading[1:]} ({name})"))
        parts += _bars(classifier.labels, probabilities, order)
    return [html.Details(html.Summary("Each model"), *parts)]


def _words(words: Explanation | str) -> list[FT]:
    if isinstance(words, str):
        return [P(words, cls="note")]
    legend = P(
        Span("for", style="background:rgb(86,180,233)"),
        f" {words.label}, ",
        Span("against", style="background:rgb(230,159,0)"),
        "; stronger colours count for more",
        cls="note legend",
    )
    return [H3("Words that moved it"), Div(html.Safe(words.to_html()), cls="words"), legend]


def _file_form() -> FT:
    return html.Form(
        H2("A file of texts"),
        html.Label("File", fr="file"),
        html.Input(
            id="file", name="file", type="file", accept=",".join(READ_ENDINGS), required=True
        ),
        html.Label("Column of the texts", fr="text_col"),
        html.Input(id="text_col", name="text_col", type="text", value="text", required=True),
        html.Label("Column of the labels, if it has any", fr="label_col"),
        html.Input(id="label_col", name="label_col", type="text", value=DEFAULT_LABELS),
        html.Button("Score the file", type="submit"),
        P(
            "csv, tsv, jsonl, parquet or xlsx. You get a csv of all rows with predictions, and a "
            "report: with accuracy if there are labels.",
            cls="note",
        ),
        action=FILES,
        method="post",
        enctype="multipart/form-data",
    )
