"""Several processes that train one model: sums of gradients, equal starts, equal runs.

Each process computes its part of every batch. The sum of the gradients over the processes is the
gradient of the whole batch, so all of them make the same step, and their weights stay equal.
"""

from collections.abc import Mapping
from typing import Any

from fastai.callback.core import Callback

from ulmfit.artifacts.manifest import library_versions
from ulmfit.base.errors import UserError
from ulmfit.base.processes import Group, current
from ulmfit.text.dealing import Part


def part_of(group: Group) -> Part:
    """What this process reads of each batch."""
    return Part(group.rank, group.count)


class Together(Callback):
    """Makes loss and gradients those of the whole batch.

    A loss is scaled by the weight of this process's part, before the regularisers, whose terms are
    parts of a sum already. Afterwards `learn.loss` is the loss of the whole batch.
    """

    order = -1  # after autocast, before the regularisers
    run_valid = False

    def __init__(self, group: Group) -> None:
        self.group = group

    def after_loss(self) -> None:
        shared = getattr(self.xb[0], "shared", None)
        self.weight = 1 / self.group.count if shared is None else shared.weight
        self.learn.loss_grad = self.learn.loss_grad * self.weight

    def after_backward(self) -> None:
        gradients = []
        for weight in self.learn.model.parameters():
            if weight.requires_grad:
                if weight.grad is None:
                    weight.grad = weight.new_zeros(weight.shape)
                gradients.append(weight.grad)
        loss = self.learn.loss.detach() * self.weight
        self.group.add([*gradients, loss])
        self.learn.loss = loss


def tokens_of(inputs: Any) -> int:
    """The number of tokens in a whole batch of the training, without padding."""
    if (shared := getattr(inputs, "shared", None)) is not None:
        return int(shared.lengths.sum())
    lengths = getattr(inputs, "lengths", None)
    return inputs.numel() * current().count if lengths is None else int(lengths.sum())


def targets_of(inputs: Any, targets: Any, training: bool) -> int:
    """The number of targets: of the whole batch in training, else of this process."""
    if not training:
        return targets.numel()
    if (shared := getattr(inputs, "shared", None)) is not None:
        return targets.numel() // len(targets) * len(shared.lengths)
    return targets.numel() * current().count


def start_equally(model: Any, checkpoint: Mapping[str, Any]) -> None:
    """Give all processes the weights of the first one, and check that all resume from one place.

    Raises:
        UserError: a process has read another checkpoint, or none.
    """
    group = current()
    if group.count == 1:
        return
    found = group.exchange([checkpoint.get(name) for name in ("step", "epoch", "batch")])
    for rank, place in enumerate(found):
        if place != found[0]:
            raise UserError(
                f"rank {rank} of {group.count} processes has read another checkpoint than rank 0, "
                "or none; put --out into a folder that all machines share"
            )
    group.copy_first([state.data for state in model.state_dict().values()])


def check_same(facts: Mapping[str, Any]) -> None:
    """Compare what all processes are about to do, plain JSON by name.

    Raises:
        UserError: a process differs from the first one; the line names it.
    """
    group = current()
    if group.count == 1:
        return
    found = group.exchange({**facts, "versions": library_versions()})
    for rank, other in enumerate(found):
        if names := differences(found[0], other):
            raise UserError(
                f"rank {rank} of {group.count} processes has other {', '.join(names)} than rank 0; "
                "give every process the same command, data and version"
            )


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The names of the differences; for settings, the name of each."""
    names = []
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            names += [f"{name[:-1]} {inner}" for inner in differences(old, new)]
        elif old != new:
            names.append(name)
    return names
