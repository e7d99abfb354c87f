"""Model directories with random weights, written in milliseconds, and documents of ids."""

import re
from functools import cache

import numpy as np
import pytest
import torch

from ulmfit.artifacts.config import ClassifierConfig, LMConfig
from ulmfit.base.errors import UserError
from ulmfit.base.precision import has_bfloat16
from ulmfit.model.build import build_classifier, build_lm
from ulmfit.model.sizes import encoder_config
from ulmfit.model.transfer import encoder_weights
from ulmfit.text.batches import collate
from ulmfit.text.corpus import Corpus
from ulmfit.text.processor import TextProcessor
from ulmfit.training.settings import ClassifierSettings, LMSettings, Step
from ulmfit.training.stage import Finished, Options, save

WORDS = (
    "a quiet film about the lighthouse and its keeper , who reads old letters to the sea . I "
    "laughed ; it is great , the music was dull . never again ! good bad worst best story actors"
)
TEXTS = [
    "A great film about the sea.",
    "The worst story, never again!",
    "",
    "I laughed; the actors read old letters 😀 and <br />more&amp;more, שלום 电影",
    "dull",
]

needs_bfloat16 = pytest.mark.skipif(
    not has_bfloat16(torch.device("cpu")), reason="this processor has no LSTM in bfloat16"
)


def refuses(line):
    """Expects a UserError with this line, word for word."""
    return pytest.raises(UserError, match=f"^{re.escape(line)}$")


@cache  # spaCy takes its time
def word_processor():
    """A processor that knows the words of `WORDS`."""
    return TextProcessor("word", min_freq=1).fit([WORDS])


def widen(model, seed=0):
    """Random weights that matter: in an untrained model no word makes a difference.

    A classifier's batch norm gets the figures of some documents, so that classes differ, too.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "layers.0" not in name and "layers.4" not in name:  # batch norm
                weight.copy_((torch.rand(weight.shape, generator=generator) - 0.5) * 2)
        model.reset()
        norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm1d)]
        if norms:
            for norm in norms:
                norm.momentum = 1.0
            words = len(encoder_weights(model)["embedding.weight"])
            model.train()(collate(random_documents(range(40, 0, -1), words, seed)))
    model.reset()
    return model.eval()


def finished(config, model, processor, settings, **more):
    return Finished(
        model=model,
        config=config,
        processor=processor,
        settings=settings,
        size="tiny",
        history=[{"step": 1, "epoch": 1, "train_loss": 1.0, "valid_loss": 1.1, "accuracy": 0.5}],
        **{"data_fingerprint": "d1", "metrics": {"made_by": "a test"}, **more},
    )


def write_lm(out, backwards=False, seed=0):
    """A language model's directory."""
    processor = word_processor()
    encoder = encoder_config("tiny", len(processor.vocab))
    model = widen(build_lm(encoder), seed)
    settings = LMSettings(steps=[Step(1, 0.01)])
    made = finished(LMConfig(encoder), model, processor, settings)
    return save(made, out, 0.1, Options(backwards=backwards)).path


def write_classifier(
    out,
    backwards=False,
    seed=0,
    labels=("neg", "pos"),
    max_len=1440,
    recipe=None,
    multi_label=False,
    about="",
    **more,
):
    """A classifier's directory; `recipe` are fields of `ClassifierSettings`."""
    processor = word_processor()
    encoder = encoder_config("tiny", len(processor.vocab))
    model = build_classifier(encoder, len(labels), drop_mult=0, max_len=max_len, hidden=10)
    settings = ClassifierSettings(steps=[Step(1, 0.01)], **(recipe or {}))
    prior = [0.5] * len(labels) if multi_label else None
    config = ClassifierConfig(encoder, max_len, 10, prior=prior, multi_label=multi_label)
    more |= {"labels": list(labels)}
    made = finished(config, widen(model, seed), processor, settings, **more)
    return save(made, out, 0.1, Options(backwards=backwards, about=about)).path


def random_documents(lengths, vocab_size, seed=0):
    """Arrays of ids, ``xxbos`` first and no padding within."""
    rng = np.random.default_rng(seed)
    return [
        np.concatenate([[2], rng.integers(9, vocab_size, length - 1)]).astype(np.uint16)
        for length in lengths
    ]


def corpus_from(documents):
    """A corpus of arrays of ids."""
    return Corpus(np.concatenate(documents), np.cumsum([0, *map(len, documents)]))


def random_corpus(lengths, vocab_size, seed=0):
    return corpus_from(random_documents(lengths, vocab_size, seed))
