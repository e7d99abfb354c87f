"""The chunked loss is torch's cross-entropy on full logits, in value and in gradients."""

import pytest
import torch
from torch.nn.functional import cross_entropy, linear

from ulmfit.model import lm_loss
from ulmfit.model.lm_loss import LMLoss, Projection, draw_words

WORDS, FEATURES = 37, 11


def inputs(batch=3, time=7, dtype=torch.float32, seed=0):
    """Hidden states, weight, bias and targets; the first three want gradients."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator)

    hidden = draw(batch, time, FEATURES).to(dtype).requires_grad_()
    weight, bias = draw(WORDS, FEATURES).requires_grad_(), draw(WORDS).requires_grad_()
    return hidden, weight, bias, torch.randint(WORDS, (batch, time), generator=generator)


def reference(hidden, weight, bias, targets):
    logits = linear(hidden.float(), weight, bias)
    return cross_entropy(logits.flatten(0, 1), targets.flatten()), logits


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(lm_loss, "_CHUNK", 8)


@pytest.mark.parametrize("tokens", [1, 7, 8, 9, 15, 16, 17])
def test_value_and_gradients(small_chunks, tokens):
    hidden, weight, bias, targets = inputs(1, tokens)
    expected, _ = reference(hidden, weight, bias, targets)
    wanted = torch.autograd.grad(expected, [hidden, weight, bias])
    loss = LMLoss()(Projection(hidden, weight, bias), targets)
    torch.testing.assert_close(loss, expected)
    found = torch.autograd.grad(loss, [hidden, weight, bias])
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_more_tokens_than_a_chunk():
    hidden, weight, bias, targets = inputs(5, lm_loss._CHUNK // 4)
    assert targets.numel() > lm_loss._CHUNK
    expected, _ = reference(hidden, weight, bias, targets)
    torch.testing.assert_close(LMLoss()(Projection(hidden, weight, bias), targets), expected)


def test_gradients_scale_with_what_comes_from_above():
    hidden, weight, bias, targets = inputs()
    expected = torch.autograd.grad(
        3 * reference(hidden, weight, bias, targets)[0], [hidden, weight, bias]
    )
    loss = 3 * LMLoss()(Projection(hidden, weight, bias), targets)
    for one, other in zip(torch.autograd.grad(loss, [hidden, weight, bias]), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_large_logits_do_not_overflow():
    hidden, weight, bias, targets = inputs()
    expected, _ = reference(hidden * 1e3, weight, bias, targets)
    wanted = torch.autograd.grad(expected, [weight, bias])
    projection = Projection(hidden * 1e3, weight, bias)
    loss = LMLoss()(projection, targets)
    assert 80 < loss < 88 < expected  # a token's loss is counted as 87 at most in training
    found = torch.autograd.grad(loss, [weight, bias])
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(LMLoss()(projection, targets), expected.detach())


def test_frozen_weight_gets_no_gradient():
    hidden, weight, bias, targets = inputs()
    expected = torch.autograd.grad(reference(hidden, weight, bias, targets)[0], [hidden, bias])
    frozen = weight.detach()
    LMLoss()(Projection(hidden, frozen, bias), targets).backward()
    assert frozen.grad is None
    torch.testing.assert_close(hidden.grad, expected[0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(bias.grad, expected[1], rtol=1e-5, atol=1e-6)


def test_bfloat16_is_near(small_chunks):
    hidden, weight, bias, targets = inputs(dtype=torch.bfloat16)
    wide = hidden.detach().float().requires_grad_()
    expected = reference(wide, weight, bias, targets)[0]
    wanted = torch.autograd.grad(expected, [wide, weight, bias])
    loss = LMLoss()(Projection(hidden, weight, bias), targets)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected, rtol=2e-2, atol=2e-2)
    found = torch.autograd.grad(loss, [hidden, weight, bias])
    assert [gradient.dtype for gradient in found] == [torch.bfloat16, torch.float32, torch.float32]
    for one, other in zip(found, wanted, strict=True):
        assert (one.float() - other).norm() < 2e-2 * other.norm()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_under_autocast(dtype):
    hidden, weight, bias, targets = inputs(dtype=dtype)
    expected = reference(hidden.detach(), weight, bias, targets)[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = LMLoss()(Projection(hidden, weight, bias), targets)
    loss.backward()
    torch.testing.assert_close(loss, expected, rtol=2e-2, atol=2e-2)
    assert all(tensor.grad.isfinite().all() for tensor in (hidden, weight, bias))


def test_other_sizes_one_after_the_other():
    for features, words in ((3, 5), (4, 9), (3, 5)):
        hidden, weight = torch.randn(2, 6, features), torch.randn(words, features)
        targets = torch.randint(words, (2, 6))
        expected, _ = reference(hidden, weight, torch.zeros(words), targets)
        found = LMLoss()(Projection(hidden, weight, torch.zeros(words)), targets)
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("tokens", [1, 7, 8, 9, 17])
def test_without_gradients_it_counts_what_was_guessed_right(small_chunks, tokens):
    hidden, weight, bias, targets = inputs(1, tokens)
    expected, logits = reference(hidden, weight, bias, targets)
    targets[0, ::2] = logits.argmax(2)[0, ::2]  # half of them at least
    expected, logits = reference(hidden, weight, bias, targets)
    loss_func = LMLoss()
    with torch.no_grad():
        loss = loss_func(Projection(hidden, weight, bias), targets)
    torch.testing.assert_close(loss, expected.detach())
    assert loss_func.correct == int((logits.argmax(2) == targets).sum()) >= (tokens + 1) // 2


def test_logits():
    hidden, weight, bias, targets = inputs(dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = Projection(hidden, weight, bias).logits()
    assert logits.dtype == torch.float32
    assert logits.shape == (3, 7, WORDS)
    torch.testing.assert_close(
        logits, reference(hidden, weight, bias, targets)[1], rtol=2e-2, atol=5e-2
    )


def test_drawn_words_hold_the_frequent_ones_and_all_targets_once():
    torch.manual_seed(0)
    targets = torch.tensor([3, 90, 90, 41, 0])
    drawn = draw_words(targets, vocabulary=100, count=40)
    words = drawn.words.tolist()
    assert len(words) == len(set(words)) == 40
    assert words[:22] == [*range(20), 41, 90]
    assert drawn.words[drawn.targets].tolist() == targets.tolist()
    assert drawn.shift[:22].eq(0).all()
    assert drawn.shift[22:].exp().tolist() == pytest.approx([78 / 18] * 18)


def test_drawn_words_leave_room_for_others_whatever_the_targets():
    drawn = draw_words(torch.arange(90), vocabulary=100, count=40)
    assert len(drawn.words) == 100  # 10 are drawn at least, and there are no more
    assert drawn.shift.eq(0).all()
    assert len(draw_words(torch.arange(100), vocabulary=100, count=40).words) == 100


def test_sampled_sum_of_exponentials_is_unbiased():
    torch.manual_seed(1)
    logits, targets = torch.randn(200).double(), torch.tensor([150, 7])
    sums = []
    for _ in range(4000):
        drawn = draw_words(targets, 200, 60)
        sums.append((logits[drawn.words] + drawn.shift).exp().sum())
    found, error = torch.stack(sums).mean(), torch.stack(sums).std() / 4000**0.5
    assert abs(found - logits.exp().sum()) < 4 * error < 0.02 * found


def test_sampled_gradients_are_those_of_the_shifted_softmax():
    hidden, weight, bias, targets = inputs()
    torch.manual_seed(2)
    drawn = draw_words(targets.flatten(), WORDS, 30)
    logits = linear(hidden, weight[drawn.words], bias[drawn.words] + drawn.shift)
    expected = cross_entropy(logits.flatten(0, 1), drawn.targets)
    wanted = torch.autograd.grad(expected, [hidden, weight, bias])
    torch.manual_seed(2)
    loss = LMLoss(30)(Projection(hidden, weight, bias), targets)
    torch.testing.assert_close(loss, expected)
    found = torch.autograd.grad(loss, [hidden, weight, bias])
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("sampled", [0, WORDS, WORDS + 1])
def test_nothing_is_drawn_from_a_small_vocabulary(sampled):
    hidden, weight, bias, targets = inputs()
    state = torch.get_rng_state()
    loss = LMLoss(sampled)(Projection(hidden, weight, bias), targets)
    torch.testing.assert_close(loss, reference(hidden, weight, bias, targets)[0])
    assert torch.equal(torch.get_rng_state(), state)


def test_validation_is_exact_whatever_is_sampled():
    hidden, weight, bias, targets = inputs()
    expected, _ = reference(hidden, weight, bias, targets)
    with torch.no_grad():
        loss = LMLoss(8)(Projection(hidden, weight, bias), targets)
    torch.testing.assert_close(loss, expected.detach())


def test_larger_chunks_change_nothing(monkeypatch):
    hidden, weight, bias, targets = inputs(6, 40)
    found = []
    for chunk in (7, 240):
        monkeypatch.setattr(lm_loss, "_CHUNK", chunk)
        loss = LMLoss()(Projection(hidden, weight, bias), targets)
        found.append([loss, *torch.autograd.grad(loss, [hidden, weight, bias])])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    assert lm_loss._chunk(torch.device("cuda")) > 20 * 384
