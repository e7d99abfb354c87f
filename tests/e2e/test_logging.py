"""`--log`: TensorBoard and MLflow are told what history.csv says, and the weights stay the same."""

import errno
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from fastai.callback.core import Callback
from tiny_learners import (
    LEARNERS,
    STEPS,
    At,
    PowerCut,
    ctrl_c,
    lm,
    power_cut,
    run_of,
    same,
    weights,
)
from tiny_models import refuses
from tiny_stages import stage1, stage2, stage3, write_general, write_reviews

from ulmfit.base.errors import Stopped, UserError
from ulmfit.training import log_sinks
from ulmfit.training.checkpoint import read_checkpoint, write_checkpoint
from ulmfit.training.run_log import RunLog, batches_before, run_log
from ulmfit.training.settings import LMSettings

needs_tensorboard = pytest.mark.skipif(
    bool(log_sinks.missing_packages("tensorboard")), reason="pip install -e '.[log]'"
)
needs_mlflow = pytest.mark.skipif(
    not all(map(find_spec, ("mlflow", "sqlalchemy", "alembic"))), reason="pip install -e '.[log]'"
)
# MLflow uses what SQLAlchemy 2.1 will not have for ever.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")

# Batches after which the epochs of `STEPS` end: two of 5 (share=0.5), two of 10.
EPOCHS = [5, 10, 20, 30]
LAST = 30
SETTINGS = {"batch_size": 4, "lr": "", "drop_mult": 0.5, "backwards": True}
CHANGING = ("tokens_per_second", "seconds")  # from run to run


@pytest.fixture(autouse=True)
def file_names(monkeypatch):
    """Event files are read in order of their names, which end with a number from 0 in a process;
    within one second the tenth would come before the second."""
    if find_spec("tensorboard"):
        from tensorboard.summary.writer import event_file_writer

        monkeypatch.setattr(
            event_file_writer, "_global_uid", event_file_writer.AtomicCounter(10_000)
        )


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'm.db'}"


