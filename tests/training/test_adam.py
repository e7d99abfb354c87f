"""Adam in one pass beside fastai's: the same steps, and a state that both can continue."""

import pytest
import torch
from fastai.optimizer import Adam
from tiny_learners import lm

from ulmfit.training.adam import OnePassAdam, adam_for
from ulmfit.training.checkpoint import optimizer_state, restore_optimizer


def groups():
    torch.manual_seed(0)
    shapes = [[(7, 5), (5,)], [(3, 40)]]
    return [[torch.randn(shape, requires_grad=True) for shape in group] for group in shapes]


def train(opt, first, last):
    """Steps with rates and momentum of a cycle, as `ParamScheduler` sets them; some are frozen."""
    for number in range(first, last):
        generator = torch.Generator().manual_seed(number)
        opt.freeze_to(1 if number < 3 else 0)
        opt.set_hyper("lr", [1e-3 * (number + 1), 1e-2])
        opt.set_hyper("mom", 0.8 - 0.01 * number)
        for weight, *_ in opt.all_params():
            # Strides differ from those of the weight, as in the gradient of a transposed product.
            strides = [1, weight.shape[0]][: weight.ndim]
            weight.grad = torch.empty_strided(weight.shape, strides)
            weight.grad.copy_(torch.randn(weight.shape, generator=generator))
        opt.step()
        opt.zero_grad()


def made(kind, weights=None):
    weights = weights or groups()
    opt = kind(weights, lr=1e-3, wd=0.1)
    opt.state[weights[0][1]]["do_wd"] = False  # as fastai's `Learner` for biases
    return weights, opt


def values(weights):
    return [weight.detach() for group in weights for weight in group]


def test_steps_are_those_of_fastai():
    ends = []
    for kind in (Adam, OnePassAdam):
        weights, opt = made(kind)
        train(opt, 0, 12)
        ends.append(values(weights))
    for one, other, start in zip(*ends, values(groups()), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
        assert (one - start).abs().max() > 0.01


@pytest.mark.parametrize("kinds", [(Adam, OnePassAdam), (OnePassAdam, Adam)])
def test_one_goes_on_where_the_other_was(kinds):
    weights, opt = made(Adam)
    train(opt, 0, 12)
    wanted = values(weights)
    weights, opt = made(kinds[0])
    train(opt, 0, 5)
    found = optimizer_state(opt)
    weights, opt = made(kinds[1], weights)
    restore_optimizer(opt, *found)
    train(opt, 5, 12)
    for one, other in zip(values(weights), wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_a_training_on_a_cpu_has_it():
    learn = lm()
    learn.create_opt()
    assert isinstance(learn.opt, OnePassAdam)
    assert adam_for(torch.device("cuda")) is Adam
