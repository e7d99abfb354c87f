"""Checkpoints: everything a run needs to go on where it was, in one file without a pickle.

Weights, optimiser, schedule position, random state, hidden state and place in the data are in
one safetensors file beside the model directory that is to come. With data order a function of
seed and epoch, a run that goes on gives the weights of one that was never interrupted.
"""

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ulmfit.base.atomic import atomic_write, beside, os_errors_as
from ulmfit.base.errors import UserError

Checkpoint = tuple[dict[str, Tensor], Any]  # tensors by name, and plain facts


def checkpoint_path(out: Path) -> Path:
    """Where the run that writes `out` keeps its checkpoint."""
    return beside(out, "checkpoint")


def write_checkpoint(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write atomically; `facts` is plain JSON. Tied weights, one tensor by several names, are
    written once."""
    first: dict[Any, str] = {}
    same = {name: first.setdefault(_place(t), name) for name, t in tensors.items()}
    plain = {name: tensors[name].detach().cpu().contiguous().clone() for name in first.values()}
    tied = {name: other for name, other in same.items() if name != other}
    atomic_write(path, save(plain, {"facts": json.dumps(facts), "tied": json.dumps(tied)}))


def _place(tensor: Tensor) -> Any:
    return tensor.device, tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride()


def read_checkpoint(path: Path, run: Mapping[str, Any], afresh: bool = False) -> Checkpoint | None:
    """Tensors and facts of the checkpoint of `run`; None if there is no checkpoint.

    Args:
        afresh: pass over a checkpoint that cannot be used, instead of refusing.

    Raises:
        UserError: if it is damaged, or of another run (other settings or data).
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
    if different := _different(before, now):
        raise UserError(
            f"the checkpoint {path} is of another run (other {', '.join(different)}); give the "
            "same command to go on with it, or --overwrite to start afresh"
        )
    return tensors, facts


def _different(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Names of what differs, of the settings each one by itself."""
    names = []
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            names += [f"{name[:-1]} {inner}" for inner in _different(old, new)]
        elif old != new:
            names.append(name)
    return names


def discard_checkpoint(path: Path) -> None:
    """Remove the checkpoint if there is one; UserError if the system refuses."""
    with os_errors_as(f"cannot remove {path}"):
        path.unlink(missing_ok=True)


# --- a fastai optimiser as tensors and JSON -----------------------------------------------------


def optimizer_state(opt: Any) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """State of a fastai `Optimizer`: tensors by name, and what is plain numbers."""
    tensors: dict[str, Tensor] = {}
    numbers: list[dict[str, Any]] = []
    state = opt.state_dict()
    for i, of_parameter in enumerate(state["state"]):
        numbers.append({k: v for k, v in of_parameter.items() if not isinstance(v, Tensor)})
        tensors |= {f"opt.{i}.{k}": v for k, v in of_parameter.items() if isinstance(v, Tensor)}
    return tensors, {"state": numbers, "hypers": [dict(h) for h in state["hypers"]]}


def restore_optimizer(opt: Any, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """The inverse of `optimizer_state`; the tensors go where the weights are."""
    states = [dict(numbers) for numbers in facts["state"]]
    weights = [weight for weight, *_ in opt.all_params()]
    for name, tensor in tensors.items():
        if name.startswith("opt."):
            _, number, key = name.split(".", 2)
            states[int(number)][key] = tensor.to(weights[int(number)].device)
    opt.load_state_dict({"state": states, "hypers": [dict(h) for h in facts["hypers"]]})


def random_state() -> dict[str, Tensor]:
    """The random state of Python, NumPy and torch, of the latter on the CPU and the current GPU."""
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
    """The inverse of `random_state`; what an older checkpoint lacks stays as it is."""
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
