"""How much of texts a vocabulary knows."""

import re
from collections.abc import Sequence
from typing import NamedTuple
from unicodedata import category

import numpy as np

from ulmfit.base.printable import is_blank
from ulmfit.text.corpus import TokenizedTexts
from ulmfit.text.processor import TextProcessor
from ulmfit.text.rules import SPECIAL_TOKENS
from ulmfit.text.tokenizers import WORD_BOUNDARY

# A SentencePiece model with byte fallback writes an unknown character as its bytes.
_BYTE = re.compile("<0x[0-9A-F]{2}>")


class Known(NamedTuple):
    """Tokens of texts, and how many of them a vocabulary knows; int64, shape (texts,) each.

    Tokens with a letter or a sign such as an emoji are counted: every model knows a full stop, and
    a number, in whatever language. Where a text has none, all of its visible tokens are counted.
    Special tokens are never counted.
    """

    tokens: np.ndarray
    known: np.ndarray

    def unknown(self, rows: np.ndarray | None = None) -> float:
        """Share of the tokens (of the texts `rows`) that are unknown; 0 where there are none."""
        tokens, known = self if rows is None else (self.tokens[rows], self.known[rows])
        return 1 - int(known.sum()) / int(tokens.sum()) if tokens.any() else 0.0


def known_tokens(tokenized: TokenizedTexts, processor: TextProcessor) -> Known:
    """How many tokens of each text the vocabulary of `processor` knows.

    Of a subword tokenizer a piece is unknown that stands for characters without a piece.
    """
    vocab = frozenset(processor.vocab)
    flags = np.array([_flags(token, vocab) for token in tokenized.tokens], np.uint8).reshape(-1, 4)
    written, known_written, visible, known_visible = tokenized.sums(flags).T
    spoken = written > 0
    return Known(np.where(spoken, written, visible), np.where(spoken, known_written, known_visible))


def best_known(several: Sequence[Known]) -> Known:
    """Of several models, for each text the figures of the one that knows most of it."""
    tokens, known = map(np.stack, zip(*several, strict=True))
    best = (known / np.maximum(tokens, 1)).argmax(0)[None]
    return Known(np.take_along_axis(tokens, best, 0)[0], np.take_along_axis(known, best, 0)[0])


def _flags(token: str, vocab: frozenset[str]) -> tuple[bool, bool, bool, bool]:
    """Whether a token is written, known and written, visible, known and visible."""
    text = token.replace(WORD_BOUNDARY, "")
    if token in SPECIAL_TOKENS or is_blank(text):
        return False, False, False, False
    known = token in vocab and _BYTE.fullmatch(token) is None
    written = is_written(text)
    return written, written and known, True, known


def is_written(text: str) -> bool:
    """Whether it has a letter or a sign such as an emoji."""
    return any(category(character)[0] == "L" or category(character) == "So" for character in text)
