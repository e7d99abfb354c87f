"""Learners over random documents that train in a blink, and the ways to interrupt them."""

import os
import signal

import numpy as np
import torch
from fastai.callback.core import Callback
from tiny_models import random_corpus

from ulmfit.base.precision import resolve_precision, set_seed
from ulmfit.model.build import build_classifier, build_lm
from ulmfit.model.sizes import encoder_config
from ulmfit.training.classifier_data import Labelled
from ulmfit.training.history import History, without_timing
from ulmfit.training.learner import classifier_learner, lm_learner, lm_loaders
from ulmfit.training.run import Run
from ulmfit.training.settings import ClassifierSettings, LMSettings, Step
from ulmfit.training.stage import Workplace

VOCAB = 60
CPU = torch.device("cpu")
DTYPE = resolve_precision("auto", CPU)
# What may differ from step to step does: what trains, how much is read, rates, decay.
STEPS = [
    Step(2, 0.01, groups=1, share=0.5, weight_decay=0.1),
    Step(2, [0.002, 0.02], div=5.0, weight_decay=0.0),
]


def lm(dtype=DTYPE):
    """A learner with 10 batches an epoch."""
    set_seed(3)
    model = build_lm(encoder_config("tiny", VOCAB), 0.5, 0.5)
    settings = LMSettings(batch_size=4, seq_len=8, steps=STEPS)
    train, valid = random_corpus([20] * 16, VOCAB), random_corpus([20] * 4, VOCAB, seed=1)
    return lm_learner(model, lm_loaders(train, valid, settings, False), settings, CPU, dtype)


def classifier(dtype=DTYPE):
    """A learner with 10 batches an epoch."""
    set_seed(3)
    model = build_classifier(encoder_config("tiny", VOCAB), 2, 0.5, bptt=8, max_len=12, hidden=6)
    settings = ClassifierSettings(batch_size=4, steps=STEPS)
    train = Labelled(random_corpus(range(4, 44), VOCAB), np.arange(40) % 2)
    valid = Labelled(random_corpus([9, 5, 14], VOCAB, seed=1), np.array([0, 1, 1]))
    return classifier_learner(model, train, valid, settings, Workplace(CPU, dtype))


LEARNERS = {"lm": lm, "classifier": classifier}


def run_of(learn, checkpoint, steps=STEPS, **more):
    return Run(learn, steps, checkpoint, {"settings": {"a": 1}}, History(), **more)


def weights(learn):
    return {name: weight.clone() for name, weight in learn.model.state_dict().items()}


def same(ours, theirs):
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def rows_of(run):
    return without_timing(run.history.rows)


class PowerCut(Exception):
    """The process is gone, whatever it was doing."""


class At(Callback):
    """Does something at the n-th training batch, or in the n-th validation."""

    order = 10

    def __init__(self, do=None, batch=0, validation=0):
        self.do, self.batch, self.validation = do, batch, validation
        self.batches = self.validations = 0

    def after_batch(self):
        if self.training:
            self.batches += 1
            if self.batches == self.batch:
                self.do()

    def before_validate(self):
        self.validations += 1
        if self.validations == self.validation:
            self.do()


def ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


def power_cut():
    raise PowerCut("now")  # fastai wants an argument
