"""AWD-LSTM sizes, the language model, the classifier, and the way from one to the other.

The LSTM stack is fastai's `AWD_LSTM` (Merity et al. 2017, arXiv:1708.02182); decoder, document
encoder and pooling are the project's own where fastai's depend on batch-mates or hold all logits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from fastai.text.models.awdlstm import (
    AWD_LSTM,
    RNNDropout,
    awd_lstm_clas_config,
    awd_lstm_clas_split,
    awd_lstm_lm_config,
    awd_lstm_lm_split,
)
from fastai.text.models.core import SequentialRNN
from torch import Tensor, nn

from ulmfit.classifier import DocumentEncoder, PoolingClassifier
from ulmfit.errors import UserError
from ulmfit.lm_loss import Projection
from ulmfit.text import PAD_ID

lm_groups = awd_lstm_lm_split
classifier_groups = awd_lstm_clas_split

# fastai's `WeightDropout` breaks at 0: it makes the raw weight a parameter of the LSTM, and the
# next reset fails. This much is never drawn in practice and changes no weight in float32.
_LEAST_DROPOUT = 1e-9


@dataclass(frozen=True)
class EncoderConfig:
    """The numbers that make an encoder. `emb_sz`, `n_hid`, `n_layers` are fastai's names."""

    vocab_sz: int
    emb_sz: int
    n_hid: int
    n_layers: int = 3

    @classmethod
    def from_dict(cls, config: Mapping[str, Any], where: object) -> "EncoderConfig":
        """The inverse of `as_dict`; other keys are left alone."""
        return cls(**config_numbers(config, [f.name for f in fields(cls)], where))

    def as_dict(self) -> dict[str, int]:
        """As a manifest holds it."""
        return asdict(self)


def config_numbers(
    config: Mapping[str, Any], names: Sequence[str], where: object
) -> dict[str, int]:
    """What a manifest's config says of `names`; `where` is the model directory.

    Raises:
        UserError: one is missing or no whole number above 0.
    """
    bad = [name for name in names if type(config.get(name)) is not int or config[name] < 1]
    if bad:
        raise UserError(
            f"{where}: found {bad[0]} {config.get(bad[0])!r} in the manifest's config, expected a "
            "whole number above 0; copy or train the model again"
        )
    return {name: config[name] for name in names}


# size -> embedding, hidden units, layers. "base" is the paper's (section 4.1) and fastai's;
# "small" has 12 million parameters with 20,000 words; "tiny" is for tests and trials.
SIZES = {"tiny": (24, 32, 2), "small": (256, 640, 3), "base": (400, 1152, 3)}


def encoder_config(size: str, vocab_size: int) -> EncoderConfig:
    """The encoder of a named size over a vocabulary."""
    if size not in SIZES:
        raise UserError(f"unknown size {size!r}; choose one of {', '.join(SIZES)}")
    return EncoderConfig(vocab_size, *SIZES[size])


def _awd_lstm(config: EncoderConfig, dropouts: Mapping[str, Any], drop_mult: float) -> AWD_LSTM:
    rates = {
        name: rate * drop_mult
        for name, rate in dropouts.items()
        if name.endswith("_p") and name != "output_p"
    }
    rates["weight_p"] = max(rates["weight_p"], _LEAST_DROPOUT)
    return AWD_LSTM(**config.as_dict(), pad_token=PAD_ID, **rates)


class TiedDecoder(nn.Module):
    """From features to words, with the embedding as its weight (fastai's `LinearDecoder`).

    The logits are left to the loss: forward gives (`Projection`, features, dropped features).
    """

    def __init__(self, embedding: nn.Embedding, output_p: float) -> None:
        super().__init__()
        self.weight = embedding.weight
        self.bias = nn.Parameter(torch.zeros(embedding.num_embeddings))
        self.output_dp = RNNDropout(output_p)

    def forward(self, features: Tensor) -> tuple[Projection, Tensor, Tensor]:
        dropped = self.output_dp(features)
        return Projection(dropped, self.weight, self.bias), features, dropped


