"""AWD-LSTM, the encoder of all three stages (Merity et al. 2017, arXiv:1708.02182).

Layers, dropouts and results are those of fastai's `AWD_LSTM`, but a step is cheaper: embeddings are
looked up before they are masked, and masks of words and weights are drawn faster and only once a
batch (`draw_masks`), not for every chunk of a document.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from ulmfit.model.cudnn_lstm import State, flat_lstm, format_on_gpu
from ulmfit.text.dealing import Rows


@dataclass(frozen=True)
class Dropouts:
    """Dropout rates; the names are fastai's, without their ``_p``.

    input: features of the embedded text; hidden: features between layers; both with one mask for
    all tokens of a text (variational dropout). embed: whole words. weight: recurrent weights.
    output: features before the decoder or the head.
    """

    output: float
    hidden: float
    input: float
    embed: float
    weight: float

    def scaled(self, drop_mult: float) -> "Dropouts":
        """All rates times fastai's `drop_mult`."""
        return replace(self, **{name: rate * drop_mult for name, rate in vars(self).items()})


# fastai's `awd_lstm_lm_config` and `awd_lstm_clas_config`.
LM_DROPOUTS = Dropouts(output=0.1, hidden=0.15, input=0.25, embed=0.02, weight=0.2)
CLASSIFIER_DROPOUTS = Dropouts(output=0.4, hidden=0.3, input=0.4, embed=0.05, weight=0.5)


