"""Writing three texts of 60 words: fastai's `LMLearner.predict` against the project.

fastai writes one text after the other and reads the whole text again for every word. The row is
words a second, with the bundled model and a short prompt.
"""

import time
from functools import partial
from typing import Any

from benchmarks.common import Row, alternate, rate_row, script
from benchmarks.peak import peak, recurrent_weights
from benchmarks.texts import LM, processor
from ulmfit.artifacts.directory import read_artifact
from ulmfit.artifacts.trained import load_network
from ulmfit.base.precision import keep_memory, use_all_cores
from ulmfit.inference.language_model import LanguageModel
from ulmfit.interop import fastai_state
from ulmfit.model.sizes import SIZES

PROMPT = "The plot of this film is"
TEXTS, WORDS, TEMPERATURE = 3, 60, 0.75


def peer() -> dict[str, Any]:
    """fastai's `LMLearner.predict`, three times."""
    import pandas as pd
    from fastai.text.all import (
        AWD_LSTM,
        CrossEntropyLossFlat,
        LMLearner,
        TextDataLoaders,
        awd_lstm_lm_config,
        get_language_model,
    )

    own = processor()
    frame = pd.DataFrame({"text": [f"{PROMPT} {i} and so on and so on." for i in range(100)]})
    loaders = TextDataLoaders.from_df(
        frame, text_col="text", is_lm=True, text_vocab=list(own.vocab), bs=4, seq_len=8, n_workers=0
    )
    names = ("emb_sz", "n_hid", "n_layers")
    config = {**awd_lstm_lm_config, **dict(zip(names, SIZES["small"], strict=True))}
    model = get_language_model(AWD_LSTM, len(own.vocab), config)
    model.load_state_dict(fastai_state(load_network(read_artifact(LM, "lm"))), strict=True)
    learn = LMLearner(loaders, model, loss_func=CrossEntropyLossFlat())
    write = partial(learn.predict, PROMPT, temperature=TEMPERATURE, no_bar=True)
    write(n_words=3)
    began = time.perf_counter()
    for _ in range(TEXTS):
        write(n_words=WORDS)
    return {"value": TEXTS * WORDS / (time.perf_counter() - began)}


def ours() -> dict[str, Any]:
    """The command's default: three texts at once."""
    keep_memory()
    use_all_cores()
    model = LanguageModel(read_artifact(LM, "lm"))
    model.generate(PROMPT, TEXTS, 3)
    began = time.perf_counter()
    model.generate(PROMPT, TEXTS, WORDS)
    return {"value": TEXTS * WORDS / (time.perf_counter() - began)}


def rows(runs: int) -> list[Row]:
    """One row; the floor is every weight once a word."""
    weights = recurrent_weights(SIZES["small"]) + len(processor().vocab) * SIZES["small"][0]
    return [
        rate_row(
            "generate",
            f"writing {TEXTS} texts of {WORDS} words, small",
            alternate("benchmarks.generating", runs),
            "words/s",
            floor=peak() / (2 * weights),
            target="10x",
        )
    ]


if __name__ == "__main__":
    script("benchmarks.generating", {"peer": peer, "ours": ours}, rows)
