"""The skeleton of the three stages: set up, build, train, save; `run_stage` is the whole of it."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from fastai.learner import Learner

from ulmfit.artifacts.card import model_card
from ulmfit.artifacts.config import ClassifierConfig, LMConfig
from ulmfit.artifacts.directory import Artifact
from ulmfit.artifacts.manifest import FORMAT_VERSION, Manifest, direction, library_versions
from ulmfit.artifacts.writing import check_output, write_artifact
from ulmfit.base.atomic import check_parent, remove_leftovers
from ulmfit.base.lock import locked
from ulmfit.base.log import logger
from ulmfit.base.precision import (
    default_device,
    keep_memory,
    resolve_precision,
    set_seed,
    use_all_cores,
)
from ulmfit.data.datasets import ABOUT
from ulmfit.model.build import LAYOUT
from ulmfit.model.transfer import encoder_weights, head_weights
from ulmfit.text.processor import TextProcessor
from ulmfit.training.checkpoint import checkpoint_path
from ulmfit.training.history import History, without_timing
from ulmfit.training.history_plot import history_png
from ulmfit.training.lr_finder import rate_found, show_rate
from ulmfit.training.options import Options, StageResult
from ulmfit.training.run import Run, parameters_of
from ulmfit.training.run_log import run_log
from ulmfit.training.schedules import steps_of
from ulmfit.training.settings import Settings, as_recipe, changed


@dataclass
class Workplace:
    """Where a stage computes, in which precision, and since when."""

    device: torch.device
    dtype: torch.dtype
    began: float = field(default_factory=time.monotonic)

    def seconds(self) -> float:
        """Seconds since the stage was set up."""
        return round(time.monotonic() - self.began, 1)


@dataclass(kw_only=True)
class Built:
    """What a stage has built before it trains.

    data_fingerprint: of the texts. tokens: of what the model reads, which tells runs apart; the
    same if it is not given.
    """

    model: Any
    config: LMConfig | ClassifierConfig
    processor: TextProcessor
    size: str
    data_fingerprint: str
    tokens: str = ""
    parent: Artifact | None = None
    labels: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class Finished(Built):
    """What a stage has trained, to be written as a model directory."""

    settings: Settings
    history: list[dict[str, Any]]
    metrics: dict[str, Any]


class Stage(Protocol):
    """What is particular to a stage; `run_stage` calls its parts in this order."""

    settings: Any  # of the stage's own kind

    def read(self) -> None:
        """Read the texts and the model to start from; `settings` may follow from them."""

    def build(self, place: Workplace) -> tuple[Learner, Built]:
        """Make text processor, model and learner."""

    def train(self, run: Run, place: Workplace) -> tuple[dict[str, Any], str]:
        """Fit, and measure; returns the metrics and what the last line says of them."""


def run_stage(stage: Stage, options: Options, target: Path) -> StageResult:
    """Run `stage` from its data to its model directory `target`.

    With ``--find-lr`` it ends with the picture of the learning rates instead.
    """
    with writing(target, options.overwrite):
        names: dict[str, Any] = {"recipe": options.recipe, "backwards": options.backwards}
        run_log(options.log, target, stage.settings, **names)  # refuses before texts are read
        stage.read()
        settings: Settings = stage.settings
        log = run_log(options.log, target, settings, **names)
        place = set_up(settings)
        learner, built = stage.build(place)
        found = rate_found(learner, settings, options.find_lr)
        if found and options.find_lr:
            return StageResult(show_rate(found, target), {"lr": found.suggestion})
        parent = built.parent.manifest_sha256 if built.parent else None
        run = Run(
            learner,
            steps_of(settings, found.suggestion if found else None),
            checkpoint_path(target),
            identity(settings, options.backwards, built.tokens or built.data_fingerprint, parent),
            History(),
            minutes=options.checkpoint_minutes,
            afresh=options.overwrite,
            patience=settings.patience,
            schedule=settings.schedule,
            log=log,
            deadline=options.deadline,
        )
        metrics, figures = stage.train(run, place)
        rows, seconds = run.history.rows, round(place.seconds() + run.spent_before, 1)
        finished = Finished(**vars(built), settings=settings, history=rows, metrics=metrics)
        result = save(finished, target, seconds, options)
        run.log_finals(result.metrics)
        run.discard()
        logger.info(f"{figures}wrote {target}")
        return result


@contextmanager
def writing(target: Path, overwrite: bool) -> Iterator[None]:
    """Hold `target`, the model directory to write, for the block: no other run gets it meanwhile.

    What runs that were killed have left beside it goes. Ctrl-C tells how to go on where there is
    a checkpoint.

    Raises:
        UserError: another run holds it, or as `check_output`.
    """
    check_parent(target)
    checkpoint = checkpoint_path(target)
    with locked(target):
        remove_leftovers(checkpoint)
        remove_leftovers(Path(os.path.realpath(target)))
        check_output(target, overwrite)
        try:
            yield
        except KeyboardInterrupt as interrupt:
            if str(interrupt) or not checkpoint.exists():
                raise
            line = f"the same command goes on from {checkpoint}"
            raise KeyboardInterrupt(line) from None


def set_up(settings: Settings) -> Workplace:
    """Seeds, threads, memory, device and precision, before anything is built."""
    device = default_device()
    dtype = resolve_precision(settings.precision, device)
    keep_memory()
    use_all_cores()
    set_seed(settings.seed)
    return Workplace(device, dtype)


def identity(settings: Settings, backwards: bool, data: str, parent: str | None) -> dict[str, Any]:
    """What makes a run the one that a checkpoint belongs to.

    A setting at its default is left out: a version that has a new one still takes up the run.
    """
    return {
        "settings": changed(type(settings), as_recipe(settings)),
        "direction": direction(backwards),
        "data": data,
        "parent": parent,
        "layout": LAYOUT,
    }


def save(
    finished: Finished, out: Path, seconds: float, options: Options | None = None
) -> StageResult:
    """Write the model directory, its card and its metrics.

    What differs between equal runs, the time they took, is in metrics.json alone.
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
        recipe=as_recipe(finished.settings),
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
        overwrite=options.overwrite,
        half=options.half,
    )
    return StageResult(out, metrics)
