"""Sizes, the two models against fastai's with equal weights, weights by name, the remap."""

import numpy as np
import pytest
import torch
from fastai.text.learner import match_embeds
from fastai.text.models.awdlstm import AWD_LSTM, awd_lstm_clas_config, awd_lstm_lm_config
from fastai.text.models.core import get_language_model, get_text_classifier
from safetensors.torch import save
from tiny_models import random_documents, refuses, widen

from ulmfit.interop import fastai_state
from ulmfit.model.build import build_classifier, build_lm, classifier_groups, lm_groups
from ulmfit.model.lm_loss import LMLoss
from ulmfit.model.sizes import EncoderConfig, encoder_config
from ulmfit.model.transfer import (
    encoder_weights,
    head_weights,
    load_encoder,
    load_head,
    remap_vocabulary,
    vocabulary_overlap,
)
from ulmfit.text.batches import collate
from ulmfit.text.processor import PAD_ID
from ulmfit.training.learner import unigram_entropy
from ulmfit.training.run import parameters_of

CONFIG = EncoderConfig(vocab_sz=50, emb_sz=24, n_hid=32, n_layers=2)


def fastai_config(defaults, config=CONFIG):
    sizes = {"emb_sz": config.emb_sz, "n_hid": config.n_hid, "n_layers": config.n_layers}
    return {**defaults, **sizes}


