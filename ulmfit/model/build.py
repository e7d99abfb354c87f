"""The language model and the classifier, and their layer groups, without an import of fastai.

They are the models of fastai's `get_language_model` and `get_text_classifier`.
"""

from typing import Any

import torch
from torch import Tensor, nn

from ulmfit.model.awd_lstm import AWDLSTM, CLASSIFIER_DROPOUTS, LM_DROPOUTS, RNNDropout
from ulmfit.model.lm_loss import Projection
from ulmfit.model.pooling import DocumentEncoder, PoolingClassifier
from ulmfit.model.sizes import EMBEDDING_RANGE, EncoderConfig
from ulmfit.text.processor import PAD_ID

# Part of a checkpoint; increased when parameter names or dropout's random draws change. (Model
# directories have names of their own.)
LAYOUT = 2


class SequentialRNN(nn.Sequential):
    """Modules in sequence; some of them have a state (fastai's name)."""

    def reset(self) -> None:
        """Forget the state."""
        for module in self:
            if isinstance(module, (AWDLSTM, DocumentEncoder)):
                module.reset()


class TiedDecoder(nn.Module):
    """From features to words, with the embedding as weight (fastai's `LinearDecoder`).

    forward gives (`Projection`, features, features after dropout); the loss computes the logits.
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
        embedding_range: see `random_embedding`; None if weights will be loaded.
    """
    dropouts = LM_DROPOUTS.scaled(drop_mult)
    encoder = AWDLSTM(**config.as_dict(), pad_id=PAD_ID, dropouts=dropouts)
    model = SequentialRNN(encoder, TiedDecoder(encoder.encoder, dropouts.output))
    if embedding_range is not None:
        random_embedding(model, embedding_range)
    return model


def random_embedding(model: SequentialRNN, embedding_range: float = EMBEDDING_RANGE) -> None:
    """Draw the embedding from uniform(-r, r), to train from scratch.

    With fastai's 0.1, almost no signal passes three untrained layers, and the loss stays at the
    unigram entropy.
    """
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
        bptt: tokens of a chunk; gradients stay within it.
        max_len: number of a document's last tokens that are pooled.
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
