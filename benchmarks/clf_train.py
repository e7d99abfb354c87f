"""Training a classifier, size small, batches of 64 reviews: fastai in float32 against the project.

Documents a second over eight batches, after two to warm up, with the same documents on both sides:
with all layers trained, and with the encoder frozen. Also the share of padding in the computation.
"""

from typing import Any

import numpy as np

from benchmarks.common import Row, alternate, rate_row, script, single_row
from benchmarks.peak import peak, recurrent_weights
from benchmarks.peers import StopAfter
from benchmarks.peers import classifier_learner as fastai_learner
from benchmarks.texts import corpus
from ulmfit.base.precision import autocast, default_device, resolve_precision
from ulmfit.model.build import build_classifier
from ulmfit.model.pooling import fast_rows
from ulmfit.model.sizes import SIZES, EncoderConfig
from ulmfit.text.batches import ClassifierLoader
from ulmfit.text.corpus import Corpus
from ulmfit.training.classifier_data import Labelled
from ulmfit.training.learner import classifier_learner
from ulmfit.training.settings import ClassifierSettings
from ulmfit.training.stage import set_up

ROWS, WORDS, BPTT = 64, 20_000, 72
BATCHES, WARM_UP = 8, 2
REVIEWS = ROWS * (BATCHES + WARM_UP)
CONFIG = EncoderConfig(WORDS, *SIZES["small"])


def _documents_a_second(learn: Any, frozen: bool, batches: int) -> dict[str, Any]:
    clock = StopAfter(batches, WARM_UP)
    with learn.no_bar(), learn.no_logging():
        learn.create_opt()
        learn.freeze_to(-1 if frozen else 0)
        learn.fit_one_cycle(1, 1e-3, cbs=clock)
    return {"value": ROWS * batches / clock.seconds}


def peer(frozen: bool, batches: int = BATCHES) -> dict[str, Any]:
    """fastai's `text_classifier_learner`."""
    texts = corpus(ROWS * (batches + WARM_UP))
    return _documents_a_second(fastai_learner(texts, CONFIG, 2, ROWS), frozen, batches)


def ours(frozen: bool, batches: int = BATCHES) -> dict[str, Any]:
    """As stage 3 trains."""
    settings = ClassifierSettings(batch_size=ROWS, drop_mult=1.0)
    place = set_up(settings)
    texts = corpus(ROWS * (batches + WARM_UP))
    labelled = Labelled(texts, np.zeros(len(texts), np.int64))
    model = build_classifier(CONFIG, 2, settings.drop_mult, BPTT)
    learn = classifier_learner(model, labelled, labelled, settings, place)
    return _documents_a_second(learn, frozen, batches)


def padding(texts: Corpus, loader: ClassifierLoader, bptt: int) -> float:
    """Share of padding among the tokens that the encoder reads, in percent."""
    device, computed = default_device(), 0
    with autocast(device, resolve_precision("auto", device)):
        for batch, _ in loader:
            for start in range(0, int(batch.lengths[0]), bptt):
                rows = fast_rows(int((batch.lengths > start).sum()), device)
                computed += rows * min(bptt, int(batch.lengths[0]) - start)
    return 100 * (1 - len(texts.ids) / computed)


def rows(runs: int) -> list[Row]:
    """Speed with and without the encoder, padding in training and evaluation."""
    texts = corpus(REVIEWS)
    tokens = len(texts.ids) / len(texts)
    many = corpus(20_000)
    labels = np.zeros(len(many))
    made = []
    for frozen in (False, True):
        made.append(
            rate_row(
                "clf_train_frozen" if frozen else "clf_train",
                "training a classifier, small" + (", encoder frozen" if frozen else ""),
                alternate("benchmarks.clf_train", runs, {"frozen": frozen}),
                "documents/s",
                floor=peak() / ((2 if frozen else 6) * recurrent_weights(SIZES["small"]) * tokens),
            )
        )
    for name, loader, target in (
        ("train", ClassifierLoader(many, labels, ROWS, shuffle=True), "< 10"),
        ("evaluation", ClassifierLoader(many, labels), "< 5"),
    ):
        share = padding(many, loader, BPTT)
        what = f"padding that is computed, 20,000 reviews, {name}"
        made.append(single_row(f"padding_{name}", what, share, "% of tokens", target=target))
    return made


if __name__ == "__main__":
    script("benchmarks.clf_train", {"peer": peer, "ours": ours}, rows)
