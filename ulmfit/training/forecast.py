"""How long a training is going to take, from the speed of its first batches."""

import time
from collections.abc import Sequence

from fastai.callback.core import Callback

from ulmfit.base.log import logger
from ulmfit.training.settings import Step

_BATCHES, _SECONDS = 20, 30.0  # measured over so many batches, or as many as so long a time has
_WORTH_TELLING = 60.0  # seconds
_OF_TRAINING = 1 / 3  # what a token of the validation costs: no backward pass


class Forecast(Callback):
    """Tells once, after some batches, how long this step of the recipe and those behind it take.

    Layers that are still frozen make the first steps of a classifier faster than the last ones.
    """

    order = 56  # after the history

    def __init__(self, steps: Sequence[Step]) -> None:
        """`steps`: that which is trained now, and all behind it."""
        self.steps = steps
        self._batches = self._tokens = 0
        self._began: float | None = None
        self._told = False

    def after_batch(self) -> None:
        if self._told or not self.training:
            return
        inputs = self.xb[0]
        lengths = getattr(inputs, "lengths", None)
        tokens = inputs.numel() if lengths is None else int(lengths.sum())
        if self._began is None:  # the first batch pays for what is set up once
            self._began = self._now()
            return
        self._batches += 1
        self._tokens += tokens
        if self._batches >= _BATCHES or time.monotonic() - self._began > _SECONDS:
            self._tell(self._tokens / max(1e-9, self._now() - self._began))

    def _now(self) -> float:
        self.learn.loss.item()  # a GPU works behind: this waits for it
        return time.monotonic()

    def _tell(self, speed: float) -> None:
        self._told = True
        train, valid = (len(loader.corpus.ids) for loader in self.dls.loaders)
        now, *later = self.steps
        epochs = self.n_epoch - self.epoch
        left = train * now.share * (epochs - (self.iter + 1) / self.n_iter)
        left += sum(train * step.share * step.epochs for step in later)
        epochs += sum(step.epochs for step in later)
        seconds = (left + epochs * valid * _OF_TRAINING) / speed
        if seconds > _WORTH_TELLING:
            logger.info(
                f"  about {seconds / 60:.1f} min to go: {left:,.0f} tokens in {epochs} "
                f"{'epoch' if epochs == 1 else 'epochs'} and their validation, at {speed:,.0f} "
                f"tokens/s as over the last {self._batches} batches"
            )
