"""The callback that writes a run's checkpoint while it trains, and takes it up again."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fastai.callback.core import Callback, CancelEpochException
from torch import Tensor

from ulmfit.base.errors import Stopped
from ulmfit.model.build import encoder_of
from ulmfit.training.checkpoint import (
    Checkpoint,
    optimizer_state,
    random_state,
    restore_random_state,
    write_checkpoint,
)
from ulmfit.training.divergence import Diverged, all_finite
from ulmfit.training.learner import number_format

if TYPE_CHECKING:
    from ulmfit.training.run import Run


class CheckpointKeeper(Callback):
    """Writes the checkpoint every few minutes and at an epoch's end, and resumes from one."""

    order = 60  # after everything that changes what is saved, the optimiser's step included

    def __init__(
        self,
        run: "Run",
        number: int,
        resumed: Checkpoint | None,
        interrupted: Callable[[], bool],
    ) -> None:
        self.run_of, self.number, self.history = run, number, run.history
        self.resumed, self.interrupted = resumed, interrupted
        self.saved_at = time.monotonic()

    def before_epoch(self) -> None:
        if self.resumed and self.epoch < self.resumed[1]["epoch"]:
            raise CancelEpochException
        self.dls.train.epoch = self.epoch + 1000 * self.number

    def before_train(self) -> None:
        if not self.resumed:
            return
        tensors, facts = self.resumed
        self.resumed = None
        restore_random_state(tensors)
        if facts["batch"]:
            self.dls.train.start = facts["batch"]
            self.learn.pct_train, self.learn.train_iter = facts["pct_train"], facts["train_iter"]
            self.history.resume(facts["running"], facts["batch"])
            _restore_hidden(self.learn.model, tensors)

    def after_batch(self) -> None:
        if not self.training:
            return
        stop = self.interrupted() or self._late()
        if stop or time.monotonic() - self.saved_at >= 60 * self.run_of.minutes:
            self._write(self.number, self.epoch, self.history.batches)
        if stop:
            self._stop()

    def after_epoch(self) -> None:
        if self.resumed is None:
            last = self.epoch + 1 == self.n_epoch
            self._write(self.number + last, 0 if last else self.epoch + 1, 0)
            finished = self.number + last == len(self.run_of.steps)
            if self.interrupted() or (self._late() and not finished):  # during the validation
                self._stop()

    def _late(self) -> bool:
        return time.monotonic() >= self.run_of.deadline

    def _stop(self) -> None:
        saved = f"saved {self.run_of.checkpoint}; the same command goes on from there"
        raise KeyboardInterrupt(saved) if self.interrupted() else Stopped(f"time is up: {saved}")

    def _write(self, step: int, epoch: int, batch: int) -> None:
        learn = self.learn
        opt_tensors, opt_facts = optimizer_state(learn.opt)
        tensors = {f"model.{k}": v for k, v in learn.model.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.run_of.best.items()}
        tensors |= opt_tensors | random_state() | _hidden(learn.model)
        if not all_finite(tensors):  # it would take the place of a good one
            raise Diverged(f"weights became infinite or no number at {self.history.where()}")
        facts = {
            "run": dict(self.run_of.identity),
            "step": step,
            "epoch": epoch,
            "batch": batch,
            "pct_train": float(learn.pct_train),
            "train_iter": learn.train_iter,
            "optimizer": opt_facts,
            "history": self.history.rows,
            "running": self.history.running(),
            "watch": asdict(self.history.watch),
            "spent": self.run_of.spent(),
            "name": self.run_of.name,
            "precision": number_format(learn),
        }
        write_checkpoint(self.run_of.checkpoint, tensors, facts)
        self.saved_at = time.monotonic()


def _hidden(model: Any) -> dict[str, Tensor]:
    pairs = enumerate(encoder_of(model).hidden)
    return {f"hidden.{i}.{j}": t for i, pair in pairs for j, t in enumerate(pair)}


def _restore_hidden(model: Any, tensors: Mapping[str, Tensor]) -> None:
    """As float32, which any format can be made of: an LSTM in float32 takes no other state."""
    recurrent = encoder_of(model)
    device = recurrent.encoder.weight.device
    recurrent.hidden = [
        (tensors[f"hidden.{i}.0"].float().to(device), tensors[f"hidden.{i}.1"].float().to(device))
        for i in range(len(recurrent.rnns))
    ]
