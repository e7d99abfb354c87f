"""The sections of a report with numbers: overall, by class, confusion, calibration.

Every figure is compared with that of the best constant prediction, usually the majority class.
"""

from typing import Any

import numpy as np
from fastcore.xml import FT, B, Code, Details, Div, P, Span, Summary

from ulmfit.inference.metrics import class_figures
from ulmfit.report.data import (
    Calibrated,
    Measured,
    Report,
    commonest_confusions,
    confusion,
    interval,
    label_counts,
    majority_probabilities,
    overall_figures,
    reliability,
)
from ulmfit.report.figures import MOST_CLASSES, confusion_figure, reliability_figure
from ulmfit.report.parts import figure, span, table

BASELINE, MULTI_LABEL_BASELINE = "majority class", "same for every text"
_FIGURES = {
    "accuracy": "accuracy",
    "f1_micro": "micro F1",
    "f1": "macro F1",
    "f1_weighted": "weighted F1",
    "hamming_loss": "Hamming loss",
    "mcc": "MCC",
    "log_loss": "log loss",
    "ece": "ECE",
}
_NOTE = (
    f'"{BASELINE}" is the best constant prediction: the most frequent class of these texts, '
    "with the class frequencies as probabilities (so its ECE is 0). F1 is the mean over classes "
    "(macro) or the mean weighted by class size. MCC is Matthews' correlation coefficient. ECE "
    "is the expected calibration error over 15 bins. Lower is better for log loss and ECE."
)
_PEERS_NOTE = (
    "on words and pairs of words, trained on the same labelled texts. Split valid chose their "
    "settings. The other models have to be better than these."
)
_MULTI_LABEL_NOTE = (
    f'"{MULTI_LABEL_BASELINE}" is a constant prediction: the label frequencies of these texts as '
    "probabilities, and so the labels of at least half of the texts. F1 is that of all decisions, "
    "one for each text and label (micro), the mean over labels (macro), or the mean weighted by "
    "their frequencies. Hamming loss is the share of wrong decisions. Log loss and ECE, the "
    "expected calibration error over 15 bins, are over decisions, too. Lower is better for these "
    "three."
)


def _figures(report: Report) -> dict[str, str]:
    """The names of the figures that the kind of labels has."""
    if report.labels.multi:
        names, found = {**_FIGURES, "accuracy": "all labels right"}, report.labels.figures
    else:
        names, found = _FIGURES, (*report.labels.figures, "mcc")
    return {key: name for key, name in names.items() if key in found}


def _baseline(truth: np.ndarray, report: Report) -> Measured:
    name = MULTI_LABEL_BASELINE if report.labels.multi else BASELINE
    return Measured(name, majority_probabilities(truth, report.labels))


def _overall(report: Report, measured: Measured) -> dict[str, Any]:
    return overall_figures(measured.probabilities, report.truth, report.labels)


def tiles(report: Report) -> FT:
    """The most important figures, large."""
    baseline = _baseline(report.truth, report)
    found, base = _overall(report, report.best), _overall(report, baseline)
    second = "f1_micro" if report.labels.multi else "mcc"
    made = [
        Div(
            Span(_figures(report)[key]),
            B(f"{found[key]:.3f}"),
            Span(f"{baseline.name} {base[key]:.3f}", cls="base"),
            cls="tile",
        )
        for key in ("accuracy", "f1", second, "log_loss", "ece")
    ]
    of = "" if len(report.measured) == 1 else f"Of the {report.best.name} of all models:"
    return Div(P(of, cls="note"), Div(*made, cls="tiles"))


def figure_parts(report: Report) -> list[FT]:
    """Figures of each model and of all, with and without texts of the training."""
    note = _MULTI_LABEL_NOTE if report.labels.multi else _NOTE
    parts = [_figures_table(report, np.ones(len(report.truth), bool)), P(note, cls="note")]
    if report.peers:
        peers = " and ".join(peer.name for peer in report.peers)
        parts.append(P(f"Baselines: {peers}, {_PEERS_NOTE}", cls="note"))
    if report.left_out:
        whole = f"split {report.split}" if report.split else report.data
        more = f"{report.left_out:,} more texts of {whole} are left out"
        parts.append(P(f"{more}: the models were trained or validated on them.", cls="note"))
    if 0 < report.repeated.sum() < len(report.truth):
        without = (
            f"Without {report.repeated.sum():,} texts that are also in the labelled training "
            "texts, apart from case and white space"
        )
        parts.append(_folded(report, without, ~report.repeated))
    near = int((report.near & ~report.repeated).sum())
    if near and not report.near.all():
        without = f"Also without {near:,} texts that are there in nearly the same words"
        parts.append(_folded(report, without, ~report.near))
    return parts


def _folded(report: Report, without: str, kept: np.ndarray) -> FT:
    """The table of the `kept` texts, and a line that is always seen."""
    best, labels = report.best, report.labels
    found = overall_figures(best.probabilities[kept], report.truth[kept], labels)
    figure = f"{_figures(report)['accuracy']} {found['accuracy']:.4f}"
    several = f" of the {best.name}" if len(report.measured) > 1 else ""
    return Details(Summary(f"{without}: {figure}{several}"), _figures_table(report, kept))


