"""Checks of settings: types, ranges, and error messages."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from ulmfit.base.errors import UserError


@dataclass(frozen=True)
class Range:
    """The allowed values of a setting with the type ``Annotated[float, Range(...)]``."""

    holds: Callable[[Any], bool]  # whether the range contains a value of the right type
    expected: str  # its name in errors


def least(low: float) -> Range:
    """`low` or more."""
    return Range(lambda value: value >= low, f"{low} or more")


def one_of(*choices: str) -> Range:
    """One of `choices`."""
    return Range(lambda value: value in choices, f"one of {', '.join(choices)}")


NonNegativeInt = Annotated[int, least(0)]
PositiveInt = Annotated[int, least(1)]
NonNegativeFloat = Annotated[float, least(0)]


def raise_problems(problems: list[str], where: str) -> None:
    """Raise a `UserError` of all `problems`, if there are any; `where` names the table."""
    if problems:
        raise UserError(f"{where}: {'; '.join(problems)}")


def problems_of(kind: type, table: Any) -> list[str]:
    """The errors in the keys and values of `table`, for the dataclass `kind`."""
    if not isinstance(table, Mapping):
        return [f"found {table!r}, expected a table of keys and values"]
    known, types = {f.name: f for f in fields(kind)}, get_type_hints(kind)
    missing: list[str] = []
    problems = [
        f"unknown key {name!r}; known are {', '.join(known)}"
        for name in sorted(set(table) - set(known))
    ]
    for name, f in known.items():
        if name not in table:
            if f.default is MISSING and f.default_factory is MISSING:
                missing.append(f"key {name!r} is missing")
            continue
        ranges: tuple[Range, ...] = getattr(f.type, "__metadata__", ())
        if not _fits(table[name], types[name]):
            problems.append(f"{name} is {table[name]!r}, expected {_type_name(types[name])}")
        elif not all(allowed.holds(table[name]) for allowed in ranges):
            problems.append(f"{name} is {table[name]!r}, expected {ranges[0].expected}")
    return problems or missing


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
