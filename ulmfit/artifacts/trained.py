"""The network in a model directory, checked before memory for it is allocated."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from ulmfit.artifacts.config import ClassifierConfig
from ulmfit.artifacts.directory import Artifact
from ulmfit.base.errors import UserError
from ulmfit.model.build import SequentialRNN, build_classifier, build_lm
from ulmfit.model.sizes import EncoderConfig
from ulmfit.model.transfer import encoder_weights, head_weights, load_encoder, load_head, misfit

# Longer chunks than in training: no gradients are kept, and each chunk has a fixed cost.
_BPTT = 128


class _NoNumbers(TorchFunctionMode):
    """Draws no numbers for the weights of a network that has only shapes.

    On the device "meta", `nn.init.normal_` would import torch's compiler, which takes seconds.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        return given["tensor"] if func is torch.nn.init.normal_ else func(*args, **given)


def load_network(artifact: Artifact) -> SequentialRNN:
    """The language model or classifier in evaluation mode, on the CPU.

    Raises UserError if the weights are damaged, or do not fit the config in the manifest.
    """
    trained_config(artifact)
    model = _built(artifact)
    load_encoder(model, artifact.encoder(), artifact.path)
    load_head(model, artifact.head(), artifact.path)
    return model.eval()


def trained_config(artifact: Artifact) -> EncoderConfig:
    """The encoder's numbers in the manifest, after a comparison with the files of the weights.

    Only the headers of the files are read, so a false config cannot make a model of any size.
    Raises UserError if the weights have other names, shapes or types.
    """
    with torch.device("meta"), _NoNumbers():
        model = _built(artifact)
    own, found = {**encoder_weights(model), **head_weights(model)}, artifact.headers()
    problem = misfit(own, found)
    if not problem:
        other = [n for n, w in own.items() if w.is_floating_point() == (found[n].dtype == "I64")]
        problem = f"weight {other[0]} has type {found[other[0]].dtype}" if other else ""
    if problem:
        raise UserError(f"{artifact.path}: {problem}; copy or train the model again")
    return artifact.manifest.network.encoder


def _built(artifact: Artifact) -> SequentialRNN:
    config, classes = artifact.manifest.network, len(artifact.manifest.labels)
    if isinstance(config, ClassifierConfig):
        return build_classifier(
            config.encoder, classes, bptt=_BPTT, max_len=config.max_len, hidden=config.hidden
        )
    return build_lm(config.encoder)
