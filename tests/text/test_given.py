"""What programs pass in place of a list of texts: each kind has a line that says what to pass."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from tiny_models import refuses

from ulmfit.text.given import each_text
from ulmfit.text.processor import TextProcessor

TEXTS = ["a film", "", "dull"]


class AsArray:
    """Can become an array, and nothing else."""

    def __array__(self, dtype=None, copy=None):
        return np.array(TEXTS, dtype=object)


def given(texts):
    return list(each_text(texts, "predict"))


@pytest.mark.parametrize(
    "texts",
    [
        TEXTS,
        tuple(TEXTS),
        iter(TEXTS),
        (text for text in TEXTS),
        np.array(TEXTS),
        np.array(TEXTS, object),
        pd.Series(TEXTS, index=[3, 3, 1]),
        pd.Series(TEXTS, dtype="category"),
        pd.Index(TEXTS),
        dict.fromkeys(TEXTS).keys(),
        AsArray(),
    ],
)
def test_what_gives_strings_in_order_is_taken(texts):
    assert given(texts) == TEXTS


def test_missing_texts_are_empty():
    missing = [None, float("nan"), np.float32("nan"), pd.NA, pd.NaT]
    assert given(["a", *missing]) == ["a", "", "", "", "", ""]
    assert given(pd.Series(["a", None])) == ["a", ""]


@pytest.mark.parametrize(
    ("texts", "line"),
    [
        ("a film", "found one text, expected a list of texts; call predict([text])"),
        (
            b"a film",
            "found bytes, expected a list of texts; decode it: predict([data.decode()])",
        ),
        (
            pd.DataFrame({"id": [1], "text": ["a film"]}),
            "found a DataFrame with the columns id, text, expected one column of texts; pass one "
            "column, e.g. frame['text']",
        ),
        (
            pd.DataFrame({"review": ["a film"], "stars": [1]}),
            "found a DataFrame with the columns review, stars, expected one column of texts; pass "
            "one column, e.g. frame['review']",
        ),
        (
            SimpleNamespace(columns=[["a film"]], column_names=["text"]),  # as Arrow's tables
            "found a SimpleNamespace with the columns text, expected one column of texts; pass "
            "one column, e.g. frame['text']",
        ),
        (
            {"a": "a film"},
            "found a dict, expected a list of texts; pass its texts alone, e.g. "
            "list(texts.values())",
        ),
        ({"a film"}, "found a set, which has no order, expected a list of texts; pass a list"),
        (
            np.array([["a film", "dull"]]),
            "found an array of shape (1, 2), expected one dimension; pass one column, e.g. "
            "texts[:, 0]",
        ),
        (
            np.array("a film"),
            "found an array of shape (), expected one dimension; pass a list of strings",
        ),
        (
            csr_array(np.eye(2)),
            "found a sparse csr_array of numbers, expected a list of texts; pass the texts "
            "themselves",
        ),
        (None, "found None, expected a list of texts; pass a list of strings"),
        (7, "found an int, expected a list of texts; pass a list of strings"),
    ],
)
def test_what_is_no_list(texts, line):
    with refuses(line):
        given(texts)


_FLAT = "pass one flat list of texts, with the tokens of a text joined by spaces"
_NUMBER = "pass it as a text, e.g. str(number)"


@pytest.mark.parametrize(
    ("item", "line"),
    [
        (b"dull", "is bytes, expected a string; decode it, e.g. with .decode()"),
        (["a", "film"], f"is a list, expected a string; {_FLAT}"),
        (("a", "film"), f"is a tuple, expected a string; {_FLAT}"),
        (np.array(["a"]), f"is a ndarray, expected a string; {_FLAT}"),
        (
            {"text": "dull"},
            "is a dict, expected a string; pass the text in it, e.g. [row['text'] for row in rows]",
        ),
        (7, f"is an int, expected a string; {_NUMBER}"),
        (1.5, f"is a float, expected a string; {_NUMBER}"),
        (True, f"is a bool, expected a string; {_NUMBER}"),
        (np.int64(7), f"is an int64, expected a string; {_NUMBER}"),
        (pd.Timestamp(0), "is a Timestamp, expected a string; pass a list of strings"),
    ],
)
def test_what_is_no_text(item, line):
    with refuses(f"texts[2] {line}"):
        given(["a film", None, item])


def test_the_text_processor_takes_no_string_for_a_list():
    processor = TextProcessor("word", min_freq=1)
    with refuses("found one text, expected a list of texts; call fit([text])"):
        processor.fit("a film")
    processor.fit(TEXTS)
    with refuses("found one text, expected a list of texts; call tokenize([text])"):
        processor.tokenize("a film")
    with refuses(f"texts[0] is a list, expected a string; {_FLAT}"):
        processor.encode([["a", "film"]])
    assert processor.tokenize([None]) == processor.tokenize([""])
