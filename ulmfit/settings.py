"""Recipes: the settings of each stage as data.

One dataclass a stage: its fields are the keys of a recipe's table in ``stages/<stage>.toml``, the
flags of the command, and their notes are the flags' help.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from ulmfit.errors import UserError


@dataclass(frozen=True)
class Step:
    """One call of `fit_one_cycle`: which layer groups, how long, how fast.

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
    embedding_range: float = 0.5  # the embedding is drawn from uniform(-r, r)
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

    pretrained: str = "wiki-en-small"  # a bundled model, a model directory, or wt103
    lm_text: str = "train"  # train: train + unsup; all: the texts of test, too (the book's way)
    max_vocab: int = 60_000  # tokens of the vocabulary at most
    min_freq: int = 3  # how often a word must occur
    seq_len: int = 72  # tokens through which gradients flow
    alpha: float = 2.0  # activation regularisation (AR)
    beta: float = 1.0  # temporal activation regularisation (TAR)
    clip: float = 1.0  # largest norm of the gradient; 0 for no bound
    samples: int = 3  # reviews the model writes when it is trained
    steps: list[Step] = field(default_factory=list, metadata={"flag": False})  # training steps


@dataclass(frozen=True)
class ClassifierSettings(_Shared, _Data):
    """Stage 3."""

    bptt: int = 72  # tokens through which gradients flow
    max_len: int = 1440  # a text's last tokens that are pooled
    hidden: int = 50  # units of the head's hidden layer
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
        UserError: unknown recipe, unknown key, or a value of the wrong type.
    """
    tables = _tables(settings)
    file = STAGE_FILES[settings]
    if recipe not in tables:
        raise UserError(f"no recipe {recipe!r} in {file}; it has {', '.join(tables)}")
    given = {k: v for k, v in overrides.items() if v is not None}
    return parse_settings(settings, {**tables[recipe], **given}, f"recipe [{recipe}] of {file}")


def parse_settings(settings: type[S], table: Mapping[str, Any], where: str) -> S:
    """`settings` from a table of keys and values; `where` names the table in errors."""
    values = dict(_checked(settings, table, where))
    values["steps"] = [
        Step(**_checked(Step, step, f"step {i} of {where}"))
        for i, step in enumerate(values.get("steps", []), 1)
    ]
    if not values["steps"]:
        raise UserError(f"{where} has no steps; add a [[<recipe>.steps]] with epochs and lr")
    return settings(**values)


def as_recipe(settings: Any) -> dict[str, Any]:
    """Plain settings, as a manifest holds them."""
    return asdict(settings)


def _tables(settings: type) -> dict[str, Any]:
    package = Path(__file__).parent
    # Installed from a wheel, the recipes are in the package; in a checkout they lie beside it.
    folder = next(f for f in (package / "stages", package.parent / "stages") if f.is_dir())
    return tomllib.loads((folder / STAGE_FILES[settings]).read_text(encoding="utf-8"))


def _checked(kind: type, table: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    known = {f.name: f for f in fields(kind)}
    unknown = sorted(set(table) - set(known))
    if unknown:
        raise UserError(f"{where}: unknown key {unknown[0]!r}; known are {', '.join(known)}")
    for name, f in known.items():
        if name not in table:
            if f.default is MISSING and f.default_factory is MISSING:
                raise UserError(f"{where}: key {name!r} is missing")
        elif not _fits(table[name], f.type):
            raise UserError(f"{where}: {name} is {table[name]!r}, expected {_type_name(f.type)}")
    return table


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
    return kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind)
