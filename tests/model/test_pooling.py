"""A document's prediction is its own, whatever is in the batch; pooling, gradients, AR and TAR."""

import numpy as np
import pytest
import torch
from fastai.text.data import pad_input_chunk
from fastai.text.models.awdlstm import AWD_LSTM, awd_lstm_clas_config
from fastai.text.models.core import get_text_classifier
from tiny_models import (
    corpus_from,
    needs_bfloat16,
    random_corpus,
    random_documents,
    widen,
    word_processor,
)

from ulmfit.inference.loaded import predict_probabilities
from ulmfit.interop import fastai_state
from ulmfit.model.build import build_classifier, classifier_groups
from ulmfit.model.sizes import EncoderConfig
from ulmfit.text.batches import DocumentBatch, collate
from ulmfit.text.processor import PAD_ID

CPU = torch.device("cpu")
CONFIG = EncoderConfig(vocab_sz=50, emb_sz=24, n_hid=32, n_layers=2)
BPTT = 12
MAX_LEN = 40
# One token, multiples of BPTT and their neighbours, around and above MAX_LEN; in no order.
LENGTHS = [13, 1, 40, 2, 100, 12, 11, 25, 24, 23, 1, 36, 37, 39, 35, 41, 52, 53, 7, 97, 60, 3]


def classifier(max_len=MAX_LEN, bptt=BPTT):
    return widen(build_classifier(CONFIG, 3, drop_mult=0, bptt=bptt, max_len=max_len))


def probabilities(model, documents, dtype=torch.float32):
    return predict_probabilities(model, corpus_from(documents), CPU, dtype)


def logits(model, documents):
    with torch.no_grad():
        return model(collate(documents))[0]


def alone(model, documents, dtype=torch.float32):
    return np.concatenate([probabilities(model, [document], dtype) for document in documents])


# The same prediction alone and in every batch


@pytest.mark.parametrize("max_len", [MAX_LEN, 1440])
@pytest.mark.parametrize("order", ["as given", "sorted", "reversed"])
def test_probabilities_do_not_depend_on_the_batch(max_len, order):
    model = classifier(max_len)
    lengths = {"as given": LENGTHS, "sorted": sorted(LENGTHS), "reversed": LENGTHS[::-1]}[order]
    documents = random_documents(lengths, CONFIG.vocab_sz)
    expected = alone(model, documents)
    assert expected.std(0).min() > 0.1  # documents differ, so that a mistake would show
    np.testing.assert_allclose(probabilities(model, documents), expected, atol=1e-4, rtol=0)


def test_every_batch_of_two():
    model = classifier()
    documents = random_documents(sorted(LENGTHS, reverse=True), CONFIG.vocab_sz)
    singly = torch.cat([logits(model, [document]) for document in documents])
    for i, longer in enumerate(documents):
        for j in range(i + 1, len(documents)):
            found = logits(model, [longer, documents[j]])
            torch.testing.assert_close(found, singly[[i, j]], rtol=1e-4, atol=1e-4)


def test_a_batch_leaves_nothing_behind_for_the_next():
    model = classifier()
    documents = random_documents([50, 30, 5], CONFIG.vocab_sz)
    first = logits(model, documents)
    logits(model, random_documents([90] * 8, CONFIG.vocab_sz, seed=1))
    assert torch.equal(logits(model, documents), first)


def test_chunk_length_does_not_matter():
    documents = random_documents([100, 53, 40, 12, 1], CONFIG.vocab_sz)
    expected = logits(classifier(bptt=1000), documents)
    for bptt in (1, 7, 12, 40):
        torch.testing.assert_close(
            logits(classifier(bptt=bptt), documents), expected, rtol=1e-4, atol=1e-4
        )


def test_wider_padding_changes_nothing():
    model = classifier()
    batch = collate(random_documents([30, 13, 12, 2], CONFIG.vocab_sz))
    wider = torch.nn.functional.pad(batch.ids, (0, 29), value=PAD_ID)
    with torch.no_grad():
        expected = model[0].train()(batch)  # with its regularizers; without dropout
        found = model[0](DocumentBatch(wider, batch.lengths))
    torch.testing.assert_close(found, expected)


