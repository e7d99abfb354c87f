"""Batches on a device, and what is fetched one item ahead."""

import threading

import pytest
import torch

from ulmfit.text.batches import DocumentBatch, LMLoader, ahead, on_device
from ulmfit.training.learner import data_loaders

META = torch.device("meta")  # a device that every machine has


def test_every_part_is_moved():
    batch = (DocumentBatch(torch.ones(2, 3), torch.tensor([3, 1])), torch.zeros(2))
    ((documents, labels),) = on_device(iter([batch]), META)
    assert documents.ids.device == labels.device == META
    assert documents.lengths.tolist() == [3, 1]  # for Python to read


def test_loaders_of_a_learner_give_batches_on_its_device(tiny_corpus):
    loaders = data_loaders(LMLoader(tiny_corpus, 2, 5), LMLoader(tiny_corpus, 2, 5), META)
    assert loaders.device == META
    for loader in loaders:
        assert all(part.device == META for batch in loader for part in batch)


@pytest.fixture
def tiny_corpus():
    from tiny_models import random_corpus

    return random_corpus([7, 30, 1], 50)


def test_one_item_ahead_in_order():
    asked = []
    items = iter([1, 2, 3])
    threads = set()

    def fetch():
        threads.add(threading.current_thread())
        asked.append(next(items, None))
        return asked[-1]

    found = ahead(fetch)
    assert next(found) == 1
    assert list(found) == [2, 3]
    assert asked == [1, 2, 3, None]
    assert threading.current_thread() not in threads


def test_an_error_arrives_where_the_batches_are_used():
    def fetch():
        raise ValueError("no such file")

    with pytest.raises(ValueError, match="no such file"):
        next(ahead(fetch))


def test_who_stops_early_leaves_no_thread():
    before = threading.active_count()
    found = ahead(lambda: 1)
    assert next(found) == 1
    found.close()
    assert threading.active_count() == before
