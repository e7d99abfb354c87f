"""The documents of stage 1: their vocabulary, a part for training, and a held-out part."""

import numpy as np
import pandas as pd

from ulmfit.base.errors import UserError
from ulmfit.text.corpus import Corpus, TokenizedTexts, cache_folder, tokenize_texts
from ulmfit.text.ids import pieces_of
from ulmfit.text.processor import TextProcessor, make_vocab
from ulmfit.training.settings import PretrainSettings


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
        if pieces := pieces_of(texts):
            processor.with_pieces(pieces)
        else:
            processor.train_pieces(texts.iloc[row] for row in rest)
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
