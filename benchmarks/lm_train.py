"""Training a language model, batch 64 x 72, 20,000 words: fastai in float32 against the project.

Tokens a second over ten batches, after two to warm up. (On a GPU: against fastai's `to_fp16`.)
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks.common import Row, alternate, rate_row, script
from benchmarks.peak import peak, recurrent_weights
from benchmarks.peers import StopAfter
from benchmarks.peers import lm_learner as fastai_learner
from benchmarks.texts import corpus
from ulmfit.model.build import build_lm
from ulmfit.model.sizes import SIZES, EncoderConfig
from ulmfit.training.learner import lm_learner, lm_loaders
from ulmfit.training.settings import LMSettings
from ulmfit.training.stage import set_up

BATCHES, WARM_UP = 10, 2


@dataclass(frozen=True)
class Shape:
    """A batch of `rows` x `seq_len` tokens, a vocabulary of `words`, and how long it is measured.

    reviews: enough for all batches.
    """

    rows: int = 64
    seq_len: int = 72
    words: int = 20_000
    reviews: int = 400
    batches: int = BATCHES


SHAPE = Shape()


def _tokens_a_second(learn: Any, shape: Shape) -> dict[str, Any]:
    clock = StopAfter(shape.batches, WARM_UP)
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(1, 1e-3, cbs=clock)
    return {"value": shape.rows * shape.seq_len * shape.batches / clock.seconds}


def peer(size: str, shape: Shape = SHAPE) -> dict[str, Any]:
    """fastai's `language_model_learner`."""
    config = EncoderConfig(shape.words, *SIZES[size])
    learn = fastai_learner(corpus(shape.reviews), config, shape.rows, shape.seq_len)
    return _tokens_a_second(learn, shape)


def ours(size: str, precision: str = "auto", shape: Shape = SHAPE) -> dict[str, Any]:
    """As stages 1 and 2 train."""
    settings = LMSettings(
        batch_size=shape.rows, seq_len=shape.seq_len, drop_mult=1.0, precision=precision
    )
    place = set_up(settings)
    texts = corpus(shape.reviews)
    model = build_lm(EncoderConfig(shape.words, *SIZES[size]))
    loaders = lm_loaders(texts, texts, settings, backwards=False)
    learn = lm_learner(model, loaders, settings, place.device, place.dtype)
    return _tokens_a_second(learn, shape)


def row(size: str, runs: int) -> Row:
    """Of one size; the floor is three products a weight and token: forward, and two backward."""
    weights = recurrent_weights(SIZES[size]) + SHAPE.words * SIZES[size][0]
    return rate_row(
        f"lm_train_{size}",
        f"training a language model, {size}",
        alternate("benchmarks.lm_train", runs, {"size": size}),
        "tokens/s",
        floor=peak() / (6 * weights),
        target="2x",
    )


def rows(runs: int) -> list[Row]:
    """Sizes small and base."""
    return list(map(partial(row, runs=runs), ("small", "base")))


if __name__ == "__main__":
    script("benchmarks.lm_train", {"peer": peer, "ours": ours}, rows)
