"""Training steps of a language model as CUDA graphs: one launch a step instead of thousands.

A step of an LSTM is many small kernels, and Python starts them more slowly than a GPU finishes
them. A graph records a step's kernels once and then starts them all together. The computation stays
the same: dropout draws new masks in every step, and the hidden state carries over.
"""

from collections.abc import Callable
from typing import Any

import torch
from fastai.learner import CancelStepException, Learner
from torch import Tensor

from ulmfit.base.processes import current
from ulmfit.model import lm_loss
from ulmfit.model.build import encoder_of
from ulmfit.model.lm_loss import LMLoss

_WARM_UP = 3  # steps before a recording: the libraries choose their kernels and set up workspaces

Replay = Callable[[], object]


def record_on_gpu(step: Callable[[], None]) -> Replay:
    """Record the kernels that `step` launches, without running them; returns what runs them."""
    graph = torch.cuda.CUDAGraph()
    # Another thread copies the next batch meanwhile, which is no part of the graph.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        step()
    return graph.replay


class RecordedStep:
    """Loss and gradients of a training step, for batches of one shape.

    Inputs, targets, hidden state, loss and gradients have fixed places, which each replay reads and
    writes.
    """

    def __init__(self, learn: Learner) -> None:
        self.learn, self.encoder = learn, encoder_of(learn.model)
        self.logits = lm_loss._workspace._pair  # a replay writes into this memory
        self.inputs, self.targets = learn.xb[0].clone(), learn.yb[0].clone()
        self.state = [(hidden.clone(), cell.clone()) for hidden, cell in self.encoder.hidden]
        self.weights = [weight for weight in learn.model.parameters() if weight.requires_grad]
        _forget_step(learn)
        self._replay = self._recorded()
        _forget_step(learn)
        self.gradients = [weight.grad for weight in self.weights]
        self.encoder.hidden = self.state  # a recording computes no state

    def _recorded(self) -> Replay:
        return record_on_gpu(self._step)

    def _step(self) -> None:
        """What fastai's `Learner._do_one_batch` does before the optimiser."""
        learn = self.learn
        for weight in self.weights:
            weight.grad = None
        self.encoder.hidden = self.state
        learn.pred = learn.model(self.inputs)
        learn("after_pred")
        learn.loss_grad = learn.loss_func(learn.pred, self.targets)
        self.loss = learn.loss_grad.detach().clone()
        learn("after_loss")
        learn.loss_grad.backward()
        self._keep(self.encoder.hidden)

    def run(self) -> Tensor:
        """The loss of the learner's batch, from the encoder's hidden state; sets the gradients."""
        self.inputs.copy_(self.learn.xb[0], non_blocking=True)
        self.targets.copy_(self.learn.yb[0], non_blocking=True)
        if self.encoder.hidden is not self.state:  # else that of the last replay
            self._keep(self.encoder.hidden)
        self._replay()
        self.encoder.hidden = self.state
        for weight, gradient in zip(self.weights, self.gradients, strict=True):
            weight.grad = gradient
        return self.loss.clone()  # the next replay overwrites it

    def _keep(self, hidden: list[tuple[Tensor, Tensor]]) -> None:
        for places, states in zip(self.state, hidden, strict=True):
            for place, state in zip(places, states, strict=True):
                place.copy_(state)


class GraphLearner(Learner):
    """A fastai `Learner` of a language model on a GPU that replays recorded steps.

    The first steps, batches of another shape and the validation run as usual. So does everything
    with a sampled softmax, whose shapes depend on the batch, and with several processes, which
    exchange their gradients.
    """

    _steps_before = 0
    _recorded: RecordedStep | None = None
    _key: Any = None

    def _do_one_batch(self) -> None:
        if not self.training or not self._usable():
            super()._do_one_batch()
            return
        key = [weight.requires_grad for weight in self.model.parameters()]
        if key != self._key:
            self._key, self._recorded, self._steps_before = key, None, 0
        if self._recorded is None and self._steps_before < _WARM_UP:
            self._steps_before += 1
            super()._do_one_batch()
            return
        if self._recorded is None:
            self._recorded = RecordedStep(self)
        self.loss = self._recorded.run()
        self._with_events(self._step, "step", CancelStepException)
        for weight in self._recorded.weights:
            weight.grad = None  # a step as usual adds to gradients that are there

    def _usable(self) -> bool:
        """Whether a graph may run this batch: one of full size, not the first of an epoch."""
        loader = self.dls.train
        whole = (loader.batch_size, loader.seq_len)
        return tuple(self.xb[0].shape) == whole and bool(encoder_of(self.model).hidden)


def _forget_step(learn: Learner) -> None:
    """Drop the last step's autograd graph, whose nodes are bound to the stream of that step.

    A recording has a stream of its own, and would wait for the other one, which ends it.
    """
    learn.pred = learn.loss = learn.loss_grad = None
    learn.rnn.raw_out = learn.rnn.out = None


def learner_class(loss: Any, device: torch.device) -> type[Learner]:
    """`GraphLearner` where its graphs work, else fastai's `Learner`."""
    exact = isinstance(loss, LMLoss) and loss.sampled == 0
    on_one_gpu = device.type == "cuda" and current().count == 1
    return GraphLearner if exact and on_one_gpu else Learner
