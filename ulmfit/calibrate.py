"""Fit temperatures, which calibrate the probabilities of classifiers."""

from pathlib import Path
from typing import Annotated, Any

from ulmfit.artifacts import bundled
from ulmfit.artifacts.directory import Artifact, read_artifact
from ulmfit.base.cli import run_command, settings_flags
from ulmfit.base.errors import UserError
from ulmfit.base.log import logger
from ulmfit.data.spec import DataFlags, DataSpec
from ulmfit.inference.metrics import classification_metrics


@settings_flags(DataFlags, default="")
def main(
    clf: Annotated[str, {"nargs": "+"}] = "",  # classifiers' directories, or a bundled name
    data: str | None = None,  # data set: a name or a path (default: each classifier's)
    precision: str = "auto",  # float32: equal in any batch; bfloat16: faster; auto: by hardware
    **flags: Any,
) -> dict[str, float]:
    """Fit the temperature of each classifier on split valid, and store it in its directory.

    The temperature divides a classifier's logits (arXiv:1706.04599). It replaces an earlier one in
    the manifest; no other file changes. Texts that the classifier was trained on are left out.
    Returns the temperatures by directory.
    """
    if not clf:
        raise UserError("no model given; --clf DIR [DIR ...] names classifiers, as stage 3 writes")
    from ulmfit.inference.calibration import store_temperature

    given = DataFlags.of(flags).spec(data)
    # An earlier temperature is not read, since it may be damaged.
    artifacts = [
        read_artifact(Path(path), "classifier", ignored="temperature")
        for path in bundled.model_folders(clf)
    ]
    # Every temperature is known before any directory is written.
    fitted = [_fitted(artifact, given, precision) for artifact in artifacts]
    for artifact, temperature in zip(artifacts, fitted, strict=True):
        store_temperature(artifact, temperature)
    logger.info("metrics.json has the figures from before; python -m ulmfit.evaluate measures anew")
    return {str(a.path): temperature for a, temperature in zip(artifacts, fitted, strict=True)}


def _fitted(artifact: Artifact, given: DataSpec, precision: str) -> float:
    from ulmfit.inference.calibration import fit_temperature, validation_texts
    from ulmfit.inference.evaluation import read_data
    from ulmfit.inference.loaded import LoadedModel

    data, read = read_data([artifact], given, "valid", texts_required=False)
    texts, truth = validation_texts(artifact, read.frame, data)
    model = LoadedModel(artifact, precision)
    before = model.probabilities(model.tokenize(texts))
    try:
        temperature = round(fit_temperature(before, truth, model.labels), 4)
    except UserError as error:
        raise UserError(f"{artifact.path}: {error}") from None
    after = model.labels.rescaled(before, temperature)
    logger.info(f"{artifact.path}: temperature {temperature:.4f}, fitted to {len(texts):,} texts")
    for name, probabilities in (("before", before), ("after", after)):
        figures = classification_metrics(probabilities, truth, model.labels)
        logger.info(f"  {name:6}  log loss {figures['log_loss']:.4f}  ECE {figures['ece']:.4f}")
    return temperature


if __name__ == "__main__":
    run_command(main)
