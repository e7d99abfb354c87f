"""Give classifiers the temperature that makes their probabilities mean what they say."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pandas as pd

from ulmfit import bundled
from ulmfit.artifacts import (
    ENCODER,
    Artifact,
    read_artifact,
    read_metrics,
    write_artifact,
)
from ulmfit.calibration import apply_temperature, fit_temperature
from ulmfit.cli import run_command
from ulmfit.data import same_source
from ulmfit.draws import keep_labels
from ulmfit.errors import UserError
from ulmfit.evaluate import labelled_texts, read_data
from ulmfit.ids import is_empty
from ulmfit.metrics import classification_metrics
from ulmfit.multi_label import multi_label_of

if TYPE_CHECKING:
    from ulmfit.inference import LoadedModel


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
    manifest, and no other file changes. A temperature that was there is replaced. Returns the
    temperatures by directory.
    """
    if not clf:
        raise UserError("no model given; --clf DIR [DIR ...] names classifiers, as stage 3 writes")
    columns: dict[str, Any] = {"text_col": text_col, "label_col": label_col, "split_col": split_col}
    artifacts = [read_artifact(Path(path), "classifier") for path in bundled.model_folders(clf)]
    # Every temperature is known before any directory is written.
    fitted = [_fitted(artifact, data, columns, precision) for artifact in artifacts]
    for artifact, temperature in zip(artifacts, fitted, strict=True):
        store_temperature(artifact, temperature)
    print("metrics.json has the figures from before; python -m ulmfit.evaluate measures anew")
    return {str(a.path): temperature for a, temperature in zip(artifacts, fitted, strict=True)}


def validation_texts(
    trained: Artifact, frame: pd.DataFrame, data: str
) -> tuple[list[Any], np.ndarray]:
    """The texts of split valid that `trained` was validated on, and the numbers of their labels.

    Without empty texts, whose probabilities do not come from the model.

    Raises:
        UserError: there are none, or one has no label or one that the classifier does not know.
    """
    manifest = trained.manifest
    several = multi_label_of(manifest.config, trained.path)
    frame = frame[frame["text"].map(lambda text: not is_empty(text))]
    if not (frame["split"] == "valid").any():
        raise UserError(
            f"{data} has no texts in split valid, on which a temperature is fitted; mark some "
            "rows as valid that have a label and that the model was not trained on"
        )
    if same_source(data, str(manifest.recipe.get("data"))):
        frame = keep_labels(frame, manifest.recipe.get("labels", 0), manifest.seed, several)
    return labelled_texts(frame, data, "valid", manifest.labels, several)


def store_temperature(artifact: Artifact, temperature: float) -> None:
    """Write the model directory anew with `temperature` in its manifest, all else as it was."""
    path, manifest = artifact.path, artifact.manifest
    write_artifact(
        path,
        metrics=read_metrics(path),
        manifest=replace(manifest, config={**manifest.config, "temperature": temperature}),
        encoder=artifact.encoder(),
        head=artifact.head(),
        plot=artifact.plot(),
        processor_files=artifact.processor_files(),
        history=artifact.history(),
        card=artifact.card(),
        overwrite=True,
        half=_is_half(path),
    )


def _fitted(artifact: Artifact, data: str | None, columns: dict[str, Any], precision: str) -> float:
    data, frame = read_data(artifact, data, columns, "valid", texts_required=False)
    texts, truth = validation_texts(artifact, frame, data)
    model = _without_temperature(artifact, precision)
    before = model.probabilities(model.tokenize(texts))
    try:
        temperature = round(fit_temperature(before, truth), 4)
    except UserError as error:
        raise UserError(f"{artifact.path}: {error}") from None
    after = apply_temperature(before, temperature, model.multi_label)
    print(f"{artifact.path}: temperature {temperature:.4f}, fitted to {len(texts):,} texts")
    for name, probabilities in (("before", before), ("after", after)):
        figures = classification_metrics(probabilities, truth)
        print(f"  {name:6}  log loss {figures['log_loss']:.4f}  ECE {figures['ece']:.4f}")
    return temperature


def _without_temperature(artifact: Artifact, precision: str) -> "LoadedModel":
    """The model as it was trained, whatever temperature it was given since."""
    from ulmfit.inference import LoadedModel  # and with it torch

    config = {k: v for k, v in artifact.manifest.config.items() if k != "temperature"}
    return LoadedModel(
        replace(artifact, manifest=replace(artifact.manifest, config=config)), precision
    )


def _is_half(path: Path) -> bool:
    """Whether the weights are stored as float16."""
    from safetensors import safe_open

    with safe_open(path / ENCODER, "pt") as file:
        names = file.keys()
        return any(file.get_slice(name).get_dtype() == "F16" for name in names)


if __name__ == "__main__":
    run_command(main)
