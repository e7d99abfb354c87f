"""LM batches are fastai's; classifier batches are padded no wider than they have to be."""

import warnings

import numpy as np
import pytest
import torch
from fastai.text.data import LMDataLoader
from tiny_models import corpus_from

from ulmfit.base.precision import row_block
from ulmfit.text.batches import ClassifierLoader, LMLoader, collate
from ulmfit.training.learner import data_loaders

BOS = 2


def corpus_of(lengths, seed=0):
    """Documents of these lengths, ``xxbos`` first, no other id twice."""
    rng = np.random.default_rng(seed)
    ids = rng.permutation(np.arange(9, 9 + sum(lengths))).astype(np.uint16)
    parts = np.split(ids, np.cumsum(lengths)[:-1])
    for part in parts:
        part[:1] = BOS
    return corpus_from(parts)


LENGTHS = np.random.default_rng(5).integers(1, 60, 83).tolist()
CORPUS = corpus_of(LENGTHS)


def batches(loader):
    return [(x.tolist(), y.tolist()) for x, y in loader]


# The language model's stream


@pytest.mark.parametrize(
    ("lengths", "batch_size", "seq_len"),
    [
        (LENGTHS, 4, 7),
        (LENGTHS, 16, 72),
        (LENGTHS, 1, 10),
        (LENGTHS, 64, 5),
        ([41], 4, 5),  # (tokens - 1) divide evenly by both
        ([42], 4, 5),  # one token more
        ([40], 4, 5),  # one fewer
        ([45], 4, 5),  # the last batch is one token long
        ([3, 1, 1, 6], 5, 72),
        ([5], 4, 72),  # one token a row
    ],
)
def test_batches_are_fastais(lengths, batch_size, seq_len):
    corpus = corpus_of(lengths)
    documents = [torch.from_numpy(corpus[i].astype(np.int64)) for i in range(len(corpus))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of fastai's, on a machine without an accelerator
        theirs = LMDataLoader(
            documents, lens=lengths, bs=batch_size, seq_len=seq_len, device=torch.device("cpu")
        )
        expected = batches(theirs)
    ours = LMLoader(corpus, batch_size, seq_len)
    assert batches(ours) == expected
    assert len(ours) == len(theirs) == len(expected)


def test_shapes_and_types():
    for inputs, targets in LMLoader(CORPUS, 8, 10):
        assert inputs.dtype == targets.dtype == torch.int64
        assert inputs.shape == targets.shape
        assert torch.equal(inputs[:, 1:], targets[:, :-1])


def test_rows_go_on_from_batch_to_batch():
    loader = LMLoader(CORPUS, 8, 10)
    rows = torch.cat([inputs for inputs, _ in loader], 1)
    assert rows.shape == (8, (len(CORPUS.ids) - 1) // 8)
    assert rows.flatten().tolist() == CORPUS.ids[: rows.numel()].tolist()


def test_fewer_tokens_than_rows():
    loader = LMLoader(corpus_of([3]), 4, 5)
    assert len(loader) == 0
    assert batches(loader) == []


def test_backward_reads_each_document_from_its_end():
    corpus = corpus_of([4, 1, 3, 6])
    loader = LMLoader(corpus.reversed(), 1, 50)
    ((inputs, _),) = list(loader)
    expected = [i for d in range(4) for i in [BOS, *corpus[d].tolist()[:0:-1]]]
    assert inputs[0].tolist() == expected[:-1]


def test_shuffling_depends_on_seed_and_epoch_alone():
    def order(**changes):
        return batches(LMLoader(CORPUS, 4, 7, shuffle=True, **changes))

    loader = LMLoader(CORPUS, 4, 7, shuffle=True, seed=1, epoch=2)
    assert batches(loader) == batches(loader) == order(seed=1, epoch=2)
    different = [order(), order(seed=1), order(epoch=1), order(seed=1, epoch=1)]
    different.append(batches(LMLoader(CORPUS, 4, 7, epoch=1)))
    assert all(a != b for i, a in enumerate(different) for b in different[:i])
    later = LMLoader(CORPUS, 4, 7, shuffle=True)
    later.epoch = 1
    assert batches(later) == order(epoch=1)


@pytest.mark.parametrize("epoch", [0, 1])
def test_shuffled_pass_reads_every_token_once(epoch):
    corpus = corpus_of([5, 20, 1, 9, 6])  # 41 tokens: 4 rows of 10, and one to be predicted
    loader = LMLoader(corpus, 4, 3, shuffle=True, epoch=epoch)
    inputs = torch.cat([inputs for inputs, _ in loader], 1).flatten().tolist()
    last = next(reversed(list(loader)))[1][-1, -1].item()
    assert sorted([*inputs, last]) == sorted(corpus.ids.tolist())
    # Documents stay whole, in another order.
    stream = "".join(f" {i}" for i in [*inputs, last]) + " "
    for document in range(len(corpus)):
        assert "".join(f" {i}" for i in corpus[document]) + " " in stream


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("start", [0, 1, 5, 100])
def test_start_skips_once(shuffle, start):
    loader = LMLoader(CORPUS, 8, 9, shuffle=shuffle)
    everything = batches(loader)
    loader.start = start
    assert batches(loader) == everything[start:]
    assert loader.start == 0
    assert batches(loader) == everything


def test_share_of_the_stream():
    loader = LMLoader(CORPUS, 8, 9, share=0.5)
    rows = torch.cat([inputs for inputs, _ in loader], 1)
    assert rows.shape[1] == int((len(CORPUS.ids) - 1) * 0.5) // 8
    assert rows.flatten().tolist() == CORPUS.ids[: rows.numel()].tolist()
    assert len(loader) == len(list(loader))


# The classifier's batches


def classifier(lengths=LENGTHS, **changes):
    corpus = corpus_of(lengths)
    # The label of a document is its number, so that it can be found again.
    return ClassifierLoader(corpus, np.arange(len(corpus)), **changes)


def assert_complete(loader):
    """Every document once, padded behind to the longest of its batch and no wider."""
    seen = []
    for batch, numbers in loader:
        seen += numbers.tolist()
        lengths = batch.lengths.tolist()
        assert lengths == sorted(lengths, reverse=True)
        assert batch.ids.shape == (len(numbers), lengths[0])
        assert batch.ids.dtype == numbers.dtype == batch.lengths.dtype == torch.int64
        for ids, length, number in zip(batch.ids, lengths, numbers, strict=True):
            assert ids[:length].tolist() == loader.corpus[number].tolist()
            assert ids[length:].tolist() == [1] * (len(ids) - length)
    assert sorted(seen) == list(range(len(loader.corpus)))
    return seen


def sizes(loader):
    return [len(numbers) for _, numbers in loader]


@pytest.mark.parametrize("tokens", [1, 59, 200, 1000, 32_768])
def test_batches_keep_to_their_tokens(tokens):
    loader = classifier(tokens=tokens)
    seen = assert_complete(loader)
    assert loader.order.tolist() == seen
    lengths = loader.corpus.lengths[loader.order]
    assert (np.diff(lengths) <= 0).all()
    for batch, numbers in loader:
        assert batch.ids.numel() <= tokens or len(numbers) == 1
    assert len(loader) == len(list(loader))


def test_as_many_documents_as_fit():
    loader = classifier([10, 10, 10, 4, 4, 4, 4, 4], tokens=20)
    assert sizes(loader) == [2, 2, 4]
    assert loader.order.tolist() == list(range(8))


def test_equal_lengths_keep_their_order():
    assert classifier([3, 5, 3, 5, 3]).order.tolist() == [1, 3, 0, 2, 4]


@pytest.mark.parametrize("count", [1, 2, 3, 100, 101, 102, 103, 199, 200, 201, 202, 301])
def test_no_batch_of_one_in_training(count):
    lengths = np.random.default_rng(count).integers(1, 30, count).tolist()
    loader = classifier(lengths, batch_size=2, shuffle=True)
    assert_complete(loader)
    found = sizes(loader)
    assert len(found) == len(loader)
    assert set(found) <= {2, 3} or count == 1
    assert found.count(3) == (count % 2 if count > 1 else 0)


@pytest.mark.parametrize("batch_size", [4, 16, 50, 200])
def test_shuffled_batches(batch_size):
    loader = classifier(np.random.default_rng(1).integers(1, 90, 700).tolist(), shuffle=True)
    loader.batch_size = batch_size
    assert_complete(loader)
    first = next(iter(loader))[0]
    assert first.lengths[0] == loader.corpus.lengths.max()
    assert all(size in (batch_size, 700 % batch_size) for size in sizes(loader))


def test_shuffled_batches_are_of_about_equal_length():
    loader = classifier(np.random.default_rng(1).integers(1, 500, 800).tolist(), batch_size=8)
    loader = ClassifierLoader(loader.corpus, loader.labels, batch_size=8, shuffle=True)
    padding = [1 - batch.lengths.float().mean() / batch.ids.shape[1] for batch, _ in loader]
    assert np.mean(padding) < 0.1


def test_shuffled_batches_depend_on_seed_and_epoch_alone():
    def order(**changes):
        return [n for _, numbers in classifier(shuffle=True, **changes) for n in numbers.tolist()]

    assert order(seed=1, epoch=2) == order(seed=1, epoch=2)
    different = [order(), order(seed=1), order(epoch=1), order(seed=1, epoch=1)]
    assert all(a != b for i, a in enumerate(different) for b in different[:i])


@pytest.mark.parametrize("shuffle", [False, True])
def test_classifier_start_skips_once(shuffle):
    loader = classifier(batch_size=8, tokens=300, shuffle=shuffle)
    everything = [numbers.tolist() for _, numbers in loader]
    loader.start = 3
    assert [numbers.tolist() for _, numbers in loader] == everything[3:]
    assert [numbers.tolist() for _, numbers in loader] == everything


def test_order_of_shuffled_batches_is_refused():
    with pytest.raises(AssertionError, match="order of shuffled batches changes every epoch"):
        _ = classifier(shuffle=True).order


def test_collate():
    batch = collate([np.array([2, 5, 6], np.uint16), np.array([2], np.uint16)])
    assert batch.ids.tolist() == [[2, 5, 6], [2, 1, 1]]
    assert batch.lengths.tolist() == [3, 1]
    moved = batch.to("meta")
    assert (moved.ids.device.type, moved.lengths.device.type) == ("meta", "cpu")


def test_fastais_data_loaders():
    train, valid = LMLoader(CORPUS, 4, 7, shuffle=True), LMLoader(CORPUS, 4, 7)
    assert data_loaders(train, valid).device == torch.device("cpu")
    loaders = data_loaders(train, valid, "meta")
    assert (loaders.train, loaders.valid) == (train, valid)
    assert loaders.device == torch.device("meta")  # or fastai would choose one itself


@pytest.mark.parametrize("fit", [1, 4, 5, 7, 8, 9, 15, 17, 33, 64, 65, 100, 130])
def test_batches_hold_as_many_documents_as_the_hardware_likes(fit):
    lengths = [10] * 300
    loader = ClassifierLoader(corpus_of(lengths), np.zeros(300), tokens=10 * fit + 9)
    sizes = [len(labels) for _, labels in loader]
    assert sum(sizes) == 300
    assert len(set(sizes[:-1])) == 1
    assert fit / 2 < sizes[0] <= fit
    block = row_block(sizes[0])
    assert sizes[0] % block == 0 or sizes[0] < block
