"""Steps of a recipe, checkpoints, and the run that goes on as if nothing had happened."""

import random
import signal
import threading

import numpy as np
import pytest
import torch
from fastai.callback.core import Callback
from tiny_learners import (
    LEARNERS,
    STEPS,
    At,
    PowerCut,
    classifier,
    ctrl_c,
    lm,
    power_cut,
    rows_of,
    run_of,
    same,
    weights,
)
from tiny_models import needs_bfloat16, refuses

from ulmfit.training.checkpoint import read_checkpoint
from ulmfit.training.history import History
from ulmfit.training.run import Run, parameters_of
from ulmfit.training.settings import Step

# Batches of the two steps: an epoch of the first has 5 (share=0.5), of the second 10.
FIRST, LAST = 1, 30


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What an uninterrupted training makes: kind -> weights, history."""
    made = {}
    for kind, learner in LEARNERS.items():
        counter = At()
        learn = learner()
        learn.add_cb(counter)
        run = run_of(learn, tmp_path_factory.mktemp("whole") / "m.checkpoint")
        run.fit()
        assert counter.batches == LAST
        made[kind] = weights(learn), rows_of(run)
    return made


def interrupted(kind, checkpoint, stop, at, error):
    """Train until `at`, then again from the checkpoint; returns learner and run."""
    learn = LEARNERS[kind]()
    learn.add_cb(At(stop, **at))
    with pytest.raises(error) as caught:
        # Without a pause between checkpoints: one after every batch.
        run_of(learn, checkpoint, minutes=0 if stop is power_cut else 5).fit()
    again = LEARNERS[kind]()
    torch.rand(17)  # the random state is the checkpoint's, not the new process'
    run = run_of(again, checkpoint)
    run.fit()
    return again, run, caught.value


@pytest.mark.parametrize("kind", LEARNERS)
@pytest.mark.parametrize(
    "at",
    [
        {"batch": FIRST},
        {"batch": 3},
        {"batch": 5},  # the last batch of an epoch
        {"batch": 6},
        {"batch": 10},  # the last batch of a step
        {"batch": 11},
        {"batch": 17},
        {"batch": LAST},
        {"validation": 1},
        {"validation": 2},  # between the steps
        {"validation": 4},  # at the very end
    ],
    ids=str,
)
def test_ctrl_c_and_the_same_command_again_give_the_same_weights(whole, tmp_path, kind, at):
    checkpoint = tmp_path / "m.checkpoint"
    learn, run, error = interrupted(kind, checkpoint, ctrl_c, at, KeyboardInterrupt)
    assert str(error) == f"saved {checkpoint}; the same command goes on from there"
    assert rows_of(run) == whole[kind][1]
    assert same(weights(learn), whole[kind][0])


@pytest.mark.parametrize("kind", LEARNERS)
@pytest.mark.parametrize(
    "at", [{"batch": 2}, {"batch": 8}, {"batch": 14}, {"batch": LAST}], ids=str
)
def test_power_cut_and_the_same_command_again_give_the_same_weights(whole, tmp_path, kind, at):
    learn, run, _ = interrupted(kind, tmp_path / "m.checkpoint", power_cut, at, PowerCut)
    assert rows_of(run) == whole[kind][1]
    assert same(weights(learn), whole[kind][0])


def test_interrupted_twice(whole, tmp_path):
    checkpoint = tmp_path / "m.checkpoint"
    for batch in (7, 9):
        learn = lm()
        learn.add_cb(At(ctrl_c, batch=batch))
        with pytest.raises(KeyboardInterrupt):
            run_of(learn, checkpoint).fit()
    learn = lm()
    run = run_of(learn, checkpoint)
    run.fit()
    assert rows_of(run) == whole["lm"][1]
    assert same(weights(learn), whole["lm"][0])


@needs_bfloat16
def test_bfloat16_goes_on_alike(tmp_path):
    learn = lm(torch.bfloat16)
    run_of(learn, tmp_path / "whole").fit()
    first = lm(torch.bfloat16)
    first.add_cb(At(ctrl_c, batch=13))
    with pytest.raises(KeyboardInterrupt):
        run_of(first, tmp_path / "m.checkpoint").fit()
    again = lm(torch.bfloat16)
    run_of(again, tmp_path / "m.checkpoint").fit()
    assert same(weights(again), weights(learn))


@needs_bfloat16
@pytest.mark.parametrize("before", [torch.bfloat16, torch.float32])
def test_another_number_format_goes_on_and_says_so(tmp_path, before, told):
    now = torch.float32 if before == torch.bfloat16 else torch.bfloat16
    first, checkpoint = lm(before), tmp_path / "m.checkpoint"
    first.add_cb(At(ctrl_c, batch=13))
    with pytest.raises(KeyboardInterrupt):
        run_of(first, checkpoint).fit()
    told.clear()
    run = run_of(lm(now), checkpoint)
    run.fit()
    before, now = (str(dtype).removeprefix("torch.") for dtype in (before, now))
    assert told[:2] == [
        f"going on at step 2, epoch 1: found {checkpoint}; delete it to start afresh",
        f"trained in {before} so far, from here on in {now}: the weights will differ from those of "
        f"a single format; --precision {before} keeps the format",
    ]
    assert run.history.rows[-1]["valid_loss"] < 5  # log(60) is 4.1


def test_finished_training_is_not_repeated_until_its_result_is_written(whole, tmp_path, told):
    run_of(lm(), tmp_path / "m.checkpoint").fit()
    learn = lm()
    counter = At()
    learn.add_cb(counter)
    told.clear()
    run = run_of(learn, tmp_path / "m.checkpoint")
    run.fit()
    assert counter.batches == 0
    assert told == [
        f"going on at the end of the training: found {tmp_path / 'm.checkpoint'}; "
        "delete it to start afresh"
    ]
    assert same(weights(learn), whole["lm"][0])
    assert rows_of(run) == whole["lm"][1]
    run.discard()
    assert list(tmp_path.iterdir()) == []
    run.discard()


def test_going_on_is_told(tmp_path, told):
    learn = lm()
    learn.add_cb(At(ctrl_c, batch=17))
    with pytest.raises(KeyboardInterrupt):
        run_of(learn, tmp_path / "m.checkpoint").fit()
    told.clear()
    run_of(lm(), tmp_path / "m.checkpoint").fit()
    assert told[0] == (
        f"going on at step 2, epoch 1: found {tmp_path / 'm.checkpoint'}; delete it to start afresh"
    )
    assert [line.split("  train_loss")[0] for line in told[1:]] == [
        "  step 2  epoch 1",
        "  step 2  epoch 2",
    ]


def test_second_ctrl_c_interrupts_at_once(tmp_path):
    def twice():
        ctrl_c()
        ctrl_c()

    learn = lm()
    learn.add_cb(At(twice, batch=3))
    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        run_of(learn, tmp_path / "m.checkpoint").fit()
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_does_what_it_did_before(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    run_of(lm(), tmp_path / "m.checkpoint", STEPS[:1]).fit()
    assert signal.getsignal(signal.SIGINT) is before


def test_trains_outside_of_the_main_thread(tmp_path):
    learn = lm()
    run = run_of(learn, tmp_path / "m.checkpoint", STEPS[:1])
    thread = threading.Thread(target=run.fit)
    thread.start()
    thread.join()
    assert len(run.history.rows) == 2


def test_checkpoint_of_another_run_is_refused_or_passed_over(whole, tmp_path):
    checkpoint = tmp_path / "m.checkpoint"
    learn = lm()
    identity = {"settings": {"a": 2, "b": 1}, "data": "d2"}
    Run(learn, STEPS[:1], checkpoint, identity, History()).fit()
    before = checkpoint.read_bytes()
    with refuses(
        f"the checkpoint {checkpoint} is of another run (other data, setting a, setting b); give "
        "the same command to go on with it, or --overwrite to start afresh"
    ):
        run_of(lm(), checkpoint).fit()
    assert checkpoint.read_bytes() == before
    learn = lm()
    run_of(learn, checkpoint, afresh=True).fit()
    assert same(weights(learn), whole["lm"][0])


def test_overwriting_run_goes_on_with_its_own_checkpoint(whole, tmp_path):
    learn = lm()
    learn.add_cb(At(ctrl_c, batch=7))
    with pytest.raises(KeyboardInterrupt):
        run_of(learn, tmp_path / "m.checkpoint", afresh=True).fit()
    again, counter = lm(), At()
    again.add_cb(counter)
    run_of(again, tmp_path / "m.checkpoint", afresh=True).fit()
    assert counter.batches == LAST - 7
    assert same(weights(again), whole["lm"][0])


def test_global_random_states_are_the_checkpoints(tmp_path):
    """Callbacks of a user's may draw from Python's or NumPy's generator."""

    class Draw(Callback):
        def __init__(self):
            self.seen = []

        def after_batch(self):
            if self.training:
                self.seen.append((random.gauss(0, 1), np.random.randn(), torch.rand(1).item()))

    whole, parts = Draw(), Draw()
    learn = lm()
    learn.add_cb(whole)
    run_of(learn, tmp_path / "whole").fit()
    learn = lm()
    learn.add_cbs([parts, At(ctrl_c, batch=7)])
    with pytest.raises(KeyboardInterrupt):
        run_of(learn, tmp_path / "m.checkpoint").fit()
    random.gauss(0, 1)
    np.random.randn()
    again = lm()
    again.add_cb(parts)
    run_of(again, tmp_path / "m.checkpoint").fit()
    assert parts.seen == whole.seen