def build_lm(
    config: EncoderConfig, drop_mult: float = 1.0, embedding_range: float | None = None
) -> SequentialRNN:
    """A language model: ``model[0]`` the encoder, ``model[1]`` the `TiedDecoder`.

    Args:
        drop_mult: factor on all of fastai's dropout rates.
        embedding_range: draw the embedding from uniform(-r, r). fastai's 0.1 lets almost no
            signal through three untrained layers, so that training from scratch gets stuck at
            the unigram entropy; None leaves it, for weights that are loaded anyway.
    """
    encoder = _awd_lstm(config, awd_lstm_lm_config, drop_mult)
    if embedding_range is not None:
        encoder.encoder.weight.data.uniform_(-embedding_range, embedding_range)
        encoder.encoder.weight.data[PAD_ID] = 0
    return SequentialRNN(
        encoder, TiedDecoder(encoder.encoder, awd_lstm_lm_config["output_p"] * drop_mult)
    )


def build_classifier(
    config: EncoderConfig,
    n_classes: int,
    drop_mult: float = 1.0,
    bptt: int = 72,
    max_len: int = 1440,
    hidden: int = 50,
) -> SequentialRNN:
    """A classifier: ``model[0]`` the `DocumentEncoder`, ``model[1]`` the pooling head.

    Args:
        bptt: tokens through which gradients flow at a time.
        max_len: a document's last tokens that are pooled.
        hidden: units of the head's hidden layer (fastai's `lin_ftrs`).
    """
    encoder = _awd_lstm(config, awd_lstm_clas_config, drop_mult)
    head_dropout = awd_lstm_clas_config["output_p"] * drop_mult
    return SequentialRNN(
        DocumentEncoder(encoder, bptt, max_len),
        PoolingClassifier(config.emb_sz, n_classes, hidden, (head_dropout, 0.1)),
    )


# --- weights under plain names: what an artifact holds ------------------------------------------


def encoder_weights(model: SequentialRNN) -> dict[str, Tensor]:
    """The encoder's weights, each once: `embedding.weight` and nn.LSTM's names a layer."""
    encoder = _encoder(model)
    weights = {"embedding.weight": encoder.encoder.weight}
    for i, layer in enumerate(encoder.rnns):
        weights[f"rnn.{i}.weight_ih_l0"] = layer.module.weight_ih_l0
        weights[f"rnn.{i}.weight_hh_l0"] = layer.weight_hh_l0_raw
        weights[f"rnn.{i}.bias_ih_l0"] = layer.module.bias_ih_l0
        weights[f"rnn.{i}.bias_hh_l0"] = layer.module.bias_hh_l0
    return {name: weight.detach() for name, weight in weights.items()}


def head_weights(model: SequentialRNN) -> dict[str, Tensor]:
    """The decoder's bias, or the weights of the classifier's head."""
    if isinstance(model[1], TiedDecoder):
        return {"decoder.bias": model[1].bias.detach()}
    return {name: weight.detach() for name, weight in model[1].state_dict().items()}


def load_encoder(model: SequentialRNN, weights: Mapping[str, Tensor], where: object = None) -> None:
    """Copy `weights` into the encoder of a language model or classifier, by strict names.

    Raises:
        UserError: other names or shapes; `where` says whose they are.
    """
    _copy(encoder_weights(model), weights, where)
    model.reset()  # fastai's WeightDropout keeps a copy of the recurrent weights


def load_head(model: SequentialRNN, weights: Mapping[str, Tensor], where: object = None) -> None:
    """Copy `weights` into the decoder or the classifier's head; raises as `load_encoder`."""
    _copy(head_weights(model), weights, where)


def _encoder(model: SequentialRNN) -> AWD_LSTM:
    return model[0] if isinstance(model[0], AWD_LSTM) else model[0].module


def _copy(own: Mapping[str, Tensor], given: Mapping[str, Tensor], where: object) -> None:
    problem = _misfit(own, given)
    if problem:
        raise UserError(f"{where}: {problem}; copy or train the model again" if where else problem)
    for name, tensor in own.items():
        tensor.copy_(given[name])


def _misfit(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
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

    Words of both vocabularies keep their rows, new ones get the mean row and mean bias.
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
    """How many tokens of `new_vocab` the old one has."""
    return len(set(old_vocab) & set(new_vocab))
