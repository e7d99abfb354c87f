"""What a command's result is as JSON, for ``--json``."""

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import PurePath
from typing import Any


def to_json(value: object) -> str:
    """A result on one line: dataclasses and named tuples as objects, arrays as lists.

    Numbers that JSON does not know (nan, infinity) are null. An object may have a method
    ``as_json`` that returns what stands for it.

    Raises:
        TypeError: there is no JSON for the value or a part of it.
    """
    return json.dumps(_plain(value), ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if callable(own := getattr(value, "as_json", None)):
        return _plain(own())
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if callable(named := getattr(value, "_asdict", None)):  # a named tuple
        return _plain(named())
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in value]
    if callable(as_list := getattr(value, "tolist", None)):  # an array or a number of numpy
        return _plain(as_list())
    raise TypeError(f"found {type(value).__name__}, for which there is no JSON")
