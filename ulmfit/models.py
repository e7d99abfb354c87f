"""AWD-LSTM sizes, the language model, the classifier, and the way from one to the other.

What fastai's `get_language_model` and `get_text_classifier` build, without importing fastai: who
only predicts does not wait for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from ulmfit.artifacts import Artifact
from ulmfit.awd_lstm import AWDLSTM, CLASSIFIER_DROPOUTS, LM_DROPOUTS, RNNDropout
from ulmfit.classifier import DocumentEncoder, PoolingClassifier
from ulmfit.errors import UserError
from ulmfit.lm_loss import Projection
from ulmfit.settings import EMBEDDING_RANGE
from ulmfit.text import PAD_ID
from ulmfit.weights import Header

# Raised when parameters get other names or dropout draws otherwise: the checkpoint of an unfinished
# run does not fit then. (Model directories have names of their own.)
LAYOUT = 2

# What the numbers of a manifest's config are at most, before they are looked at more closely.
_HIGHEST = {"n_layers": 64, "max_len": 2**31 - 1}
_HIGHEST_ELSE = 2**24


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
        UserError: one is missing, no whole number above 0, or larger than any model's.
    """
    bad = [name for name in names if type(config.get(name)) is not int or config[name] < 1]
    if bad:
        raise UserError(
            f"{where}: found {bad[0]} {config.get(bad[0])!r} in the manifest's config, expected a "
            "whole number above 0; copy or train the model again"
        )
    for name in names:
        highest = _HIGHEST.get(name, _HIGHEST_ELSE)
        if config[name] > highest:
            raise UserError(
                f"{where}: found {name} {config[name]} in the manifest's config, expected "
                f"{highest:,} at most; copy or train the model again"
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


class SequentialRNN(nn.Sequential):
    """Modules in a row, of which some have a state to forget (fastai's name)."""

    def reset(self) -> None:
        """Forget the state."""
        for module in self:
            if isinstance(module, (AWDLSTM, DocumentEncoder)):
                module.reset()


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
    dropouts = LM_DROPOUTS.scaled(drop_mult)
    encoder = AWDLSTM(**config.as_dict(), pad_id=PAD_ID, dropouts=dropouts)
    model = SequentialRNN(encoder, TiedDecoder(encoder.encoder, dropouts.output))
    if embedding_range is not None:
        random_embedding(model, embedding_range)
    return model


def random_embedding(model: SequentialRNN, embedding_range: float = EMBEDDING_RANGE) -> None:
    """Draw the embedding of a model that is trained from scratch (see `build_lm`)."""
    weight = encoder_of(model).encoder.weight.data
    weight.uniform_(-embedding_range, embedding_range)
    weight[PAD_ID] = 0


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
    dropouts = CLASSIFIER_DROPOUTS.scaled(drop_mult)
    encoder = AWDLSTM(**config.as_dict(), pad_id=PAD_ID, dropouts=dropouts)
    return SequentialRNN(
        DocumentEncoder(encoder, bptt, max_len),
        PoolingClassifier(config.emb_sz, n_classes, hidden, (dropouts.output, 0.1)),
    )


# --- layer groups, for discriminative rates and gradual unfreezing (ULMFiT sections 3.2, 3.3) -----


def lm_groups(model: Any) -> list[list[Tensor]]:
    """Each LSTM layer, then embedding and decoder (fastai's `awd_lstm_lm_split`)."""
    return [*_layers(model), [model[0].encoder.weight, model[1].bias]]


def classifier_groups(model: Any) -> list[list[Tensor]]:
    """Embedding, each LSTM layer, then the head (fastai's `awd_lstm_clas_split`)."""
    embedding = [encoder_of(model).encoder.weight]
    return [embedding, *_layers(model), list(model[1].parameters())]


def _layers(model: Any) -> list[list[Tensor]]:
    return [list(layer.parameters()) for layer in encoder_of(model).rnns]


def encoder_of(model: Any) -> AWDLSTM:
    """The AWD-LSTM of a language model or classifier."""
    return model[0] if isinstance(model[0], AWDLSTM) else model[0].module


# --- weights under plain names: what an artifact holds ------------------------------------------


def encoder_weights(model: SequentialRNN) -> dict[str, Tensor]:
    """The encoder's weights, each once: `embedding.weight` and nn.LSTM's names a layer."""
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
    """Copy `weights` into the encoder of a language model or classifier, by strict names.

    Raises:
        UserError: other names or shapes; `where` says whose they are.
    """
    _copy(encoder_weights(model), weights, where)


def load_head(model: SequentialRNN, weights: Mapping[str, Tensor], where: object = None) -> None:
    """Copy `weights` into the decoder or the classifier's head; raises as `load_encoder`."""
    _copy(head_weights(model), weights, where)


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
    problem = _misfit(own, found)
    if not problem:
        other = [n for n, w in own.items() if w.is_floating_point() != found[n].is_float]
        problem = f"weight {other[0]} has type {found[other[0]].dtype}" if other else ""
    if problem:
        raise UserError(f"{path}: {problem}; copy or train the model again")
    return config


def _copy(own: Mapping[str, Tensor], given: Mapping[str, Tensor], where: object) -> None:
    problem = _misfit(own, given)
    if problem:
        raise UserError(f"{where}: {problem}; copy or train the model again" if where else problem)
    for name, tensor in own.items():
        tensor.copy_(given[name])


def _misfit(own: Mapping[str, Tensor], given: Mapping[str, Tensor | Header]) -> str:
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
