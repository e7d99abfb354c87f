"""The layer for GPUs, as far as a CPU can run it: scaled gradients, overflows, the one kernel."""

import pytest
import torch

from ulmfit.base.precision import has_bfloat16
from ulmfit.model.cudnn_lstm import _LARGEST, Scale, flat_lstm, one_kernel, scaled_lstm

CPU = torch.device("cpu")


def gradients(compute, size=1.0):
    torch.manual_seed(0)
    layer = torch.nn.LSTM(8, 12, batch_first=True)
    inputs = torch.randn(3, 7, 8, requires_grad=True)
    state = (torch.randn(1, 3, 12), torch.randn(1, 3, 12))
    outputs, (hidden, cell) = compute(inputs, state, list(layer.parameters()))
    loss = (outputs.float() * torch.randn(3, 7, 12) * size).sum()
    found = torch.autograd.grad(loss, [inputs, *layer.parameters()])
    return [outputs, hidden, cell], found


@pytest.mark.parametrize("size", [1.0, 1e-9, 1e7])
def test_a_scale_changes_no_digit(size):
    scale, float32 = Scale(), torch.float32

    def scaled(*arguments):
        return scaled_lstm(*arguments, float32, scale, inner=float32)

    plain = gradients(lambda *arguments: flat_lstm(*arguments, float32), size)
    for found, wanted in zip(gradients(scaled, size), plain, strict=True):
        for one, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert scale.largest == _LARGEST
    assert scale.factor.log2() == scale.factor.log2().round()
    assert scale.factor != 1


@pytest.mark.skipif(not has_bfloat16(CPU), reason="no LSTM runs in bfloat16 on this CPU")
def test_formats_of_results_are_those_outside():
    outputs, found = gradients(
        lambda *arguments: scaled_lstm(*arguments, torch.float32, Scale(), inner=torch.bfloat16)
    )
    assert outputs[0].dtype == torch.float32
    assert {gradient.dtype for gradient in found} == {torch.float32}


def test_the_largest_gradient_is_scaled_to_a_fixed_size():
    for largest in (3e-9, 0.7, 5e8):
        gradient = torch.tensor([largest, -largest / 3, 0.0])
        factor = Scale().choose(gradient)
        assert _LARGEST / 2 < largest * factor <= _LARGEST


def test_a_gradient_of_zero_has_no_scale():
    assert Scale().choose(torch.zeros(3)) == 1


def test_an_overflow_gives_zeros_and_less_scale_from_then_on():
    scale = Scale()
    scale.choose(torch.ones(2))
    before = float(scale.largest)
    assert scale.undone(torch.tensor([1.0, torch.inf]), torch.float32).tolist() == [0, 0]
    assert scale.undone(torch.tensor([1.0, torch.nan]), torch.float32).tolist() == [0, 0]
    assert scale.largest == before / 16
    assert scale.choose(torch.ones(2)) == before / 16


def test_the_scale_recovers_and_has_a_least():
    scale = Scale()
    for _ in range(40):
        scale.choose(torch.ones(2))
        scale.undone(torch.tensor([torch.inf]), torch.float32)
    assert scale.largest > 0
    assert scale.choose(torch.ones(2)) >= 2**-9
    for _ in range(256 * 14):
        scale.choose(torch.ones(2))
    assert scale.largest == _LARGEST


@pytest.mark.parametrize("wrong", [torch.nan, torch.inf])
def test_gradients_that_come_in_wrong_stay_so(wrong):
    scale = Scale()
    gradient = torch.tensor([1.0, wrong]) * scale.choose(torch.tensor([1.0, wrong]))
    assert not scale.undone(gradient, torch.float32).isfinite().all()
    assert scale.largest == _LARGEST


@pytest.mark.parametrize(
    ("rows", "n_in", "n_out", "fits"),
    [
        (64, 256, 640, True),
        (128, 512, 1024, True),
        (132, 256, 640, False),
        (256, 256, 640, False),
        (64, 400, 1152, False),
        (64, 250, 640, False),
        (64, 1152, 1152, False),
    ],
)
def test_one_kernel_is_for_torchs_shapes(rows, n_in, n_out, fits, monkeypatch):
    class Card:
        major, minor, multi_processor_count = 9, 0, 132

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Card)
    assert one_kernel(rows, n_in, n_out, torch.device("cuda")) == fits


def test_a_small_card_has_no_such_kernel(monkeypatch):
    class Card:
        major, minor, multi_processor_count = 8, 6, 84

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Card)
    assert not one_kernel(64, 256, 640, torch.device("cuda"))
