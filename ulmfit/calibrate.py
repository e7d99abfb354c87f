"""Give classifiers the temperature that makes their probabilities mean what they say."""

from pathlib import Path
from typing import Annotated

from ulmfit.artifacts import bundled
from ulmfit.artifacts.directory import Artifact, read_artifact
from ulmfit.base.cli import run_command
from ulmfit.base.errors import UserError
from ulmfit.base.log import logger
from ulmfit.data.spec import DataSpec
from ulmfit.inference.calibration import fit_temperature
from ulmfit.inference.metrics import classification_metrics


def main(
    clf: Annotated[str, {"nargs": "+"}] = "",  # classifiers' directories, or a bundled name
    data: str | None = None,  # data set: a name or a path (default: each classifier's)
    text_col: str | None = None,  # column of the texts, where --data is a file
    label_col: str | None = None,  # column of the labels, where --data is a file
    split_col: str | None = None,  # column of the splits, where --data is a file
    precision: str = "auto",  # float32: equal in any batch; bfloat16: faster; auto: by hardware
) -> dict[str, float]:
    """Fit the temperature of each classifier on split valid, and keep it in its directory.

    The temperature divides a classifier's logits (arXiv:1706.04599); it becomes part of the
    manifest, and no other file changes. A temperature that was there is replaced. Texts that the
    classifier was trained on are left out. Returns the temperatures by directory.
    """
    if not clf:
        raise UserError("no model given; --clf DIR [DIR ...] names classifiers, as stage 3 writes")
    from ulmfit.inference.temperatures import store_temperature

    given = DataSpec(data, text_col, label_col, split_col)
    # A temperature that is there is not looked at; it may be damaged.
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
    from ulmfit.inference.evaluation import read_data
    from ulmfit.inference.loaded import LoadedModel
    from ulmfit.inference.temperatures import validation_texts

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
