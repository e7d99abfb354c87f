"""The history of a training, one row an epoch, and its progress."""

import math
import time
from typing import Any

import torch
from fastai.callback.core import Callback
from torch import Tensor
from tqdm import tqdm

from ulmfit.base.bars import new_bar
from ulmfit.base.log import logger
from ulmfit.base.processes import current
from ulmfit.base.progress import SECONDS_BETWEEN_LINES
from ulmfit.model.lm_loss import LMLoss
from ulmfit.model.multi_label_loss import MultiLabelLoss
from ulmfit.training.divergence import Diverged, LossWatch
from ulmfit.training.together import targets_of, tokens_of

# Columns that differ between equal runs: metrics.json has them, the hashed history.csv does not.
TIMING = ("seconds", "tokens_per_second")
# A GPU computes asynchronously, and reading a loss waits for it. So several are read together.
_FETCHED_AT_A_TIME = {"cuda": 20}


class History(Callback):
    """Collects and logs the means over each epoch, weighted by targets.

    A row has: step, epoch, train_loss, valid_loss, accuracy (of targets, in the validation; for a
    multi-label classifier f1_micro instead), perplexity (for a language model), seconds,
    tokens_per_second, lr (the largest). Without texts to validate on, it lacks their columns.
    """

    order = 55

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.step = 1  # of the recipe, for the next rows
        self.watch = LossWatch()
        self._bar: tqdm | None = None
        self._zero()

    def _zero(self) -> None:
        self._totals = {"train": [0.0, 0.0], "valid": [0.0, 0.0]}  # summed loss, targets
        self._pending: list[tuple[Tensor, int]] = []  # unread losses, and the number of targets
        self._correct = self._named = 0.0
        self._tokens = 0
        self._spent = 0.0
        self._lr_max = 0.0
        self.batches = 0  # of the epoch, including those before an interruption

    def running(self) -> dict[str, Any]:
        """The sums of the current epoch, for a checkpoint."""
        self._fetch()
        return {
            "train": self._totals["train"],
            "tokens": self._tokens,
            "spent": self._seconds(),
            "lr_max": self._lr_max,
        }

    def now(self) -> tuple[float, float]:
        """Mean training loss and tokens per second of the current epoch, as they are shown."""
        return self._mean("train"), self._rate()

    def resume(self, running: dict[str, Any], batches: int) -> None:
        """Continue an epoch after `batches` batches, with the sums of `running`."""
        self._totals["train"] = list(running["train"])
        self._tokens, self._spent, self.batches = running["tokens"], running["spent"], batches
        self._lr_max = running.get("lr_max", 0.0)
        if self._bar is not None:
            self._bar.update(batches)

    def before_train(self) -> None:
        self._zero()
        self._began = self._logged = time.monotonic()
        name = f"step {self.step} epoch {self.epoch + 1}/{self.n_epoch}"
        # fastai sets n_iter after this event
        self._bar = new_bar(total=len(self.dl), desc=name, leave=False, unit="batch")

    def after_batch(self) -> None:
        targets = targets_of(self.xb[0], self.yb[0], self.training)
        self._pending.append((self.learn.loss.detach(), targets))
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
        """Read and count the pending losses."""
        if not self._pending:
            return
        totals = self._totals["train" if self.training else "valid"]
        losses = torch.stack([loss for loss, _ in self._pending]).tolist()
        for i, (loss, (_, targets)) in enumerate(zip(losses, self._pending, strict=True), 1):
            totals[0] += loss * targets
            totals[1] += targets
            if self.training and (problem := self.watch.problem(loss)):
                raise Diverged(f"{problem} at {self.where(self.batches - len(losses) + i)}")
        self._pending.clear()

    def where(self, batch: int | None = None) -> str:
        """The position in the training, for messages; `batch` is the current one by default."""
        batch = self.batches if batch is None else batch
        return (
            f"step {self.step}, epoch {self.epoch + 1}, batch {batch} "
            f"(learning rate {self._lr():.2g})"
        )

    def _progress(self) -> None:
        self._tokens += tokens_of(self.xb[0])
        if self._bar is not None:
            self._bar.set_postfix(loss=f"{self._mean('train'):.3f}", refresh=False)
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
        counted = [*self._totals["valid"], self._correct, self._named]
        loss, targets, self._correct, self._named = current().sums(*counted)
        self._totals["valid"] = [loss, targets]
        row = {"step": self.step, "epoch": self.epoch + 1, "train_loss": self._mean("train")}
        if targets:
            row |= self._measured()
        row["lr"] = self._lr_max
        row["seconds"] = round(self._seconds(), 1)
        row["tokens_per_second"] = round(self._tokens / max(1e-9, self._train_seconds))
        self.rows.append(row)
        logger.info("  " + "  ".join(_shown(name, value) for name, value in row.items()))

    def _measured(self) -> dict[str, float]:
        """The columns of the validation; raises Diverged if its loss is not finite."""
        found = {"valid_loss": self._mean("valid")}
        if isinstance(self.loss_func, MultiLabelLoss):
            found["f1_micro"] = 2 * self._correct / max(1, self._named)
        else:
            found["accuracy"] = self._correct / max(1.0, self._totals["valid"][1])
        if isinstance(self.loss_func, LMLoss):
            found["perplexity"] = math.exp(min(found["valid_loss"], 700.0))
        if not math.isfinite(found["valid_loss"]):
            raise Diverged(f"the validation loss became {found['valid_loss']} at {self.where()}")
        return found

    def close(self) -> None:
        """Remove the progress bar from the terminal."""
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
