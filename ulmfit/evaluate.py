"""Measure classifiers and their ensemble on labelled texts."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from ulmfit.artifacts import bundled
from ulmfit.artifacts.directory import read_metrics
from ulmfit.artifacts.manifest import library_versions
from ulmfit.artifacts.writing import update_metrics
from ulmfit.base.atomic import atomic_write, check_parent
from ulmfit.base.cli import run_command, settings_flags
from ulmfit.base.errors import UserError
from ulmfit.base.log import logger, show_result
from ulmfit.data.labels import Labels
from ulmfit.data.spec import DataFlags
from ulmfit.inference.ensemble import Classifier
from ulmfit.inference.loaded_int8 import INT8, chosen_precision

if TYPE_CHECKING:  # pandas takes a while to import
    from ulmfit.data.overlap import Overlap

_OF_MANIFEST = ("direction", "size", "seed", "recipe", "metrics", "parent", "versions")


@settings_flags(DataFlags, default="")
def main(
    clf: Annotated[str, {"nargs": "+"}] = "",  # classifiers' directories, or a bundled name
    data: str | None = None,  # data set: a name or a path (default: the first classifier's)
    split: str = "test",  # train, valid or test
    precision: str = "auto",  # float32: equal in any batch; bfloat16: faster; auto: by hardware
    int8: bool = False,  # 8-bit weights: faster, a few labels differ; needs the extra export
    output: str | None = None,  # a json file for all figures, models, versions and the hardware
    **flags: Any,
) -> dict[str, dict[str, Any]]:
    """Measure each classifier, then the ensemble of all, on one split.

    The figures of each classifier are added to metrics.json in its directory, those of an
    ensemble's directory to its own. Returns the figures by directory, those of the ensemble as
    "ensemble". "overlap" counts texts of the split that are also labelled texts of the training:
    "exact" ones, apart from case and white space, and further "near" ones, with 7 in 10 runs of
    five words in common. "without_repeated" has the figures without the exact ones,
    "without_near_duplicates" those without both kinds, and "classes" those of each class of a
    multi-label classifier.

    Texts that a classifier was trained or validated on are left out, and "left_out" has their
    number. The test split of the training's own data stays whole.
    """
    if not clf:
        raise UserError(
            "no model given; --clf DIR [DIR ...] names classifiers, as ulmfit train writes"
        )
    from ulmfit.base.precision import keep_memory
    from ulmfit.data.load import source_name
    from ulmfit.data.overlap import Overlap
    from ulmfit.inference import evaluation

    evaluation.check_split_name(split)
    precision = chosen_precision(precision, int8)
    if output:
        check_parent(Path(output))
    keep_memory()
    began = time.monotonic()
    folders = bundled.model_folders(clf)
    classifier = Classifier.load(*folders, precision=precision)
    given = DataFlags.of(flags).spec(data)
    models = [model.artifact for model in classifier.models]
    data, read = evaluation.read_data(models, given, split, texts_required=False)
    texts, truth = evaluation.labelled_texts(read.frame, data, split, classifier.labelling)
    places = [*classifier.folders, *([folders[0]] if classifier.ensemble else [])]
    kept = [read_metrics(Path(place)) for place in places]
    overlap, answers = Overlap.of(read.frame, split), classifier.answers(texts)
    results = evaluation.measure(classifier, texts, truth, overlap, read.left_out, answers)
    names = classifier.folders if classifier.ensemble else folders
    named: dict[str, Any] = dict(zip([*names, "ensemble"], results, strict=False))
    show_result(f"{len(texts):,} texts, split {split}")
    _tell(named, overlap, classifier.labelling.multi)
    if classifier.precision == INT8:
        named["agreement"] = _agreement(classifier.labelling, answers.mean, folders, texts)
        places = []  # metrics.json has what the model itself was measured to be
    of = source_name(data)
    for place, metrics, figures in zip(places, kept, results, strict=False):
        update_metrics(Path(place), {**metrics, "evaluation": {of: {split: figures}}})
    if output:
        seconds = round(time.monotonic() - began, 1)
        facts = {"data": of, "split": split, "precision": classifier.precision}
        _write(Path(output), {**facts, "figures": named, "seconds": seconds}, classifier)
    return named


def _tell(named: dict[str, dict[str, Any]], overlap: "Overlap", several: bool) -> None:
    """Log the tables: of all texts, of each class of several labels, without repeated texts."""
    from ulmfit.inference.evaluation import classes_table, figures_table

    show_result(figures_table(named))
    name, last = list(named.items())[-1]
    if several:
        show_result(f"{name}, each class\n{classes_table(last['classes'])}")
    for part, line in overlap.lines().items():
        if part in last:
            show_result(line)
            parts = {name: figures[part] for name, figures in named.items()}
            show_result(figures_table(parts))


def _agreement(
    labels: Labels, ours: np.ndarray, folders: list[str], texts: list[Any]
) -> dict[str, Any]:
    """How many texts get the labels of the exact model, told; `ours`, shape (texts, classes)."""
    exact = Classifier.load(*folders)
    theirs = exact.answers(texts).mean
    share = float(labels.right(ours, labels.decide(theirs)).mean())
    apart = float(np.abs(ours - theirs).max())
    logger.info(
        f"int8 gives {share:.2%} of the {exact.precision} model's labels; probabilities are "
        f"{apart:.3f} apart at most; metrics.json keeps the figures of the exact model"
    )
    return {"labels": share, "largest_difference": apart, "of": exact.precision}


def _write(path: Path, facts: dict[str, Any], classifier: Classifier) -> None:
    """Write all figures, with the models, the versions and the hardware."""
    from ulmfit.base.precision import hardware

    models = [
        {
            "manifest_sha256": model.artifact.manifest_sha256,
            **{name: getattr(model.artifact.manifest, name) for name in _OF_MANIFEST},
            "trained_in_seconds": read_metrics(model.artifact.path).get("seconds"),
        }
        for model in classifier.models
    ]
    figures = {Path(name).name: measured for name, measured in facts["figures"].items()}
    about = {"models": models, "hardware": hardware(), "versions": library_versions()}
    written = {**facts, "figures": figures, **about}
    atomic_write(path, json.dumps(written, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    run_command(main)