# --- what a step does ---------------------------------------------------------------------------


def changed_groups(learn, before):
    """Which layer groups differ from the weights `before`, counted from the lowest."""
    names = {id(p): name for name, p in learn.model.named_parameters(remove_duplicate=False)}
    now = dict(learn.model.named_parameters(remove_duplicate=False))
    groups = []
    for i, group in enumerate(learn.opt.param_lists):
        moved = [not torch.equal(now[names[id(p)]], before[names[id(p)]]) for p in group]
        assert all(moved) or not any(moved)
        if any(moved):
            groups.append(i)
    return groups


def test_groups_of_the_two_models():
    # lstm 1, lstm 2, embedding with decoder; and embedding, lstm 1, lstm 2, head
    for learner, count in ((lm, 3), (classifier, 4)):
        learn = learner()
        learn.create_opt()
        assert len(learn.opt.param_lists) == count


@pytest.mark.parametrize(
    ("kind", "groups", "trained"),
    [
        ("lm", 1, [2]),
        ("lm", 2, [1, 2]),
        ("lm", 0, [0, 1, 2]),
        ("classifier", 1, [3]),
        ("classifier", 2, [2, 3]),
        ("classifier", 3, [1, 2, 3]),
        ("classifier", 0, [0, 1, 2, 3]),
    ],
)
def test_groups_that_a_step_trains(tmp_path, kind, groups, trained):
    learn = LEARNERS[kind]()
    before = weights(learn)
    run_of(learn, tmp_path / "m.checkpoint", [Step(1, 0.01, groups=groups)]).fit()
    assert changed_groups(learn, before) == trained


