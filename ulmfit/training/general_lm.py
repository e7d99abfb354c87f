"""The documents of stage 1: their vocabulary, a part for training, and a held-out part."""

from dataclasses import replace
from typing import TypeVar

import numpy as np
import pandas as pd

from ulmfit.base.errors import UserError
from ulmfit.base.processes import current
from ulmfit.text.corpus import Corpus, TokenizedTexts, cache_folder, tokenize_texts
from ulmfit.text.ids import hold_ids, pieces_of
from ulmfit.text.processor import TextProcessor, make_vocab
from ulmfit.text.scripts import coverage_of, tokenizer_for
from ulmfit.training.settings import LMSettings, PretrainSettings

T = TypeVar("T", PretrainSettings, LMSettings)


def with_tokenizer(settings: T, texts: pd.Series, named: str | None) -> T:
    """`settings` with the tokenizer that `texts` need, unless a user has `named` one."""
    return replace(settings, tokenizer=tokenizer_for(texts, named, settings.tokenizer))


def learn_pieces(processor: TextProcessor, texts: pd.Series, rows: np.ndarray) -> None:
    """Train the pieces of a subword `processor` on the texts `rows`; of ids, take theirs."""

    def trained() -> bytes:
        processor.train_pieces((texts.iloc[row] for row in rows), coverage_of(texts))
        return getattr(processor.tokenizer, "model", b"")

    if pieces := pieces_of(texts):
        processor.with_pieces(pieces)
    elif not hold_ids(texts):  # ids of words are refused where they are read
        model = current().of_first("pieces", trained)
        if not current().first:
            processor.with_pieces(model)


def prepare(texts: pd.Series, settings: PretrainSettings) -> tuple[TextProcessor, Corpus, Corpus]:
    """The text processor, and documents for training and validation, chosen by the seed."""
    if len(texts) <= settings.valid_documents:
        raise UserError(
            f"found {len(texts)} documents, expected more than the {settings.valid_documents} "
            "held out for validation; lower --valid-documents or give more text"
        )
    processor = TextProcessor(
        settings.tokenizer, settings.lang, settings.max_vocab, settings.min_freq
    )
    order = np.random.default_rng(settings.seed).permutation(len(texts))
    valid, rest = np.split(order, [settings.valid_documents])
    if settings.tokenizer == "subword":
        learn_pieces(processor, texts, rest)
    tokenized = tokenize_texts(texts, processor, cache_folder())
    train = _first_tokens(rest, tokenized, settings.max_tokens)
    if settings.tokenizer == "word":
        counts = tokenized.counts(train)
        processor.with_vocab(make_vocab(counts, settings.max_vocab, settings.min_freq))
    return (
        processor,
        tokenized.numericalize(processor.vocab, train),
        tokenized.numericalize(processor.vocab, valid),
    )


def _first_tokens(rows: np.ndarray, tokenized: TokenizedTexts, tokens: int) -> np.ndarray:
    if not tokens:
        return rows
    before = np.cumsum(np.diff(tokenized.offsets)[rows]) - np.diff(tokenized.offsets)[rows]
    return rows[before < tokens]
