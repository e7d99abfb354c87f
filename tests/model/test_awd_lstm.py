"""Dropouts: what is dropped, how much of it, and for how long."""

import pytest
import torch
from fastai.text.models.awdlstm import awd_lstm_clas_config, awd_lstm_lm_config

from ulmfit.base.precision import autocast, has_bfloat16
from ulmfit.model.awd_lstm import (
    AWDLSTM,
    CLASSIFIER_DROPOUTS,
    LM_DROPOUTS,
    Dropouts,
    RNNDropout,
    WeightDropLSTM,
)
from ulmfit.model.cudnn_lstm import flat_lstm

CPU = torch.device("cpu")
WORDS, FEATURES = 400, 20
NONE = Dropouts(output=0, hidden=0, input=0, embed=0, weight=0)


def encoder(**rates):
    torch.manual_seed(0)
    return AWDLSTM(WORDS, FEATURES, 30, 2, 1, Dropouts(**{**vars(NONE), **rates}))


def ids(*shape):
    return torch.randint(2, WORDS, shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(LM_DROPOUTS, awd_lstm_lm_config), (CLASSIFIER_DROPOUTS, awd_lstm_clas_config)],
)
def test_rates_are_fastais(ours, theirs):
    assert {f"{name}_p": rate for name, rate in vars(ours).items()} == {
        name: rate for name, rate in theirs.items() if name.endswith("_p")
    }
    assert ours.scaled(0.5).weight == ours.weight / 2


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.75])
def test_weights_are_dropped_and_the_rest_scaled(rate):
    layer = WeightDropLSTM(50, 100, rate)
    layer.drop_weights()
    raw, dropped = layer.weight_hh_l0, layer._dropped
    kept = dropped != 0
    assert 1 - kept.float().mean() == pytest.approx(rate, abs=0.01)  # of 40,000
    assert kept.float().mean(1).std() < 0.1  # no rows or columns in particular
    assert kept.float().mean(0).std() < 0.1
    torch.testing.assert_close(dropped[kept], raw[kept] / (1 - rate))
    (gradient,) = torch.autograd.grad(dropped.sum(), raw)
    torch.testing.assert_close(gradient, kept / (1 - rate))


def test_dropped_weights_are_those_that_the_layer_uses():
    layer = WeightDropLSTM(8, 12, 0.5)
    inputs, state = torch.randn(3, 7, 8), (torch.randn(1, 3, 12), torch.randn(1, 3, 12))
    layer.drop_weights()
    found, (hidden, cell) = layer(inputs, state)
    plain = torch.nn.LSTM(8, 12, batch_first=True)
    plain.load_state_dict({**layer.state_dict(), "weight_hh_l0": layer._dropped.detach()})
    expected, (their_hidden, their_cell) = plain(inputs, state)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(hidden, their_hidden)
    torch.testing.assert_close(cell, their_cell)
    whole = layer.eval()(inputs, state)[0]
    plain.load_state_dict(layer.state_dict())
    torch.testing.assert_close(whole, plain(inputs, state)[0])
    assert (whole - found).abs().max() > 0.01


def test_masks_hold_until_others_are_drawn():
    model = encoder(embed=0.5, weight=0.5).train()
    batch = ids(2, 9)
    model.draw_masks()
    embedded = model.embed(batch)
    assert torch.equal(model.embed(batch), embedded)
    first = model.read(embedded)
    model.reset()
    assert torch.equal(model.read(embedded), first)
    model.draw_masks()
    model.reset()
    assert not torch.equal(model.embed(batch), embedded)
    assert not torch.equal(model.read(embedded), first)


def test_words_are_dropped_whole():
    model = encoder(embed=0.4).train()
    every = torch.arange(2, WORDS).repeat(2, 1)
    model.draw_masks()
    embedded = model.embed(every)
    gone = (embedded == 0).all(2)
    assert torch.equal(gone[0], gone[1])
    assert gone[0].float().mean() == pytest.approx(0.4, abs=0.1)
    expected = model.encoder.weight[every] / 0.6
    torch.testing.assert_close(embedded[~gone], expected[~gone])


