"""Recipes: the settings of each stage as data.

One dataclass a stage: its fields are the keys of a recipe's table in ``stages/<stage>.toml``, the
flags of the command, and their notes are the flags' help.
"""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from ulmfit.errors import UserError

EMBEDDING_RANGE = 0.5  # fastai's 0.1 gets stuck from scratch (see `models.build_lm`)


@dataclass(frozen=True)
class Step:
    """One cycle of the learning rate: which layer groups, how long, how fast.

    lr: the top group's largest learning rate, or [lowest group's, top group's] with geometric
    steps between (discriminative fine-tuning, ULMFiT section 3.2).
    """

    epochs: int  # passes over the training data
    lr: float | list[float]  # learning rate, or [lowest, highest]
    groups: int = 0  # layer groups that are trained, counted from the top; 0 for all
    share: float = 1.0  # share of the training data that an epoch reads
    div: float = 25.0  # the schedule starts at lr / div
    pct_start: float = 0.25  # share of the step in which the rate rises
    weight_decay: float = 0.01  # decoupled weight decay


@dataclass(frozen=True)
class _Shared:
    seed: int = 42  # seeds data order, initialisation and dropout
    precision: str = "auto"  # auto, bfloat16 or float32
    batch_size: int = 64  # rows or documents of a batch
    drop_mult: float = 0.5  # factor on fastai's dropout rates
    schedule: str = "one-cycle"  # of the rate: one-cycle, slanted (triangular), or constant


@dataclass(frozen=True)
class PretrainSettings(_Shared):
    """Stage 1."""

    size: str = "small"  # size of the model: small or base
    tokenizer: str = "word"  # word or subword
    lang: str = "en"  # language of the word tokenizer
    max_vocab: int = 20_000  # tokens of the vocabulary at most
    min_freq: int = 3  # how often a word must occur
    max_tokens: int = 0  # tokens of the corpus to train on; 0 for all
    valid_documents: int = 200  # documents held out for validation
    seq_len: int = 72  # tokens through which gradients flow
    sampled_softmax: int = 0  # words that a training step's softmax covers; 0 for all
    embedding_range: float = EMBEDDING_RANGE  # the embedding is drawn from uniform(-r, r)
    alpha: float = 2.0  # activation regularisation (AR)
    beta: float = 1.0  # temporal activation regularisation (TAR)
    clip: float = 1.0  # largest norm of the gradient; 0 for no bound
    steps: list[Step] = field(default_factory=list, metadata={"flag": False})  # training steps


@dataclass(frozen=True)
class _Data:
    data: str = "imdb-sample"  # data set: a name or a path
    text_col: str = ""  # column of the texts, where --data is a file; text if not given
    label_col: str = ""  # column of the labels, where --data is a file; label if not given
    split_col: str = ""  # column of the splits, where --data is a file; split if there is one

    def columns(self) -> dict[str, Any]:
        """The columns as `load_data` takes them."""
        names = ("text_col", "label_col", "split_col")
        return {name: getattr(self, name) or None for name in names}


@dataclass(frozen=True)
class LMSettings(_Shared, _Data):
    """Stage 2."""

    pretrained: str = "wiki-en-small"  # a bundled model, a directory, wt103, or none: random
    size: str = "small"  # size of the model if --pretrained is none: small or base
    lm_text: str = "train"  # train: train + unsup; all: the texts of test, too (the book's way)
    withhold: str = ""  # another data set, whose test texts are left out where they occur
    max_vocab: int = 60_000  # tokens of the vocabulary at most
    min_freq: int = 3  # how often a word must occur
    vocab_of: str = "texts"  # whose words: texts, or both: filled up with the pretrained model's
    seq_len: int = 72  # tokens through which gradients flow
    sampled_softmax: int = 0  # words that a training step's softmax covers; 0 for all
    alpha: float = 2.0  # activation regularisation (AR)
    beta: float = 1.0  # temporal activation regularisation (TAR)
    clip: float = 1.0  # largest norm of the gradient; 0 for no bound
    samples: int = 3  # reviews the model writes when it is trained
    rates: str = "discriminative"  # or equal: every layer group learns at the highest rate
    steps: list[Step] = field(default_factory=list, metadata={"flag": False})  # training steps


@dataclass(frozen=True)
class ClassifierSettings(_Shared, _Data):
    """Stage 3."""

    size: str = "small"  # size of the model if --lm is none: small or base
    max_vocab: int = 20_000  # tokens of the vocabulary at most if --lm is none
    min_freq: int = 3  # how often a word must occur if --lm is none
    bptt: int = 72  # tokens through which gradients flow
    labels: int = 0  # labelled texts to train on, drawn by the seed; 0 for all
    max_len: int = 1440  # a text's last tokens that are pooled
    hidden: int = 50  # units of the head's hidden layer
    unfreeze: str = "gradual"  # gradual, step by step; all from the start; last: the head alone
    rates: str = "discriminative"  # or equal: every layer group learns at the highest rate
    alpha: float = 2.0  # activation regularisation (AR)
    beta: float = 1.0  # temporal activation regularisation (TAR)
    steps: list[Step] = field(default_factory=list, metadata={"flag": False})  # training steps


S = TypeVar("S", PretrainSettings, LMSettings, ClassifierSettings)
STAGE_FILES = {
    PretrainSettings: "stage1_pretrain.toml",
    LMSettings: "stage2_lm.toml",
    ClassifierSettings: "stage3_clf.toml",
}


def recipe_names(settings: type) -> list[str]:
    """The recipes that a stage has."""
    return list(_tables(settings))


