"""What `tests/e2e/test_torchrun.py` runs under torchrun, and in its own process to compare."""

import json
import os
import signal
import sys
from pathlib import Path

import torch
from fastai.callback.core import Callback
from tiny_learners import LEARNERS, STEPS, At, run_of, weights
from tiny_stages import stage2

from ulmfit.base.cli import end_in_one_line
from ulmfit.base.joining import joined
from ulmfit.training.run import Run


class Steps(Callback):
    """The loss and the gradients of every batch, as the optimiser gets them."""

    order = 70
    run_valid = False

    def __init__(self):
        self.seen_losses, self.seen = [], []

    def before_step(self):
        parameters = self.learn.model.parameters()
        self.seen.append([p.grad.flatten().tolist() for p in parameters if p.grad is not None])

    def after_batch(self):
        self.seen_losses.append(self.learn.loss.item())


def trained(kind, folder):
    """Losses, first gradients, weights and history of a tiny learner, dropout included."""
    learn, steps = LEARNERS[kind](torch.float32), Steps()
    learn.add_cb(steps)
    run = run_of(learn, folder / f"{kind}.checkpoint", STEPS)
    run.fit()
    return {
        "losses": steps.seen_losses,
        "gradients": [steps.seen[0], steps.seen[10]],
        "weights": {name: weight.flatten().tolist() for name, weight in weights(learn).items()},
        "rows": run.history.rows,
    }


def learners(folder):
    with joined() as group:
        found = {kind: trained(kind, folder) for kind in LEARNERS}
        if group.first:
            (folder / "found.json").write_text(json.dumps(found))


def killed(rank, data, pretrained, out, batch):
    """Stage 2, of which a rank dies at a batch of its second step, unless torchrun restarted it."""
    if os.environ["RANK"] == rank and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        fit, die = Run.fit, At(lambda: os.kill(os.getpid(), signal.SIGKILL), batch=int(batch))

        def fit_and_die(run):
            run.learn.add_cb(die)
            return fit(run)

        Run.fit = fit_and_die
    end_in_one_line(lambda: stage2(data, pretrained, out, checkpoint_minutes=0))


if __name__ == "__main__":
    if sys.argv[1] == "learners":
        learners(Path(sys.argv[2]))
    else:
        killed(*sys.argv[2:])
