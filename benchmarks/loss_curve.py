"""Does bfloat16 learn as well as float32? 300 steps of training, from several seeds each.

Size small from random weights on reviews, batch 8 x 72. The figure is the mean loss of the last 50
steps; the noise is its difference between seeds.
"""

import statistics
from typing import Any

from fastai.callback.core import Callback, CancelFitException

from benchmarks.common import Row, measure, script, single_row
from benchmarks.texts import corpus
from ulmfit.base.precision import default_device, has_bfloat16
from ulmfit.model.build import build_lm
from ulmfit.model.sizes import SIZES, EncoderConfig
from ulmfit.training.learner import lm_learner, lm_loaders
from ulmfit.training.settings import LMSettings
from ulmfit.training.stage import set_up

STEPS, LAST, SEEDS = 300, 50, (0, 1, 2)
REVIEWS = 2000


class _Losses(Callback):
    """Keeps the loss of each step and ends the training."""

    order = 100

    def __init__(self) -> None:
        self.losses: list[float] = []

    def after_batch(self) -> None:
        self.losses.append(float(self.loss))
        if len(self.losses) == STEPS:
            raise CancelFitException


def curve(precision: str, seed: int) -> dict[str, Any]:
    """The losses of a run."""
    settings = LMSettings(batch_size=8, seed=seed, precision=precision, clip=1.0)
    place = set_up(settings)
    texts = corpus(REVIEWS)
    model = build_lm(EncoderConfig(20_000, *SIZES["small"]), 0.5, embedding_range=0.5)
    loaders = lm_loaders(texts, texts, settings, backwards=False)
    learn = lm_learner(model, loaders, settings, place.device, place.dtype)
    kept = _Losses()
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(1, 1e-2, cbs=kept)
    rounded = [round(loss, 4) for loss in kept.losses]
    return {"value": statistics.mean(kept.losses[-LAST:]), "losses": rounded}


def rows(runs: int) -> list[Row]:
    """One row: the difference of the means, in nats a token; none where bfloat16 does not run."""
    if not has_bfloat16(default_device()):
        print("loss_curve: skipped, as no LSTM runs in bfloat16 on this machine", flush=True)
        return []
    found = {
        precision: [
            measure("benchmarks.loss_curve", "ours", {"precision": precision, "seed": seed})
            for seed in SEEDS
        ]
        for precision in ("float32", "bfloat16")
    }
    ends = {precision: [run["value"] for run in made] for precision, made in found.items()}
    noise = statistics.stdev(ends["float32"])
    difference = statistics.mean(ends["bfloat16"]) - statistics.mean(ends["float32"])
    return [
        single_row(
            "loss_curve",
            f"loss after {STEPS} steps, bfloat16 less float32; {len(SEEDS)} seeds",
            difference,
            "nats",
            target=f"< {2 * noise:.4f}",
            runs=len(SEEDS),
            details={"noise": noise, "ends": ends, "curves": found},
        )
    ]


if __name__ == "__main__":
    script("benchmarks.loss_curve", {"peer": curve, "ours": curve}, rows)
