"""The part of a batch that each of several processes reads."""

import numpy as np
import pytest
import torch
from tiny_models import random_corpus, refuses

from ulmfit.text.batches import ClassifierLoader, LMLoader, lm_loader
from ulmfit.text.dealing import Part, Rows

VOCAB = 60


def parts(count):
    return [Part(rank, count) for rank in range(count)]


@pytest.mark.parametrize("count", [1, 2, 4])
def test_lanes_of_a_language_model(count):
    corpus = random_corpus([20] * 16, VOCAB)
    whole = list(LMLoader(corpus, 8, 5, shuffle=True, seed=3))
    of = [list(LMLoader(corpus, 8, 5, shuffle=True, seed=3, part=p)) for p in parts(count)]
    for batch, (inputs, targets) in enumerate(whole):
        assert torch.equal(torch.cat([own[batch][0] for own in of]), inputs)
        assert torch.equal(torch.cat([own[batch][1] for own in of]), targets)
        assert {len(own[batch][0]) for own in of} == {8 // count}


def test_fewer_lanes_than_processes_to_validate_on():
    corpus = random_corpus([20] * 16, VOCAB)
    loaders = [lm_loader(corpus, 8, 5, "validate on", part=p) for p in parts(4)]
    assert loaders[0].batch_size == 3
    rows = [[len(inputs) for inputs, _ in loader] for loader in loaders]
    assert sorted(sum(own) // max(1, len(own)) for own in rows) == [0, 1, 1, 1]
    assert [len(loader) for loader in loaders] == [len(own) for own in rows]


def test_batch_size_that_the_processes_do_not_divide():
    with refuses(
        "found 3 processes, expected a number that divides the batch size of 8: 2, 4, 8; start so "
        "many, or change --batch-size"
    ):
        lm_loader(random_corpus([20] * 16, VOCAB), 8, 5, "train on", shuffle=True, part=Part(0, 3))


@pytest.mark.parametrize("count", [2, 3, 5])
def test_documents_of_a_batch_to_train_on(count):
    corpus, truth = random_corpus(range(3, 46), VOCAB), np.arange(43)
    given = {"batch_size": 8, "shuffle": True, "seed": 1}
    whole = list(ClassifierLoader(corpus, truth, **given))
    of = [list(ClassifierLoader(corpus, truth, **given, part=p)) for p in parts(count)]
    assert {len(batches) for batches in of} == {len(whole)}
    for batch, (documents, labels) in enumerate(whole):
        weights, places = 0.0, []
        for own in of:
            found, own_labels = own[batch]
            shared = found.shared
            assert torch.equal(shared.lengths, documents.lengths)
            assert torch.equal(labels[shared.places], own_labels)
            assert torch.equal(documents.lengths[shared.places], found.lengths)
            places += shared.rows.own.tolist()
            weights += shared.weight
        assert sorted(places) == list(range(len(labels)))
        assert weights == pytest.approx(1)


def test_documents_are_dealt_evenly():
    lengths = np.arange(64, 0, -1)
    tokens = [int(lengths[part.dealt(64)].sum()) for part in parts(4)]
    assert max(tokens) - min(tokens) <= 64


@pytest.mark.parametrize("weighted", [False, True])
def test_documents_to_validate_on_are_read_once(weighted):
    corpus, truth = random_corpus(range(3, 26), VOCAB), np.arange(23)
    read = []
    for part in parts(3):
        loader = ClassifierLoader(corpus, truth, tokens=60, part=part)
        loader.weights = np.ones(23) if weighted else None
        batches = list(loader)
        assert len(batches) == len(loader)
        assert all(batch.shared is None for batch, _ in batches)
        read += [label for _, labels in batches for label in labels.tolist()]
    assert sorted(read) == list(range(23))


def test_part_of_the_loss_follows_the_weights():
    weights = np.array([1.0, 1.0, 1.0, 5.0])
    corpus = random_corpus([8, 7, 6, 5], VOCAB)
    found = 0.0
    for part in parts(2):
        loader = ClassifierLoader(corpus, np.arange(4), 4, shuffle=True, part=part, weights=weights)
        [(batch, labels)] = list(loader)
        assert batch.shared.weight == pytest.approx(weights[labels].sum() / 8)
        found += batch.shared.weight
    assert found == pytest.approx(1)


def test_rows_of_masks():
    rows = Rows(torch.tensor([0, 3]), 4)
    drawn = torch.arange(4.0)[:, None]
    assert rows.of(drawn, 2).tolist() == [[0.0], [3.0]]
    assert rows.of(drawn, 3).tolist() == [[0.0], [3.0], [0.0]]
    assert (rows.first(1, 9).own.tolist(), rows.first(1, 9).total) == ([0], 9)
