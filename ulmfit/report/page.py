"""The page of a report: one HTML file without scripts and without other files."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from fastcore.xml import FT, H1, A, Div, Footer, Header, Main, Nav, P

from ulmfit.artifacts.manifest import library_versions
from ulmfit.report import numbers
from ulmfit.report.data import Report, accuracy_by_length
from ulmfit.report.figures import length_figure, map_figure
from ulmfit.report.models import curves, model_facts, samples
from ulmfit.report.parts import document, figure, section, span, table
from ulmfit.report.style import STYLE
from ulmfit.report.texts import hardest_texts, surest_texts

# With any text in it, the page loads, sends and runs nothing.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def page(report: Report, theme: str = "") -> str:
    """The report as one HTML page, `theme` as for `document`. It depends on nothing else."""
    sections = [section(*made) for made in _sections(report) if made[2:]]
    links = [A(part.children[0].children[0], href=f"#{part.id}") for part in sections]
    several = " and their ensemble" if len(report.lineages) > 1 else ""
    title = f"Report on {', '.join(report.lineages) or report.data}{several}"
    about = [P(line) for line in (_about(report), report.remark) if line]
    header = Header(H1(title), *about, numbers.tiles(report), Nav(*links, aria_label="Sections"))
    footer = Footer(P(made_with(report.precision), cls="note"))
    return document(title, STYLE, header, Main(*sections), footer, policy=POLICY, theme=theme)


def _sections(report: Report) -> list[tuple[Any, ...]]:
    """Name, title and parts of each section; a section without parts is left out."""
    texts = bool(report.shown)
    return [
        ("figures", "Figures", *numbers.figure_parts(report)),
        ("classes", "Classes", *numbers.class_parts(report)),
        ("confusion", "Confusion", *numbers.confusion_parts(report)),
        ("calibration", "Calibration", *numbers.calibration_parts(report)),
        ("lengths", "Length of the text", *_lengths(report)),
        ("map", "Map of the texts", *_map(report)),
        ("hardest", "Texts of the highest loss", *(_hardest(report) if texts else ())),
        ("surest", "Most confident and correct", *(surest_texts(report) if texts else ())),
        ("curves", "Learning curves", *curves(report)),
        ("samples", "Texts that the language models wrote", *(samples(report) if texts else ())),
        ("models", "The models", *model_facts(report)),
    ]


def _about(report: Report) -> str:
    labels = report.labels.classes
    classes = ", ".join(labels[:10])
    if more := labels[10:]:
        classes += f" and {len(more):,} more"
    kinds = "labels, of which a text may have several" if report.labels.multi else "classes"
    split = f", split {report.split}" if report.split else ""
    return (
        f"{len(report.truth):,} labelled texts of {report.data}{split}; "
        f"{len(labels):,} {kinds}: {classes}."
    )


def made_with(precision: str) -> str:
    """The number format and the versions of the libraries."""
    versions = library_versions()
    names = ("ulmfit", "torch", "numpy", "python")
    listed = ", ".join(f"{name} {versions[name]}" for name in names)
    return f"Computed in {precision} with {listed}."


def _lengths(report: Report) -> list[FT]:
    best = report.best
    bins = accuracy_by_length(report.lengths, best.probabilities, report.truth, report.labels)
    measure = "all labels right" if report.labels.multi else "accuracy"
    caption = f"{best.name}: {measure} with its 95 % interval, about as many texts in each bar"
    alt = f"Bars of {measure} by text length; the table has the numbers"
    rows = [
        (f"{b.low:,.0f} to {b.high:,.0f}", f"{b.texts:,}", f"{b.accuracy:.4f}", span(b.interval))
        for b in bins
    ]
    made = table([report.unit, "texts", measure, "95 % interval"], rows)
    drawn = length_figure(bins, report.unit, measure)
    return [Div(figure(drawn, caption, alt), made, cls="grid")]


def _map(report: Report) -> list[FT]:
    if report.text_map is None:
        return []
    places, method, rows = report.text_map
    classes, labels = _colours(report)
    caption = (
        f"{len(rows):,} of {len(report.truth):,} texts by the encoders' pooled outputs (last, "
        f"maximum and mean), in two dimensions by {method}; colour and shape: "
        f"{'the set of true labels' if report.labels.multi else 'the true class'}"
    )
    svg = map_figure(places, classes[rows], labels)
    return [figure(svg, caption, f"Scatter plot of {len(rows):,} texts in the encoders' features")]


def _colours(report: Report) -> tuple[np.ndarray, Sequence[str]]:
    """The map's groups as numbers, shape (texts,), and their names."""
    labels = report.labels
    if not labels.multi:
        return report.truth, labels.classes
    cells = [cell or "(none)" for cell in labels.decode(report.truth)]
    names, numbers = np.unique(cells, return_inverse=True)
    return numbers, names.tolist()


def _hardest(report: Report) -> list[FT]:
    found = "The true class of these texts got the lowest probability"
    if report.labels.multi:
        found = "True labels of these texts got low probabilities, or other labels high ones"
    note = (
        f"{found}: they are wrongly labelled or hard. The texts are ranked by the loss of the "
        f"{report.best.name}."
    )
    return [P(note, cls="note"), *hardest_texts(report)]
