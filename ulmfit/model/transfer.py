"""Weights by name, and their transfer to another model or vocabulary."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ulmfit.base.errors import UserError
from ulmfit.model.build import SequentialRNN, TiedDecoder, encoder_of


def encoder_weights(model: SequentialRNN) -> dict[str, Tensor]:
    """The encoder's weights, each once: `embedding.weight`, and ``rnn.i.`` with nn.LSTM's names."""
    encoder = encoder_of(model)
    weights: dict[str, Tensor] = {"embedding.weight": encoder.encoder.weight}
    for i, layer in enumerate(encoder.rnns):
        weights |= {f"rnn.{i}.{name}": weight for name, weight in layer.named_parameters()}
    return {name: weight.detach() for name, weight in weights.items()}


def head_weights(model: SequentialRNN) -> dict[str, Tensor]:
    """The decoder's bias, or the weights of the classifier's head."""
    if isinstance(model[1], TiedDecoder):
        return {"decoder.bias": model[1].bias.detach()}
    return {name: weight.detach() for name, weight in model[1].state_dict().items()}


def load_encoder(model: SequentialRNN, weights: Mapping[str, Tensor], where: object = None) -> None:
    """Copy `weights` into the encoder of a language model or classifier.

    Raises UserError if names or shapes differ; the message begins with `where`.
    """
    _copy(encoder_weights(model), weights, where)


def load_head(model: SequentialRNN, weights: Mapping[str, Tensor], where: object = None) -> None:
    """Copy `weights` into the decoder or the classifier's head; same errors as `load_encoder`."""
    _copy(head_weights(model), weights, where)


def _copy(own: Mapping[str, Tensor], given: Mapping[str, Tensor], where: object) -> None:
    problem = misfit(own, given)
    if problem:
        raise UserError(f"{where}: {problem}; copy or train the model again" if where else problem)
    for name, tensor in own.items():
        tensor.copy_(given[name])


def misfit(own: Mapping[str, Tensor], given: Mapping[str, Any]) -> str:
    """The first difference of names or shapes, for a message, or "". `given` needs only shapes."""
    if own.keys() != given.keys():
        return (
            f"the weights are not this model's: missing {sorted(own.keys() - given.keys())}, "
            f"unknown {sorted(given.keys() - own.keys())}"
        )
    for name, tensor in own.items():
        if tensor.shape != given[name].shape:
            return (
                f"weight {name} has shape {tuple(given[name].shape)}, expected "
                f"{tuple(tensor.shape)}: size or vocabulary differ"
            )
    return ""


def remap_vocabulary(
    encoder: Mapping[str, Tensor],
    head: Mapping[str, Tensor],
    old_vocab: Sequence[str],
    new_vocab: Sequence[str],
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Language-model weights over another vocabulary (fastai's `match_embeds`).

    Words of both vocabularies keep their rows; new words get the mean row and the mean bias.
    Returns the weights of encoder and head.
    """
    old_ids = {token: i for i, token in enumerate(old_vocab)}
    rows = torch.tensor([old_ids.get(token, -1) for token in new_vocab])
    known = (rows >= 0)[:, None]
    embedding, bias = encoder["embedding.weight"], head["decoder.bias"]
    new_embedding = torch.where(known, embedding[rows], embedding.mean(0))
    new_bias = torch.where(known[:, 0], bias[rows], bias.mean())
    return {**encoder, "embedding.weight": new_embedding}, {"decoder.bias": new_bias}


def vocabulary_overlap(old_vocab: Sequence[str], new_vocab: Sequence[str]) -> int:
    """Number of tokens of `new_vocab` that are also in `old_vocab`."""
    return len(set(old_vocab) & set(new_vocab))
