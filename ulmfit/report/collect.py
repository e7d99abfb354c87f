"""All that a report shows, collected from classifiers and labelled texts."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from ulmfit.artifacts.lineage import lineage
from ulmfit.base.errors import UserError
from ulmfit.base.log import logger
from ulmfit.data.draws import keep_labels
from ulmfit.data.load import same_source, source_name, without_test_labels
from ulmfit.data.overlap import Overlap
from ulmfit.inference.baseline import baseline_names, fit_baseline
from ulmfit.inference.calibration import apply_temperature, fit_temperature
from ulmfit.inference.ensemble import Classifier
from ulmfit.inference.measuring import check_split, figures_table, labelled_texts
from ulmfit.inference.temperatures import validation_texts
from ulmfit.report.data import Calibrated, Measured, Report, hardest, overall_figures
from ulmfit.report.features import text_map

MAP_TEXTS = 2_000  # drawn at most: more are a cloud, and a heavy page


EXPLAINED = 5  # texts of the highest loss


Explain = Callable[[str], str]  # a text -> a fragment of HTML, put into the page as it is


def collect(
    classifier: Classifier,
    frame: pd.DataFrame,
    data: str,
    split: str = "test",
    shown: int = 20,
    explain: Explain | None = None,
) -> Report:
    """All that the page shows of `classifier` on the texts of `split`, labels included.

    Args:
        frame: text, label and split, as `load_data` gives them; `data` is its name.
        shown: texts of the highest loss that the page has; 0 for no text at all.
        explain: gives HTML for the first of those. It goes into the page unescaped; scripts in
            it do not run.
    """

    texts, truth = labelled_texts(frame, data, split, classifier.labels, classifier.multi_label)
    measured = _measured(classifier, classifier.probabilities_by_model(texts))
    peers = _peers(classifier, frame, data, split, texts)
    _tell([*measured, *peers], truth, split)
    calibrated = _calibrated(classifier, frame, data, split, measured)
    lines = [list(lineage(model.artifact)) for model in classifier.models]
    worst = hardest(measured[-1].probabilities, truth, min(shown, EXPLAINED))
    overlap = Overlap.of(frame, split)
    return Report(
        data=source_name(data),
        split=split,
        labels=classifier.labels,
        texts=texts,
        truth=truth,
        repeated=overlap.exact,
        near=overlap.near,
        lengths=np.diff(classifier.models[0].tokenize(texts).offsets),
        measured=measured,
        peers=peers,
        calibrated=calibrated,
        text_map=text_map(classifier, texts, MAP_TEXTS),
        lineages=dict(zip(_names(classifier), lines, strict=True)),
        precision=classifier.precision,
        shown=shown,
        explanations={row: explain(texts[row]) for row in worst} if explain else {},
    )


def _names(classifier: Classifier) -> list[str]:
    """The directories' names, as paths where two have the same."""
    paths = [model.artifact.path for model in classifier.models]
    names = [path.resolve().name for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]


def _measured(classifier: Classifier, by_model: list[np.ndarray]) -> list[Measured]:
    """Each model and, of several, their ensemble (averaged probabilities)."""
    measured = [*map(Measured, _names(classifier), by_model)]
    if len(by_model) > 1:
        measured.append(Measured("ensemble", np.mean(by_model, axis=0)))
    return measured


def _peers(
    classifier: Classifier, frame: pd.DataFrame, data: str, split: str, texts: list[str]
) -> list[Measured]:
    """Baselines of the labels that the classifier was trained on; none of other data than those.

    Nor on the splits that they are trained and tuned on.
    """
    manifest = classifier.models[0].artifact.manifest
    if split != "test" or not same_source(data, str(manifest.recipe.get("data"))):
        return []
    several = classifier.multi_label
    labels = manifest.recipe.get("labels", 0)
    known = keep_labels(without_test_labels(frame), labels, manifest.seed, several)
    fitted = {
        name: fit_baseline(name, known, classifier.labels, several)
        for name in baseline_names(several)
    }
    return [Measured(name, baseline.probabilities(texts)) for name, baseline in fitted.items()]


def _tell(measured: list[Measured], truth: np.ndarray, split: str) -> None:

    logger.info(f"{len(truth):,} texts, split {split}")
    logger.info(figures_table({m.name: overall_figures(m.probabilities, truth) for m in measured}))


def _calibrated(
    classifier: Classifier, frame: pd.DataFrame, data: str, split: str, measured: list[Measured]
) -> Calibrated | str:
    """The models with temperatures fitted to split valid, or why there are none.

    Empty texts keep their probabilities, which do not come from a model's logits.
    """
    if split == "valid":
        return "split valid, to which it would be fitted, is the one that is reported"
    trained = classifier.models[0].artifact
    try:
        check_split(frame, data, "valid", trained)
        texts, truth = validation_texts(trained, frame, data)
        fitted = [
            fit_temperature(probabilities, truth)
            for probabilities in classifier.probabilities_by_model(texts)
        ]
    except UserError as error:  # a page without is still a page, and says why
        # Where data and models lie is their owner's, and the page may be passed on.
        name = trained.path.resolve().name
        return str(error).replace(data, source_name(data)).replace(str(trained.path), name)
    several = classifier.multi_label
    empty = np.array([[not text.strip()] for text in frame.loc[frame["split"] == split, "text"]])
    scaled = [
        np.where(
            empty, raw.probabilities, apply_temperature(raw.probabilities, temperature, several)
        )
        for raw, temperature in zip(measured, fitted, strict=False)
    ]
    temperatures = dict(zip(_names(classifier), fitted, strict=True))
    return Calibrated(temperatures, _measured(classifier, scaled), len(texts))
