"""The flags that all stages share."""

import inspect
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

from ulmfit.artifacts.manifest import suffix
from ulmfit.base.cli import field_notes, in_processes, settings_flags
from ulmfit.base.errors import UserError, listed
from ulmfit.data.spec import DataFlags
from ulmfit.training.settings import (
    AUTO_RECIPE,
    DEFAULT_RECIPE,
    STAGE_FILES,
    LMSettings,
    PretrainSettings,
    S,
    load_settings,
    recipe_for,
)

CHECKPOINT_MINUTES = 5.0  # between two checkpoints, by default

# Settings that are parameters of `ULMFiTClassifier`, or follow from the texts that it is given.
_ESTIMATOR = {"seed", "precision", "pretrained", "data", "multi_label"}

F = TypeVar("F", bound=Callable[..., Any])


class StageResult(NamedTuple):
    """The result of a stage: the model directory and its metrics."""

    path: Path
    metrics: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Options:
    """The flags of a stage that are not settings of the training itself.

    deadline: the time to save a checkpoint and end, see `deadline_after`.
    """

    recipe: str = DEFAULT_RECIPE  # table of stages/<stage>.toml
    out: str | None = None  # model directory to write
    backwards: bool = False  # read each text from its end
    half: bool = False  # store the weights in half precision
    about: str = ""  # for the model card: content and owner of the texts
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
        """The default directory of the recipe's model `name` in this direction."""
        return Path("models", self.recipe, f"{name}-{suffix(self.backwards)}")


_FLAGS = [f for f in fields(Options) if f.init]


def deadline_after(seconds: float) -> float:
    """The deadline in `seconds`, on the clock of `time.monotonic`; 0 for none.

    Raises:
        UserError: `seconds` is negative or NaN.
    """
    if not seconds >= 0:
        raise UserError(f"--stop-after is {seconds:g}, expected seconds, or 0 for no end")
    return time.monotonic() + seconds if seconds else math.inf


def stage_flags(settings: type, **notes: str) -> Callable[[F], F]:
    """Let a stage's ``**given`` appear as the flags of `Options`, then of its `settings`.

    `notes`: help texts that replace those of `Options`.
    """
    default = DEFAULT_RECIPE
    if settings is not PretrainSettings:
        default = f"{DEFAULT_RECIPE} for IMDb, else {AUTO_RECIPE}"
    recipe = f"table of stages/{STAGE_FILES[settings]} (default: {default})"
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
        return in_processes(settings_flags(settings)(func))

    return decorate


def options_and_settings(settings: type[S], given: Mapping[str, Any]) -> tuple[Options, S]:
    """The flags of a stage's command: its options, and the recipe's settings with overrides.

    Raises:
        UserError: as `Options` and `load_settings`.
    """
    shared = {f.name for f in _FLAGS}
    named = {k: v for k, v in given.items() if k in shared}
    recipe = named.get("recipe")
    if settings is PretrainSettings:
        named["recipe"] = recipe or DEFAULT_RECIPE
    else:
        named["recipe"] = recipe_for(recipe, given.get("data"))
    options = Options(**named)
    overrides = {name: value for name, value in given.items() if name not in shared}
    fixed = load_settings(settings, options.recipe, overrides)
    decided = overrides.get("steps") and (overrides.get("pretrained") or settings is not LMSettings)
    if options.recipe != AUTO_RECIPE or decided:
        return options, fixed
    from ulmfit.training.auto import fitted_settings  # reads the data

    return options, fitted_settings(fixed, overrides)


def own_settings(parameter: str, given: Any, settings: type) -> dict[str, Any]:
    """The settings given; refuses those of other parameters, and options that are no settings."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise UserError(f"found {parameter}={given!r}, expected a dict of settings, or None")
    others = {*_ESTIMATOR, *(field.name for field in fields(DataFlags))}
    names = {field.name for field in fields(settings)} - others
    if strange := [name for name in given if name not in names]:
        raise UserError(
            f"found {listed(strange)} in {parameter}, expected some of {', '.join(sorted(names))}"
        )
    return dict(given)