@needs_bfloat16
def test_bfloat16_is_near():
    model = classifier()
    documents = random_documents(LENGTHS, CONFIG.vocab_sz)
    batch = probabilities(model, documents, torch.bfloat16)
    assert np.abs(batch - alone(model, documents, torch.bfloat16)).max() < 0.02
    assert np.abs(batch - alone(model, documents)).max() < 0.1


@pytest.mark.parametrize("learns", [False, True])
def test_features_of_a_long_document_are_not_in_memory_together(monkeypatch, learns):
    model, looked_up = classifier(), []
    module = model[0].module
    embed = module.embed
    monkeypatch.setattr(module, "embed", lambda ids: looked_up.append(ids.numel()) or embed(ids))
    with torch.set_grad_enabled(learns):
        model(collate(random_documents([2000, 5], CONFIG.vocab_sz)))
    at_once = max(looked_up)
    assert at_once <= (2 * MAX_LEN if learns else 2 * BPTT)
    assert sum(looked_up) == 2000 + BPTT  # the first chunk has two rows


def test_more_documents_than_fit_into_a_batch():
    model = classifier()
    corpus = random_corpus([20] * 40 + [3000] + [5] * 2500 + [2900] * 12, CONFIG.vocab_sz)
    found = predict_probabilities(model, corpus, CPU, torch.float32)
    for document in (0, 39, 40, 41, 2000, 2541, 2552):
        np.testing.assert_allclose(
            found[document], alone(model, [corpus[document]])[0], atol=1e-4, rtol=0
        )


@pytest.mark.parametrize("order", ["sorted", "as given"])
def test_fastai_fails_at_this(order):
    """fastai#3379; where this test fails, upstream was mended and the comments can go."""
    ours = classifier(1440)
    sizes = {"emb_sz": CONFIG.emb_sz, "n_hid": CONFIG.n_hid, "n_layers": CONFIG.n_layers}
    theirs = get_text_classifier(
        AWD_LSTM, 50, 3, seq_len=BPTT, config={**awd_lstm_clas_config, **sizes}
    ).eval()
    theirs.load_state_dict(fastai_state(ours), strict=True)
    theirs.reset()
    lengths = sorted(LENGTHS, reverse=True) if order == "sorted" else LENGTHS
    documents = random_documents(lengths, CONFIG.vocab_sz)
    expected = alone(ours, documents)

    def predict(batch):
        samples = [(torch.from_numpy(document.astype(np.int64)),) for document in batch]
        padded = pad_input_chunk(samples, pad_idx=PAD_ID, seq_len=BPTT)
        with torch.no_grad():
            return theirs(torch.stack([ids for (ids,) in padded]))[0].softmax(1).numpy()

    singly = np.concatenate([predict([document]) for document in documents])
    np.testing.assert_allclose(singly, expected, atol=1e-4, rtol=0)
    wrong = (np.abs(predict(documents) - expected).max(1) > 0.01).sum()
    assert wrong >= (1 if order == "sorted" else 5)


# Pooling


def outputs(model, document):
    """(tokens, features) of one document, read in one go."""
    model[0].module.reset()
    with torch.no_grad():
        return model[0].module(torch.from_numpy(document.astype(np.int64))[None])[0]


@pytest.mark.parametrize("max_len", [1, 5, 12, 40, 1000])
def test_the_last_tokens_are_pooled(max_len):
    model = classifier(max_len)
    documents = random_documents([100, 53, 41, 40, 24, 13, 12, 5, 1], CONFIG.vocab_sz)
    with torch.no_grad():
        features = model[0](collate(documents)).features
    for found, document in zip(features, documents, strict=True):
        kept = outputs(model, document)[-max_len:]
        expected = torch.cat([kept[-1], kept.amax(0), kept.mean(0)])
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_regularizers_count_tokens_and_no_padding():
    model = classifier(bptt=1000, max_len=30).train()  # without dropout the same features
    documents = random_documents([50, 31, 30, 13, 2, 1], CONFIG.vocab_sz)
    with torch.no_grad():
        pooled = model[0](collate(documents))
    kept = [outputs(model, document)[-30:] for document in documents]
    torch.testing.assert_close(pooled.activation, torch.cat(kept).square().mean())
    changes = torch.cat([one.diff(dim=0) for one in kept])
    torch.testing.assert_close(pooled.slowness, changes.square().mean())


