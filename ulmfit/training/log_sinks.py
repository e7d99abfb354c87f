"""Where a run's figures can go while it trains: TensorBoard's event files, or MLflow's tracking.

Both packages are optional (``pip install -e '.[log]'``) and are imported when they are asked for.
"""

import logging
import os
import re
import shlex
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from ulmfit.base.atomic import beside, os_errors_as
from ulmfit.base.errors import UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

Status = Literal["FINISHED", "KILLED", "FAILED"]  # MLflow's words for how a run ended
Setting = str | float  # bool and int are floats here

_TRACKING_URI = "MLFLOW_TRACKING_URI"
_PARTS = 1000  # figures of one request at most, MLflow's bound
_SECONDS_BETWEEN_REQUESTS = 5.0
# A figure of each of these is what TensorBoard's table of settings compares runs by.
_COMPARED = ("epoch/valid_loss", "epoch/accuracy")


class Logged(NamedTuple):
    """A run as its log knows it.

    name: told apart by it from other runs of `out`; the same after an interruption.
    out: the model directory that is to come.
    done: batches that an interrupted run had behind it, 0 for a new one.
    """

    name: str
    out: Path
    settings: Mapping[str, Setting]
    done: int


class Sink(Protocol):
    """A log that is open. `scalars` after `close` opens it once more."""

    where: str  # for the reader: the place, and how to look at it

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Figures after `step` batches of the whole training."""

    def close(self, status: Status) -> None:
        """Write out what is held back."""


class TensorBoardSink:
    """Event files in ``<out>.log/<name>``."""

    def __init__(self, run: Logged) -> None:
        """Begin the log, or go on with it.

        Raises:
            UserError: the folder cannot be written.
        """
        from torch.utils.tensorboard.summary import hparams

        folder = beside(run.out, "log")
        self.where = f"{folder}; tensorboard --logdir {shlex.quote(str(folder))} shows it"
        with os_errors_as(f"cannot write the log {folder}"):
            (folder / run.name).mkdir(parents=True, exist_ok=True)
            self._writer = _writer(folder / run.name, run.done)
        *opening, self._closing = hparams(dict(run.settings), dict.fromkeys(_COMPARED, 0.0))
        for summary in opening:
            self._writer.file_writer.add_summary(summary)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Figures after `step` batches of the whole training."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self, status: Status) -> None:
        """Write out what is held back, and that the run is done if it is."""
        if status == "FINISHED" and self._writer.file_writer:
            self._writer.file_writer.add_summary(self._closing)
        self._writer.close()


def _writer(folder: Path, done: int) -> Any:
    from torch.utils.tensorboard import SummaryWriter

    # What was logged after the checkpoint that a run goes on from is hidden: it comes again.
    return SummaryWriter(str(folder), purge_step=done + 1, flush_secs=10)


class MlflowSink:
    """A run of MLflow's: at $MLFLOW_TRACKING_URI, or in ``mlflow.db`` beside the model."""

    def __init__(self, run: Logged) -> None:
        """Begin the run, or go on with the one of that name.

        Raises:
            UserError: MLflow gives no access to it.
        """
        # Read when mlflow is imported, which would otherwise tell its makers of every use.
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        # A server that cannot be reached is told of after seconds instead of minutes.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        from mlflow import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        uri = os.environ.get(_TRACKING_URI, "") or _database(run.out)
        self._held: list[Metric] = []
        self._sent_at = time.monotonic()
        try:
            self._client = MlflowClient(uri)
            self._run_id, self._seen = _begin(self._client, run)
        except Exception as error:  # of the network, the disk, a database, or the library
            raise UserError(
                f"cannot log to MLflow at {_shown(uri)}: {first_line(error)}; set "
                f"{_TRACKING_URI} to a place that can be reached, or leave out --log"
            ) from error
        self.where = f"{_shown(uri)}; {_look(uri)}"

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Figures after `step` batches of the whole training; sent every few seconds."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._held += [
            Metric(name, float(value), now, step)
            for name, value in values.items()
            # MLflow cannot take a figure back. What an interrupted run had logged after its
            # checkpoint stays therefore, and is not logged again; on a CPU it is the same.
            if step > self._seen.get(name, -1)
        ]
        late = time.monotonic() - self._sent_at > _SECONDS_BETWEEN_REQUESTS
        if late or len(self._held) >= _PARTS:
            self._send()

    def close(self, status: Status) -> None:
        """Send what is held back, and how the run ended."""
        self._send()
        self._client.set_terminated(self._run_id, status)

    def _send(self) -> None:
        while self._held:
            self._client.log_batch(self._run_id, self._held[:_PARTS])
            del self._held[:_PARTS]
        self._sent_at = time.monotonic()


SINKS: Mapping[str, type[TensorBoardSink] | type[MlflowSink]] = {
    "tensorboard": TensorBoardSink,
    "mlflow": MlflowSink,
}


def missing_packages(kind: str) -> list[str]:
    """What has to be installed for a log of that kind, by the names of the package index."""
    needed = {"tensorboard": "tensorboard"}
    if kind == "mlflow":
        needed = {"mlflow": "mlflow-skinny"}
        if not os.environ.get(_TRACKING_URI):  # MLflow's own database
            needed |= {"sqlalchemy": "sqlalchemy", "alembic": "alembic"}
    return [package for module, package in needed.items() if find_spec(module) is None]


def first_line(error: BaseException) -> str:
    """What an error of another library says, in short."""
    lines = (line for line in str(error).splitlines() if line.strip())
    return _shown(next(lines, type(error).__name__))


def _begin(client: "MlflowClient", run: Logged) -> tuple[str, dict[str, int]]:
    """The run's id, and the last step that each of its figures was logged at."""
    from mlflow.entities import Param

    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "ulmfit")
    found = client.get_experiment_by_name(name)
    experiment = found.experiment_id if found else client.create_experiment(name)
    # Not by the name, which may be given to several: `mlflow ui` lets its users rename runs.
    earlier = client.search_runs([experiment], f"tags.`ulmfit.run` = '{run.name}'", max_results=1)
    if earlier:
        run_id = earlier[0].info.run_id
        client.update_run(run_id, status="RUNNING")
        figures = earlier[0].data.metrics
        return run_id, {f: max(_steps(client, run_id, f)) for f in figures}
    tags = {"ulmfit.run": run.name}
    run_id = client.create_run(experiment, run_name=run.out.name, tags=tags).info.run_id
    client.log_batch(run_id, params=[Param(k, str(v)) for k, v in run.settings.items()])
    return run_id, {}


def _steps(client: "MlflowClient", run_id: str, figure: str) -> list[int]:
    return [metric.step for metric in client.get_metric_history(run_id, figure)]


def _database(out: Path) -> str:
    # One for all models of a folder, since MLflow is for comparing them.
    path = beside(out, "log").with_name("mlflow.db")
    if {"?", "%"} & set(str(path)):
        raise UserError(
            f"cannot log to {path}: found ? or % in the path, which MLflow reads as an address; "
            f"choose another --out, or set {_TRACKING_URI}"
        )
    with os_errors_as(f"cannot write the log {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{path}"


def _look(uri: str) -> str:
    if uri.startswith("http"):
        return "open it in a browser"
    return f"mlflow ui --backend-store-uri {shlex.quote(_shown(uri))} shows it (pip install mlflow)"


def _shown(words: str) -> str:
    """`words` without the user and the password of an address among them."""
    return re.sub(r"://[^/\s]*@", "://", words)