def load_settings(settings: type[S], recipe: str, overrides: Mapping[str, Any]) -> S:
    """The recipe's settings, with `overrides` that are not None in their place.

    Raises:
        UserError: unknown recipe, unknown key, or a value of the wrong type or out of range.
    """
    tables = _tables(settings)
    file = STAGE_FILES[settings]
    if not isinstance(tables.get(recipe), dict):
        raise UserError(f"no recipe {recipe!r} in {file}; it has {', '.join(tables)}")
    # Python callers bring a `Path` where the command line has a string.
    given = {k: str(v) if isinstance(v, Path) else v for k, v in overrides.items() if v is not None}
    _raise(_problems(settings, given), "settings given")
    return parse_settings(settings, {**tables[recipe], **given}, f"recipe [{recipe}] of {file}")


def parse_settings(settings: type[S], table: Mapping[str, Any], where: str) -> S:
    """`settings` from a table of keys and values; `where` names the table in errors."""
    _raise(_problems(settings, table), where)
    steps = [_plain_step(step) for step in table.get("steps", [])]
    if not steps:
        raise UserError(f"{where} has no steps; add a [[<recipe>.steps]] with epochs and lr")
    for i, step in enumerate(steps, 1):
        _raise(_problems(Step, step) or _missing(Step, step), f"step {i} of {where}")
    return settings(**{**table, "steps": [Step(**step) for step in steps]})


def _plain_step(step: Any) -> Any:
    """Python callers may bring a `Step` or a dictionary, and a tuple of learning rates."""
    step = asdict(step) if isinstance(step, Step) else step
    if isinstance(step, Mapping) and isinstance(step.get("lr"), tuple):
        return {**step, "lr": list(step["lr"])}
    return step


def as_recipe(settings: Any) -> dict[str, Any]:
    """Plain settings, as a manifest holds them."""
    return asdict(settings)


def _tables(settings: type) -> dict[str, Any]:
    package = Path(__file__).parent
    # Installed from a wheel, the recipes are in the package; in a checkout they lie beside it.
    folder = next(f for f in (package / "stages", package.parent / "stages") if f.is_dir())
    file = folder / STAGE_FILES[settings]
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{file} is not valid TOML: {error}") from None


# --- checks -------------------------------------------------------------------------------------


def _least(low: float) -> tuple[Callable[[Any], bool], str]:
    return lambda value: value >= low, f"{low} or more"


def _one_of(*choices: str) -> tuple[Callable[[Any], bool], str]:
    return lambda value: value in choices, f"one of {', '.join(choices)}"


_POSITIVE = (lambda value: value > 0, "more than 0")
_RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(
        ("seed", "groups", "max_tokens", "samples", "weight_decay", "labels"), _least(0)
    ),
    **dict.fromkeys(("alpha", "beta", "clip", "sampled_softmax"), _least(0)),
    **dict.fromkeys(("batch_size", "epochs", "min_freq", "valid_documents"), _least(1)),
    **dict.fromkeys(("seq_len", "bptt", "max_len", "hidden", "div"), _least(1)),
    "precision": _one_of("auto", "bfloat16", "float32"),
    "size": _one_of("tiny", "small", "base"),
    "tokenizer": _one_of("word", "subword"),
    "lm_text": _one_of("train", "all"),
    "vocab_of": _one_of("texts", "both"),
    "schedule": _one_of("one-cycle", "slanted", "constant"),
    "unfreeze": _one_of("gradual", "all", "last"),
    "rates": _one_of("discriminative", "equal"),
    "max_vocab": _least(20),  # the special tokens and some words
    "embedding_range": _POSITIVE,
    "drop_mult": (lambda value: 0 <= value <= 2, "0 to 2"),  # fastai's largest rate is 0.5
    "share": (lambda value: 0 < value <= 1, "more than 0 and at most 1"),
    "pct_start": (lambda value: 0 < value < 1, "between 0 and 1"),
    "lr": (
        lambda value: (
            all(rate > 0 for rate in value) and len(value) == 2
            if isinstance(value, list)
            else value > 0
        ),
        "a number above 0 or two of them, [lowest, highest]",
    ),
}


def _raise(problems: list[str], where: str) -> None:
    if problems:
        raise UserError(f"{where}: {'; '.join(problems)}")


def _problems(kind: type, table: Any) -> list[str]:
    """What is wrong with the keys and values of `table`."""
    if not isinstance(table, Mapping):
        return [f"found {table!r}, expected a table of keys and values"]
    known = {f.name: f for f in fields(kind)}
    problems = [
        f"unknown key {name!r}; known are {', '.join(known)}"
        for name in sorted(set(table) - set(known))
    ]
    for name, f in known.items():
        if name not in table:
            continue
        in_range, expected = _RANGES.get(name, (lambda value: True, ""))
        if kind is ClassifierSettings and name == "batch_size":
            in_range, expected = _least(2)  # the head's batch norm takes no single document
        if not _fits(table[name], f.type):
            problems.append(f"{name} is {table[name]!r}, expected {_type_name(f.type)}")
        elif not in_range(table[name]):
            problems.append(f"{name} is {table[name]!r}, expected {expected}")
    return problems


def _missing(kind: type, table: Mapping[str, Any]) -> list[str]:
    return [
        f"key {f.name!r} is missing"
        for f in fields(kind)
        if f.name not in table and f.default is MISSING and f.default_factory is MISSING
    ]


def _fits(value: Any, kind: Any) -> bool:
    if get_args(kind) and get_origin(kind) is not list:
        return any(_fits(value, option) for option in get_args(kind))
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if get_origin(kind) is list:
        item = get_args(kind)[0]
        return isinstance(value, list) and (item is Step or all(_fits(v, item) for v in value))
    return isinstance(value, kind) and not (kind is int and isinstance(value, bool))


def _type_name(kind: Any) -> str:
    if kind == list[Step]:
        return "a list of steps"
    return kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind)