def test_step_that_freezes_again_leaves_the_lower_groups_alone(tmp_path):
    learn = classifier()
    run_of(learn, tmp_path / "1", [Step(1, 0.01)]).fit()
    before = weights(learn)
    run_of(learn, tmp_path / "2", [Step(1, 0.01, groups=1, weight_decay=0.5)]).fit()
    assert changed_groups(learn, before) == [3]


def test_more_groups_than_the_model_has(tmp_path):
    steps = [STEPS[0], Step(1, 0.01, groups=4)]
    with refuses(
        "step 2 of the recipe trains 4 layer groups, the model has 3; 0 stands for all of them"
    ):
        run_of(lm(), tmp_path / "m.checkpoint", steps).fit()
    assert list(tmp_path.iterdir()) == []


class Rates(Callback):
    """Rates and decay of every group at each batch."""

    def __init__(self):
        self.seen = []

    def after_step(self):
        self.seen.append([(h["lr"], h["wd"], h["mom"]) for h in self.opt.hypers])


@pytest.mark.parametrize("lr", [0.02, [0.0002, 0.02]])
def test_rates_reach_the_optimiser(tmp_path, lr):
    learn, rates = lm(), Rates()
    learn.add_cb(rates)
    step = Step(2, lr, div=10.0, pct_start=0.5, weight_decay=0.3)
    run = run_of(learn, tmp_path / "m.checkpoint", [step])
    run.fit()
    # Two epochs of 10 batches: the rate rises over the first and is highest in batch 11.
    lowest = lr[0] if isinstance(lr, list) else lr
    peak = [lowest, (lowest * 0.02) ** 0.5, 0.02]
    assert [lr for lr, _, _ in rates.seen[0]] == pytest.approx([rate / 10 for rate in peak])
    assert [lr for lr, _, _ in rates.seen[10]] == pytest.approx(peak)
    assert max(range(20), key=lambda batch: rates.seen[batch][2]) == 10
    assert {wd for batch in rates.seen for _, wd, _ in batch} == {0.3}
    moms = [batch[0][2] for batch in rates.seen]
    assert (moms[0], moms[10]) == pytest.approx((0.8, 0.7))
    assert [row["lr"] for row in run.history.rows] == [
        max(batch[-1][0] for batch in rates.seen[:10]),
        max(batch[-1][0] for batch in rates.seen[10:]),
    ]


