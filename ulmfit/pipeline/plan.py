"""The plan of `python -m ulmfit`: the settings of its stages, and the members of its ensemble."""

import math
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import pandas as pd

from ulmfit.base.errors import Stopped, UserError
from ulmfit.base.log import logger
from ulmfit.pipeline.crews import Crew, OneByOne
from ulmfit.training.auto import EFFORTS, Choice, Effort, choose, named
from ulmfit.training.auto_model import choose_model
from ulmfit.training.budget import (
    earlier_effort,
    effort_for,
    keep_effort,
    measured_speeds,
    tell_effort,
)
from ulmfit.training.facts import Facts, facts_of
from ulmfit.training.members import DIRECTIONS, LINEAR_MEMBERS, MEMBERS
from ulmfit.training.options import StageResult
from ulmfit.training.settings import (
    AUTO_RECIPE,
    ClassifierSettings,
    LMSettings,
    data_spec,
    load_settings,
    recipe_for,
)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The common settings of all stages.

    shared: the flags for stages 2 and 3. pretrained: the flag. ready: the flag --lm. choice: of the
    recipe `auto`, after `fitted`.
    """

    recipe: str
    shared: dict[str, Any]
    lm: LMSettings
    classifier: ClassifierSettings
    pretrained: str | None = None
    ready: str = ""  # language model in place of stage 2
    overwrite: bool = False
    half: bool = False
    deadline: float = math.inf
    crew: Crew = field(default_factory=OneByOne, repr=False)  # that trains the networks
    members: tuple[str, ...] = MEMBERS  # what is trained
    minutes: float = 0.0  # the budget; 0 for as long as it takes
    choice: Choice | None = field(default=None, repr=False)

    @classmethod
    def of(
        cls, recipe: str | None, shared: dict[str, Any], pretrained: str | None, **more: Any
    ) -> "Plan":
        """The plan with the settings of stages 2 and 3, checked before any stage begins."""
        name = recipe_for(recipe, shared.get("data"))
        lm = load_settings(LMSettings, name, {**_of_texts(shared), "pretrained": pretrained})
        classifier = load_settings(ClassifierSettings, name, shared)
        if classifier.all_labels:
            raise UserError(
                f"the recipe {name} has all_labels, and ulmfit train chooses the ensemble by "
                "the labels of valid; leave it out, or run ulmfit clf"
            )
        if more.get("minutes") and name != AUTO_RECIPE:
            raise UserError(
                f"found --minutes with the recipe {name}, expected it with {AUTO_RECIPE}, which "
                f"chooses the lengths; add --recipe {AUTO_RECIPE}, or leave it out"
            )
        return cls(
            recipe=name,
            shared=shared,
            lm=lm,
            classifier=classifier,
            pretrained=pretrained,
            **more,
        )

    def starting_from(self, pretrained: str) -> Self:
        """The plan that starts from another language model."""
        given = {**_of_texts(self.shared), "pretrained": pretrained}
        lm = load_settings(LMSettings, self.recipe, given)
        return replace(self, pretrained=pretrained, lm=lm)

    def fitted(self, folder: Path, frame: pd.DataFrame) -> Self:
        """The plan whose lengths follow from the data and the budget; itself for other recipes.

        What was chosen is said in two lines.
        """
        if self.recipe != AUTO_RECIPE:
            return self
        spec = data_spec(self.classifier)
        facts = facts_of(frame, spec)
        pretrained = (
            self.ready or self.pretrained or choose_model(frame["text"], self.lm.pretrained)
        )
        choices = [self._chosen(facts, str(pretrained), effort) for effort in EFFORTS]
        effort = earlier_effort(folder, facts, self.minutes, self.ready) if self.minutes else None
        wanted = len(self.directions)
        finished = (folder / "clf").is_dir() and not self.overwrite
        if effort is None and wanted and (self.minutes or not finished):
            at_once = self.crew.at_once
            speeds = measured_speeds(self.classifier.precision, at_once)
            effort, seconds = effort_for(self.minutes, choices, speeds, wanted)
            both = choices[0], self._chosen(facts, str(pretrained), effort)
            tell_effort(effort, seconds, self.minutes, both, wanted)
        effort = effort or Effort()
        if self.minutes:
            keep_effort(folder, facts, self.minutes, effort, self.ready)
        return self.with_choice(self._chosen(facts, str(pretrained), effort), effort)

    def _chosen(self, facts: Facts, pretrained: str, effort: Effort) -> Choice:
        found = choose(facts, pretrained, effort)
        return replace(found, lm_tokens=0.0) if self.ready else found

    def with_choice(self, choice: Choice, effort: Effort) -> Self:
        """The plan with the settings of a choice, and the members that its effort allows."""
        names = [name for name in self.members if name in DIRECTIONS][: effort.directions]
        members = tuple(name for name in self.members if name in names or name in LINEAR_MEMBERS)
        if not members:
            raise UserError(
                f"{self.minutes:g} minutes are too few for {' and '.join(self.members)}; give more "
                "--minutes, or add nb to --members"
            )
        if names:
            logger.info(choice.lines(*((3,) if self.ready else (2, 3)), whole=True))
        given = named(self.shared)
        return replace(
            self,
            members=members,
            choice=choice,
            lm=load_settings(LMSettings, self.recipe, {**choice.lm, **_of_texts(given)}),
            classifier=load_settings(
                ClassifierSettings, self.recipe, {**choice.classifier, **given}
            ),
        )

    @property
    def directions(self) -> dict[str, bool]:
        """Those of the networks that are trained, by name."""
        return {name: DIRECTIONS[name] for name in self.members if name in DIRECTIONS}

    @property
    def linear(self) -> list[str]:
        """The linear classifiers that are trained, by name."""
        return [name for name in self.members if name in LINEAR_MEMBERS]

    @property
    def rounds(self) -> int:
        """Rounds of self-training at most."""
        return self.choice.rounds if self.choice and self.directions else 0

    @property
    def all_labels(self) -> bool:
        """Whether the chosen classifiers learn the labels of valid at the end."""
        return bool(self.choice and self.choice.all_labels)

    @property
    def lm_given(self) -> dict[str, Any]:
        """The settings of stage 2, as its command takes them."""
        chosen = dict(self.choice.lm) if self.choice else {"pretrained": self.pretrained}
        return {**chosen, **named(_of_texts(self.shared))}

    @property
    def classifier_given(self) -> dict[str, Any]:
        """The settings of stage 3, as its command takes them."""
        return {**(self.choice.classifier if self.choice else {}), **named(self.shared)}

    def taught_by(self, teacher: Path) -> dict[str, Any]:
        """The settings of stage 3 for a student, as its command takes them."""
        assert self.choice
        return {**self.choice.student, **named(self.shared), "teacher": str(teacher)}

    @property
    def again_given(self) -> dict[str, Any]:
        """The settings of stage 3 for a classifier that goes on from a student."""
        assert self.choice
        return {**self.choice.again, **named(self.shared)}

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


def _of_texts(shared: dict[str, Any]) -> dict[str, Any]:
    """The common flags that stage 2 has: it reads no labels."""
    return {name: value for name, value in shared.items() if name != "labels"}