@pytest.fixture(autouse=True)
def tracked(monkeypatch, database):
    """MLflow on a database of the tests."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", database)


def log_of(kind, out):
    return RunLog(kind, out, SETTINGS)


def of_the_log(lines):
    """Those that are not of the training."""
    return [line for line in lines if not line.startswith("  ")]


def trained(kind, out, **more):
    """A language model trained through `STEPS` with a log; the run."""
    run = run_of(lm(), out.with_name("m.checkpoint"), log=log_of(kind, out), **more)
    run.fit()
    return run


def events(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()


def from_tensorboard(run):
    read = events(run.log.out.with_name(f"{run.log.out.name}.log") / run.name)
    return {
        tag: [(event.step, event.value) for event in read.Scalars(tag)]
        for tag in read.Tags()["scalars"]
    }


def mlflow_run(name):
    from mlflow import MlflowClient

    client = MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    experiment = client.get_experiment_by_name("ulmfit").experiment_id
    (found,) = client.search_runs([experiment], f"tags.`ulmfit.run` = '{name}'")
    return client, found


def from_mlflow(run):
    client, found = mlflow_run(run.name)
    histories = {
        name: client.get_metric_history(found.info.run_id, name) for name in found.data.metrics
    }
    # float32 is all that TensorBoard keeps.
    return {
        name: sorted((metric.step, float(np.float32(metric.value))) for metric in metrics)
        for name, metrics in histories.items()
    }


READ = {"tensorboard": from_tensorboard, "mlflow": from_mlflow}
both = pytest.mark.parametrize(
    "kind",
    [
        pytest.param("tensorboard", marks=needs_tensorboard),
        pytest.param("mlflow", marks=needs_mlflow),
    ],
)


def steady(figures):
    return {name: curve for name, curve in figures.items() if not name.endswith(CHANGING)}


class Means(Callback):
    """Mean loss of the epoch and rates of the groups after each training batch."""

    order = 70

    def __init__(self):
        self.losses, self.rates = [], []

    def before_train(self):
        self.total = self.targets = 0

    def after_batch(self):
        if self.training:
            self.total += self.learn.loss.item() * self.yb[0].numel()
            self.targets += self.yb[0].numel()
            self.losses.append(self.total / self.targets)
            self.rates.append([hyper["lr"] for hyper in self.opt.hypers])


def float32(values):
    return [float(np.float32(value)) for value in values]


@both
def test_figures_are_those_of_the_history(tmp_path, kind):
    learn, means = lm(), Means()
    learn.add_cb(means)
    run = run_of(learn, tmp_path / "m.checkpoint", log=log_of(kind, tmp_path / "m"))
    rows = run.fit()
    figures = READ[kind](run)
    columns = [name for name in rows[0] if name not in ("step", "epoch")]
    assert set(figures) == {
        *(f"epoch/{name}" for name in columns),
        *("train/loss", "train/tokens_per_second"),
        *(f"lr/group_{group}" for group in (1, 2, 3)),
    }
    for name in columns:
        values = float32(row[name] for row in rows)
        assert figures[f"epoch/{name}"] == list(zip(EPOCHS, values, strict=True)), name
    batches = range(1, LAST + 1)
    assert figures["train/loss"] == list(zip(batches, float32(means.losses), strict=True))
    at_the_ends = [figures["train/loss"][batch - 1] for batch in EPOCHS]
    assert at_the_ends == figures["epoch/train_loss"]
    assert [step for step, _ in figures["train/tokens_per_second"]] == list(batches)
    assert all(speed > 0 for _, speed in figures["train/tokens_per_second"])
    # The first step trains the top group alone.
    for group, first in ((3, 1), (2, 11), (1, 11)):
        rates = float32(rates[group - 1] for rates in means.rates[first - 1 :])
        curve = list(zip(range(first, LAST + 1), rates, strict=True))
        assert figures[f"lr/group_{group}"] == curve


@both
@pytest.mark.parametrize(
    ("stop", "at", "error"),
    [
        (ctrl_c, {"batch": 8}, KeyboardInterrupt),
        (ctrl_c, {"batch": 10}, KeyboardInterrupt),  # the last one of a step
        (ctrl_c, {"validation": 3}, KeyboardInterrupt),
        (power_cut, {"batch": 17}, PowerCut),  # 7 batches after the checkpoint
        (power_cut, {"batch": 10}, PowerCut),
    ],
)
def test_run_that_goes_on_continues_its_curves(tmp_path, kind, stop, at, error):
    learn = lm()
    learn.add_cb(At(stop, **at))
    first = run_of(learn, tmp_path / "m.checkpoint", log=log_of(kind, tmp_path / "m"))
    with pytest.raises(error):
        first.fit()
    run = trained(kind, tmp_path / "m")
    assert run.name == first.name
    figures = READ[kind](run)
    assert [step for step, _ in figures["train/tokens_per_second"]] == list(range(1, LAST + 1))
    whole = trained(kind, tmp_path / "whole" / "m")
    assert steady(figures) == steady(READ[kind](whole))


@both
@pytest.mark.parametrize("model", LEARNERS)
def test_weights_and_rows_are_the_same_with_and_without(tmp_path, kind, model):
    plain = LEARNERS[model]()
    run_of(plain, tmp_path / "plain.checkpoint").fit()
    random = torch.get_rng_state()
    logged = LEARNERS[model]()
    run = run_of(logged, tmp_path / "m.checkpoint", log=log_of(kind, tmp_path / "m"))
    run.fit()
    assert same(weights(plain), weights(logged))
    assert torch.equal(torch.get_rng_state(), random)
    assert len(READ[kind](run)["train/loss"]) == LAST


@needs_tensorboard
def test_checkpoint_goes_on_with_or_without_a_log(tmp_path):
    whole = lm()
    run_of(whole, tmp_path / "whole.checkpoint").fit()
    checkpoint = tmp_path / "m.checkpoint"
    for log, batch in ((None, 3), (log_of("tensorboard", tmp_path / "m"), 9), (None, 4)):
        learn = lm()
        learn.add_cb(At(ctrl_c, batch=batch))
        with pytest.raises(KeyboardInterrupt):
            run_of(learn, checkpoint, log=log).fit()
    learn = lm()
    run = run_of(learn, checkpoint, log=log_of("tensorboard", tmp_path / "m"))
    run.fit()
    assert same(weights(learn), weights(whole))
    # What trained without a log is missing, and nothing else.
    steps = [step for step, _ in from_tensorboard(run)["train/loss"]]
    assert steps == [*range(4, 13), *range(17, LAST + 1)]


@needs_tensorboard
def test_checkpoint_of_a_version_without_names(tmp_path):
    learn = lm()
    learn.add_cb(At(ctrl_c, batch=3))
    checkpoint = tmp_path / "m.checkpoint"
    with pytest.raises(KeyboardInterrupt):
        run_of(learn, checkpoint).fit()
    tensors, facts = read_checkpoint(checkpoint, {"settings": {"a": 1}})
    del facts["name"]
    write_checkpoint(checkpoint, tensors, facts)
    run = trained("tensorboard", tmp_path / "m")
    assert [step for step, _ in from_tensorboard(run)["train/loss"]] == [*range(4, LAST + 1)]


@both
def test_training_anew_leaves_the_earlier_log_alone(tmp_path, kind):
    first = trained(kind, tmp_path / "m")
    before = READ[kind](first)
    first.discard()
    second = trained(kind, tmp_path / "m")
    assert second.name != first.name
    assert READ[kind](first) == before
    assert len(READ[kind](second)["train/loss"]) == LAST


@both
def test_finals(tmp_path, kind):
    run = trained(kind, tmp_path / "m")
    run.log_finals(
        {
            "valid": {"loss": 0.5, "counts": {"all": 3}},
            "seconds": 7,
            "samples": ["words"],
            "epochs": [{"epoch": 1}],
        }
    )
    figures = READ[kind](run)
    finals = {name: curve for name, curve in figures.items() if name.startswith("final/")}
    assert finals == {
        "final/valid/loss": [(LAST, 0.5)],
        "final/valid/counts/all": [(LAST, 3.0)],
        "final/seconds": [(LAST, 7.0)],
    }
    assert len(figures["train/loss"]) == LAST


@both
def test_finished_training_that_was_not_written_yet(tmp_path, kind):
    """The checkpoint is of the end: nothing to train, and nothing that is logged twice."""
    first = trained(kind, tmp_path / "m")
    before = READ[kind](first)
    run = trained(kind, tmp_path / "m")
    assert run.name == first.name
    run.log_finals({"loss": 0.25})
    assert READ[kind](run) == {**before, "final/loss": [(LAST, 0.25)]}


STEPS_SHOWN = (
    '[{"epochs": 2, "lr": 0.01, "groups": 1, "share": 0.5, "div": 25.0, "pct_start": 0.25, '
    '"weight_decay": 0.1}, {"epochs": 2, "lr": [0.002, 0.02], "groups": 0, "share": 1.0, '
    '"div": 5.0, "pct_start": 0.25, "weight_decay": 0.0}]'
)


@needs_tensorboard
def test_settings_in_tensorboard(tmp_path):
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    run = trained("tensorboard", tmp_path / "m")
    read = events(tmp_path / "m.log" / run.name)

    def told(tag):
        return HParamsPluginData.FromString(
            read.SummaryMetadata(f"_hparams_/{tag}").plugin_data.content
        )

    hparams = told("session_start_info").session_start_info.hparams
    kinds = {name: value.WhichOneof("kind") for name, value in hparams.items()}
    shown = {name: getattr(hparams[name], kind) for name, kind in kinds.items()}
    assert shown == {**SETTINGS, "steps": STEPS_SHOWN}
    metrics = {info.name.tag for info in told("experiment").experiment.metric_infos}
    assert metrics == {"epoch/valid_loss", "epoch/accuracy"}
    assert metrics < set(from_tensorboard(run))
    assert told("session_end_info").session_end_info.status == 1  # success


@needs_mlflow
def test_settings_in_mlflow(tmp_path):
    run = trained("mlflow", tmp_path / "lm-fwd")
    _, found = mlflow_run(run.name)
    assert found.data.params == {
        **{name: str(value) for name, value in SETTINGS.items()},
        "steps": STEPS_SHOWN,
    }
    assert found.info.run_name == "lm-fwd"
    assert set(found.data.tags) == {"mlflow.runName", "ulmfit.run"}  # no user, path or host


def time_is_up():
    raise Stopped("now")


@needs_mlflow
@pytest.mark.parametrize(
    ("stop", "error", "status"),
    [
        (ctrl_c, KeyboardInterrupt, "KILLED"),
        (power_cut, PowerCut, "FAILED"),
        (time_is_up, Stopped, "KILLED"),
    ],
)
def test_how_a_run_ended_in_mlflow(tmp_path, stop, error, status):
    learn = lm()
    learn.add_cb(At(stop, batch=3))
    run = run_of(learn, tmp_path / "m.checkpoint", log=log_of("mlflow", tmp_path / "m"))
    with pytest.raises(error):
        run.fit()
    assert mlflow_run(run.name)[1].info.status == status
    # An error at the third batch comes before its figures; Ctrl-C is heard after them.
    assert len(from_mlflow(run)["train/loss"]) == (3 if stop is ctrl_c else 2)
    run = trained("mlflow", tmp_path / "m")
    assert mlflow_run(run.name)[1].info.status == "FINISHED"


@needs_mlflow
def test_mlflow_is_sent_much_at_once_and_little_at_the_end(tmp_path, monkeypatch):
    from mlflow import MlflowClient

    sent, send = [], MlflowClient.log_batch

    def counted(client, run_id, metrics=(), **more):
        sent.append(len(metrics))
        return send(client, run_id, metrics, **more)

    monkeypatch.setattr(MlflowClient, "log_batch", counted)
    monkeypatch.setattr(log_sinks, "_SECONDS_BETWEEN_REQUESTS", 1e9)
    monkeypatch.setattr(log_sinks, "_PARTS", 50)
    run = trained("mlflow", tmp_path / "m")
    assert sum(sent) == sum(map(len, from_mlflow(run).values()))
    assert sent[0] == 0  # the settings
    assert max(sent) == 50
    assert len(sent) < 10


@needs_tensorboard
def test_loss_that_is_no_number_closes_the_log(tmp_path):
    class Diverge(Callback):
        def after_loss(self):
            if self.training and self.epoch == 1 and self.iter == 2:
                self.learn.loss = torch.tensor(float("nan"))

    learn = lm()
    learn.add_cb(Diverge())
    run = run_of(learn, tmp_path / "m.checkpoint", log=log_of("tensorboard", tmp_path / "m"))
    with pytest.raises(UserError, match="the loss became nan"):
        run.fit()
    assert [step for step, _ in from_tensorboard(run)["train/loss"]] == list(range(1, 8))


@needs_tensorboard
def test_log_that_fails_is_given_up_and_the_training_is_not(tmp_path, monkeypatch, told):
    scalars = log_sinks.TensorBoardSink.scalars

    def full(sink, values, step):
        if step == 4:
            raise OSError("No space left on device\nand more")
        scalars(sink, values, step)

    monkeypatch.setattr(log_sinks.TensorBoardSink, "scalars", full)
    plain = lm()
    run_of(plain, tmp_path / "plain.checkpoint").fit()
    logged = lm()
    log = log_of("tensorboard", tmp_path / "m")
    run = run_of(logged, tmp_path / "m.checkpoint", log=log)
    run.fit()
    run.log_finals({"loss": 0.5})
    assert of_the_log(told)[1:] == [
        "warning: nothing is logged from here on: No space left on device"
    ]
    assert same(weights(plain), weights(logged))


def test_batches_before_leaves_the_loader_as_it_was():
    train = lm().dls.train
    train.share = 0.25
    assert [batches_before(train, STEPS, step) for step in (0, 1, 2)] == [0, 10, 30]
    assert batches_before(train, STEPS, 1, 1) == 20
    assert train.share == 0.25


# --- where it goes, and what is refused ---------------------------------------------------------


@needs_tensorboard
def test_place_of_tensorboard_is_told(tmp_path, monkeypatch, told):
    monkeypatch.chdir(tmp_path)
    run = run_of(
        lm(),
        Path("m.checkpoint"),
        STEPS[:1],
        log=log_of("tensorboard", Path("models/my film")),
    )
    run.fit()
    assert of_the_log(told) == [
        "logging to models/my film.log; tensorboard --logdir 'models/my film.log' shows it"
    ]
    assert [entry.name for entry in Path("models").iterdir()] == ["my film.log"]


@needs_tensorboard
def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "m.log").write_text("mine")
    with refuses(f"cannot write the log {tmp_path / 'm.log'}: {os.strerror(errno.ENOTDIR)}"):
        trained("tensorboard", tmp_path / "m")
    assert (tmp_path / "m.log").read_text() == "mine"


@needs_mlflow
def test_mlflow_by_itself_stays_on_this_computer_and_calls_nobody(tmp_path):
    """In a process that MLflow does not take for a test, in which it is silent anyway."""
    code = """
