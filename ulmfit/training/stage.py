"""The frame that every stage has in common: set up, train, save."""

import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ulmfit.artifacts.card import model_card
from ulmfit.artifacts.config import ClassifierConfig, LMConfig
from ulmfit.artifacts.directory import Artifact
from ulmfit.artifacts.manifest import FORMAT_VERSION, Manifest, direction, library_versions
from ulmfit.artifacts.writing import check_output, write_artifact
from ulmfit.base.atomic import check_parent, remove_leftovers
from ulmfit.base.lock import locked
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
from ulmfit.training.history import without_timing
from ulmfit.training.history_plot import history_png
from ulmfit.training.run import CHECKPOINT_MINUTES, check_minutes, parameters_of
from ulmfit.training.run_log import RunLog
from ulmfit.training.settings import ClassifierSettings, LMSettings, PretrainSettings, as_recipe

Settings = PretrainSettings | LMSettings | ClassifierSettings


class StageResult(NamedTuple):
    """What a stage gives back: the model directory and what was measured."""

    path: Path
    metrics: dict[str, Any]


@dataclass(frozen=True)
class Options:
    """What the command of a stage was told that is no setting of the training itself.

    deadline: when to save a checkpoint and end, see `deadline_after`. log: where figures go.
    """

    backwards: bool = False
    half: bool = False
    about: str = ""
    overwrite: bool = False
    find_lr: bool = False
    checkpoint_minutes: float = CHECKPOINT_MINUTES
    deadline: float = math.inf
    log: RunLog | None = None

    def __post_init__(self) -> None:
        check_minutes(self.checkpoint_minutes)


@dataclass
class Workplace:
    """Where a stage computes, in which precision, and since when."""

    device: torch.device
    dtype: torch.dtype
    began: float = field(default_factory=time.monotonic)

    def seconds(self) -> float:
        """Seconds since the stage was set up."""
        return round(time.monotonic() - self.began, 1)


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
    defaults = as_recipe(type(settings)())
    return {
        "settings": {k: v for k, v in as_recipe(settings).items() if v != defaults[k]},
        "direction": direction(backwards),
        "data": data,
        "parent": parent,
        "layout": LAYOUT,
    }


@dataclass
class Finished:
    """What a stage has made, to be written as a model directory."""

    model: Any
    config: LMConfig | ClassifierConfig
    processor: TextProcessor
    settings: Settings
    size: str
    data_fingerprint: str
    history: list[dict[str, Any]]
    metrics: dict[str, Any]
    parent: Artifact | None = None
    labels: list[str] = field(default_factory=list)


def save(
    finished: Finished, out: Path, seconds: float, options: Options = Options()
) -> StageResult:
    """Write the model directory, its card and its metrics.

    What differs between equal runs, the time they took, is in metrics.json alone.
    """
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
