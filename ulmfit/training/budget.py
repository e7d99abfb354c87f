"""How long the recipe `auto` takes on this machine, and what fits into a number of minutes."""

import json
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ulmfit.base.atomic import atomic_write
from ulmfit.base.errors import UserError
from ulmfit.base.log import logger
from ulmfit.base.precision import autocast, default_device, resolve_precision, use_all_cores
from ulmfit.model.build import build_classifier, build_lm
from ulmfit.model.lm_loss import LMLoss
from ulmfit.model.sizes import encoder_config
from ulmfit.text.batches import DocumentBatch
from ulmfit.training.auto import EFFORTS, Choice, Effort
from ulmfit.training.facts import Facts

PLAN = "auto.json"  # in the folder of the models: what an earlier call has chosen for a budget
_ROWS, _TOKENS, _VOCABULARY, _STEPS = 32, 72, 10_000, 3  # of a measured step, and how many
_FIXED = 20.0  # seconds of reading, writing and measuring
_SLACK = 1.15  # validation, the optimiser, checkpoints


class Speeds(NamedTuple):
    """Tokens a second of a direction in stages 2 and 3, with `at_once` at the same time."""

    lm: float
    classifier: float
    at_once: int = 1

    def seconds(self, choice: Choice, directions: int) -> float:
        """An estimate for both stages."""
        each = choice.lm_tokens / self.lm + choice.classifier_tokens / self.classifier
        return _FIXED + math.ceil(directions / self.at_once) * _SLACK * each


def measured_speeds(precision: str, at_once: int = 1) -> Speeds:
    """The speeds of a model of size small on this machine, with `at_once` at the same time.

    Takes a few seconds.
    """
    device = default_device()
    dtype = resolve_precision(precision, device)
    use_all_cores()
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads // at_once))
    try:
        with ThreadPoolExecutor(at_once) as pool:
            several = list(pool.map(lambda _: _speeds(device, dtype), range(at_once)))
    finally:
        torch.set_num_threads(threads)
    lm, classifier = (min(speeds) for speeds in zip(*several, strict=True))
    return Speeds(lm, classifier, at_once)


def _speeds(device: torch.device, dtype: torch.dtype) -> tuple[float, float]:
    """Tokens a second of a language model and of a classifier on the threads of this process."""
    config, loss = encoder_config("small", _VOCABULARY), LMLoss()
    ids = torch.arange(_ROWS * _TOKENS, device=device).view(_ROWS, _TOKENS) % (_VOCABULARY - 20)
    ids = ids + 20  # above the special tokens
    documents = DocumentBatch(ids, torch.full((_ROWS,), _TOKENS))
    lm = build_lm(config, embedding_range=0.1).to(device)
    classifier = build_classifier(config, 2).to(device)

    def lm_step() -> Tensor:
        return loss(lm(ids)[0], ids)

    def classifier_step() -> Tensor:
        return classifier(documents)[0].float().square().mean()

    def speed(step: Callable[[], Tensor], model: Any) -> float:
        times = []
        for _ in range(_STEPS + 1):  # the first one sets things up
            began = time.monotonic()
            with autocast(device, dtype):
                found = step()
            found.backward()
            float(next(model.parameters()).grad.sum())  # wait for a GPU
            times.append(time.monotonic() - began)
        return _ROWS * _TOKENS / sorted(times[1:])[_STEPS // 2]

    return speed(lm_step, lm), speed(classifier_step, classifier)


def effort_for(
    minutes: float, choices: Sequence[Choice], speeds: Speeds, directions: int
) -> tuple[Effort, float]:
    """The largest of `EFFORTS` that fits into `minutes` (0: no budget), and its seconds.

    choices: what `choose` finds for each of `EFFORTS`. directions: that are wanted.
    """
    for effort, choice in zip(EFFORTS, choices, strict=True):
        # To leave one out saves no time where all are trained at once.
        most = max(speeds.at_once, effort.directions) if effort.directions else 0
        used = min(directions, most)
        seconds = speeds.seconds(choice, used)
        if not minutes or seconds <= 60 * minutes or not used:
            return replace(effort, directions=most), seconds
    raise AssertionError  # the last effort has no directions


def check_minutes(minutes: float) -> None:
    """Raise a UserError for a budget that is negative or no number."""
    if not minutes >= 0 or minutes == float("inf"):
        raise UserError(
            f"found --minutes {minutes:g}, expected minutes, or 0 for as long as it takes"
        )


def earlier_effort(folder: Path, facts: Facts, minutes: float, lm: str = "") -> Effort | None:
    """The effort that an earlier call has chosen for the same texts and budget, if any.

    Speeds differ from call to call: a run that is killed goes on with the settings it began with.
    """
    try:
        plan = json.loads((folder / PLAN).read_bytes())
        same = plan == _plan(facts, minutes, lm) | {"effort": plan["effort"]}
        return Effort(**plan["effort"]) if same else None
    except (OSError, ValueError, KeyError, TypeError):  # none, or a damaged one
        return None


def keep_effort(folder: Path, facts: Facts, minutes: float, effort: Effort, lm: str = "") -> None:
    """Write the effort for `earlier_effort`."""
    folder.mkdir(parents=True, exist_ok=True)
    plan = {**_plan(facts, minutes, lm), "effort": asdict(effort)}
    atomic_write(folder / PLAN, json.dumps(plan, indent=1) + "\n")


def _plan(facts: Facts, minutes: float, lm: str) -> dict[str, Any]:
    """What a plan was made for; `lm` is the flag."""
    return {"facts": asdict(facts), "minutes": minutes, **({"lm": lm} if lm else {})}


def tell_effort(
    effort: Effort, seconds: float, minutes: float, choices: tuple[Choice, Choice], directions: int
) -> None:
    """Say in a line how long it will take, and what was left out for the budget.

    choices: with all effort, and with `effort`; what neither has is not called left out.
    directions: that are wanted.
    """
    about = f"about {max(1, round(seconds / 60))} min on this machine"
    if not minutes:
        logger.info(f"{about}; --minutes shortens it")
        return
    if not effort.directions:
        logger.info(
            f"{minutes:g} minutes are too few for a language model of these texts: the linear "
            "classifiers alone are trained; give more --minutes"
        )
        return
    (full, taken), cuts = choices, []
    if taken.rounds < full.rounds:
        rounds = f"{taken.rounds} of {full.rounds} rounds of" if taken.rounds else "no"
        cuts.append(f"{rounds} self-training")
    if taken.all_labels < full.all_labels:
        cuts.append("the labels of valid are not learnt")
    if effort.share < 1:
        cuts.append(f"{100 * effort.share:.0f} % of the passes")
    if effort.directions < directions:
        cuts.append("the forward direction alone")
    cut = f"; shortened for --minutes {minutes:g}: {', '.join(cuts)}" if cuts else ""
    logger.info(f"{about}{cut}")