def test_share_of_the_data(tmp_path):
    for share, batches in ((1.0, 10), (0.5, 5), (0.25, 3)):
        learn, counter = lm(), At()
        learn.add_cb(counter)
        run_of(learn, tmp_path / str(share), [Step(1, 0.01, share=share)]).fit()
        assert counter.batches == batches


def test_every_epoch_reads_the_data_in_another_order(tmp_path):
    class First(Callback):
        def __init__(self):
            self.seen = []

        def before_batch(self):
            if self.training and self.iter == 0:
                self.seen.append(tuple(self.xb[0].flatten().tolist()))

    learn, first = lm(), First()
    learn.add_cb(first)
    run_of(learn, tmp_path / "m.checkpoint", [Step(2, 0.01), Step(2, 0.01)]).fit()
    assert len(set(first.seen)) == 4


# --- fastai's own -------------------------------------------------------------------------------


class Epochs(Callback):
    """The order of the data, which a plain `fit_one_cycle` does not set."""

    def before_epoch(self):
        self.dls.train.epoch = self.epoch


class Events(Callback):
    """What a callback of the user's gets to see."""

    def __init__(self):
        self.seen = []

    def __call__(self, event):
        self.seen.append(event)


def test_one_step_is_fastais_fit_one_cycle(tmp_path):
    events = [Events(), Events()]
    plain = lm()
    plain.add_cbs([Epochs(), events[0]])
    with plain.no_logging(), plain.no_bar():
        plain.fit_one_cycle(2, lr_max=slice(0.001, 0.01), wd=0.1)
    ours = lm()
    ours.add_cb(events[1])
    before = list(ours.cbs)
    run_of(ours, tmp_path / "m.checkpoint", [Step(2, [0.001, 0.01], weight_decay=0.1)]).fit()
    assert same(weights(plain), weights(ours))
    assert events[0].seen == events[1].seen
    assert plain.recorder.lrs == ours.recorder.lrs
    assert [row[:2] for row in plain.recorder.values] == [row[:2] for row in ours.recorder.values]
    assert {type(cb) for cb in ours.cbs} == {type(cb) for cb in before}


def test_parameters_are_counted_once():
    model = lm().model
    embedding, decoder = model[0].encoder.weight, model[1].weight
    assert embedding is decoder
    assert parameters_of(model) == sum(p.numel() for p in model.parameters())


def test_seconds_before_an_interruption_are_counted(tmp_path):
    checkpoint, spent = tmp_path / "m.checkpoint", [0.0]
    for _ in range(2):
        learn = lm()
        learn.add_cb(At(ctrl_c, batch=3))
        run = run_of(learn, checkpoint)
        with pytest.raises(KeyboardInterrupt):
            run.fit()
        assert run.spent_before == spent[-1]
        spent.append(read_checkpoint(checkpoint, run.identity)[1]["spent"])
    assert spent[2] > spent[1] > 0
    run = run_of(lm(), checkpoint)
    run.fit()
    assert run.spent() > run.spent_before == spent[2]
