"""Results as JSON."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from ulmfit.base.results import to_json


class Found(NamedTuple):
    path: Path
    metrics: dict


@dataclass
class Scored:
    words: list
    scores: np.ndarray


class Own(dict):
    def as_json(self):
        return {"label": "pos", **self}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("Ä\n", "Ä\n"),
        (Path("a/b"), "a/b"),
        (
            Found(Path("lm"), {"f1": np.float32(0.5), 3: True}),
            {"path": "lm", "metrics": {"f1": 0.5, "3": True}},
        ),
        (
            Scored(["a"], np.array([[1.5], [float("nan")]])),
            {"words": ["a"], "scores": [[1.5], [None]]},
        ),
        ([float("inf"), (1, 2)], [None, [1, 2]]),
        (Own(pos=0.75), {"label": "pos", "pos": 0.75}),
        (np.int64(3), 3),
    ],
)
def test_results(value, expected):
    line = to_json(value)
    assert json.loads(line) == expected
    assert "\n" not in line


def test_words_stay_readable():
    assert to_json("Straße") == '"Straße"'


def test_what_has_no_json():
    with pytest.raises(TypeError, match="found object, for which there is no JSON"):
        to_json({"a": object()})