def ids(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(9, CONFIG.vocab_sz, shape, generator=generator)


# Sizes


def test_base_is_the_papers_and_fastais():
    config = encoder_config("base", 60_000)
    assert config == EncoderConfig(60_000, 400, 1152, 3)
    assert {k: awd_lstm_lm_config[k] for k in ("emb_sz", "n_hid", "n_layers")} == {
        k: v for k, v in config.as_dict().items() if k != "vocab_sz"
    }


def test_small_fits_into_a_repository():
    model = build_lm(encoder_config("small", 20_000))
    assert parameters_of(model) <= 12_000_000
    weights = {**encoder_weights(model), **head_weights(model)}
    assert len(save({name: weight.half() for name, weight in weights.items()})) <= 24_000_000


def test_unknown_size():
    with refuses("unknown size 'huge'; choose one of tiny, small, base"):
        encoder_config("huge", 100)


def test_layer_groups():
    assert len(lm_groups(build_lm(CONFIG))) == CONFIG.n_layers + 1
    assert len(classifier_groups(build_classifier(CONFIG, 2))) == CONFIG.n_layers + 2


# Against fastai


def test_lm_is_fastais():
    ours = widen(build_lm(CONFIG))
    with torch.no_grad():
        ours[1].bias.copy_(torch.linspace(-1, 1, CONFIG.vocab_sz))
    theirs = get_language_model(
        AWD_LSTM, CONFIG.vocab_sz, config=fastai_config(awd_lstm_lm_config)
    ).eval()
    theirs.load_state_dict(fastai_state(ours), strict=True)
    for model in (ours, theirs):
        model.reset()
    with torch.no_grad():
        for batch in ids(2, 4, 15):  # the second goes on from the state of the first
            projection, features, dropped = ours(batch)
            logits, their_features, _ = theirs(batch)
            assert logits.std() > 1
            torch.testing.assert_close(projection.logits(), logits)
            torch.testing.assert_close(features, their_features)
            torch.testing.assert_close(dropped, features)
        ours.reset()
        assert (ours(batch)[0].logits() - logits).abs().max() > 0.1  # the state matters


def fastai_classifier(ours, config, n_classes, **more):
    """fastai's with the weights of ours: its head has two blocks, ours their layers in a row."""
    theirs = get_text_classifier(
        AWD_LSTM, config.vocab_sz, n_classes, config=fastai_config(awd_lstm_clas_config), **more
    )
    theirs.load_state_dict(fastai_state(ours), strict=True)
    theirs.reset()
    return theirs.eval()


@pytest.mark.parametrize("length", [1, 2, 71, 72, 73, 144, 200])
def test_classifier_is_fastais_for_a_document_alone(length):
    ours = widen(build_classifier(CONFIG, 3, max_len=200))
    theirs = fastai_classifier(ours, CONFIG, 3, max_len=200)
    (document,) = random_documents([length], CONFIG.vocab_sz, seed=length)
    with torch.no_grad():
        found = ours(collate([document]))[0]
        expected = theirs(torch.from_numpy(document.astype(np.int64))[None])[0]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


# Without dropout


@pytest.mark.parametrize("build", [build_lm, lambda *a, **k: build_classifier(*a, 2, **k)])
def test_without_dropout_training_is_evaluation(build):
    # fastai's fails here: with probability 0 its `WeightDropout` breaks at the next reset.
    model = widen(build(CONFIG, drop_mult=0))
    encoder = model[0] if build is build_lm else model[0].module
    batch = ids(3, 10)
    outputs = []
    for mode in (True, False, True):
        model.train(mode)
        model.reset()
        outputs.append(encoder(batch).detach())
        model.reset()
    torch.testing.assert_close(outputs[0], outputs[1])
    torch.testing.assert_close(outputs[0], outputs[2])


def test_without_dropout_several_steps():
    model = build_lm(CONFIG, drop_mult=0, embedding_range=0.5)
    optimizer = torch.optim.SGD(model.parameters(), 1.0)
    batch = ids(3, 11)
    losses = []
    for _ in range(4):
        model.train()
        model.reset()
        loss = LMLoss()(model(batch[:, :-1])[0], batch[:, 1:])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses == sorted(losses, reverse=True)
    assert set(dict(model.named_parameters())) == set(dict(build_lm(CONFIG).named_parameters()))


# Weights by name


def test_encoder_goes_from_language_model_to_classifier():
    lm, classifier = widen(build_lm(CONFIG)), build_classifier(CONFIG, 2).eval()
    batch = ids(2, 9)
    lm.reset()
    load_encoder(classifier, encoder_weights(lm))
    with torch.no_grad():
        classifier[0].module.reset()
        torch.testing.assert_close(classifier[0].module(batch), lm(batch)[1], rtol=0, atol=0)
    for name, weight in encoder_weights(classifier).items():
        assert torch.equal(weight, encoder_weights(lm)[name])


def test_names_are_plain():
    lm = build_lm(CONFIG)
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    assert list(encoder_weights(lm)) == [
        "embedding.weight",
        *(f"rnn.{i}.{name}" for i in range(2) for name in names),
    ]
    assert list(head_weights(lm)) == ["decoder.bias"]


def test_weights_are_copied_not_shared():
    one, other = widen(build_lm(CONFIG)), build_lm(CONFIG)
    load_encoder(other, encoder_weights(one))
    encoder_weights(other)["embedding.weight"].zero_()
    assert encoder_weights(one)["embedding.weight"].abs().sum() > 0


def test_embedding_stays_tied_to_the_decoder():
    lm = build_lm(CONFIG)
    load_encoder(lm, encoder_weights(widen(build_lm(CONFIG))))
    load_head(lm, {"decoder.bias": torch.ones(CONFIG.vocab_sz)})
    assert lm[1].weight is lm[0].encoder.weight
    assert torch.equal(lm[1].bias, torch.ones(CONFIG.vocab_sz))
    projection = lm(ids(1, 3))[0]
    assert torch.equal(projection.weight, encoder_weights(lm)["embedding.weight"])


def test_names_are_strict():
    lm = build_lm(CONFIG)
    weights = encoder_weights(lm)
    bias = weights.pop("rnn.1.bias_hh_l0")
    with refuses("the weights are not this model's: missing ['rnn.1.bias_hh_l0'], unknown []"):
        load_encoder(lm, weights)
    with refuses(
        "models/a: the weights are not this model's: missing ['rnn.1.bias_hh_l0'], unknown "
        "['rnn.7.bias']; copy or train the model again"
    ):
        load_encoder(lm, {**weights, "rnn.7.bias": bias}, "models/a")
    with refuses(
        "the weights are not this model's: missing ['decoder.bias'], unknown ['decoder.weight']"
    ):
        load_head(lm, {"decoder.weight": torch.zeros(2)})


def test_wrong_shape():
    weights = encoder_weights(build_lm(EncoderConfig(51, 24, 32, 2)))
    with refuses(
        "weight embedding.weight has shape (51, 24), expected (50, 24): size or vocabulary differ"
    ):
        load_encoder(build_classifier(CONFIG, 2), weights)
    with refuses(
        "models/a: weight layers.6.weight has shape (3, 50), expected (2, 50): size or "
        "vocabulary differ; copy or train the model again"
    ):
        load_head(
            build_classifier(CONFIG, 2), head_weights(build_classifier(CONFIG, 3)), "models/a"
        )


# Another vocabulary


def test_remap_is_fastais_match_embeds():
    old_vocab = ["xxunk", "xxpad", *(f"w{i}" for i in range(48))]
    new_vocab = ["xxunk", "xxpad", "w40", "new", "w3", "w47", "newer"]
    lm = widen(build_lm(CONFIG))
    encoder, head = encoder_weights(lm), {"decoder.bias": torch.randn(50)}
    expected = match_embeds(
        {"0.encoder.weight": encoder["embedding.weight"], "1.decoder.bias": head["decoder.bias"]},
        old_vocab,
        new_vocab,
    )
    new_encoder, new_head = remap_vocabulary(encoder, head, old_vocab, new_vocab)
    torch.testing.assert_close(new_encoder["embedding.weight"], expected["0.encoder.weight"])
    torch.testing.assert_close(new_head["decoder.bias"], expected["1.decoder.bias"])
    assert all(new_encoder[name] is encoder[name] for name in encoder if "rnn" in name)
    assert vocabulary_overlap(old_vocab, new_vocab) == 5
    remapped = build_lm(EncoderConfig(len(new_vocab), 24, 32, 2))
    load_encoder(remapped, new_encoder)
    load_head(remapped, new_head)


# From scratch


def predictable_ids(words, tokens):
    """Each word is followed by one other word four times in five, else by a second one."""
    rng = np.random.default_rng(0)
    usual, rare = (np.arange(words) * 7 + 1) % words, rng.integers(0, words, words)
    found, word = np.empty(tokens, np.int64), 0
    for i, is_usual in enumerate(rng.random(tokens) < 0.8):
        word = usual[word] if is_usual else rare[word]
        found[i] = word + 9
    return found


def last_losses(embedding_range, stream, rows=16, time=20):
    """Mean loss of the last ten steps of a short training on `stream`, each token seen once."""
    torch.manual_seed(0)
    model = build_lm(EncoderConfig(209, 32, 64, 3), 0.0, embedding_range)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3, betas=(0.7, 0.99))
    inputs, targets = (torch.from_numpy(s).reshape(rows, -1) for s in (stream[:-1], stream[1:]))
    losses = []
    for batch, expected in zip(inputs.split(time, 1), targets.split(time, 1), strict=True):
        loss = LMLoss()(model(batch)[0], expected)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return float(np.mean(losses[-10:]))


def test_from_scratch_it_learns_more_than_word_frequencies():
    stream = predictable_ids(200, 16 * 20 * 65 + 1)
    entropy = unigram_entropy(stream)
    assert last_losses(0.5, stream) < 0.9 * entropy
    # The control: with fastai's narrow embedding the same training has not left it.
    assert last_losses(None, stream) > 0.97 * entropy


def test_embedding_range():
    weight = encoder_weights(build_lm(CONFIG, embedding_range=0.5))["embedding.weight"]
    assert 0.4 < weight.abs().max() <= 0.5
    assert not weight[PAD_ID].any()
    assert encoder_weights(build_lm(CONFIG))["embedding.weight"].abs().max() <= 0.1
