"""Temperature scaling: calibrated probabilities (Guo et al. 2017, arXiv:1706.04599).

A temperature T, fitted on held-out texts, divides the logits: above 1 it makes a model less
confident, below 1 more. No label changes. The logarithm of a probability is its logit plus a
constant, which softmax removes, so probabilities are enough.

A multi-label classifier has one logit and one sigmoid for each class. That is the softmax over "no"
and "yes" (`MultiLabels.decisions`); T is fitted to all decisions together.
"""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from safetensors import safe_open
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from ulmfit.artifacts.directory import ENCODER, Artifact, read_metrics
from ulmfit.artifacts.writing import write_artifact, write_linear
from ulmfit.base.errors import UserError
from ulmfit.data.labels import SINGLE, Labels, as_logits
from ulmfit.data.load import same_source
from ulmfit.data.splits import keep_labels
from ulmfit.inference.evaluation import labelled_texts
from ulmfit.text.ids import is_empty

LOWEST, HIGHEST = 0.01, 100.0  # range of temperatures


def fit_temperature(probabilities: np.ndarray, truth: np.ndarray, labels: Labels = SINGLE) -> float:
    """The temperature with the lowest log loss (Guo et al. 2017, section 4.2).

    Args:
        probabilities: shape (texts, classes), of texts that the model was not trained on.
        truth: class numbers, shape (texts,), or an indicator matrix, shape (texts, classes).

    Raises:
        UserError: the best temperature is at an end of the range, because every text is classified
            correctly or the model is worse than chance.
    """
    probabilities, truth = labels.decisions(probabilities, truth)
    logits = as_logits(probabilities)

    def log_loss(log_temperature: float) -> float:
        log_probabilities = log_softmax(logits / math.exp(log_temperature), 1)
        return -float(log_probabilities[np.arange(len(truth)), truth].mean())

    # The loss is convex in 1 / T, so over log T it has one minimum, too.
    bounds = (math.log(LOWEST), math.log(HIGHEST))
    found = minimize_scalar(log_loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    if min(map(log_loss, bounds)) < found.fun + 1e-9:  # not by found.x: there are plateaus
        right = int((probabilities.argmax(1) == truth).sum())
        raise UserError(
            f"no temperature from {LOWEST} to {HIGHEST:g} fits best, with {right:,} of "
            f"{len(truth):,} {labels.unit} classified correctly; calibration needs some errors and "
            "better-than-chance accuracy: give more texts, or train a better model"
        )
    return math.exp(found.x)


def validation_texts(
    trained: Artifact, frame: pd.DataFrame, data: str
) -> tuple[list[Any], np.ndarray]:
    """The texts on which `trained` was validated, and their true labels; without empty texts.

    Raises UserError if split valid is empty, or a text has no label or an unknown one.
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
    """Write the model directory anew with `temperature` in its manifest."""
    path, manifest = artifact.path, artifact.manifest
    if manifest.is_student:
        raise UserError(
            f"{path} is a student, whose threshold belongs to its probabilities; calibrate its "
            "teacher, and distill the student again"
        )
    changed = replace(manifest, config=replace(manifest.labelled_config, temperature=temperature))
    if manifest.kind == "linear":
        write_linear(
            path,
            metrics=read_metrics(path),
            manifest=changed,
            arrays=artifact.linear(),
            ngrams=artifact.ngrams(),
            seen=artifact.seen_file(),
            card=artifact.card(),
            overwrite=True,
        )
        return
    with safe_open(path / ENCODER, "pt") as file:
        half = any(file.get_slice(name).get_dtype() == "F16" for name in file.keys())  # noqa: SIM118
    write_artifact(
        path,
        metrics=read_metrics(path),
        manifest=changed,
        encoder=artifact.encoder(),
        head=artifact.head(),
        plot=artifact.plot(),
        seen=artifact.seen_file(),
        processor_files=artifact.processor_files(),
        history=artifact.history(),
        card=artifact.card(),
        overwrite=True,
        half=half,
    )
