"""The encoder that a model directory holds, checked before anything is allocated."""

import torch

from ulmfit.artifacts.directory import Artifact
from ulmfit.base.errors import UserError
from ulmfit.model.build import build_classifier, build_lm
from ulmfit.model.sizes import EncoderConfig, config_numbers
from ulmfit.model.transfer import encoder_weights, head_weights, misfit


def trained_config(artifact: Artifact) -> EncoderConfig:
    """The encoder's numbers in a model directory, if the weights beside them are of these sizes.

    Nothing is allocated for it: a model is built only after its files were found to hold it.

    Raises:
        UserError: the config has no such numbers, or the files of the weights others.
    """
    manifest, path = artifact.manifest, artifact.path
    config = EncoderConfig.from_dict(manifest.config, path)
    with torch.device("meta"):
        if manifest.kind == "lm":
            model = build_lm(config)
        else:
            hidden = config_numbers(manifest.config, ["hidden"], path)["hidden"]
            model = build_classifier(config, len(manifest.labels), hidden=hidden)
    own, found = {**encoder_weights(model), **head_weights(model)}, artifact.headers()
    problem = misfit(own, found)
    if not problem:
        other = [n for n, w in own.items() if w.is_floating_point() != found[n].is_float]
        problem = f"weight {other[0]} has type {found[other[0]].dtype}" if other else ""
    if problem:
        raise UserError(f"{path}: {problem}; copy or train the model again")
    return config
