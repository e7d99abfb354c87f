"""An estimate of the remaining training time, from the speed of the first batches."""

import time
from collections.abc import Sequence

from fastai.callback.core import Callback

from ulmfit.base.log import logger
from ulmfit.training.settings import Step
from ulmfit.training.together import tokens_of

_BATCHES, _SECONDS = 20, 30.0  # the speed is measured until one of them is reached
_WORTH_TELLING = 60.0  # seconds
_OF_TRAINING = 1 / 3  # cost of a token in the validation, which has no backward pass


class Forecast(Callback):
    """Logs once, after some batches, an estimate for this step of the recipe and all later ones.

    The estimate is low for a classifier: its first steps are faster, as most layers are frozen.
    """

    order = 56  # after the history

    def __init__(self, steps: Sequence[Step]) -> None:
        """`steps`: the current one and all later ones."""
        self.steps = steps
        self._batches = self._tokens = 0
        self._began: float | None = None
        self._told = False

    def after_batch(self) -> None:
        if self._told or not self.training:
            return
        if self._began is None:  # the first batch is slower, because it sets things up
            self._began = self._now()
            return
        self._batches += 1
        self._tokens += tokens_of(self.xb[0])
        if self._batches >= _BATCHES or time.monotonic() - self._began > _SECONDS:
            self._tell(self._tokens / max(1e-9, self._now() - self._began))

    def _now(self) -> float:
        self.learn.loss.item()  # wait for the GPU, which computes asynchronously
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
                f"  about {seconds / 60:.1f} min to go in this stage: {left:,.0f} tokens in "
                f"{epochs} {'epoch' if epochs == 1 else 'epochs'} and their validation, at the "
                f"{speed:,.0f} tokens/s of the last {self._batches} batches"
            )
