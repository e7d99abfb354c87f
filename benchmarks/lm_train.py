"""Training a language model, batch 64 x 72, 20,000 words: fastai in float32 against the project.

Tokens a second over ten batches after two to warm up. (On a GPU: against fastai's `to_fp16`.)
"""

from functools import partial
from typing import Any

from benchmarks.common import Row, alternate, rate_row, script
from benchmarks.peak import peak, recurrent_weights
from benchmarks.peers import StopAfter
from benchmarks.peers import lm_learner as fastai_learner
from benchmarks.texts import corpus
from ulmfit.lm import lm_learner, lm_loaders
from ulmfit.models import SIZES, EncoderConfig, build_lm
from ulmfit.settings import LMSettings
from ulmfit.stage import set_up

ROWS, SEQ_LEN, WORDS = 64, 72, 20_000
REVIEWS = 400  # enough for all batches
BATCHES, WARM_UP = 10, 2


def _tokens_a_second(learn: Any) -> dict[str, Any]:
    clock = StopAfter(BATCHES, WARM_UP)
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(1, 1e-3, cbs=clock)
    return {"value": ROWS * SEQ_LEN * BATCHES / clock.seconds}


def peer(size: str) -> dict[str, Any]:
    """fastai's `language_model_learner`."""
    config = EncoderConfig(WORDS, *SIZES[size])
    return _tokens_a_second(fastai_learner(corpus(REVIEWS), config, ROWS, SEQ_LEN))


def ours(size: str, precision: str = "auto") -> dict[str, Any]:
    """As stages 1 and 2 train."""
    settings = LMSettings(batch_size=ROWS, seq_len=SEQ_LEN, drop_mult=1.0, precision=precision)
    place = set_up(settings)
    texts = corpus(REVIEWS)
    model = build_lm(EncoderConfig(WORDS, *SIZES[size]))
    loaders = lm_loaders(texts, texts, settings, backwards=False)
    return _tokens_a_second(lm_learner(model, loaders, settings, place.device, place.dtype))


def row(size: str, runs: int) -> Row:
    """Of one size; the floor is three products a weight and token: forward, and two backward."""
    weights = recurrent_weights(SIZES[size]) + WORDS * SIZES[size][0]
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
