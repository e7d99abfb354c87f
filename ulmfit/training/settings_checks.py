"""What a recipe's keys may hold: types, ranges, and the words for what does not fit."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, get_args, get_origin

from ulmfit.base.errors import UserError

AUTO = "auto"  # the learning rate that the finder suggests

Range = tuple[Callable[[Any], bool], str]  # whether a value is in it, and what is expected
Ranges = Mapping[str, Range]


def _least(low: float) -> Range:
    return lambda value: value >= low, f"{low} or more"


def _one_of(*choices: str) -> Range:
    return lambda value: value in choices, f"one of {', '.join(choices)}"


def _is_rate(value: str) -> bool:
    try:
        return value in ("", AUTO) or 0 < float(value) < float("inf")
    except ValueError:
        return False


_POSITIVE = (lambda value: value > 0, "more than 0")
RANGES: Ranges = {
    **dict.fromkeys(
        ("seed", "groups", "max_tokens", "samples", "weight_decay", "labels"), _least(0)
    ),
    **dict.fromkeys(("alpha", "beta", "clip", "sampled_softmax"), _least(0)),
    **dict.fromkeys(("epochs", "patience"), _least(0)),
    **dict.fromkeys(("batch_size", "min_freq", "valid_documents"), _least(1)),
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
    "lr": (_is_rate, "a number above 0, or auto"),
    "label_smoothing": (lambda value: 0 <= value < 1, "0 or more and less than 1"),
    "class_weights": _one_of("equal", "balanced"),
}
# The head's batch norm takes no single document.
CLASSIFIER_RANGES: Ranges = {**RANGES, "batch_size": _least(2)}
STEP_RANGES: Ranges = {
    **RANGES,
    "epochs": _least(1),
    "lr": (
        lambda value: (
            all(rate > 0 for rate in value) and len(value) == 2
            if isinstance(value, list)
            else value > 0
        ),
        "a number above 0 or two of them, [lowest, highest]",
    ),
}


def raise_problems(problems: list[str], where: str) -> None:
    """Raise a `UserError` of all `problems`, if there are any; `where` names the table."""
    if problems:
        raise UserError(f"{where}: {'; '.join(problems)}")


def problems_of(kind: type, table: Any, ranges: Ranges) -> list[str]:
    """What is wrong with the keys and values of `table`, which is to become a `kind`."""
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
        in_range, expected = ranges.get(name, (lambda value: True, ""))
        if not _fits(table[name], f.type):
            problems.append(f"{name} is {table[name]!r}, expected {_type_name(f.type)}")
        elif not in_range(table[name]):
            problems.append(f"{name} is {table[name]!r}, expected {expected}")
    return problems


def missing_keys(kind: type, table: Mapping[str, Any]) -> list[str]:
    """Fields of `kind` that have no default and are not in `table`."""
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
        return isinstance(value, list) and (
            is_dataclass(item) or all(_fits(v, item) for v in value)
        )
    return isinstance(value, kind) and not (kind is int and isinstance(value, bool))


def _type_name(kind: Any) -> str:
    if get_origin(kind) is list and is_dataclass(get_args(kind)[0]):
        return "a list of steps"
    return kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind)
