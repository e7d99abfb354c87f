"""The flags that all stages have, declared once."""

import inspect
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

from ulmfit.artifacts.manifest import suffix
from ulmfit.base.cli import field_notes, settings_flags
from ulmfit.base.errors import UserError
from ulmfit.training.settings import DEFAULT_RECIPE, STAGE_FILES, S, load_settings

CHECKPOINT_MINUTES = 5.0  # between two checkpoints, unless a run says otherwise

F = TypeVar("F", bound=Callable[..., Any])


class StageResult(NamedTuple):
    """What a stage gives back: the model directory and what was measured."""

    path: Path
    metrics: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a stage is told that is no setting of the training itself.

    deadline: when to save a checkpoint and end, see `deadline_after`.
    """

    recipe: str = DEFAULT_RECIPE  # table of stages/<stage>.toml
    out: str | None = None  # model directory to write
    backwards: bool = False  # read each text from its end
    half: bool = False  # store the weights in half precision
    about: str = ""  # for the model card: what the texts are, and whose
    overwrite: bool = False  # replace the model directory, and a checkpoint of another run
    find_lr: bool = False  # train nothing: look for a learning rate, and draw loss against rate
    log: str = ""  # where to follow the training: tensorboard or mlflow
    checkpoint_minutes: float = CHECKPOINT_MINUTES  # minutes between two checkpoints
    stop_after: float = 0.0  # seconds after which it saves a checkpoint and ends; 0 for no end
    deadline: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "deadline", deadline_after(self.stop_after))
        if not self.checkpoint_minutes >= 0:
            raise UserError(
                f"found --checkpoint-minutes {self.checkpoint_minutes}, expected 0 or more"
            )

    def folder(self, name: str) -> Path:
        """Where the recipe's model `name` of this direction lies, unless a flag says otherwise."""
        return Path("models", self.recipe, f"{name}-{suffix(self.backwards)}")


_FLAGS = [f for f in fields(Options) if f.init]


def deadline_after(seconds: float) -> float:
    """The time on the clock of `time.monotonic` that is so many `seconds` away; 0 for never.

    Raises:
        UserError: they are less than 0, or no number.
    """
    if not seconds >= 0:
        raise UserError(f"--stop-after is {seconds:g}, expected seconds, or 0 for no end")
    return time.monotonic() + seconds if seconds else math.inf


def stage_flags(settings: type, **notes: str) -> Callable[[F], F]:
    """Let a stage's ``**given`` appear as the flags of `Options`, then those of its `settings`.

    `notes`: help in place of that in `Options`.
    """
    recipe = f"table of stages/{STAGE_FILES[settings]} (default: {DEFAULT_RECIPE})"
    shared = field_notes(Options) | {"recipe": recipe} | notes

    def decorate(func: F) -> F:
        signature = inspect.signature(func)
        *own, given = signature.parameters.values()
        flags = [
            inspect.Parameter(
                f.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None if f.name == "recipe" else f.default,  # so that it can be told
                annotation=Annotated[f.type, shared[f.name]],
            )
            for f in _FLAGS
        ]
        func.__signature__ = signature.replace(parameters=[*own, *flags, given])  # type: ignore[attr-defined]
        func.__annotations__.update({flag.name: flag.annotation for flag in flags})
        return settings_flags(settings)(func)

    return decorate


def options_and_settings(settings: type[S], given: Mapping[str, Any]) -> tuple[Options, S]:
    """What a stage's command was `given`: options, and settings in place of the recipe's.

    Raises:
        UserError: as `Options` and `load_settings`.
    """
    shared = {f.name for f in _FLAGS}
    named = {k: v for k, v in given.items() if k in shared and (k, v) != ("recipe", None)}
    options = Options(**named)
    overrides = {name: value for name, value in given.items() if name not in shared}
    return options, load_settings(settings, options.recipe, overrides)
