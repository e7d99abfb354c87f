"""The skeleton of the three stages, `run_stage`: set up, build, train, save."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from fastai.learner import Learner

from ulmfit.artifacts.card import model_card
from ulmfit.artifacts.config import ClassifierConfig, LMConfig
from ulmfit.artifacts.directory import Artifact, read_metrics
from ulmfit.artifacts.manifest import FORMAT_VERSION, Manifest, direction, library_versions
from ulmfit.artifacts.writing import check_output, write_artifact
from ulmfit.base.atomic import check_parent, remove_leftovers
from ulmfit.base.joining import joined
from ulmfit.base.lock import locked
from ulmfit.base.log import logger
from ulmfit.base.precision import (
    default_device,
    keep_memory,
    resolve_precision,
    set_seed,
    use_all_cores,
)
from ulmfit.base.processes import Lost
from ulmfit.data.datasets import ABOUT
from ulmfit.model.build import LAYOUT
from ulmfit.model.transfer import encoder_weights, head_weights
from ulmfit.text.processor import TextProcessor
from ulmfit.training.checkpoint import checkpoint_path
from ulmfit.training.history import History, without_timing
from ulmfit.training.history_plot import history_png
from ulmfit.training.learner import Workplace
from ulmfit.training.lr_finder import rate_found, show_rate
from ulmfit.training.options import Options, StageResult
from ulmfit.training.run import Run, parameters_of
from ulmfit.training.run_log import run_log
from ulmfit.training.schedules import steps_of
from ulmfit.training.settings import Settings, changed
from ulmfit.training.together import check_same


@dataclass(kw_only=True)
class Built:
    """The result of `Stage.build`.

    data_fingerprint: of the texts.
    tokens: fingerprint of the tokens, for the identity of the run; "" for `data_fingerprint`.
    seen: the content of ``seen.bin`` (see `artifacts.seen`).
    """

    model: Any
    config: LMConfig | ClassifierConfig
    processor: TextProcessor
    size: str
    data_fingerprint: str
    tokens: str = ""
    parent: Artifact | None = None
    labels: list[str] = field(default_factory=list)
    seen: bytes = b""


@dataclass(kw_only=True)
class Finished(Built):
    """The result of a training, to be written as a model directory."""

    settings: Settings
    history: list[dict[str, Any]]
    metrics: dict[str, Any]


class Stage(Protocol):
    """The parts of a particular stage; `run_stage` calls them in this order."""

    settings: Any  # of the stage's own kind

    def read(self) -> None:
        """Read the texts and the initial model; `settings` may depend on them."""

    def build(self, place: Workplace) -> tuple[Learner, Built]:
        """Make text processor, model and learner."""

    def train(self, run: Run, place: Workplace) -> tuple[dict[str, Any], str]:
        """Fit and measure; returns the metrics, and their part of the last log line."""


def run_stage(stage: Stage, options: Options, target: Path) -> StageResult:
    """Run `stage` from its data to its model directory `target`.

    With ``--find-lr``, it only draws the learning rates. Of several processes, the first
    one writes.
    """
    with joined() as group, writing(target, options.overwrite) if group.first else nullcontext():
        facts: dict[str, Any] = {"recipe": options.recipe, "backwards": options.backwards}
        run_log(options.log, target, stage.settings, **facts)  # errors before texts are read
        stage.read()
        settings: Settings = stage.settings
        log = run_log(options.log, target, settings, **facts) if group.first else None
        place = set_up(settings)
        learner, built = stage.build(place)
        parent = built.parent.manifest_sha256 if built.parent else None
        data = built.tokens or built.data_fingerprint
        same = identity(settings, options.backwards, data, parent)
        check_same({**same, "precision": str(place.dtype), "vocabulary": _words(built.processor)})
        found = rate_found(learner, settings, options.find_lr)
        if found and options.find_lr:
            picture = show_rate(found, target) if group.first else target
            return StageResult(picture, {"lr": found.suggestion})
        run = Run(
            learner,
            steps_of(settings, found.suggestion if found else None),
            checkpoint_path(target),
            same,
            History(),
            minutes=options.checkpoint_minutes,
            afresh=options.overwrite,
            patience=settings.patience,
            schedule=settings.schedule,
            log=log,
            deadline=options.deadline,
        )
        metrics, figures = stage.train(run, place)
        if not group.first:
            group.told(f"saved/{group.phase}")
            return StageResult(target, read_metrics(target))
        rows, seconds = run.history.rows, round(place.seconds() + run.spent_before, 1)
        finished = Finished(**vars(built), settings=settings, history=rows, metrics=metrics)
        result = save(finished, target, seconds, options)
        run.log_finals(result.metrics)
        run.discard()
        group.tell(f"saved/{group.phase}", str(target))
        logger.info(f"{figures}wrote {target}")
        return result


@contextmanager
def writing(target: Path, overwrite: bool) -> Iterator[None]:
    """Lock `target`, the model directory to write, for the block.

    Leftovers of killed runs are removed. After Ctrl-C, the message names the checkpoint, if any.

    Raises:
        UserError: another run has the lock, or as `check_output`.
    """
    check_parent(target)
    checkpoint = checkpoint_path(target)
    with locked(target):
        remove_leftovers(checkpoint)
        remove_leftovers(Path(os.path.realpath(target)))
        check_output(target, overwrite)
        line = f"the same command goes on from {checkpoint}"
        try:
            yield
        except KeyboardInterrupt as interrupt:
            if str(interrupt) or not checkpoint.exists():
                raise
            raise KeyboardInterrupt(line) from None
        except Lost as lost:
            raise (Lost(f"{lost}; {line}") if checkpoint.exists() else lost) from None


def _words(processor: TextProcessor) -> str:
    """A hash of the vocabulary, for a comparison of processes."""
    return hashlib.sha256("\n".join(processor.vocab).encode()).hexdigest()


def set_up(settings: Settings) -> Workplace:
    """Set seeds, threads, memory, device and number format; call this before `Stage.build`."""
    device = default_device()
    dtype = resolve_precision(settings.precision, device)
    keep_memory()
    use_all_cores()
    set_seed(settings.seed)
    return Workplace(device, dtype)


def identity(settings: Settings, backwards: bool, data: str, parent: str | None) -> dict[str, Any]:
    """The identity of a run, for its checkpoint.

    Settings at their default are left out, so a version with new settings can resume the run.
    """
    return {
        "settings": changed(type(settings), asdict(settings)),
        "direction": direction(backwards),
        "data": data,
        "parent": parent,
        "layout": LAYOUT,
    }


def save(
    finished: Finished, out: Path, seconds: float, options: Options | None = None
) -> StageResult:
    """Write the model directory with its card and metrics.

    Times differ between equal runs, so only metrics.json has them.
    """
    options = options or Options()
    history = without_timing(finished.history)
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        kind=finished.config.kind,
        direction=direction(options.backwards),
        size=finished.size,
        config=finished.config,
        tokenizer=finished.processor.description(),
        labels=finished.labels,
        recipe=asdict(finished.settings),
        seed=finished.settings.seed,
        metrics=finished.metrics,
        versions=library_versions(),
        data_fingerprint=finished.data_fingerprint,
        parent=finished.parent.manifest_sha256 if finished.parent else None,
        files={},
        about=options.about or ABOUT.get(getattr(finished.settings, "data", ""), ""),
    )
    metrics = {**finished.metrics, "seconds": seconds, "epochs": finished.history}
    write_artifact(
        out,
        manifest=manifest,
        metrics=metrics,
        encoder=encoder_weights(finished.model),
        head=head_weights(finished.model),
        processor_files=finished.processor.files(),
        history=history,
        card=model_card(manifest, history, parameters_of(finished.model)),
        plot=history_png(history) if history else b"",
        seen=finished.seen,
        overwrite=options.overwrite,
        half=options.half,
    )
    return StageResult(out, metrics)
