"""The rows of training and classifying on a GPU: fastai's `to_fp16` against the project.

Each side is built once, and both are measured by turns in one process: on a GPU, allocator and
threads of one side do not disturb the other. Documents are drawn, with the frequencies of words and
the lengths of reviews, so neither texts nor a tokenizer are needed.

    python -m benchmarks.on_gpu [--runs 5] [--only lm_train_small_64 ...]
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from benchmarks import peers
from benchmarks.common import SIDES, Figures, Row, rate_row, record, table
from benchmarks.step import measure
from ulmfit.base.precision import default_device, resolve_precision
from ulmfit.inference.loaded import predict_probabilities
from ulmfit.interop import fastai_state
from ulmfit.model.build import build_classifier, build_lm
from ulmfit.model.sizes import SIZES, EncoderConfig
from ulmfit.text.corpus import Corpus
from ulmfit.training.classifier_data import Labelled
from ulmfit.training.learner import classifier_learner, lm_learner, lm_loaders
from ulmfit.training.settings import ClassifierSettings, LMSettings
from ulmfit.training.stage import set_up

WORDS, RESERVED = 20_000, 9
WARM_UP, BATCHES = 6, 60
CLASSIFIER_ROWS, CLASSIFIED = 64, 10_000
PRODUCTS_WANTED = 0.7  # of a step's time at batches of 256 rows and more

Side = Callable[[], float]  # work a second, measured once


@dataclass(frozen=True)
class Shape:
    """Batches of `rows` x `seq_len` tokens for a language model of `size`."""

    size: str
    rows: int
    seq_len: int = 72
    words: int = WORDS


SHAPES = {
    "lm_train_small_64": Shape("small", 64),
    "lm_train_small_128": Shape("small", 128),
    "lm_train_base_64": Shape("base", 64),
    "lm_train_base_128": Shape("base", 128),
    "lm_train_recipe": Shape("base", 256, 80, 60_000),
}


def drawn(documents: int, words: int, tokens: int = 0) -> Corpus:
    """Documents of about 300 words, drawn by Zipf's law; of `tokens` in all, if given."""
    rng = np.random.default_rng(0)
    lengths = np.exp(rng.normal(np.log(230), 0.65, documents)).astype(np.int64).clip(20, 1400)
    if tokens:
        lengths = lengths[: np.searchsorted(np.cumsum(lengths), tokens) + 1]
    ranks = np.exp(rng.random(int(lengths.sum())) * np.log(words - RESERVED))
    ids = (ranks.astype(np.int64) + RESERVED - 1).astype(np.uint16)
    return Corpus(ids, np.concatenate([[0], np.cumsum(lengths)]))


def _trained(learn: Any, work: int) -> Side:
    """`work` is what a batch has, in tokens or documents."""

    def side() -> float:
        clock = peers.StopAfter(BATCHES, WARM_UP)
        with learn.no_bar(), learn.no_logging():
            learn.fit_one_cycle(1, 1e-3, cbs=clock)
        return work * BATCHES / clock.seconds

    return side


def lm_sides(shape: Shape) -> tuple[Side, Side]:
    """Training a language model: `language_model_learner`, and as stages 1 and 2 train."""
    work = shape.rows * shape.seq_len
    texts = drawn(100_000, shape.words, work * (BATCHES + WARM_UP + 2))
    config = EncoderConfig(shape.words, *SIZES[shape.size])
    peer = peers.lm_learner(texts, config, shape.rows, shape.seq_len)
    settings = LMSettings(batch_size=shape.rows, seq_len=shape.seq_len, drop_mult=1.0)
    place = set_up(settings)
    loaders = lm_loaders(texts, texts, settings, backwards=False)
    ours = lm_learner(build_lm(config), loaders, settings, place.device, place.dtype)
    return _trained(peer, work), _trained(ours, work)


def classifier_sides() -> tuple[Side, Side]:
    """Training a classifier: `text_classifier_learner`, and as stage 3 trains."""
    texts = drawn(CLASSIFIER_ROWS * (BATCHES + WARM_UP + 2), WORDS)
    config = EncoderConfig(WORDS, *SIZES["small"])
    peer = peers.classifier_learner(texts, config, 2, CLASSIFIER_ROWS)
    settings = ClassifierSettings(batch_size=CLASSIFIER_ROWS, drop_mult=1.0)
    place = set_up(settings)
    labelled = Labelled(texts, np.arange(len(texts)) % 2)
    model = build_classifier(config, 2, settings.drop_mult)
    ours = classifier_learner(model, labelled, labelled, settings, place)
    return _trained(peer, CLASSIFIER_ROWS), _trained(ours, CLASSIFIER_ROWS)


