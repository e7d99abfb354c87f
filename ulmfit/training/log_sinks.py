"""The logs of a run's figures: TensorBoard's event files, and MLflow's tracking.

Both packages are optional (``pip install -e '.[log]'``) and are imported on first use.
"""

import logging
import os
import re
import shlex
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from ulmfit.base.atomic import beside, os_errors_as
from ulmfit.base.errors import UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

Status = Literal["FINISHED", "KILLED", "FAILED"]  # MLflow's words for the end of a run
Setting = str | float  # bool and int are floats here

_TRACKING_URI = "MLFLOW_TRACKING_URI"
_PARTS = 1000  # figures of one request at most, MLflow's limit
_SECONDS_BETWEEN_REQUESTS = 5.0
# TensorBoard's table of settings compares runs by these figures.
_COMPARED = ("epoch/valid_loss", "epoch/accuracy")


class Sink(Protocol):
    """An open log. `scalars` after `close` opens it again."""

    where: str  # for the user: the place, and the command that shows it

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Log figures after `step` batches of the whole training."""

    def close(self, status: Status) -> None:
        """Write pending figures, and the end of the run."""


class TensorBoardSink:
    """Event files in ``<out>.log/<name>``."""

    def __init__(self, name: str, out: Path, settings: Mapping[str, Setting], done: int) -> None:
        """Begin or continue the log of the run `name`, which trains the model directory `out`.

        Args:
            done: batches before an interruption, 0 for a new run.

        Raises:
            UserError: the folder cannot be written.
        """
        from torch.utils.tensorboard import SummaryWriter
        from torch.utils.tensorboard.summary import hparams

        folder = beside(out, "log")
        self.where = f"{folder}; tensorboard --logdir {shlex.quote(str(folder))} shows it"
        with os_errors_as(f"cannot write the log {folder}"):
            (folder / name).mkdir(parents=True, exist_ok=True)
            # TensorBoard hides figures from after the checkpoint: they are logged again.
            place = str(folder / name)
            self._writer = cast(Any, SummaryWriter(place, purge_step=done + 1, flush_secs=10))
        *opening, self._closing = hparams(dict(settings), dict.fromkeys(_COMPARED, 0.0))
        for summary in opening:
            self._writer.file_writer.add_summary(summary)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self, status: Status) -> None:
        if status == "FINISHED" and self._writer.file_writer:
            self._writer.file_writer.add_summary(self._closing)
        self._writer.close()


class MlflowSink:
    """A run in MLflow: at $MLFLOW_TRACKING_URI, or in ``mlflow.db`` beside the model."""

    def __init__(self, name: str, out: Path, settings: Mapping[str, Setting], done: int) -> None:
        """Begin the run `name`, or continue it; the arguments are those of `TensorBoardSink`.

        Raises:
            UserError: MLflow gives no access to it.
        """
        # mlflow reads this at import; without it, mlflow reports every use to its makers.
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        # An unreachable server is reported after seconds instead of minutes.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        from mlflow import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        uri = os.environ.get(_TRACKING_URI, "") or _database(out)
        self._held: list[Metric] = []
        self._sent_at = time.monotonic()
        try:
            self._client = MlflowClient(uri)
            self._run_id, self._seen = _begin(self._client, name, out, settings)
        except Exception as error:  # of the network, the disk, a database, or the library
            raise UserError(
                f"cannot log to MLflow at {_shown(uri)}: {first_line(error)}; set "
                f"{_TRACKING_URI} to a place that can be reached, or leave out --log"
            ) from error
        self.where = f"{_shown(uri)}; {_look(uri)}"

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Log figures after `step` batches of the training; sent every few seconds."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._held += [
            Metric(name, float(value), now, step)
            for name, value in values.items()
            # MLflow cannot delete a figure. An interrupted run has already logged some after its
            # checkpoint; these stay and are not logged again. On a CPU, they would be the same.
            if step > self._seen.get(name, -1)
        ]
        late = time.monotonic() - self._sent_at > _SECONDS_BETWEEN_REQUESTS
        if late or len(self._held) >= _PARTS:
            self._send()

    def close(self, status: Status) -> None:
        """Send pending figures, and the end of the run."""
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
    """Packages to install for this kind of log, by their names on the package index."""
    needed = {"tensorboard": "tensorboard"}
    if kind == "mlflow":
        needed = {"mlflow": "mlflow-skinny"}
        if not os.environ.get(_TRACKING_URI):  # MLflow's own database
            needed |= {"sqlalchemy": "sqlalchemy", "alembic": "alembic"}
    return [package for module, package in needed.items() if find_spec(module) is None]


def first_line(error: BaseException) -> str:
    """The first line of another library's error."""
    lines = (line for line in str(error).splitlines() if line.strip())
    return _shown(next(lines, type(error).__name__))


def _begin(
    client: "MlflowClient", name: str, out: Path, settings: Mapping[str, Setting]
) -> tuple[str, dict[str, int]]:
    """The run's id, and the last logged step of each figure."""
    from mlflow.entities import Param

    project = os.environ.get("MLFLOW_EXPERIMENT_NAME", "ulmfit")
    found = client.get_experiment_by_name(project)
    experiment = found.experiment_id if found else client.create_experiment(project)
    # The run is found by a tag, because several runs may have one name in MLflow.
    earlier = client.search_runs([experiment], f"tags.`ulmfit.run` = '{name}'", max_results=1)
    if earlier:
        run_id = earlier[0].info.run_id
        client.update_run(run_id, status="RUNNING")
        figures = earlier[0].data.metrics
        return run_id, {
            f: max(metric.step for metric in client.get_metric_history(run_id, f)) for f in figures
        }
    tags = {"ulmfit.run": name}
    run_id = client.create_run(experiment, run_name=out.name, tags=tags).info.run_id
    client.log_batch(run_id, params=[Param(k, str(v)) for k, v in settings.items()])
    return run_id, {}


def _database(out: Path) -> str:
    # One database for all models of a folder, so that MLflow can compare them.
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
    """`words`, without user and password in addresses."""
    return re.sub(r"://[^/\s]*@", "://", words)
