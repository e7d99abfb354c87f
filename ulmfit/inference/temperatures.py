"""The temperature of a model directory: the texts it is fitted to, and how it is stored."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors import safe_open

from ulmfit.artifacts.directory import (
    ENCODER,
    Artifact,
    read_metrics,
)
from ulmfit.artifacts.writing import write_artifact, write_linear
from ulmfit.base.errors import UserError
from ulmfit.data.load import same_source
from ulmfit.data.splits import keep_labels
from ulmfit.inference.evaluation import labelled_texts
from ulmfit.text.ids import is_empty


def validation_texts(
    trained: Artifact, frame: pd.DataFrame, data: str
) -> tuple[list[Any], np.ndarray]:
    """The texts of split valid that `trained` was validated on, and what is true of them.

    Without empty texts, whose probabilities do not come from the model.

    Raises:
        UserError: there are none, or one has no label or one that the classifier does not know.
    """
    manifest = trained.manifest
    labels = manifest.labelling
    frame = frame[frame["text"].map(lambda text: not is_empty(text))]
    if not (frame["split"] == "valid").any():
        raise UserError(
            f"{data} has no texts in split valid, on which a temperature is fitted; mark some "
            "rows as valid that have a label and that the model was not trained on"
        )
    if same_source(data, str(manifest.recipe.get("data"))):
        frame = keep_labels(frame, manifest.recipe.get("labels", 0), manifest.seed, labels)
    return labelled_texts(frame, data, "valid", labels)


def store_temperature(artifact: Artifact, temperature: float) -> None:
    """Write the model directory anew with `temperature` in its manifest, all else as it was."""
    path, manifest = artifact.path, artifact.manifest
    config = replace(manifest.labelled_config, temperature=temperature)
    if manifest.kind == "linear":
        write_linear(
            path,
            metrics=read_metrics(path),
            manifest=replace(manifest, config=config),
            arrays=artifact.linear(),
            ngrams=artifact.ngrams(),
            card=artifact.card(),
            overwrite=True,
        )
        return
    write_artifact(
        path,
        metrics=read_metrics(path),
        manifest=replace(manifest, config=config),
        encoder=artifact.encoder(),
        head=artifact.head(),
        plot=artifact.plot(),
        processor_files=artifact.processor_files(),
        history=artifact.history(),
        card=artifact.card(),
        overwrite=True,
        half=_is_half(path),
    )


def _is_half(path: Path) -> bool:
    """Whether the weights are stored as float16."""

    with safe_open(path / ENCODER, "pt") as file:
        names = file.keys()
        return any(file.get_slice(name).get_dtype() == "F16" for name in names)
