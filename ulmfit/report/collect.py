"""The collection of a report's content from classifiers and labelled texts."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd

from ulmfit.artifacts.lineage import lineage
from ulmfit.base.errors import UserError
from ulmfit.base.log import logger
from ulmfit.data.labels import Labels
from ulmfit.data.load import same_source, source_name, without_test_labels
from ulmfit.data.overlap import Overlap
from ulmfit.data.splits import keep_labels
from ulmfit.inference.baseline import baseline_names, fit_baseline
from ulmfit.inference.calibration import fit_temperature, validation_texts
from ulmfit.inference.ensemble import Classifier
from ulmfit.inference.evaluation import figures_table, labelled_texts
from ulmfit.inference.guard import of_training, unseen
from ulmfit.inference.scoring import Answers
from ulmfit.inference.student import FastClassifier
from ulmfit.report.data import Calibrated, Measured, Report, hardest, overall_figures
from ulmfit.report.features import text_map
from ulmfit.text.ids import is_empty

EXPLAINED = 5  # texts of the highest loss
_SHOWN = 20  # of the highest loss, of a file without splits
Explain = Callable[[str], str]  # a text -> a fragment of HTML, which is not escaped


def collect(
    classifier: Classifier,
    frame: pd.DataFrame,
    data: str,
    split: str = "test",
    shown: int = 20,
    explain: Explain | None = None,
    left_out: int = 0,
) -> Report:
    """The content of the page about `classifier` on the labelled texts of `split`.

    Args:
        frame: text, label and split, as `load_data` returns them; `data` is its name.
        shown: texts of the highest loss that the page has; 0 for no text at all.
        explain: returns HTML for the first of those. The page contains it unescaped, but does not
            run its scripts.
        left_out: the number of texts that are not in `frame` because the classifier has seen them.
    """
    labels = classifier.labelling
    texts, truth = labelled_texts(frame, data, split, labels)
    measured = _measured(classifier, classifier.answers(texts))
    peers = _peers(classifier, frame, data, split, texts)
    _tell([*measured, *peers], truth, labels, split)
    calibrated = _calibrated(classifier, frame, data, split, measured)
    lines = [list(lineage(model.artifact)) for model in classifier.models]
    worst = hardest(measured[-1].probabilities, truth, min(shown, EXPLAINED), labels)
    overlap = Overlap.of(frame, split)
    return Report(
        data=source_name(data),
        split=split,
        labels=labels,
        texts=texts,
        truth=truth,
        repeated=overlap.exact,
        near=overlap.near,
        left_out=left_out,
        lengths=(classifier.networks or classifier.models)[0].lengths(texts),
        measured=measured,
        peers=peers,
        calibrated=calibrated,
        text_map=text_map(classifier, texts),
        lineages=dict(zip(classifier.names, lines, strict=True)),
        precision=classifier.precision,
        shown=shown,
        explanations={row: explain(texts[row]) for row in worst} if explain else {},
    )


def of_answers(
    classifier: Classifier | FastClassifier,
    data: str,
    texts: list[str],
    truth: np.ndarray,
    answers: Answers,
    left_out: int = 0,
    remark: str = "",
) -> Report:
    """A page about answers to one file without splits: no training, baselines or calibration.

    Args:
        truth: as `Labels.encode` returns it, one row for each of `texts`.
        answers: to `texts`.
        left_out: as for `collect`.
        remark: on the texts.
    """
    none = np.zeros(len(texts), bool)
    return Report(
        data=data,
        split="",
        labels=classifier.labelling,
        texts=texts,
        truth=truth,
        repeated=none,
        near=none,
        left_out=left_out,
        lengths=np.array([len(text.split()) for text in texts]),
        unit="words",
        measured=_measured(classifier, answers),
        peers=[],
        calibrated="it needs texts of its own, in a split valid",
        text_map=None,
        lineages={},
        precision=classifier.precision,
        shown=_SHOWN,
        remark=remark,
    )


def _measured(classifier: Classifier | FastClassifier, answers: Answers) -> list[Measured]:
    """Each model and, of several or of an ensemble's directory, all of them together."""
    measured = [*map(Measured, classifier.names, answers.by_model)]
    if classifier.is_several:
        measured.append(Measured("ensemble", answers.mean))
    return measured


def _peers(
    classifier: Classifier, frame: pd.DataFrame, data: str, split: str, texts: list[str]
) -> list[Measured]:
    """Baselines with the labels of the classifier's training.

    There are none for other data, or for the splits that they are trained and tuned on.
    """
    manifest = classifier.models[0].artifact.manifest
    if split != "test" or not same_source(data, str(manifest.recipe.get("data"))):
        return []
    if split in frame.attrs["drawn"] and not of_training(frame, manifest):
        return []  # drawn anew from other rows: train has other texts than then
    labels, count = classifier.labelling, manifest.recipe.get("labels", 0)
    known = keep_labels(without_test_labels(frame), count, manifest.seed, labels)
    fitted = {name: fit_baseline(name, known, labels) for name in baseline_names(labels)}
    return [Measured(name, baseline.probabilities(texts)) for name, baseline in fitted.items()]


def _tell(measured: list[Measured], truth: np.ndarray, labels: Labels, split: str) -> None:
    logger.info(f"{len(truth):,} texts, split {split}")
    named = {m.name: overall_figures(m.probabilities, truth, labels) for m in measured}
    logger.info(figures_table(named))


def _calibrated(
    classifier: Classifier, frame: pd.DataFrame, data: str, split: str, measured: list[Measured]
) -> Calibrated | str:
    """The models with temperatures fitted to split valid, or the reason why there are none.

    Empty texts keep their probabilities, because these do not come from logits.
    """
    if split == "valid":
        return "this page is about split valid, to which it would be fitted"
    trained, labels = classifier.models[0].artifact, classifier.labelling
    try:
        models = [model.artifact for model in classifier.models]
        known = unseen(frame, data, "valid", models).frame
        texts, truth = validation_texts(trained, known, data)
        fitted = [
            fit_temperature(probabilities, truth, labels)
            for probabilities in classifier.probabilities_by_model(texts)
        ]
    except UserError as error:  # the page gives the reason instead
        # The page may be passed on, so it must not show the folders of data and models.
        name = trained.path.resolve().name
        return str(error).replace(data, source_name(data)).replace(str(trained.path), name)
    empty = np.array([[is_empty(text)] for text in frame.loc[frame["split"] == split, "text"]])
    scaled = [
        np.where(empty, raw.probabilities, labels.rescaled(raw.probabilities, temperature))
        for raw, temperature in zip(measured, fitted, strict=False)
    ]
    temperatures = dict(zip(classifier.names, fitted, strict=True))
    # Without notes: every row was scaled, or left as it is, above.
    weights = replace(classifier.mixture, temperature=1.0)
    answers = Answers(np.stack(scaled), [], weights)
    return Calibrated(temperatures, _measured(classifier, answers), len(texts))