class RNNDropout(nn.Module):
    """Drops features of (batch, time, features), the same features at every time step.

    rows: those of the whole batch that this process has, if there are several processes.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.rows: Rows | None = None

    def forward(self, features: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return features
        batch, _, size = features.shape
        total = self.rows.total if self.rows else batch
        kept = features.new_empty(total, 1, size).bernoulli_(1 - self.rate).div_(1 - self.rate)
        return features * (self.rows.of(kept, batch) if self.rows else kept)

    def skip(self, like: Tensor, size: int) -> None:
        """Draw a mask for rows that are all in other processes, in the format of `like`."""
        if self.training and self.rate > 0 and self.rows:
            like.new_empty(self.rows.total, 1, size).bernoulli_(1 - self.rate)


def share_rows(model: nn.Module, rows: Rows | None) -> None:
    """Tell all dropouts of `model` which rows of the whole batch this process has."""
    for module in model.modules():
        if isinstance(module, RNNDropout):
            module.rows = rows


class WeightDropLSTM(nn.LSTM):
    """A layer whose recurrent weights are dropped (DropConnect; fastai's `WeightDropout`)."""

    def __init__(self, n_in: int, n_out: int, rate: float) -> None:
        super().__init__(n_in, n_out, batch_first=True)
        self.rate = rate
        self._dropped: Tensor | None = None

    def drop_weights(self) -> None:
        """Draw the weights to drop from now on; none in evaluation mode."""
        self._dropped = None
        if self.training and self.rate > 0:
            self._dropped = _drop(self.get_parameter("weight_hh_l0"), self.rate)

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:  # type: ignore[override]
        dropped = self._dropped if self.training else None
        if dropped is None and not inputs.is_cuda:
            writes = inputs.shape[1] == 1 and not self.training and not torch.is_grad_enabled()
            return self._step(inputs, state) if writes else super().forward(inputs, state)
        named: dict[str, Tensor] = dict(self.named_parameters())
        if dropped is not None:
            named["weight_hh_l0"] = dropped
        weights = list(named.values())
        if inputs.is_cuda:
            return flat_lstm(inputs, state, weights, format_on_gpu(inputs))
        outputs, hidden, cell = torch.lstm(inputs, state, weights, True, 1, 0.0, True, False, True)
        return outputs, (hidden, cell)

    def _step(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """One token, as in writing texts: two plain products, cell and sums in float32.

        oneDNN's LSTM sorts the weights anew in every call, which takes several times as long.
        """
        named = dict(self.named_parameters())
        before, cell = state[0][0], state[1][0].float()
        gates = linear(inputs[:, 0], named["weight_ih_l0"], named["bias_ih_l0"]).float()
        gates += linear(before, named["weight_hh_l0"], named["bias_hh_l0"])
        kept, forgotten, new, shown = gates.chunk(4, 1)
        cell = forgotten.sigmoid_() * cell + kept.sigmoid_() * new.tanh_()
        hidden = (shown.sigmoid_() * cell.tanh()).to(before.dtype)
        return hidden[:, None], (hidden[None], cell[None])


def _drop(weight: Tensor, rate: float) -> Tensor:
    """`torch.nn.functional.dropout` with one random number for four weights, 16 bits each.

    On a CPU, a number for each weight would take ten times as long, a tenth of a training step.
    """
    numbers = torch.empty(-(-weight.numel() // 4), dtype=torch.int64, device=weight.device)
    bits = numbers.random_(-(2**63), None).view(torch.int16)[: weight.numel()].view_as(weight)
    return weight * ((bits >= round(rate * 2**16) - 2**15) / (1 - rate))


class AWDLSTM(nn.Module):
    """Embedding and a stack of LSTM layers; the state carries over from call to call.

    (batch, time) ids give (batch, time, emb_sz) features. A call may have fewer rows than the last
    one; the missing rows are at the end. Before a call with more rows, call `reset`.
    """

    def __init__(
        self, vocab_sz: int, emb_sz: int, n_hid: int, n_layers: int, pad_id: int, dropouts: Dropouts
    ) -> None:
        super().__init__()
        sizes = [emb_sz, *[n_hid] * (n_layers - 1), emb_sz]
        self.encoder = nn.Embedding(vocab_sz, emb_sz, padding_idx=pad_id)
        layers = [WeightDropLSTM(sizes[i], sizes[i + 1], dropouts.weight) for i in range(n_layers)]
        self.rnns: Sequence[WeightDropLSTM] = nn.ModuleList(layers)  # type: ignore[assignment]
        self.input_dp = RNNDropout(dropouts.input)
        self.hidden_dps = nn.ModuleList([RNNDropout(dropouts.hidden) for _ in range(n_layers - 1)])
        self.embed_p = dropouts.embed
        self._kept_words: Tensor | None = None
        self.hidden: list[State] = []
        nn.init.uniform_(self.encoder.weight, -0.1, 0.1)  # fastai's `initrange`

    def reset(self) -> None:
        """Forget the state."""
        self.hidden = []

    def forward(self, ids: Tensor) -> Tensor:
        self.draw_masks()
        return self.read(self.embed(ids))

    def draw_masks(self) -> None:
        """Draw the words and recurrent weights to drop from now on; none in evaluation mode."""
        self._kept_words = None
        if self.training and self.embed_p > 0:
            kept = self.encoder.weight.new_empty(self.encoder.num_embeddings)
            self._kept_words = kept.bernoulli_(1 - self.embed_p).div_(1 - self.embed_p)
        for layer in self.rnns:
            layer.drop_weights()

    def embed(self, ids: Tensor) -> Tensor:
        """ids of any shape -> (..., emb_sz)."""
        embedded = self.encoder(ids)
        return embedded if self._kept_words is None else embedded * self._kept_words[ids, None]

    def read(self, embedded: Tensor) -> Tensor:
        """Run the layers over (batch, time, emb_sz), from the state of the last call."""
        features = self.input_dp(embedded)
        states = self._states(features)
        self.hidden = []
        for i, layer in enumerate(self.rnns):
            if i:
                features = self.hidden_dps[i - 1](features)
            features, (hidden, cell) = layer(features, states[i])
            self.hidden.append((hidden.detach(), cell.detach()))
        return features

    def skip(self, rows: Rows) -> None:
        """Draw the masks of a call to `read` that only other processes make."""
        weight = self.encoder.weight
        share_rows(self, rows)
        self.input_dp.skip(weight, weight.shape[1])
        inner = weight.detach()[:0].to(_inner_format(weight))
        for dropout, layer in zip(self.hidden_dps, self.rnns[1:], strict=True):
            assert isinstance(dropout, RNNDropout)
            dropout.skip(inner, layer.input_size)

    def _states(self, features: Tensor) -> Sequence[State]:
        rows = len(features)
        if not self.hidden:
            sizes = [layer.hidden_size for layer in self.rnns]
            return [(features.new_zeros(1, rows, n), features.new_zeros(1, rows, n)) for n in sizes]
        return [(hidden[:, :rows], cell[:, :rows]) for hidden, cell in self.hidden]


def _inner_format(weight: Tensor) -> torch.dtype:
    """The format of the features between layers."""
    kind = weight.device.type
    if kind == "cuda":
        return format_on_gpu(weight)
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
