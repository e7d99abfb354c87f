"""Tokenising 20,000 reviews: fastai's `tokenize_df` against the project, as many workers each.

Documents a second, including the start of the workers, with an empty cache. The project also writes
its cache and numericalises.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.common import Row, alternate, rate_row, script
from benchmarks.texts import reviews
from ulmfit.base.cores import cores
from ulmfit.text.corpus import tokenize_texts
from ulmfit.text.processor import TextProcessor, make_vocab

REVIEWS = 20_000


def peer() -> dict[str, Any]:
    """fastai's `tokenize_df`."""
    from fastai.text.core import tokenize_df

    frame = pd.DataFrame({"text": reviews(REVIEWS)})
    began = time.perf_counter()
    tokens = tokenize_df(frame, "text", n_workers=cores())[0]["text"]
    seconds = time.perf_counter() - began
    return {"value": REVIEWS / seconds, "tokens": int(tokens.str.len().sum())}


def ours() -> dict[str, Any]:
    """`tokenize_texts` into an empty cache, a vocabulary, and ids."""
    texts = reviews(REVIEWS)
    processor = TextProcessor("word")
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        made = tokenize_texts(texts, processor, Path(folder), cores())
        every = np.arange(REVIEWS)
        corpus = made.numericalize(make_vocab(made.counts(every), 60_000, 3), every)
        seconds = time.perf_counter() - began
    return {"value": REVIEWS / seconds, "tokens": len(corpus.ids)}


def rows(runs: int) -> list[Row]:
    """One row; the tokens of both sides are counted."""
    found = alternate("benchmarks.tokenizing", runs)
    details = {side: figures[0]["tokens"] for side, figures in found.items()}
    return [
        rate_row(
            "tokenize",
            f"tokenising {REVIEWS:,} reviews, {cores()} workers",
            found,
            "documents/s",
            target="2x",
            details={"tokens": details},
        )
    ]


if __name__ == "__main__":
    script("benchmarks.tokenizing", {"peer": peer, "ours": ours}, rows)
