"""A training step with a small batch, with fastai's Adam and with the project's, on a CPU.

Both train by turns in one process, on drawn texts; the model is of size small with 20,000 words.

    python -m benchmarks.optimiser
"""

import json
from statistics import median
from typing import Any

import numpy as np
from fastai.optimizer import Adam

from benchmarks import peers
from benchmarks.common import FIGURES
from benchmarks.on_gpu import drawn
from ulmfit.base.atomic import atomic_write
from ulmfit.base.precision import hardware
from ulmfit.model.build import build_classifier, build_lm
from ulmfit.model.sizes import encoder_config
from ulmfit.text.corpus import Corpus
from ulmfit.training.adam import OnePassAdam
from ulmfit.training.classifier_data import Labelled
from ulmfit.training.learner import classifier_learner, lm_learner, lm_loaders
from ulmfit.training.settings import ClassifierSettings, LMSettings
from ulmfit.training.stage import set_up

WORDS, BATCHES, WARM_UP, RUNS = 20_000, 8, 2, 5
SENTENCE = 25  # tokens


def language_model(rows: int) -> Any:
    """A learner with batches of `rows` x 72 tokens."""
    texts = drawn(1000, WORDS, rows * 72 * (BATCHES + WARM_UP + 2))
    settings = LMSettings(batch_size=rows, drop_mult=0.3)
    place = set_up(settings)
    loaders = lm_loaders(texts, texts, settings, backwards=False)
    model = build_lm(encoder_config("small", WORDS), 0.3, 0.5)
    return lm_learner(model, loaders, settings, place.device, place.dtype)


def classifier() -> Any:
    """A learner with batches of 32 sentences."""
    count = 32 * (BATCHES + WARM_UP + 2)
    ids = drawn(1000, WORDS, count * SENTENCE).ids[: count * SENTENCE]
    texts = Corpus(ids, np.arange(count + 1) * SENTENCE)
    settings = ClassifierSettings(batch_size=32, drop_mult=0.5)
    labelled = Labelled(texts, np.arange(count) % 2)
    model = build_classifier(encoder_config("small", WORDS), 2, 0.5)
    return classifier_learner(model, labelled, labelled, settings, set_up(settings))


def milliseconds(learn: Any, kind: Any) -> float:
    """A step's time, the mean of `BATCHES`."""
    learn.opt_func, learn.opt = kind, None
    clock = peers.StopAfter(BATCHES, WARM_UP)
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(1, 1e-3, cbs=clock)
    return 1e3 * clock.seconds / BATCHES


def main() -> None:
    """Measure, print, and write benchmarks/results/optimiser.json."""
    cases = {
        "classifier, 32 sentences": classifier(),
        "language model, 16 x 72 tokens": language_model(16),
    }
    found: dict[str, dict[str, float]] = {}
    print("| a step | fastai's Adam, ms | in one pass, ms | ratio |\n|---|---:|---:|---:|")
    for name, learn in cases.items():
        runs = [[milliseconds(learn, kind) for kind in (Adam, OnePassAdam)] for _ in range(RUNS)]
        peer, ours = (median(column) for column in zip(*runs, strict=True))
        found[name] = {"fastai_ms": peer, "one_pass_ms": ours}
        print(f"| {name} | {peer:.0f} | {ours:.0f} | {peer / ours:.2f}x |", flush=True)
    made = {"hardware": hardware(), "runs": RUNS, "steps": found}
    atomic_write(FIGURES / "optimiser.json", json.dumps(made, indent=2) + "\n")


if __name__ == "__main__":
    main()
