"""Everything about trained classifiers on one page: figures, calibration, errors, training.

Beside `ulmfit.evaluate` the one place that reads the labels of test.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd

from ulmfit import bundled
from ulmfit.atomic import atomic_write, check_parent
from ulmfit.baseline import baseline_names, fit_baseline
from ulmfit.calibrate import validation_texts
from ulmfit.calibration import apply_temperature, fit_temperature
from ulmfit.cli import run_command
from ulmfit.data import same_source, source_name, without_test_labels
from ulmfit.draws import keep_labels
from ulmfit.errors import UserError
from ulmfit.evaluate import (
    SPLITS,
    check_split,
    figures_table,
    labelled_texts,
    read_data,
)
from ulmfit.lineage import lineage
from ulmfit.overlap import Overlap
from ulmfit.predict import Classifier
from ulmfit.reporting.data import Calibrated, Measured, Report, hardest

MAP_TEXTS = 2_000  # drawn at most: more are a cloud, and a heavy page
EXPLAINED = 5  # texts of the highest loss

Explain = Callable[[str], str]  # a text -> a fragment of HTML, put into the page as it is


def main(
    clf: Annotated[str, {"nargs": "+"}] = "",  # classifiers' directories, or a bundled name
    data: str | None = None,  # data set: a name or a path (default: the first classifier's)
    split: str = "test",  # train, valid or test
    out: str = "report.html",  # the page to write
    text_col: str | None = None,  # column of the texts, where --data is a file
    label_col: str | None = None,  # column of the labels, where --data is a file
    split_col: str | None = None,  # column of the splits, where --data is a file
    texts: int = 20,  # texts of the highest loss that are shown; 0: a page without any text
    precision: str = "auto",  # float32: equal in any batch; bfloat16: faster; auto: by hardware
    overwrite: bool = False,  # replace --out if it exists
) -> Path:
    """Write one HTML page about classifiers on one split: figures, errors, how they were trained.

    The page needs no network and runs no script. It holds texts of the data, see --texts.
    Returns its path.
    """
    path = _check(clf, split, out, texts, overwrite)
    from ulmfit.explain import explain
    from ulmfit.precision import keep_memory  # and with it torch

    keep_memory()
    classifier = Classifier.load(*bundled.model_folders(clf), precision=precision)
    columns = {"text_col": text_col, "label_col": label_col, "split_col": split_col}
    data, frame = read_data(classifier.models[0].artifact, data, columns, split)
    report = collect(
        classifier, frame, data, split, texts, lambda text: explain(classifier, text).to_html()
    )
    from ulmfit.reporting.page import page

    atomic_write(path, page(report))
    print(f"wrote {path}")
    return path


def _check(clf: bundled.Paths, split: str, out: str, texts: int, overwrite: bool) -> Path:
    """The path to write; what cannot be is refused before any work."""
    path = Path(out)
    if not clf:
        raise UserError("no model given; --clf DIR [DIR ...] names classifiers, as stage 3 writes")
    if split not in SPLITS:
        raise UserError(f"--split is {split!r}, expected one of {', '.join(SPLITS)}")
    if texts < 0:
        raise UserError(f"--texts is {texts}, expected 0 or more")
    if path.suffix.lower() != ".html":
        raise UserError(f"--out is {out}, expected a file that ends in .html")
    if path.exists() and not overwrite:
        raise UserError(f"{path} is there already; choose another --out or pass --overwrite")
    check_parent(path)
    return path


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
    from ulmfit.reporting.features import text_map

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
    from ulmfit.reporting.data import overall_figures

    print(f"{len(truth):,} texts, split {split}")
    print(figures_table({m.name: overall_figures(m.probabilities, truth) for m in measured}))


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


if __name__ == "__main__":
    run_command(main)
