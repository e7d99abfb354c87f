"""The plan of `python -m ulmfit`: the settings of its stages, and the members of its ensemble."""

import math
import time
from pathlib import Path
from typing import Any, NamedTuple

from ulmfit.base.errors import Stopped
from ulmfit.training.members import DIRECTIONS, LINEAR_MEMBERS, MEMBERS
from ulmfit.training.options import StageResult
from ulmfit.training.settings import (
    DEFAULT_RECIPE,
    ClassifierSettings,
    LMSettings,
    load_settings,
)


class Plan(NamedTuple):
    """The common settings of all stages; `shared` are the flags for stages 2 and 3.

    chosen: whether the recipe or the pretrained model was given.
    """

    recipe: str
    chosen: bool
    overwrite: bool
    shared: dict[str, Any]
    pretrained: str | None  # the flag
    lm: LMSettings
    classifier: ClassifierSettings
    half: bool
    deadline: float
    members: tuple[str, ...]  # of `MEMBERS`: what is trained

    @classmethod
    def of(
        cls,
        recipe: str | None,
        overwrite: bool,
        shared: dict[str, Any],
        pretrained: str | None,
        half: bool = False,
        deadline: float = math.inf,
        members: tuple[str, ...] = MEMBERS,
    ) -> "Plan":
        """The plan with the settings of stages 2 and 3, checked before any stage begins."""
        chosen = recipe is not None or pretrained is not None
        recipe = recipe or DEFAULT_RECIPE
        lm = load_settings(LMSettings, recipe, {**shared, "pretrained": pretrained})
        classifier = load_settings(ClassifierSettings, recipe, shared)
        return cls(
            recipe, chosen, overwrite, shared, pretrained, lm, classifier, half, deadline, members
        )

    def with_model(self, recipe: str, pretrained: str | None) -> "Plan":
        """The plan with another recipe and another model to start from."""
        kept = (self.overwrite, self.shared, pretrained, self.half, self.deadline, self.members)
        return Plan.of(recipe, *kept)

    @property
    def directions(self) -> dict[str, bool]:
        """Those of the networks that are trained, by name."""
        return {name: DIRECTIONS[name] for name in self.members if name in DIRECTIONS}

    @property
    def linear(self) -> list[str]:
        """The linear classifiers that are trained, by name."""
        return [name for name in self.members if name in LINEAR_MEMBERS]

    def options(self, out: Path, backwards: bool) -> dict[str, Any]:
        """The flags of a stage that are not its settings."""
        left = self.deadline - time.monotonic()
        # The first stage begins even after the deadline, so every call makes progress.
        stop_after = 0.0 if left == math.inf else max(left, 1e-3)
        return {
            **{"recipe": self.recipe, "out": str(out), "backwards": backwards, "half": self.half},
            **{"overwrite": self.overwrite, "stop_after": stop_after},
        }

    def after(self, result: StageResult) -> StageResult:
        """`result` of a stage that was trained in this call.

        Raises:
            Stopped: the deadline has passed.
        """
        if time.monotonic() >= self.deadline:
            raise Stopped(
                f"time is up: {result.path} is finished; the same command trains the next model"
            )
        return result
