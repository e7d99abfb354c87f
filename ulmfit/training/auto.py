"""The recipe `auto`: settings that follow from the data.

`choose` has the rules. Those of stage 3 and of self-training were found on tweets
(benchmarks/self_training.py); benchmarks/auto.py measures the whole. The tables ``[auto]`` of
``stages/*.toml`` have what does not depend on the data.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ulmfit.base.log import logger
from ulmfit.training.auto_model import choose_model
from ulmfit.training.facts import Facts, facts_of, read_texts
from ulmfit.training.settings import (
    AUTO_RECIPE,
    ClassifierSettings,
    LMSettings,
    PretrainSettings,
    S,
    data_spec,
    load_settings,
)

_TOKENS = 1.25  # tokens a word
_LM_TOKENS = 1_600_000  # that the language model reads in all passes, where there are fewer texts
_MOST_PASSES = 4
# Of fewer tokens, more than three passes raise the perplexity of the validation part, and a larger
# dropout lowers it (tweets: 28,000 and 85,000 tokens).
_FEW_TOKENS, _PASSES_OF_FEW, _DROP_OF_FEW = 200_000, 3, 0.6
_MOST_LM_TOKENS = 20_000_000  # of one pass
_EMBEDDING_TOKENS = 350_000  # with which the embedding alone learns, first
_BATCHES = 40  # of an epoch in stage 2, at least: smaller batches of few texts
_SHORT = 100  # words of a text; longer ones say more, and cost more
_UPDATES = {True: 400, False: 200}  # of stage 3, by whether the texts are short
_LEAST_EPOCHS, _MOST_EPOCHS = 4, 60
_MOST_TAUGHT = 5_000  # labels up to which self-training is tried, and valid's are learnt
_LEAST_UNLABELLED = 500  # texts, and twice as many as labels
_TAUGHT_TOKENS = 2_000_000  # of the texts that a student reads
_OF_STAGE_2 = "the language model"  # stage 3 does not know its name
# Updates with the real labels, after a student, and passes at most: 25 over 100 tweets end with a
# larger validation loss than 6, 1.6 against 1.5.
_AGAIN, _MOST_AGAIN = 100, 6


@dataclass(frozen=True)
class Effort:
    """How much of the training is done: all by default.

    rounds: of self-training, at most. all_labels: whether the chosen classifiers learn the labels
    of valid at the end. share: of the passes and updates. directions: 2, 1 or 0.
    """

    rounds: int = 2
    all_labels: bool = True
    share: float = 1.0
    directions: int = 2


# From the longest training to the shortest, for a budget of time.
EFFORTS = (
    Effort(),
    Effort(rounds=1),
    Effort(rounds=0),
    Effort(rounds=0, all_labels=False),
    Effort(rounds=0, all_labels=False, share=0.5),
    Effort(rounds=0, all_labels=False, share=0.5, directions=1),
    Effort(rounds=0, all_labels=False, share=0.25, directions=1),
    Effort(rounds=0, all_labels=False, share=0.1, directions=1),
    Effort(rounds=0, all_labels=False, directions=0),
)


@dataclass(frozen=True)
class Choice:
    """What `choose` found: settings that replace those of the tables ``[auto]``.

    rounds: of self-training. student, again: the settings of stage 3 for a student, and for the
    classifier that goes on from it. all_labels: whether those of valid are learnt at the end.
    lm_tokens, classifier_tokens: what a direction trains on.
    """

    facts: Facts
    lm: dict[str, Any]
    classifier: dict[str, Any]
    rounds: int
    student: dict[str, Any]
    again: dict[str, Any]
    all_labels: bool
    lm_tokens: float
    classifier_tokens: float

    def lines(self, *stages: int, whole: bool = False) -> str:
        """What was chosen for the `stages` of 2 and 3, and why; `whole`: with what follows them."""
        passes, epochs = self.lm["steps"][-1], self.classifier["steps"][-1]["epochs"]
        share = f" over {100 * passes['share']:.0f} % of the texts" if passes["share"] < 1 else ""
        found = []
        if 2 in stages:
            read = _counted(passes["epochs"], "pass", "passes")
            found.append(f"language model (stage 2) from {self.lm['pretrained']}, {read}{share}")
        if 3 in stages:
            found.append(f"classifier (stage 3), {_counted(epochs, 'epoch', 'epochs')}")
        if whole and self.rounds:
            found.append(f"{_counted(self.rounds, 'round', 'rounds')} of self-training")
        if whole and self.all_labels:
            found.append("all labels at the end")
        return f"auto: {self.facts.line()}: {'; '.join(found)}"


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def fitted_settings(fixed: S, given: Mapping[str, Any]) -> S:
    """The settings of stage 2 or 3 that follow from the data; `fixed` are those of the table.

    Settings that are given replace what was chosen.
    """
    if isinstance(fixed, PretrainSettings):
        return fixed
    choice = _choice_for(fixed, given.get("pretrained"))
    of_stage_2 = isinstance(fixed, LMSettings)
    logger.info(choice.lines(2 if of_stage_2 else 3))
    chosen = choice.lm if of_stage_2 else choice.classifier
    return load_settings(type(fixed), AUTO_RECIPE, {**chosen, **named(given)})


def _choice_for(settings: LMSettings | ClassifierSettings, pretrained: str | Path | None) -> Choice:
    """The choice for the data of `settings`; `pretrained` is the model that was given, if any."""
    spec = data_spec(settings)
    frame = read_texts(spec)
    if isinstance(settings, ClassifierSettings):
        return choose(facts_of(frame, spec, settings.labels), _OF_STAGE_2)
    found = pretrained or choose_model(frame["text"], settings.pretrained)
    return choose(facts_of(frame, spec), str(found))


def choose(facts: Facts, pretrained: str, effort: Effort = EFFORTS[0]) -> Choice:
    """Schedules for a data set with these facts that starts from `pretrained`."""
    tokens = max(1.0, facts.words * _TOKENS)
    lm = _lm(tokens, pretrained, effort.share)
    epochs, batch = _classifier(facts, effort.share)
    steps = [{"epochs": epochs, "lr": 1e-2, "weight_decay": 0.1}]
    each = facts.length * _TOKENS
    rounds = _rounds(facts, effort)
    taught = max(1_000, round(_TAUGHT_TOKENS / max(1.0, each)))
    again = max(1, round(min(_MOST_AGAIN, _AGAIN / math.ceil(max(1, facts.labelled) / batch))))
    all_labels = effort.all_labels and 0 < facts.labelled <= _MOST_TAUGHT
    return Choice(
        facts=facts,
        lm=lm,
        classifier={"batch_size": batch, "steps": steps},
        rounds=rounds,
        student={
            "batch_size": batch,
            "teacher_texts": taught,
            "steps": [{"epochs": 1, "lr": 1e-2}],
        },
        again={
            "batch_size": batch,
            "steps": [{"epochs": again, "lr": 3e-3, "weight_decay": 0.1}],
        },
        all_labels=all_labels,
        lm_tokens=tokens * sum(step["epochs"] * step["share"] for step in lm["steps"]),
        classifier_tokens=each
        * (
            epochs * facts.labelled
            + rounds * (min(taught, facts.unlabelled) * 2 + again * facts.labelled)
            + all_labels * (again if rounds else epochs) * facts.labelled
        ),
    )


def _lm(tokens: float, pretrained: str, share: float) -> dict[str, Any]:
    """Settings of stage 2 for texts of so many tokens."""
    rows = [size for size in (64, 32, 16, 8) if tokens >= _BATCHES * size * 72]
    batch = next((size for size in rows if size < 64 or tokens >= _MOST_LM_TOKENS / 4), 4)
    if pretrained == "none":
        own = load_settings(LMSettings, "own-text", {})
        steps = [{"epochs": step.epochs, "lr": step.lr, "share": 1.0} for step in own.steps]
        vocabulary = {
            "max_vocab": own.max_vocab,
            "tokenizer": own.tokenizer,
            "drop_mult": own.drop_mult,
        }
        return {"pretrained": "none", "batch_size": batch, "steps": steps, **vocabulary}
    few = tokens < _FEW_TOKENS
    most = _PASSES_OF_FEW if few else _MOST_PASSES
    wanted = max(1.0, min(most, _LM_TOKENS / tokens)) * share
    epochs = max(1, round(wanted))
    part = min(1.0, wanted, _MOST_LM_TOKENS / tokens)
    first = min(part, _EMBEDDING_TOKENS / tokens)
    return {
        "pretrained": pretrained,
        "batch_size": batch,
        **({"drop_mult": _DROP_OF_FEW} if few else {}),
        "steps": [
            {"groups": 1, "epochs": 1, "lr": 1e-2, "share": first},
            {"epochs": epochs, "lr": [2e-3, 6e-3], "share": part},
        ],
    }


def _classifier(facts: Facts, share: float) -> tuple[int, int]:
    """Epochs and batch size of stage 3."""
    batch = 32 if facts.labelled < 20_000 else 64
    updates = _UPDATES[facts.length < _SHORT]
    epochs = updates / max(1, math.ceil(facts.labelled / batch))
    epochs = min(_MOST_EPOCHS, max(_LEAST_EPOCHS, epochs))
    return max(1, round(epochs * share)), batch


def _rounds(facts: Facts, effort: Effort) -> int:
    """Rounds of self-training: where there are few labels and many more texts."""
    few = 0 < facts.labelled <= _MOST_TAUGHT
    many = facts.unlabelled >= max(_LEAST_UNLABELLED, 2 * facts.labelled)
    most = 2 if facts.length < _SHORT else 1
    return min(effort.rounds, most) if few and many else 0


def named(given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings in `given` that have a value."""
    return {name: value for name, value in given.items() if value is not None}