import socket, sys
def refused(*arguments):
    print("CALLED", arguments)
    raise OSError("no network")
socket.getaddrinfo = socket.socket.connect = refused
from pathlib import Path
from ulmfit.training.log_sinks import MlflowSink
sink = MlflowSink("a", Path("models/m"), {"seed": 1}, 0)
sink.scalars({"train/loss": 0.5}, 1)
sink.close("FINISHED")
print(sink.where)
"""
    ci = ("PYTEST_CURRENT_TEST", "CI", "GITHUB_ACTIONS", "JENKINS_URL", "GITLAB_CI", "TF_BUILD")
    dropped = (*ci, "MLFLOW_TRACKING_URI", "MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK")
    environment = {k: v for k, v in os.environ.items() if k not in dropped}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    process = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stdout == (
        "sqlite:///models/mlflow.db; mlflow ui --backend-store-uri sqlite:///models/mlflow.db "
        "shows it (pip install mlflow)\n"
    )
    assert process.stderr == ""
    assert [entry.name for entry in tmp_path.rglob("*")] == ["models", "mlflow.db"]


@needs_mlflow
def test_mlflow_that_cannot_be_reached_is_told_without_the_password(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ada:secret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(UserError) as caught:
        trained("mlflow", tmp_path / "m")
    line = str(caught.value)
    assert line.startswith("cannot log to MLflow at http://127.0.0.1:9: API request to http://")
    end = "; set MLFLOW_TRACKING_URI to a place that can be reached, or leave out --log"
    assert line.endswith(end)
    assert "secret" not in line
    assert list(tmp_path.iterdir()) == []


@needs_mlflow
@pytest.mark.parametrize("name", ["100%", "why?"])
def test_path_that_is_no_address(tmp_path, monkeypatch, name):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    path = tmp_path / name / "mlflow.db"
    with refuses(
        f"cannot log to {path}: found ? or % in the path, which MLflow reads as an address; "
        "choose another --out, or set MLFLOW_TRACKING_URI"
    ):
        trained("mlflow", tmp_path / name / "m")


@pytest.mark.parametrize(
    ("uri", "look"),
    [
        ("https://ada:a@b@films.org/mlflow", "open it in a browser"),
        (
            "postgresql://ada:secret@films.org/r",
            "mlflow ui --backend-store-uri postgresql://films.org/r shows it (pip install mlflow)",
        ),
    ],
)
def test_how_to_look_at_mlflow(uri, look):
    assert log_sinks._look(uri) == look
    assert log_sinks._shown(uri).startswith(f"{uri.split(':')[0]}://films.org/")


@pytest.mark.parametrize(
    ("kind", "uri", "line"),
    [
        ("tensorboard", "", "needs tensorboard, not found here: pip install tensorboard"),
        (
            "mlflow",
            "",
            "needs mlflow-skinny and sqlalchemy and alembic, not found here: "
            "pip install mlflow-skinny sqlalchemy alembic",
        ),
        (
            "mlflow",
            "http://films.org",
            "needs mlflow-skinny, not found here: pip install mlflow-skinny",
        ),
    ],
)
def test_missing_packages(monkeypatch, kind, uri, line):
    monkeypatch.setattr(log_sinks, "find_spec", lambda module: None)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with refuses(f"--log {kind} {line}"):
        run_log(kind, Path("m"), LMSettings())


def test_unknown_log():
    with refuses("found --log 'wandb', expected one of tensorboard, mlflow"):
        run_log("wandb", Path("m"), LMSettings())
    assert run_log("", Path("m"), LMSettings()) is None


# --- the stages ---------------------------------------------------------------------------------


@needs_tensorboard
def test_stages_write_the_same_model_with_a_log(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ULMFIT_CACHE", str(tmp_path / "cache"))
    corpus = write_general(tmp_path / "general.csv")
    data = write_reviews(tmp_path / "reviews.csv")
    wiki, clf_lm = tmp_path / "wiki", tmp_path / "lm"
    calls = {
        "wiki": lambda out, **more: stage1(corpus, out, **more),
        "lm": lambda out, **more: stage2(data, wiki, out, **more),
        "clf": lambda out, **more: stage3(data, clf_lm, out, **more),
    }
    finals = {
        "wiki": "final/valid/perplexity",
        "lm": "final/after/perplexity",
        "clf": "final/valid/accuracy",
    }
    for stage, call in calls.items():
        plain = call(tmp_path / stage)
        capsys.readouterr()
        out = tmp_path / "logged" / stage
        result = call(out, log="tensorboard")
        assert f"\nlogging to {out}.log; tensorboard --logdir {out}.log shows it\n" in (
            capsys.readouterr().out
        )
        for file in plain.path.iterdir():
            if file.name != "metrics.json":
                assert (out / file.name).read_bytes() == file.read_bytes(), file
        (folder,) = out.with_name(f"{stage}.log").iterdir()
        read = events(folder)
        _, when, value = finals[stage].split("/")
        assert read.Scalars(finals[stage])[0].value == np.float32(result.metrics[when][value])
        rows = result.metrics["epochs"]
        losses = [event.value for event in read.Scalars("epoch/valid_loss")]
        assert losses == float32(row["valid_loss"] for row in rows)


@pytest.mark.parametrize("stage", ["wiki", "lm", "clf"])
def test_stages_refuse_an_unknown_log_before_anything_is_read(tmp_path, stage):
    calls = {
        "wiki": lambda: stage1("gone.csv", tmp_path / "m", log="paper"),
        "lm": lambda: stage2("gone.csv", "gone", tmp_path / "m", log="paper"),
        "clf": lambda: stage3("gone.csv", "gone", tmp_path / "m", log="paper"),
    }
    with refuses("found --log 'paper', expected one of tensorboard, mlflow"):
        calls[stage]()
