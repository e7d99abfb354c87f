"""The text processor: text <-> tokens <-> ids; it saves and loads itself."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ulmfit.base.errors import UserError
from ulmfit.base.untrusted import parse_json
from ulmfit.base.version import version_of
from ulmfit.text.given import each_text
from ulmfit.text.rules import PAD, SPECIAL_TOKENS, UNK, apply_rules, restore
from ulmfit.text.spacy_tokenizer import LONGEST_RUN
from ulmfit.text.tokenizers import COVERAGE, SubwordTokenizer, Tokenizer, WordTokenizer, words

_LIBRARIES = {"word": "spacy", "subword": "sentencepiece"}
TOKENIZERS = tuple(_LIBRARIES)
UNK_ID = SPECIAL_TOKENS.index(UNK)
PAD_ID = SPECIAL_TOKENS.index(PAD)

# ASCII's control characters without white space: noise in texts, and a danger to a terminal in an
# untrusted vocabulary. (Those of Latin-1 are wrongly decoded dashes and quotes.)
_CONTROL = re.compile("[\x00-\x08\x0e-\x1b\x7f]")
LARGEST_VOCABULARY = 1 << 22  # tokens

# Part of every cache key; increased when the tokens of a text change.
TEXT_FORMAT = 1
_ESCAPED = re.compile(r"\\[\\nr]")
_ESCAPES = {"\\\\": "\\", "\\n": "\n", "\\r": "\r"}


def has_control(token: str) -> bool:
    """Whether `token` has control characters, which no token of a vocabulary may have."""
    return _CONTROL.search(token) is not None


def make_vocab(counts: Counter[str], max_vocab: int = 60_000, min_freq: int = 3) -> list[str]:
    """The special tokens, then the most frequent tokens (fastai's `make_vocab`).

    In a tie, the token that came first wins. Unlike in fastai, the list is not padded with
    ``xxfake``, and tokens with control characters are left out.

    Args:
        counts: occurrences of each token, in order of first occurrence.
        max_vocab: maximal length of the vocabulary, special tokens included.
        min_freq: minimal number of occurrences of a token.
    """
    frequent = [token for token, n in counts.most_common(max_vocab) if n >= min_freq]
    words = [t for t in frequent if t not in SPECIAL_TOKENS and not has_control(t)]
    return [*SPECIAL_TOKENS, *words][:max_vocab]


class TextProcessor:
    """Rules, a tokenizer and a vocabulary: text <-> tokens <-> ids.

    Args:
        tokenizer: "word" (spaCy) or "subword" (SentencePiece, trained by `fit`).
        lang: language code of spaCy's word tokenizer, such as "en" or "es".
        max_vocab: maximal size of the vocabulary, special tokens included.
        min_freq: minimal number of occurrences of a word with an id.

    `vocab[i]` is the token with id `i`; it is empty before `fit`.
    """

    def __init__(
        self, tokenizer: str = "word", lang: str = "en", max_vocab: int = 60_000, min_freq: int = 3
    ) -> None:
        if tokenizer not in TOKENIZERS:
            raise UserError(f"unknown tokenizer {tokenizer!r}; choose one of {TOKENIZERS}")
        self.kind, self.lang = tokenizer, lang
        self.max_vocab, self.min_freq = max_vocab, min_freq
        self.tokenizer: Tokenizer | None = WordTokenizer(lang) if tokenizer == "word" else None
        self.vocab: list[str] = []
        self._ids: dict[str, int] = {}

    def fit(self, texts: Iterable[str]) -> "TextProcessor":
        """Learn the vocabulary (and with "subword" the pieces) from `texts`; returns itself."""
        texts = each_text(texts, "fit")
        if self.kind == "subword":
            return self.train_pieces(texts)
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(self._tokens(text))
        return self.with_vocab(make_vocab(counts, self.max_vocab, self.min_freq))

    def train_pieces(self, texts: Iterable[str], coverage: float = COVERAGE) -> "TextProcessor":
        """Learn SentencePiece's pieces from `texts`; returns itself."""
        self.tokenizer = SubwordTokenizer.train(
            (apply_rules(text) for text in texts), self.max_vocab, self.lang, coverage=coverage
        )
        return self.with_vocab(self.tokenizer.vocab)

    def with_pieces(self, model: bytes) -> "TextProcessor":
        """Use the pieces of a trained SentencePiece `model`; returns itself."""
        self.tokenizer = SubwordTokenizer(model, self.lang)
        return self.with_vocab(self.tokenizer.vocab)

    def with_vocab(self, vocab: Sequence[str]) -> "TextProcessor":
        """Use `vocab`, in which token i has id i; returns itself.

        Raises UserError if it does not begin with the special tokens, or has a token twice or with
        control characters.
        """
        if tuple(vocab[: len(SPECIAL_TOKENS)]) != SPECIAL_TOKENS:
            raise UserError(
                f"the vocabulary begins with {[token[:60] for token in vocab[:3]]}, expected "
                f"fastai's special tokens {' '.join(SPECIAL_TOKENS)}"
            )
        ids = {token: i for i, token in enumerate(vocab)}
        if len(ids) != len(vocab):
            repeated = next(token for token, n in Counter(vocab).items() if n > 1)
            raise UserError(f"the vocabulary has {repeated[:60]!r} twice; each token needs one id")
        if odd := next((token for token in vocab if has_control(token)), None):
            raise UserError(
                f"the vocabulary has the token {odd[:60]!r}, expected none with control characters"
            )
        self.vocab, self._ids = list(vocab), ids
        return self

    def tokenize(self, texts: Iterable[str]) -> list[list[str]]:
        """Tokens of each text, ``xxbos`` first."""
        return [self._tokens(text) for text in each_text(texts, "tokenize")]

    def encode(self, texts: Iterable[str]) -> list[np.ndarray]:
        """The `ids` of each text."""
        if not self.vocab:
            raise UserError("the text processor has no vocabulary yet; call fit(texts) first")
        return [self.ids(self._tokens(text)) for text in each_text(texts, "encode")]

    def ids(self, tokens: Iterable[str]) -> np.ndarray:
        """Ids of tokens: shape (number of tokens,), `id_dtype`; unknown -> 0."""
        found = [self._ids.get(token, UNK_ID) for token in tokens]
        return np.array(found, id_dtype(len(self.vocab)))

    def decode(self, ids: Iterable[int]) -> str:
        """Text of one document's ids, with the marks of the rules undone."""
        return " ".join(restore(words([self.vocab[int(i)] for i in ids], self.kind)))

    def _tokens(self, text: str) -> list[str]:
        if self.tokenizer is None:
            raise UserError("the subword tokenizer is not trained yet; call fit(texts) first")
        return self.tokenizer.tokenize(apply_rules(text))

    # --- identity and storage -----------------------------------------------------------------

    def description(self) -> dict[str, Any]:
        """The entry in a manifest; two processors with equal entries give the same ids."""
        return {"kind": self.kind, "lang": self.lang, "vocab_sha256": vocab_hash(self.vocab)}

    def tokenizer_key(self) -> str:
        """The key of caches: it identifies the way from text to tokens, without the vocabulary."""
        text_format, kind, lang, pieces = self.reading().values()
        return ":".join(map(str, (text_format, LONGEST_RUN, kind, lang, *self.library(), pieces)))

    def reading(self) -> dict[str, Any]:
        """Everything that determines the tokens of a text, except the library's version."""
        pieces = getattr(self.tokenizer, "model", b"")
        return {
            "text_format": TEXT_FORMAT,
            "tokenizer": self.kind,
            "lang": self.lang,
            "pieces": hashlib.sha256(pieces).hexdigest(),
        }

    def library(self) -> tuple[str, str]:
        """Name and version of the tokenizer's library; ids are read without it."""
        return _LIBRARIES[self.kind], version_of(_LIBRARIES[self.kind])

    def files(self) -> dict[str, bytes]:
        """The processor as files of a model directory, name -> content."""
        settings = {
            "tokenizer": self.kind,
            "lang": self.lang,
            "max_vocab": self.max_vocab,
            "min_freq": self.min_freq,
            "text_format": TEXT_FORMAT,
        }
        written = {"processor.json": json.dumps(settings, indent=2, sort_keys=True).encode()}
        if isinstance(self.tokenizer, SubwordTokenizer):
            return written | {"spm.model": self.tokenizer.model}
        return written | {"vocab.txt": write_vocab(self.vocab)}

    @classmethod
    def from_files(cls, files: dict[str, bytes]) -> "TextProcessor":
        """The processor from the result of `files`.

        Raises UserError if a file is missing or damaged.
        """
        try:
            settings = parse_json(files["processor.json"], "processor.json")
            if settings.pop("text_format") != TEXT_FORMAT:
                raise UserError(
                    "processor.json was written by another version of the text rules; "
                    "train the model again"
                )
            _check_settings(settings)
            processor = cls(**settings)
            if processor.kind == "word":
                return processor.with_vocab(read_vocab(files["vocab.txt"]))
            return processor.with_pieces(files["spm.model"])
        except KeyError as missing:
            raise UserError(f"the text processor lacks {missing}; copy the model again") from None
        except (AttributeError, TypeError, ValueError) as error:
            raise UserError(f"the text processor's files are damaged: {error}") from None

    def save(self, folder: str | Path) -> None:
        """Write the processor's files into `folder`, which is created if necessary."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.files().items():
            (folder / name).write_bytes(content)

    @classmethod
    def load(cls, folder: str | Path) -> "TextProcessor":
        """The processor that `save` wrote into `folder`."""
        names = ("processor.json", "vocab.txt", "spm.model")
        found = [Path(folder, name) for name in names]
        if not found[0].is_file():
            raise UserError(f"no text processor in {folder}: processor.json is missing there")
        return cls.from_files({path.name: path.read_bytes() for path in found if path.is_file()})


def _check_settings(settings: dict[str, Any]) -> None:
    texts = [key for key in ("tokenizer", "lang") if not isinstance(settings.get(key), str)]
    numbers = [key for key in ("max_vocab", "min_freq") if type(settings.get(key)) is not int]
    if odd := texts + numbers:
        raise TypeError(f"processor.json has {odd[0]} {str(settings.get(odd[0]))[:60]!r}")


def reading_order(values: np.ndarray, backwards: bool) -> np.ndarray:
    """Values of tokens, shape (tokens,), from the text's order to the model's or back.

    A backward model reads from the end, with ``xxbos`` still first.
    """
    return np.concatenate([values[:1], values[:0:-1]]) if backwards else values


def id_dtype(vocab_size: int) -> type[np.unsignedinteger]:
    """The smallest type for the ids of a vocabulary: 16 bits up to 65,536 tokens."""
    return np.uint16 if vocab_size <= 1 << 16 else np.uint32


def vocab_hash(vocab: Sequence[str]) -> str:
    """sha256 over the tokens in order, hexadecimal."""
    return hashlib.sha256(write_vocab(vocab)).hexdigest()


def write_vocab(vocab: Sequence[str]) -> bytes:
    """One token a line in UTF-8; newline and backslash within a token are escaped."""
    lines = (
        token.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r") for token in vocab
    )
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass")


def read_vocab(content: bytes) -> list[str]:
    """The inverse of `write_vocab`; raises ValueError for a damaged file."""
    if content.count(b"\n") > LARGEST_VOCABULARY:
        raise ValueError(f"the vocabulary has more than {LARGEST_VOCABULARY:,} tokens")
    *lines, rest = content.decode("utf-8", "surrogatepass").split("\n")
    if rest:
        raise ValueError("the vocabulary's last line is cut off")
    return [_ESCAPED.sub(lambda m: _ESCAPES[m[0]], x) if "\\" in x else x for x in lines]