def test_regularizers_of_chunks():
    model = classifier(max_len=1000).train()
    lengths = torch.tensor([50, 31, 24, 13, 2, 1])
    documents = random_documents(lengths.tolist(), CONFIG.vocab_sz)
    with torch.no_grad():
        pooled = model[0](collate(documents))
        singly = [model[0](collate([document])) for document in documents]
    activation = torch.stack([one.activation for one in singly])
    torch.testing.assert_close(pooled.activation, (activation * lengths).sum() / lengths.sum())
    changes = lengths - (lengths - 1) // BPTT - 1  # none from one chunk to the next
    slowness = torch.stack([one.slowness for one in singly])
    torch.testing.assert_close(pooled.slowness, (slowness * changes).sum() / changes.sum())


def test_evaluation_counts_no_regularizers():
    pooled = classifier()[0](collate(random_documents([30, 13], CONFIG.vocab_sz)))
    assert (pooled.activation, pooled.slowness) == (0, 0)


def test_a_single_token_has_no_slowness():
    model = classifier().train()
    pooled = model[0](collate(random_documents([1], CONFIG.vocab_sz)))
    assert pooled.slowness == 0
    assert pooled.activation > 0


# Padding is what the vocabulary calls so


def test_pad_id_is_the_vocabularys():
    assert word_processor().vocab[PAD_ID] == "xxpad"
    assert classifier()[0].module.encoder.padding_idx == PAD_ID
    batch = collate(random_documents([5, 2], CONFIG.vocab_sz))
    assert batch.ids[1].tolist()[2:] == [PAD_ID] * 3
    assert batch.lengths.tolist() == [5, 2]


def test_a_text_may_hold_the_word_xxpad():
    model = classifier()
    longer, shorter = random_documents([30, 20], CONFIG.vocab_sz)
    with_pads = shorter.copy()
    with_pads[[7, 12, 18, 19]] = PAD_ID
    found = probabilities(model, [longer, with_pads])
    np.testing.assert_allclose(found, alone(model, [longer, with_pads]), atol=1e-4)
    assert np.abs(found[1] - alone(model, [shorter])[0]).max() > 0.01


# Gradients


def encoder_gradients(model):
    return {
        name: parameter.grad
        for name, parameter in model[0].named_parameters()
        if parameter.grad is not None
    }


def training_step(model, lengths=(30, 30, 13, 5)):
    model.train()
    loss, activation, slowness = model(collate(random_documents(lengths, CONFIG.vocab_sz)))
    (loss.square().sum() + activation + slowness).backward()


def test_frozen_encoder_builds_no_graph():
    model = classifier()
    for parameter in model[0].parameters():
        parameter.requires_grad_(False)
    pooled = model[0](collate(random_documents([30, 13, 5], CONFIG.vocab_sz)))
    assert not any(tensor.requires_grad for tensor in pooled[:3])
    training_step(model)
    assert not encoder_gradients(model)
    assert all(parameter.grad is not None for parameter in model[1].parameters())


def test_partly_frozen_encoder():
    model = classifier()
    frozen, trained = classifier_groups(model)[:2], classifier_groups(model)[2:]
    for group in frozen:
        for parameter in group:
            parameter.requires_grad_(False)
    training_step(model)
    assert all(parameter.grad is None for group in frozen for parameter in group)
    assert all(parameter.grad.abs().sum() > 0 for group in trained for parameter in group)


def test_unfrozen_encoder_learns():
    model = classifier()
    training_step(model)
    gradients = encoder_gradients(model)
    assert gradients.keys() == dict(model[0].named_parameters()).keys()
    assert all(gradient.isfinite().all() and gradient.any() for gradient in gradients.values())


def test_what_is_not_pooled_is_read_without_gradients():
    model = classifier(max_len=10)
    first, last = np.arange(9, 29), np.arange(29, 49)  # words of the beginning and of the end
    document = np.concatenate([first, first, first, last])  # 80 tokens; pooled: 70 to 79
    graphs = []
    model[0].module.rnns[0].register_forward_hook(
        lambda *call: graphs.append(call[2][0].requires_grad)
    )
    model[0](collate([document, document[1:]])).features.sum().backward()
    assert graphs == [False] * 5 + [True] * 2  # the shorter one's pooling begins at token 69
    gradient = model[0].module.encoder.weight.grad.abs().sum(1)
    assert not gradient[first].any()
    assert (gradient[last[-10:]] > 0).all()
