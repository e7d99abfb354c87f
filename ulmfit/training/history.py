"""The history of a training: one row an epoch, and how far it is meanwhile."""

import math
import time
from typing import Any

import torch
from fastai.callback.core import Callback
from torch import Tensor
from tqdm import tqdm

from ulmfit.base.log import logger
from ulmfit.base.progress import SECONDS_BETWEEN_LINES, bars_shown
from ulmfit.model.lm_loss import LMLoss
from ulmfit.model.multi_label_loss import MultiLabelLoss
from ulmfit.training.divergence import Diverged, LossWatch

# Columns that differ from run to run: for the eye and metrics.json, not for a hashed history.csv.
TIMING = ("seconds", "tokens_per_second")
# On a GPU, which works behind, a loss is there only when all before it is done: as long as nobody
# asks for it, the next batches are sent off. So they are fetched some at a time.
_FETCHED_AT_A_TIME = {"cuda": 20}


class History(Callback):
    """Collects means over each epoch, weighted by targets, and reports them.

    A row has: step, epoch, train_loss, valid_loss, accuracy (of targets, on the validation
    part; of a multi-label classifier f1_micro instead), perplexity (of a language model), seconds,
    tokens_per_second, lr (largest).
    """

    order = 55

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.step = 1
        self.watch = LossWatch()
        self._bar: tqdm | None = None
        self._zero()

    def _zero(self) -> None:
        self._totals = {"train": [0.0, 0.0], "valid": [0.0, 0.0]}  # summed loss, targets
        self._pending: list[tuple[Tensor, int]] = []  # losses not fetched yet, and their targets
        self._correct = self._named = 0
        self._tokens = 0
        self._spent = 0.0
        self._lr_max = 0.0
        self.batches = 0  # of the epoch, those before an interruption included

    def begin_step(self, step: int) -> None:
        """Rows from now on belong to step `step` of the recipe (counted from 1)."""
        self.step = step

    def running(self) -> dict[str, Any]:
        """The sums of an epoch under way, for a checkpoint."""
        self._fetch()
        return {
            "train": self._totals["train"],
            "tokens": self._tokens,
            "spent": self._seconds(),
            "lr_max": self._lr_max,
        }

    def now(self) -> tuple[float, float]:
        """Of the epoch under way, as it is shown: mean training loss, tokens per second."""
        return self._mean("train"), self._rate()

    def resume(self, running: dict[str, Any], batches: int) -> None:
        """Take up an epoch where `running` left it."""
        self._totals["train"] = list(running["train"])
        self._tokens, self._spent, self.batches = running["tokens"], running["spent"], batches
        self._lr_max = running.get("lr_max", 0.0)
        if self._bar is not None:
            self._bar.update(batches)

    def before_train(self) -> None:
        self._zero()
        self._began = self._logged = time.monotonic()
        if bars_shown():
            name = f"step {self.step} epoch {self.epoch + 1}/{self.n_epoch}"
            # fastai sets n_iter after this event
            self._bar = tqdm(total=len(self.dl), desc=name, leave=False, unit="batch")

    def after_batch(self) -> None:
        self._pending.append((self.learn.loss.detach(), self.yb[0].numel()))
        if self.training:
            self.batches += 1
            self._lr_max = max(self._lr_max, self._lr())
        if len(self._pending) >= _FETCHED_AT_A_TIME.get(self.learn.loss.device.type, 1):
            self._fetch()
        if self.training:
            self._progress()
        else:
            self._correct += self._right()
            self._named += getattr(self.loss_func, "named", 0)

    def _fetch(self) -> None:
        """Count the losses that are pending."""
        if not self._pending:
            return
        totals = self._totals["train" if self.training else "valid"]
        losses = torch.stack([loss for loss, _ in self._pending]).tolist()
        for i, (loss, (_, targets)) in enumerate(zip(losses, self._pending, strict=True), 1):
            totals[0] += loss * targets
            totals[1] += targets
            if self.training:
                self._check(loss, self.batches - len(losses) + i)
        self._pending.clear()

    def _check(self, loss: float, batch: int) -> None:
        if problem := self.watch.problem(loss):
            raise Diverged(f"{problem} at {self.where(batch)}")

    def where(self, batch: int | None = None) -> str:
        """The place in the training, for messages; by default the present one."""
        batch = self.batches if batch is None else batch
        return (
            f"step {self.step}, epoch {self.epoch + 1}, batch {batch} "
            f"(learning rate {self._lr():.2g})"
        )

    def _progress(self) -> None:
        inputs = self.xb[0]
        lengths = getattr(inputs, "lengths", None)
        self._tokens += inputs.numel() if lengths is None else int(lengths.sum())
        if self._bar is not None:
            self._bar.set_postfix(loss=f"{self._mean('train'):.3f}")
            self._bar.update(1)
        elif time.monotonic() - self._logged > SECONDS_BETWEEN_LINES:
            self._logged = time.monotonic()
            done = self.batches / self.n_iter
            left = (1 - done) / done * self._seconds()
            logger.info(
                f"  step {self.step} epoch {self.epoch + 1}/{self.n_epoch}: {done:4.0%}, "
                f"loss {self._mean('train'):.3f}, {self._rate():,.0f} tokens/s, "
                f"{left / 60:.1f} min left in this epoch"
            )

    def _right(self) -> int:
        if isinstance(self.loss_func, LMLoss):
            return self.loss_func.correct
        if isinstance(self.loss_func, MultiLabelLoss):
            return self.loss_func.hits
        return int((torch.as_tensor(self.pred).argmax(1) == self.yb[0]).sum())

    def after_train(self) -> None:
        self._fetch()
        self.close()
        self._train_seconds = self._seconds()

    def after_validate(self) -> None:
        self._fetch()
        row = {
            "step": self.step,
            "epoch": self.epoch + 1,
            "train_loss": self._mean("train"),
            "valid_loss": self._mean("valid"),
            **self._measure(),
        }
        if isinstance(self.loss_func, LMLoss):
            row["perplexity"] = math.exp(min(row["valid_loss"], 700.0))
        row["lr"] = self._lr_max
        row["seconds"] = round(self._seconds(), 1)
        row["tokens_per_second"] = round(self._tokens / max(1e-9, self._train_seconds))
        if not math.isfinite(row["valid_loss"]):
            raise Diverged(f"the validation loss became {row['valid_loss']} at {self.where()}")
        self.rows.append(row)
        logger.info("  " + "  ".join(_shown(name, value) for name, value in row.items()))

    def _measure(self) -> dict[str, float]:
        if isinstance(self.loss_func, MultiLabelLoss):
            return {"f1_micro": 2 * self._correct / max(1, self._named)}
        return {"accuracy": self._correct / max(1.0, self._totals["valid"][1])}

    def close(self) -> None:
        """Take the progress bar off the terminal."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _lr(self) -> float:
        return float(self.learn.opt.hypers[-1]["lr"])

    def _mean(self, part: str) -> float:
        total, targets = self._totals[part]
        return total / max(1.0, targets)

    def _seconds(self) -> float:
        return self._spent + time.monotonic() - self._began

    def _rate(self) -> float:
        return self._tokens / max(1e-9, self._seconds())


def without_timing(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows without their `TIMING`, equal for equal runs."""
    return [{k: v for k, v in row.items() if k not in TIMING} for row in rows]


def _shown(name: str, value: float) -> str:
    if name in ("train_loss", "valid_loss", "accuracy", "f1_micro"):
        return f"{name} {value:.4f}"
    if name == "lr":
        return f"lr {value:.2g}"
    return f"{name} {value:,.1f}" if isinstance(value, float) else f"{name} {value:,}"
