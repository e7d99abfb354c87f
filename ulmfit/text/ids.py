"""Texts as ids, for machines without texts or a tokenizer.

A file of ids (see `ids_file`) replaces a data set, and a `TextIds` replaces a text. The stages
train the same weights from it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from ulmfit.base.errors import UserError
from ulmfit.base.printable import is_blank

if TYPE_CHECKING:  # each takes a while to import, and few data sets are of ids
    import pandas as pd

    from ulmfit.text.blocks import Texts
    from ulmfit.text.processor import TextProcessor

DIGEST_BYTES = 16


@dataclass(frozen=True, eq=False)
class IdsSource:
    """The content of a file of ids, or of one of its numbered parts.

    tokens: every distinct token. ids: uint32, shape (all tokens,), rows of `tokens`. offsets:
    int64, shape (texts + 1,). digests, normalised: one for each text. empty: bool, shape (texts,).
    reading: `TextProcessor.reading`. pieces: the subword tokenizer's model, else empty.
    """

    path: Path
    tokens: list[str]
    ids: np.ndarray
    offsets: np.ndarray
    digests: list[bytes]
    normalised: list[bytes]
    empty: np.ndarray
    reading: Mapping[str, Any]
    pieces: bytes

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The row of each token."""
        return {token: i for i, token in enumerate(self.tokens)}


@dataclass(frozen=True, eq=False, slots=True)
class TextIds:
    """A text as ids: row `row` of `source`."""

    source: IdsSource
    row: int


Text = str | TextIds


def digest(text: Text) -> bytes:
    """16 bytes that identify the text in fingerprints."""
    if isinstance(text, TextIds):
        return text.source.digests[text.row]
    return hash_of(text)


def hash_of(text: str) -> bytes:
    """16 bytes of BLAKE2b over a string."""
    content = text.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()


def is_empty(text: Text) -> bool:
    """Whether there is nothing to read: white space and invisible characters at most."""
    if isinstance(text, TextIds):
        return bool(text.source.empty[text.row])
    return is_blank(text)


def hold_ids(texts: "Texts") -> "TypeGuard[Sequence[TextIds] | pd.Series]":
    """Whether `texts` are ids; raises a UserError for a mixture of ids and texts."""
    if isinstance(getattr(texts, "dtype", object), np.dtype) or isinstance(texts, (list, tuple)):
        found = [text.source.path for text in texts if isinstance(text, TextIds)]
        if 0 < len(found) < len(texts):
            raise UserError(
                f"found ids ({found[0]}) and texts together, expected one kind; give the texts of "
                "all, or the ids of all (ulmfit tokenize)"
            )
        return bool(found)
    return False  # a column of strings


# --- from ids to the tokens of some rows ---------------------------------------------------------


def tokens_of(
    texts: "Sequence[TextIds] | pd.Series", processor: "TextProcessor"
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Distinct tokens, ids and offsets (see `corpus.TokenizedTexts`) of `texts` in their order.

    Raises UserError if the texts are from another tokenizer than that of `processor`.
    """
    sources = list({id(text.source): text.source for text in texts}.values())
    for source in sources:
        _check_reading(source, processor)
    numbers = sources[0].numbers if len(sources) == 1 else {}
    tables = {}
    for source in sources:
        table = [numbers.setdefault(token, len(numbers)) for token in source.tokens]
        tables[id(source)] = np.array(table, np.uint32)
    sizes = (t.source.offsets[t.row + 1] - t.source.offsets[t.row] for t in texts)
    offsets = np.concatenate([[0], np.cumsum(np.fromiter(sizes, np.int64, len(texts)))])
    ids = np.empty(offsets[-1], np.uint32)
    for text, start, end in zip(texts, offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        first = text.source.offsets[text.row]
        ids[start:end] = tables[id(text.source)][text.source.ids[first : first + end - start]]
    return list(numbers), ids, offsets


def pieces_of(texts: "Texts") -> bytes:
    """The model of the subword tokenizer that cut `texts`; empty if there is none."""
    return next(iter(texts)).source.pieces if hold_ids(texts) else b""


def _check_reading(source: IdsSource, processor: "TextProcessor") -> None:
    wanted = processor.reading()
    different = [key for key in wanted if source.reading.get(key) != wanted[key]]
    if different:
        key = different[0]
        raise UserError(
            f"{source.path} holds ids of another tokenizer: found {key} {source.reading.get(key)}, "
            f"expected {wanted[key]}; make it again with ulmfit tokenize --tokenizer-of "
            "a model or a file of ids"
        )