def _figures_table(report: Report, kept: np.ndarray) -> FT:
    truth = report.truth[kept]
    shown = [*report.measured, *report.peers]
    systems = [Measured(m.name, m.probabilities[kept]) for m in shown]
    systems.append(_baseline(truth, report))
    found = [overall_figures(system.probabilities, truth, report.labels) for system in systems]
    rows: list[list[Any]] = [["texts", *[f"{len(truth):,}"] * len(systems)]]
    for key, name in _figures(report).items():
        rows.append([name, *(f"{figures[key]:.4f}" for figures in found)])
        if key == "accuracy":
            ranges = [interval(round(f["accuracy"] * len(truth)), len(truth)) for f in found]
            rows.append(["95 % interval", *map(span, ranges)])
    return table(["", *(system.name for system in systems)], rows)


def class_parts(report: Report) -> list[FT]:
    """Precision, recall and F1 of each class."""
    constant = _baseline(report.truth, report)
    baseline = class_figures(constant.probabilities, report.truth, report.labels)
    note = P(f"Small figures: {constant.name}.", cls="note")
    tables = [_class_table(report, measured, baseline) for measured in report.measured]
    folded = [
        Details(Summary(measured.name), made)
        for measured, made in zip(report.measured[:-1], tables[:-1], strict=True)
    ]
    return [P(f"{report.best.name}:"), tables[-1], note, *folded]


def _class_table(report: Report, measured: Measured, baseline: list[dict[str, Any]]) -> FT:
    found = class_figures(measured.probabilities, report.truth, report.labels)
    keys = ("precision", "recall", "f1")
    rows = [
        [
            label,
            f"{ours['documents']:,.0f}",
            *(Span(f"{ours[k]:.4f} ", Span(f"{base[k]:.4f}", cls="base")) for k in keys),
        ]
        for label, ours, base in zip(report.labels.classes, found, baseline, strict=True)
    ]
    return table(["class", "texts", "precision", "recall", "F1"], rows)


def confusion_parts(report: Report) -> list[FT]:
    """The confusion matrix and its largest errors; for multi-label, counts of each label."""
    if report.labels.multi:
        return _counts_of_labels(report)
    matrix = confusion(report.best.probabilities, report.truth)
    labels = report.labels.classes
    rows = [
        (labels[true], labels[predicted], f"{count:,}", f"{count / matrix[true].sum():.1%}")
        for true, predicted, count in commonest_confusions(matrix)
    ]
    columns = ["true class", "predicted", "texts", "of the true class"]
    commonest = [P("Most frequent errors:"), table(columns, rows)]
    found = commonest if rows else [P("No text got the wrong class.")]
    if len(labels) > MOST_CLASSES:
        return found
    caption = f"{report.best.name}: texts, and their share of the true class (colour)"
    alt = f"Confusion matrix of {len(labels)} classes; the table has its largest errors"
    return [Div(figure(confusion_figure(matrix, labels), caption, alt), Div(*found), cls="grid")]


def _counts_of_labels(report: Report) -> list[FT]:
    note = (
        "A text may have several labels, so there is no confusion matrix: these are the "
        f"decisions of the {report.best.name} on each label."
    )
    counts = label_counts(report.best.probabilities, report.truth).tolist()
    rows = [
        (label, *(f"{count:,}" for count in row))
        for label, row in zip(report.labels.classes, counts, strict=True)
    ]
    return [P(note), table(["label", "correctly given", "wrongly given", "missed"], rows)]


def calibration_parts(report: Report) -> list[FT]:
    """Reliability diagrams before and after the temperature (Guo et al. 2017)."""
    best, after = report.best, report.calibrated
    before = _reliability(report, best, f"{best.name}, as it is", "before")
    if isinstance(after, str):
        return [P(f"No temperature was fitted: {after}."), Div(before, cls="grid")]
    configs = [line[0].manifest.labelled_config for line in report.lineages.values()]
    tempered = any(config.temperature is not None for config in configs)
    note = P(
        f"Temperatures (arXiv:1706.04599) were fitted to {after.texts:,} texts of split valid, "
        "which are not on this page; above 1, a model was overconfident. ",
        Code("ulmfit calibrate"),
        " stores them in the models.",
        " They multiply the temperatures that models have already." if tempered else "",
    )
    with_it = _reliability(report, after.after[-1], f"{best.name}, with temperature", "after")
    return [note, _calibration_table(report, after), Div(before, with_it, cls="grid")]


def _calibration_table(report: Report, after: Calibrated) -> FT:
    rows = []
    for system, scaled in zip(report.measured, after.after, strict=True):
        found = [_overall(report, measured) for measured in (system, scaled)]
        temperature = after.temperatures.get(system.name)
        shown = "each its own" if temperature is None else f"{temperature:.3f}"
        changes = (" → ".join(f"{f[key]:.4f}" for f in found) for key in ("ece", "log_loss"))
        rows.append([system.name, shown, *changes])
    baseline = _baseline(report.truth, report)
    base = _overall(report, baseline)
    rows.append([baseline.name, "", f"{base['ece']:.4f}", f"{base['log_loss']:.4f}"])
    return table(["", "temperature", "ECE", "log loss"], rows)


def _reliability(report: Report, measured: Measured, title: str, name: str) -> FT:
    bins = reliability(measured.probabilities, report.truth, report.labels)
    caption = f"{title}: ECE {_overall(report, measured)['ece']:.4f}"
    made = reliability_figure(bins, name, report.labels.unit)
    return figure(made, caption, f"Reliability diagram of {caption}")
