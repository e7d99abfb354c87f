"""Checkpoints: the whole state of a run in one safetensors file, without a pickle.

The file lies beside the future model directory. It has the weights, the optimiser, the position in
the schedule and in the data, the random state and the hidden state. The data order is a function
of seed and epoch, so a resumed run gives the weights of an uninterrupted one. `CheckpointKeeper` is
the callback that writes checkpoints during the training and resumes from one.
"""

import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from fastai.callback.core import Callback, CancelEpochException
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ulmfit.base.atomic import atomic_write, beside, os_errors_as
from ulmfit.base.errors import Stopped, UserError
from ulmfit.base.processes import current
from ulmfit.model.build import encoder_of
from ulmfit.training.divergence import Diverged, all_finite
from ulmfit.training.learner import number_format
from ulmfit.training.together import differences

if TYPE_CHECKING:
    from ulmfit.training.run import Run

Checkpoint = tuple[dict[str, Tensor], Any]  # tensors by name, and plain facts


def checkpoint_path(out: Path) -> Path:
    """The checkpoint of the run that writes `out`."""
    return beside(out, "checkpoint")


def write_checkpoint(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write a checkpoint atomically; `facts` is plain JSON. Tied weights are written once."""
    first: dict[Any, str] = {}
    same = {
        name: first.setdefault((t.device, t.data_ptr(), t.dtype, t.shape, t.stride()), name)
        for name, t in tensors.items()
    }
    plain = {name: tensors[name].detach().cpu().contiguous().clone() for name in first.values()}
    tied = {name: other for name, other in same.items() if name != other}
    atomic_write(path, save(plain, {"facts": json.dumps(facts), "tied": json.dumps(tied)}))


def read_checkpoint(path: Path, run: Mapping[str, Any], afresh: bool = False) -> Checkpoint | None:
    """Tensors and facts of the checkpoint of `run`; None if there is no checkpoint.

    Args:
        afresh: ignore an unusable checkpoint instead of raising.

    Raises:
        UserError: the checkpoint is damaged, or belongs to a run with other settings or data.
    """
    if not path.exists():
        return None
    try:
        return _read(path, json.loads(json.dumps(dict(run))))
    except UserError:
        if afresh:
            return None
        raise


def _read(path: Path, now: dict[str, Any]) -> Checkpoint:
    try:
        with safe_open(str(path), framework="pt") as file:
            facts = json.loads(file.metadata()["facts"])
            tied = json.loads(file.metadata().get("tied", "{}"))  # older ones have none
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        tensors |= {name: tensors[other] for name, other in tied.items()}
        before = facts["run"]
    except (SafetensorError, ValueError, KeyError, TypeError, OSError) as error:
        raise UserError(
            f"the checkpoint {path} cannot be read ({error}); delete it to start afresh"
        ) from None
    if different := differences(before, now):
        raise UserError(
            f"the checkpoint {path} is of another run (other {', '.join(different)}); give the "
            "same command to go on with it, or --overwrite to start afresh"
        )
    return tensors, facts


def discard_checkpoint(path: Path) -> None:
    """Remove the checkpoint if there is one; UserError if the system refuses."""
    with os_errors_as(f"cannot remove {path}"):
        path.unlink(missing_ok=True)


# --- a fastai optimiser as tensors and JSON -----------------------------------------------------


def optimizer_state(opt: Any) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The state of a fastai `Optimizer`: tensors by name, and plain numbers."""
    tensors: dict[str, Tensor] = {}
    numbers: list[dict[str, Any]] = []
    state = opt.state_dict()
    for i, of_parameter in enumerate(state["state"]):
        numbers.append({k: v for k, v in of_parameter.items() if not isinstance(v, Tensor)})
        tensors |= {f"opt.{i}.{k}": v for k, v in of_parameter.items() if isinstance(v, Tensor)}
    return tensors, {"state": numbers, "hypers": [dict(h) for h in state["hypers"]]}


def restore_optimizer(opt: Any, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """The inverse of `optimizer_state`; the tensors move to the device of the weights."""
    states = [dict(numbers) for numbers in facts["state"]]
    weights = [weight for weight, *_ in opt.all_params()]
    for name, tensor in tensors.items():
        if name.startswith("opt."):
            _, number, key = name.split(".", 2)
            states[int(number)][key] = tensor.to(weights[int(number)].device)
    opt.load_state_dict({"state": states, "hypers": [dict(h) for h in facts["hypers"]]})


def random_state() -> dict[str, Tensor]:
    """The random state of Python, NumPy and torch (CPU and current GPU)."""
    _, words, next_gauss = random.getstate()
    _, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    state = {
        "random.python": torch.tensor(words),
        "random.python_gauss": _none_or(next_gauss),
        "random.numpy": torch.tensor([*map(int, keys), position, has_gauss]),
        "random.numpy_gauss": _none_or(float(gauss)),
        "random.cpu": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["random.cuda"] = torch.cuda.get_rng_state()
    return state


def restore_random_state(tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `random_state`; states that an older checkpoint lacks are not changed."""
    torch.set_rng_state(tensors["random.cpu"])
    if torch.cuda.is_available() and "random.cuda" in tensors:
        torch.cuda.set_rng_state(tensors["random.cuda"])
    if "random.python" in tensors:
        gauss = tensors["random.python_gauss"].tolist()
        words = tensors["random.python"].tolist()
        random.setstate((3, tuple(words), gauss[0] if gauss else None))
        *keys, position, has_gauss = tensors["random.numpy"].tolist()
        [gauss] = tensors["random.numpy_gauss"].tolist()
        np.random.set_state(("MT19937", np.array(keys, np.uint32), position, has_gauss, gauss))


def _none_or(number: float | None) -> Tensor:
    return torch.tensor([] if number is None else [number], dtype=torch.float64)


class CheckpointKeeper(Callback):
    """Writes a checkpoint every few minutes and after each epoch, and resumes from one."""

    order = 60  # after all callbacks that change the saved state, and the optimiser's step

    def __init__(
        self, run: "Run", number: int, resumed: Checkpoint | None, interrupted: Callable[[], bool]
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
            _restore_hidden(self.learn, tensors)

    def after_batch(self) -> None:
        if not self.training:
            return
        due = time.monotonic() - self.saved_at >= 60 * self.run_of.minutes
        interrupted, late, due = _agreed(self.interrupted(), self._late(), due)
        if interrupted or late or due:
            self._write(self.number, self.epoch, self.history.batches)
        if interrupted or late:
            self._stop(interrupted)

    def after_epoch(self) -> None:
        if self.resumed is None:
            last = self.epoch + 1 == self.n_epoch
            self._write(self.number + last, 0 if last else self.epoch + 1, 0)
            finished = self.number + last == len(self.run_of.steps)
            interrupted, late = _agreed(self.interrupted(), self._late() and not finished)
            if interrupted or late:  # during the validation
                self._stop(interrupted)

    def _late(self) -> bool:
        return time.monotonic() >= self.run_of.deadline

    def _stop(self, interrupted: bool) -> None:
        saved = f"saved {self.run_of.checkpoint}; the same command goes on from there"
        raise KeyboardInterrupt(saved) if interrupted else Stopped(f"time is up: {saved}")

    def _write(self, step: int, epoch: int, batch: int) -> None:
        learn = self.learn
        opt_tensors, opt_facts = optimizer_state(learn.opt)
        tensors = {f"model.{k}": v for k, v in learn.model.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.run_of.best.items()}
        tensors |= opt_tensors | random_state() | _hidden(learn, within=batch > 0)
        if not all_finite(tensors):  # it would replace a good checkpoint
            raise Diverged(f"weights became infinite or NaN at {self.history.where()}")
        self.saved_at = time.monotonic()
        if not current().first:
            return
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


def _agreed(*wishes: bool) -> list[bool]:
    """Whether any process has each wish, so that all of them do the same."""
    return [count > 0 for count in current().sums(*wishes)]


def _hidden(learn: Any, within: bool) -> dict[str, Tensor]:
    """The hidden state by name; `within` an epoch of a language model, the rows of all processes.

    Between two epochs, it is that of the validation, which nobody needs.
    """
    pairs = enumerate(encoder_of(learn.model).hidden)
    own = {f"hidden.{i}.{j}": t for i, pair in pairs for j, t in enumerate(pair)}
    if not within or _rows_of(learn) is None:  # a classifier forgets it after each batch
        return own
    return {name: current().gathered(state, 1) for name, state in own.items()}


def _restore_hidden(learn: Any, tensors: Mapping[str, Tensor]) -> None:
    """The hidden state as float32: autocast converts it, and a float32 LSTM takes no other."""
    recurrent = encoder_of(learn.model)
    device, rows = recurrent.encoder.weight.device, _rows_of(learn) or slice(None)

    def state(name: str) -> Tensor:
        return tensors[name][:, rows].float().to(device).contiguous()

    recurrent.hidden = [
        (state(f"hidden.{i}.0"), state(f"hidden.{i}.1")) for i in range(len(recurrent.rnns))
    ]


def _rows_of(learn: Any) -> slice | None:
    """The rows of the stream that this process reads; None for a classifier."""
    return getattr(learn.dls.train, "lanes", None)
