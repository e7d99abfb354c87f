"""Lists and columns give the same blocks."""

import pandas as pd
import pytest

from ulmfit.text.blocks import each, in_blocks

TEXTS = ["a", "", "b c", "é", "d"]


@pytest.mark.parametrize(
    "texts",
    [
        TEXTS,
        tuple(TEXTS),
        pd.Series(TEXTS),
        pd.Series(TEXTS, index=[3, 1, 1, 0, 7]),
        pd.Series(TEXTS, dtype=object),
    ],
)
def test_blocks(texts):
    assert list(in_blocks(texts, 2)) == [["a", ""], ["b c", "é"], ["d"]]
    assert list(in_blocks(texts, 5)) == [TEXTS]
    assert list(each(texts, 3)) == TEXTS
    assert [type(text) for text in each(texts)] == [str] * 5


@pytest.mark.parametrize("texts", [[], pd.Series([], dtype=str)])
def test_no_blocks(texts):
    assert list(in_blocks(texts, 2)) == list(each(texts)) == []
