"""Fit temperatures, which calibrate the probabilities of classifiers."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np

from ulmfit.artifacts import bundled
from ulmfit.artifacts.directory import Artifact, read_artifact
from ulmfit.artifacts.ensemble import is_ensemble, store_ensemble_temperature
from ulmfit.artifacts.manifest import CLASSIFIERS
from ulmfit.base.cli import run_command, settings_flags
from ulmfit.base.errors import UserError
from ulmfit.base.log import logger, show_result
from ulmfit.data.labels import Labels
from ulmfit.data.spec import DataFlags, DataSpec
from ulmfit.inference.ensemble import Classifier, load_model
from ulmfit.inference.metrics import classification_metrics

_AGAIN = "metrics.json has the figures from before; ulmfit evaluate measures anew"


@settings_flags(DataFlags, default="")
def main(
    clf: Annotated[str, {"nargs": "+"}] = "",  # classifiers' directories, or a bundled name
    data: str | None = None,  # data set: a name or a path (default: each classifier's)
    precision: str = "auto",  # float32: equal in any batch; bfloat16: faster; auto: by hardware
    **flags: Any,
) -> dict[str, float]:
    """Fit the temperature of each classifier on split valid, and store it in its directory.

    The temperature divides a classifier's logits (arXiv:1706.04599). It replaces an earlier one in
    the manifest; no other file changes. The temperature of an ensemble's directory is stored in
    ensemble.json; its members do not change. Texts that the classifier was trained on are left out.
    Returns the temperatures by directory.
    """
    if not clf:
        raise UserError(
            "no model given; --clf DIR [DIR ...] names classifiers, as ulmfit train writes"
        )
    from ulmfit.inference.calibration import store_temperature

    given = DataFlags.of(flags).spec(data)
    folders = bundled.model_folders(clf)
    if any(is_ensemble(Path(folder)) for folder in folders):
        classifier = Classifier.load(*folders, precision=precision)
        assert classifier.ensemble is not None
        temperature = _fitted_mixture(classifier, given)
        store_ensemble_temperature(classifier.ensemble, temperature)
        logger.info(_AGAIN)
        return {folders[0]: temperature}
    # An earlier temperature is not read, since it may be damaged.
    artifacts = [read_artifact(Path(path), *CLASSIFIERS, ignored="temperature") for path in folders]
    # Every temperature is known before any directory is written.
    fitted = [_fitted(artifact, given, precision) for artifact in artifacts]
    for artifact, temperature in zip(artifacts, fitted, strict=True):
        store_temperature(artifact, temperature)
    logger.info(_AGAIN)
    return {str(a.path): temperature for a, temperature in zip(artifacts, fitted, strict=True)}


def _fitted(artifact: Artifact, given: DataSpec, precision: str) -> float:
    texts, truth = _validation_texts([artifact], given)
    model = load_model(artifact, precision)
    before, _ = model.answer(texts, {})
    return _fit(artifact.path, before, truth, model.labels)


def _fitted_mixture(classifier: Classifier, given: DataSpec) -> float:
    assert classifier.ensemble is not None
    texts, truth = _validation_texts([model.artifact for model in classifier.models], given)
    pooled = classifier.mixture.pooled(classifier.answers(texts).by_model)
    return _fit(classifier.ensemble.path, pooled, truth, classifier.labelling)


def _validation_texts(models: list[Artifact], given: DataSpec) -> tuple[list[Any], np.ndarray]:
    from ulmfit.inference.calibration import validation_texts
    from ulmfit.inference.evaluation import read_data

    data, read = read_data(models, given, "valid", texts_required=False)
    return validation_texts(models[0], read.frame, data)


def _fit(path: Path, before: np.ndarray, truth: np.ndarray, labels: Labels) -> float:
    """The temperature that fits best; the log has the figures before and after."""
    from ulmfit.inference.calibration import fit_temperature

    try:
        temperature = round(fit_temperature(before, truth, labels), 4)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    after = labels.rescaled(before, temperature)
    show_result(f"{path}: temperature {temperature:.4f}, fitted to {len(truth):,} texts")
    for name, probabilities in (("before", before), ("after", after)):
        figures = classification_metrics(probabilities, truth, labels)
        show_result(f"  {name:6}  log loss {figures['log_loss']:.4f}  ECE {figures['ece']:.4f}")
    return temperature


if __name__ == "__main__":
    run_command(main)