def test_features_are_dropped_at_every_token_alike():
    dropout = RNNDropout(0.3).train()
    dropped = dropout(torch.ones(200, 5, 40))
    assert torch.equal(dropped, dropped[:, :1].expand_as(dropped))
    assert (dropped == 0).float().mean() == pytest.approx(0.3, abs=0.03)
    assert dropped.max() == pytest.approx(1 / 0.7)
    assert torch.equal(dropout.eval()(dropped), dropped)


def test_evaluation_drops_nothing():
    model = encoder(hidden=0.5, input=0.5, embed=0.5, weight=0.5)
    batch = ids(2, 9)
    model.train()(batch)
    model.eval().reset()
    first = model(batch)
    model.reset()
    assert torch.equal(model(batch), first)


def test_state_goes_on_and_rows_may_end():
    model = encoder().eval()
    batch = ids(3, 12)
    whole = model(batch)
    model.reset()
    torch.testing.assert_close(model(batch[:, :5]), whole[:, :5])
    torch.testing.assert_close(model(batch[:2, 5:]), whole[:2, 5:])
    assert not any(tensor.requires_grad for state in model.hidden for tensor in state)


@pytest.mark.parametrize("precision", ["float32", *(["bfloat16"] if has_bfloat16(CPU) else [])])
def test_one_token_at_a_time_is_the_whole_text(precision):
    """Without gradients, a single token takes another path than oneDNN's LSTM."""
    model, batch = encoder().eval(), ids(3, 12)
    close = {"rtol": 0, "atol": 1e-6 if precision == "float32" else 0.01}
    with torch.no_grad(), autocast(CPU, getattr(torch, precision)):
        whole = model(batch)
        model.reset()
        tokens = [model(batch[:, :5]), *(model(batch[:, [i]]) for i in range(5, 9))]
        tokens.append(model(batch[:, 9:]))
    assert whole.abs().max() > 0.05
    torch.testing.assert_close(torch.cat(tokens, 1).float(), whole.float(), **close)


def test_a_flat_buffer_of_weights_changes_neither_results_nor_gradients():
    layer = WeightDropLSTM(8, 12, 0.5)
    inputs = torch.randn(3, 7, 8, requires_grad=True)
    state = (torch.randn(1, 3, 12), torch.randn(1, 3, 12))
    layer.drop_weights()
    found = []
    for compute in (layer, flat_with(layer)):
        outputs, (hidden, cell) = compute(inputs, state)
        loss = outputs.square().sum() + hidden.sum() + cell.sum()
        gradients = torch.autograd.grad(loss, [inputs, *layer.parameters()], retain_graph=True)
        found.append([outputs, hidden, cell, *gradients])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def flat_with(layer):
    def compute(inputs, state):
        weights = [
            layer._dropped if name == "weight_hh_l0" else weight
            for name, weight in layer.named_parameters()
        ]
        return flat_lstm(inputs, state, weights, torch.float32)

    return compute


def test_the_flat_buffer_is_one_and_leaves_autocast_out(monkeypatch):
    seen = {}

    def lstm(inputs, state, weights, *rest):
        seen.update(weights=weights, dtypes={t.dtype for t in (inputs, *state, *weights)})
        seen["autocast"] = torch.is_autocast_enabled("cpu")
        return inputs, *state

    monkeypatch.setattr(torch, "lstm", lstm)
    layer = WeightDropLSTM(8, 12, 0.5)
    state = (torch.zeros(1, 3, 12), torch.zeros(1, 3, 12))
    with torch.autocast("cpu", torch.bfloat16):
        flat_lstm(torch.zeros(3, 7, 8), state, list(layer.parameters()), torch.bfloat16)
    assert seen["dtypes"] == {torch.bfloat16}
    assert not seen["autocast"]
    # Where cuDNN expects them: one behind the other, from the start of one storage.
    start = 0
    for view, weight in zip(seen["weights"], layer.parameters(), strict=True):
        assert view.shape == weight.shape
        assert view.storage_offset() == start
        start += view.numel()
    assert len({view.untyped_storage().data_ptr() for view in seen["weights"]}) == 1
    assert seen["weights"][0].untyped_storage().nbytes() == 2 * start
