"""The head and the encoder of a classifier whose batch is divided among processes."""

import threading

import numpy as np
import pytest
import torch
from tiny_groups import in_all
from tiny_models import random_corpus

from ulmfit.base.processes import current
from ulmfit.model.build import build_classifier
from ulmfit.model.single_label_loss import SingleLabelLoss
from ulmfit.model.sizes import encoder_config
from ulmfit.text.batches import ClassifierLoader
from ulmfit.text.dealing import WHOLE, Part

VOCAB = 60
DRAWING = threading.Lock()  # threads share one random generator


def step(part, lengths, weights):
    """Loss, gradients and running statistics of a batch, or one process's part of them."""
    sizes = {"bptt": 8, "max_len": 12, "hidden": 6}
    with DRAWING:
        torch.manual_seed(1)
        model = build_classifier(encoder_config("tiny", VOCAB), 2, 0.0, **sizes)
    model[1].layers[5].p = 0.0
    with torch.no_grad():
        model[0].module.encoder.weight.mul_(20)
    corpus, truth = random_corpus(lengths, VOCAB), np.arange(len(lengths)) % 2
    of_classes = None if weights is None else torch.tensor(weights)
    loader = ClassifierLoader(corpus, truth, 16, shuffle=True, part=part)
    loader.weights = None if weights is None else np.array(weights)[truth]
    [(batch, labels)] = list(loader)
    logits, activation, slowness = model.train()(batch)
    loss = SingleLabelLoss(of_classes)(logits, labels)
    loss = loss * (batch.shared.weight if batch.shared else 1) + 2 * activation + slowness
    loss.backward()
    found = {name: weight.grad.clone() for name, weight in model.named_parameters()}
    found["loss"] = loss.detach().clone()
    current().add(list(found.values()))
    return {**found, **{name: b.clone() for name, b in model.named_buffers()}}


@pytest.mark.parametrize("weights", [None, [0.5, 2.0]])
@pytest.mark.parametrize(("count", "lengths"), [(2, [5, 30, 9, 14, 21]), (4, [17, 6, 11])])
def test_sums_of_the_parts_are_those_of_one_process(count, lengths, weights):
    alone = step(WHOLE, lengths, weights)
    for together in in_all(count, lambda rank: step(Part(rank, count), lengths, weights)):
        assert not isinstance(together, BaseException), together
        assert together.keys() == alone.keys()
        for name, value in alone.items():
            assert torch.allclose(together[name], value, atol=1e-5, rtol=1e-4), name
