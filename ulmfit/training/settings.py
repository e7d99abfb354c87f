"""Recipes: the settings of each stage as data.

Each stage has a dataclass. Its fields are the keys of the recipes in ``stages/<stage>.toml`` and
the flags of the command; the comments are the flags' help. An annotation has type and range.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

from ulmfit.base.errors import UserError
from ulmfit.base.number_formats import PRECISIONS
from ulmfit.data.dialect import Dialect
from ulmfit.data.labels import KINDS
from ulmfit.data.spec import DataFlags, DataSpec
from ulmfit.model.sizes import EMBEDDING_RANGE, SIZES
from ulmfit.training.settings_checks import (
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    Range,
    least,
    one_of,
    problems_of,
    raise_problems,
)

DEFAULT_RECIPE = "demo"
AUTO_RECIPE = "auto"  # its settings follow from the data, see `training.auto`
_DEMO_DATA = ("imdb", "imdb-sample")  # what the recipe `demo` is for
AUTO = "auto"  # the learning rate that the finder suggests


def _is_rate(value: str) -> bool:
    try:
        return value in ("", AUTO) or 0 < float(value) < float("inf")
    except ValueError:
        return False


def _are_rates(value: float | list[float]) -> bool:
    if isinstance(value, list):
        return len(value) == 2 and all(rate > 0 for rate in value)
    return value > 0


_RATE = Range(_is_rate, "a number above 0, or auto")
_RATES = Range(_are_rates, "a number above 0 or two of them, [lowest, highest]")
_SHARE = Range(lambda value: 0 < value <= 1, "more than 0 and at most 1")
_INSIDE = Range(lambda value: 0 < value < 1, "between 0 and 1")
_SMOOTHING = Range(lambda value: 0 <= value < 1, "0 or more and less than 1")
_POSITIVE = Range(lambda value: value > 0, "more than 0")
_DROP_MULT = Range(lambda value: 0 <= value <= 2, "0 to 2")  # fastai's largest rate is 0.5


@dataclass(frozen=True)
class Step:
    """One cycle of the learning rate: layer groups, epochs, rates.

    lr: the largest learning rate of the top group, or [lowest group's, top group's] with geometric
    steps between (discriminative fine-tuning, ULMFiT section 3.2).
    """

    epochs: PositiveInt  # passes over the training data
    lr: Annotated[float | list[float], _RATES]  # learning rate, or [lowest, highest]
    groups: NonNegativeInt = 0  # layer groups that are trained, counted from the top; 0 for all
    share: Annotated[float, _SHARE] = 1.0  # share of the training data that an epoch reads
    div: Annotated[float, least(1)] = 25.0  # the schedule starts at lr / div
    pct_start: Annotated[float, _INSIDE] = 0.25  # share of the step in which the rate rises
    weight_decay: NonNegativeFloat = 0.01  # decoupled weight decay


@dataclass(frozen=True)
class _Shared:
    seed: NonNegativeInt = 42  # seeds data order, initialisation and dropout
    precision: Annotated[str, one_of(*PRECISIONS)] = "auto"  # auto, bfloat16 or float32
    batch_size: PositiveInt = 64  # rows or documents of a batch
    drop_mult: Annotated[float, _DROP_MULT] = 0.5  # factor on fastai's dropout rates
    # of the learning rate: one-cycle, slanted (triangular), or constant
    schedule: Annotated[str, one_of("one-cycle", "slanted", "constant")] = "one-cycle"
    epochs: NonNegativeInt = 0  # epochs of the last step; 0 for the recipe's
    # highest rate of the last step, others in proportion; auto: from the learning-rate finder
    lr: Annotated[str, _RATE] = ""
    patience: NonNegativeInt = 0  # end the last step after so many epochs without progress; 0: no
    alpha: NonNegativeFloat = 2.0  # activation regularisation (AR)
    beta: NonNegativeFloat = 1.0  # temporal activation regularisation (TAR)
    steps: list[Step] = field(default_factory=list, metadata={"flag": False})  # training steps


@dataclass(frozen=True)
class _LanguageModel(_Shared):
    min_freq: PositiveInt = 3  # smallest number of occurrences of a word in the vocabulary
    seq_len: PositiveInt = 72  # tokens through which gradients flow
    sampled_softmax: NonNegativeInt = 0  # words that a training step's softmax covers; 0 for all
    clip: NonNegativeFloat = 1.0  # largest norm of the gradient; 0 for no bound


@dataclass(frozen=True)
class PretrainSettings(_LanguageModel, Dialect):
    """Stage 1."""

    size: Annotated[str, one_of(*SIZES)] = "small"  # size of the model: small or base
    tokenizer: Annotated[str, one_of("word", "subword")] = "word"  # word or subword
    lang: str = "en"  # language of the word tokenizer
    max_vocab: Annotated[int, least(20)] = 20_000  # tokens of the vocabulary at most
    max_tokens: NonNegativeInt = 0  # tokens of the corpus to train on; 0 for all
    valid_documents: PositiveInt = 200  # documents held out for validation
    # the embedding is drawn from uniform(-r, r)
    embedding_range: Annotated[float, _POSITIVE] = EMBEDDING_RANGE


@dataclass(frozen=True)
class _Source:
    data: str = "imdb-sample"  # data set: a name or a path


@dataclass(frozen=True)
class _Data(DataFlags, _Source):
    multi_label: bool = False  # a text may have several labels, separated by ;, or none


@dataclass(frozen=True)
class LMSettings(_LanguageModel, _Data):
    """Stage 2."""

    pretrained: str = "wiki-en-small"  # a bundled model, a directory, wt103, or none: random
    # size of the model if --pretrained is none: small or base
    size: Annotated[str, one_of(*SIZES)] = "small"
    # train: train + unsup; all: the texts of test, too (the book's way)
    lm_text: Annotated[str, one_of("train", "all")] = "train"
    # word or subword, if --pretrained is none; else the pretrained model's
    tokenizer: Annotated[str, one_of("word", "subword")] = "word"
    withhold: str = ""  # another data set; texts of its test split are left out
    max_vocab: Annotated[int, least(20)] = 60_000  # tokens of the vocabulary at most
    # words of the texts, or both: filled up with those of the pretrained model
    vocab_of: Annotated[str, one_of("texts", "both")] = "texts"
    samples: NonNegativeInt = 3  # sample texts to write after the training
    # or equal: every layer group learns at the highest rate
    rates: Annotated[str, one_of("discriminative", "equal")] = "discriminative"


@dataclass(frozen=True)
class ClassifierSettings(_Shared, _Data):
    """Stage 3."""

    # documents of a batch; the head's batch normalisation needs two
    batch_size: Annotated[int, least(2)] = 64
    # size of the model if --lm is none: small or base
    size: Annotated[str, one_of(*SIZES)] = "small"
    # tokens of the vocabulary at most if --lm is none
    max_vocab: Annotated[int, least(20)] = 20_000
    # smallest number of occurrences of a word in the vocabulary, if --lm is none
    min_freq: PositiveInt = 3
    bptt: PositiveInt = 72  # tokens through which gradients flow
    labels: NonNegativeInt = 0  # labelled texts to train on, drawn by the seed; 0 for all
    all_labels: bool = False  # learn the labels of valid, too, and measure nothing on them
    teacher: str = ""  # a classifier, whose answers to the unlabelled texts are learnt instead
    teacher_texts: NonNegativeInt = 20_000  # how many of them at most; 0 for all
    max_len: PositiveInt = 1440  # a text's last tokens that are pooled
    hidden: PositiveInt = 50  # units of the head's hidden layer
    # share of each target that is spread evenly over all classes
    label_smoothing: Annotated[float, _SMOOTHING] = 0.0
    # or balanced: rare classes count as much as frequent ones
    class_weights: Annotated[str, one_of("equal", "balanced")] = "equal"
    # gradual: by the recipe's steps; all: from the start; last: only the head
    unfreeze: Annotated[str, one_of("gradual", "all", "last")] = "gradual"
    # or equal: every layer group learns at the highest rate
    rates: Annotated[str, one_of("discriminative", "equal")] = "discriminative"


def data_spec(settings: LMSettings | ClassifierSettings) -> DataSpec:
    """The data set that the settings describe."""
    return settings.spec(settings.data, KINDS[settings.multi_label], settings.seed)


Settings = PretrainSettings | LMSettings | ClassifierSettings
S = TypeVar("S", PretrainSettings, LMSettings, ClassifierSettings)
STAGE_FILES = {
    PretrainSettings: "stage1_pretrain.toml",
    LMSettings: "stage2_lm.toml",
    ClassifierSettings: "stage3_clf.toml",
}


def recipe_for(recipe: str | None, data: Any) -> str:
    """The recipe that was given, or the default: `demo` for IMDb and its sample, else `auto`."""
    if recipe is not None:
        return recipe
    return DEFAULT_RECIPE if data is None or str(data) in _DEMO_DATA else AUTO_RECIPE


def load_settings(settings: type[S], recipe: str, overrides: Mapping[str, Any]) -> S:
    """The recipe's settings; `overrides` that are not None replace them.

    Raises:
        UserError: unknown recipe, unknown key, or a value of the wrong type or out of range.
    """
    table = recipe_table(settings, recipe)
    where = f"recipe [{recipe}] of {STAGE_FILES[settings]}"
    given = _plain({k: v for k, v in overrides.items() if v is not None})
    raise_problems(problems_of(settings, given), "settings given")
    return parse_settings(settings, {**table, **given}, where)


def recipe_table(settings: type, recipe: str) -> dict[str, Any]:
    """A recipe as its file has it, unchecked.

    Raises:
        UserError: unknown recipe.
    """
    tables = recipes(settings)
    table = tables.get(recipe)
    if not isinstance(table, dict):
        raise UserError(
            f"no recipe {recipe!r} in {STAGE_FILES[settings]}; it has {', '.join(tables)}"
        )
    return table


def parse_settings(settings: type[S], table: Mapping[str, Any], where: str) -> S:
    """`settings` from a table of keys and values; `where` names the table in errors."""
    table = _plain(table)
    raise_problems(problems_of(settings, table), where)
    steps = [_plain_step(step) for step in table.get("steps", [])]
    if not steps:
        raise UserError(f"{where} has no steps; add a [[<recipe>.steps]] with epochs and lr")
    for i, step in enumerate(steps, 1):
        raise_problems(problems_of(Step, step), f"step {i} of {where}")
    return settings(**{**table, "steps": [Step(**step) for step in steps]})


def _plain(table: Mapping[str, Any]) -> dict[str, Any]:
    """Strings instead of a `Path` or a number, which Python callers and TOML may have."""
    plain = {k: str(v) if isinstance(v, Path) else v for k, v in table.items()}
    if type(plain.get("lr")) in (int, float):
        plain["lr"] = str(plain["lr"])
    return plain


def _plain_step(step: Any) -> Any:
    """A step as a table; Python callers may have a `Step`, and a tuple of learning rates."""
    step = asdict(step) if isinstance(step, Step) else step
    if isinstance(step, Mapping) and isinstance(step.get("lr"), tuple):
        return {**step, "lr": list(step["lr"])}
    return step


def changed(settings: type, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The part of `recipe` that differs from the defaults; equal for versions with new settings."""
    defaults = asdict(settings())
    return {k: v for k, v in recipe.items() if k not in defaults or v != defaults[k]}


def recipes(settings: type) -> dict[str, Any]:
    """The recipes of a stage by name, as its file has them, unchecked."""
    package = Path(__file__).parents[1]
    # A wheel has the recipes in the package; a checkout has them beside it.
    folder = next(f for f in (package / "stages", package.parent / "stages") if f.is_dir())
    file = folder / STAGE_FILES[settings]
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{file} is not valid TOML: {error}") from None
