"""On a GPU: what the CPU computes, in pieces as in one go, without a copy of the LSTM's weights.

A recorded step does what a step does.
"""

import pytest
import torch
from tiny_learners import STEPS, VOCAB, random_corpus, run_of, weights

from ulmfit.base.errors import Stopped
from ulmfit.base.precision import cudnn_has_bfloat16, set_seed
from ulmfit.inference.language_model import measure_lm
from ulmfit.model.awd_lstm import WeightDropLSTM
from ulmfit.model.build import build_lm
from ulmfit.model.cudnn_lstm import format_on_gpu
from ulmfit.model.sizes import encoder_config
from ulmfit.training.graphs import GraphLearner
from ulmfit.training.learner import lm_learner, lm_loaders
from ulmfit.training.settings import LMSettings

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here, or no --gpu")
GPU, CPU = torch.device("cuda"), torch.device("cpu")


def layer_results(device, drop):
    """Outputs, state and gradients of a layer whose dropped weights are drawn on the CPU."""
    set_seed(0)
    layer = WeightDropLSTM(40, 64, 0.5)
    layer.drop_weights()
    dropped = layer._dropped.detach()
    inputs = torch.randn(8, 12, 40)
    layer.to(device)
    inputs = inputs.to(device).requires_grad_()
    if drop:
        layer._dropped = layer.weight_hh_l0 * (dropped != 0).to(device) * 2
    else:
        layer._dropped = None
    state = (torch.zeros(1, 8, 64, device=device), torch.zeros(1, 8, 64, device=device))
    outputs, (hidden, cell) = layer(inputs, state)
    gradients = torch.autograd.grad(outputs.square().mean(), [inputs, *layer.parameters()])
    return [t.detach().cpu().float() for t in (outputs, hidden, cell, *gradients)]


@pytest.mark.parametrize("drop", [True, False])
@pytest.mark.filterwarnings("error")  # of weights that are copied at every call
def test_a_layer_computes_what_it_does_on_the_cpu(drop, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    for one, other in zip(layer_results(GPU, drop), layer_results(CPU, drop), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.filterwarnings("error")
def test_a_layer_runs_in_bfloat16_and_never_in_float16():
    with torch.autocast("cuda", torch.bfloat16):
        wanted = torch.bfloat16 if cudnn_has_bfloat16(GPU) else torch.float32
        assert format_on_gpu(torch.zeros(1, device=GPU)) == wanted
        layer = WeightDropLSTM(40, 64, 0.5).to(GPU)
        layer.drop_weights()
        zeros = torch.zeros(1, 8, 64, device=GPU)
        outputs, (hidden, cell) = layer(torch.randn(8, 12, 40, device=GPU), (zeros, zeros))
    assert {t.dtype for t in (outputs, hidden, cell)} == {wanted}


def test_recorded_steps_train_as_steps_do(tmp_path, monkeypatch):
    ends = []
    for recorded in (False, True):
        learn = learner(GPU, torch.bfloat16, "small", rows=8)
        assert isinstance(learn, GraphLearner)
        with monkeypatch.context() as patch:
            if not recorded:
                patch.setattr(GraphLearner, "_usable", lambda learn: False)
            rows = run_of(learn, tmp_path / f"{recorded}.checkpoint").fit()
        assert (learn._recorded is not None) == recorded
        ends.append([rows[0]["train_loss"], rows[-1]["train_loss"], rows[-1]["valid_loss"]])
    assert ends[1] == pytest.approx(ends[0], rel=0.01)


def learner(device, dtype, size="tiny", rows=4):
    set_seed(3)
    model = build_lm(encoder_config(size, VOCAB), 0.0, 0.5)
    settings = LMSettings(batch_size=rows, seq_len=8, steps=STEPS)
    count = 4 * rows
    train, valid = random_corpus([20] * count, VOCAB), random_corpus([20] * 4, VOCAB, seed=1)
    return lm_learner(model, lm_loaders(train, valid, settings, False), settings, device, dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_training_ends_where_that_of_the_cpu_does(dtype, tmp_path):
    losses = []
    for device in (CPU, GPU):
        kind = dtype if device == GPU else torch.float32
        learn = learner(device, kind)
        rows = run_of(learn, tmp_path / f"{device}.checkpoint").fit()
        measured = measure_lm(learn.model, learn.dls.valid, device, kind)
        losses.append([rows[0]["train_loss"], rows[-1]["valid_loss"], measured["loss"]])
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


def test_a_training_in_pieces_ends_with_about_the_same_weights(tmp_path):
    whole = learner(GPU, torch.bfloat16)
    run_of(whole, tmp_path / "whole.checkpoint").fit()
    pieces = 0
    while True:
        learn = learner(GPU, torch.bfloat16)
        try:
            run_of(learn, tmp_path / "m.checkpoint", deadline=0.0).fit()
            break
        except Stopped:
            pieces += 1
    assert pieces > 20  # a batch a call
    found, wanted = weights(learn), weights(whole)
    # Not bit by bit: a GPU adds up the gradients of a look-up in no fixed order.
    for name, weight in wanted.items():
        torch.testing.assert_close(found[name], weight, rtol=0.05, atol=0.02)