def inference_sides(size: str) -> tuple[Side, Side]:
    """Classifying: `get_preds`, and as `predict` and `evaluate` do it."""
    texts = drawn(CLASSIFIED, WORDS)
    config, device = EncoderConfig(WORDS, *SIZES[size]), default_device()
    model = build_classifier(config, 2).eval()
    learn = peers.classifier_learner(texts, config, 2, CLASSIFIER_ROWS)
    learn.model.load_state_dict(fastai_state(model), strict=True)
    model.to(device)
    dtype = resolve_precision("auto", device)

    def peer() -> float:
        began = time.perf_counter()
        with learn.no_bar(), learn.no_logging():
            learn.get_preds()
        return CLASSIFIED / (time.perf_counter() - began)

    def ours() -> float:
        began = time.perf_counter()
        predict_probabilities(model, texts, device, dtype)
        return CLASSIFIED / (time.perf_counter() - began)

    return peer, ours


def by_turns(name: str, runs: int, sides: tuple[Side, Side]) -> dict[str, list[Figures]]:
    """`runs` measurements of each side; one of each before, that is not counted, warms up."""
    found: dict[str, list[Figures]] = {side: [] for side in SIDES}
    for i in range(runs + 1):
        for side, measured in zip(SIDES, sides, strict=True):
            value = measured()
            if i:
                found[side].append({"value": value})
                print(f"    {name} {side} {i}/{runs}: {value:,.4g}", file=sys.stderr, flush=True)
    return found


def rows(runs: int) -> Iterator[tuple[str, Callable[[], Row]]]:
    """Name of each row, and how it is measured."""

    def lm(name: str, shape: Shape) -> Row:
        what = f"training a language model, {shape.size}, {shape.rows} x {shape.seq_len} tokens"
        what += f", {shape.words:,} words"
        found = by_turns(name, runs, lm_sides(shape))
        return rate_row(name, what, found, "tokens/s", target="2x")

    def products(shape: Shape, name: str) -> Row:
        found = measure(shape.size, shape.words, shape.rows, shape.seq_len, 30, "auto")
        what = f"share of a step in matrix products and the LSTM, {shape.size}, {shape.rows} rows"
        row = Row(name, what, None, 100 * found["products"], "%", target="70", details=found)
        row.met = found["products"] >= PRODUCTS_WANTED
        return row

    def training() -> Row:
        found = by_turns("clf_train", runs, classifier_sides())
        return rate_row("clf_train", "training a classifier, small", found, "documents/s")

    def inference(size: str, name: str) -> Row:
        what = f"classifying {CLASSIFIED:,} reviews, {size}"
        target = "10,000" if size == "small" else ""
        found = by_turns(name, runs, inference_sides(size))
        row = rate_row(name, what, found, "documents/s")
        row.target, row.met = target, row.ours >= 10_000 if target else None
        return row

    for name, shape in SHAPES.items():
        yield name, partial(lm, name, shape)
    yield "clf_train", training
    yield "clf_infer", partial(inference, "small", "clf_infer")
    yield "clf_infer_base", partial(inference, "base", "clf_infer_base")
    for count in (256, 512):
        name = f"products_base_{count}"
        yield name, partial(products, Shape("base", count, 80, 60_000), name)


def main() -> None:
    """Measure, record each row at once, print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.on_gpu")
    parser.add_argument("--runs", type=int, default=5, help="measurements of each side")
    names = [name for name, _ in rows(1)]
    parser.add_argument("--only", nargs="*", choices=names, help="rows to measure; without it, all")
    given = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("no GPU found; on a CPU: python -m benchmarks")
    made = []
    for name, measured in rows(given.runs):
        if not given.only or name in given.only:
            made.append(measured())
            record(made[-1:])
            torch.cuda.empty_cache()
    print(table([asdict(row) for row in made]), flush=True)


if __name__ == "__main__":
    main()
