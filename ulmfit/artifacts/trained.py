"""The encoder that a model directory holds, checked before anything is allocated."""

import torch

from ulmfit.artifacts.config import ClassifierConfig
from ulmfit.artifacts.directory import Artifact
from ulmfit.base.errors import UserError
from ulmfit.model.build import build_classifier, build_lm
from ulmfit.model.sizes import EncoderConfig
from ulmfit.model.transfer import encoder_weights, head_weights, misfit


def trained_config(artifact: Artifact) -> EncoderConfig:
    """The encoder's numbers in a model directory, if the weights beside them are of these sizes.

    Nothing is allocated for it: a model is built only after its files were found to hold it.

    Raises:
        UserError: the files of the weights have other sizes.
    """
    config, path = artifact.manifest.network, artifact.path
    with torch.device("meta"):
        if isinstance(config, ClassifierConfig):
            classes = len(artifact.manifest.labels)
            model = build_classifier(config.encoder, classes, hidden=config.hidden)
        else:
            model = build_lm(config.encoder)
    own, found = {**encoder_weights(model), **head_weights(model)}, artifact.headers()
    problem = misfit(own, found)
    if not problem:
        other = [n for n, w in own.items() if w.is_floating_point() != found[n].is_float]
        problem = f"weight {other[0]} has type {found[other[0]].dtype}" if other else ""
    if problem:
        raise UserError(f"{path}: {problem}; copy or train the model again")
    return config.encoder
