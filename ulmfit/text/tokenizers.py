"""Word and subword tokenizers: from a text after the rules to tokens.

The word tokenizer is spaCy's (fastai's `WordTokenizer`), the subword tokenizer SentencePiece's
unigram model (fastai's `SubwordTokenizer` without its bugs).
"""

import io
import re
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Protocol

from ulmfit.base.errors import UserError
from ulmfit.text.rules import SPECIAL_TOKENS
from ulmfit.text.spacy_tokenizer import LONGEST_RUN, parts, spacy_tokenizer, without_last_pass

if TYPE_CHECKING:
    from spacy.tokenizer import Tokenizer as SpacyTokenizer

COVERAGE = 0.99999  # share of a corpus' characters that have a piece
WORD_BOUNDARY = "▁"  # a space within a token, in fastai and SentencePiece

# Runs of white space and of other characters. As in spaCy, one space after a word belongs to the
# word, and a run of white space begins after it.
_RUNS = re.compile(r"\S++|(?<!\S)\s++|(?! )\s++")
_SPECIAL = re.compile(rf"\b({'|'.join(SPECIAL_TOKENS)})\b")
# The cache is bounded: it keeps the runs of the latest characters (a quarter of a million words),
# and the repeated runs of as many characters before them.
_CACHED_CHARACTERS = 1 << 21


class Tokenizer(Protocol):
    """The interface of both tokenizers; `kind` is "word" or "subword"."""

    kind: str
    lang: str

    def tokenize(self, text: str) -> list[str]:
        """Tokens of one text to which the rules were applied."""


class _Learned(dict[str, tuple[str, ...]]):
    """Tokens of each run; `learn` computes and stores those of a new run."""

    def __init__(self, learn: Callable[[str], tuple[str, ...]]) -> None:
        self._learn = learn

    def __missing__(self, run: str) -> tuple[str, ...]:
        return self._learn(run)


class WordTokenizer:
    """spaCy's tokenizer of a language; the tokens are the same as fastai's `WordTokenizer`'s.

    spaCy cuts a text at white space and then tokenizes each run by itself. Here a cache keeps the
    tokens of each run, so that spaCy reads every distinct run once.

    spaCy's last pass searches for special cases in the whole text, across white space: in
    ``foo:) )`` it finds ``:))``, drops it because no rule has a space, and drops ``:)`` with it. A
    text in which that pass may change tokens (about one review in a hundred) goes to spaCy as a
    whole.

    A run of more than `LONGEST_RUN` characters without white space is cut. Only such texts have
    other tokens than in fastai.
    """

    kind = "word"

    def __init__(self, lang: str = "en") -> None:
        self.lang = lang
        self._tokens = _Learned(self._learn)
        self._older: dict[str, tuple[str, ...]] = {}
        self._learned = 0  # characters since older tokens were forgotten

    def __reduce__(self) -> tuple[type["WordTokenizer"], tuple[str]]:
        # Workers that are not forked build spaCy's tokenizer anew; it is not pickled.
        return WordTokenizer, (self.lang,)

    @cached_property
    def _spacy(self) -> "SpacyTokenizer":
        return spacy_tokenizer(self.lang)

    @cached_property
    def _affixes(self) -> "SpacyTokenizer":
        return without_last_pass(self._spacy)

    @cached_property
    def _spaced_cases(self) -> tuple[str, ...]:
        """Special cases with white space ("и др."); English has none."""
        return tuple(case for case in self._spacy.rules if len(case.split()) > 1)

    @cached_property
    def _last_pass(self) -> frozenset[str]:
        """Tokens with which a result of the last pass may begin."""
        from spacy.symbols import ORTH

        spacy = self._spacy
        return frozenset(
            tokens[0][ORTH]
            for case, tokens in spacy.rules.items()
            if spacy.find_prefix(case) or spacy.find_suffix(case) or spacy.find_infix(case)
        )

    def tokenize(self, text: str) -> list[str]:
        """Tokens of one text to which the rules were applied."""
        if any(case in text for case in self._spaced_cases):
            return self._whole(text)
        found = [self._tokens[run] for run in _RUNS.findall(text)]
        return list(chain.from_iterable(found)) if all(found) else self._whole(text)

    def _whole(self, text: str) -> list[str]:
        known: dict[str, str] = {}  # each token is stored once
        found = (token for part in parts(text) for token in _tokens(self._spacy, part))
        return [known.setdefault(token, token) for token in found]

    def _learn(self, run: str) -> tuple[str, ...]:
        """Tokens of a run; empty if its neighbours may change them."""
        if len(run) > LONGEST_RUN:
            found = [self._tokens[part] for part in parts(run)]
            return tuple(chain.from_iterable(found)) if all(found) else ()
        if self._learned >= _CACHED_CHARACTERS:
            self._forget()
        self._learned += len(run)
        tokens = self._older.get(run)
        if tokens is None:
            tokens = _tokens(self._spacy, run)
            if not self._last_pass.isdisjoint(tokens) and tokens != _tokens(self._affixes, run):
                tokens = ()
        self._tokens[run] = tokens
        return tokens

    def _forget(self) -> None:
        self._older = dict(self._tokens)
        self._tokens.clear()
        self._learned = 0
        # spaCy's vocabulary never forgets a token.
        for built in ("_spacy", "_affixes"):
            self.__dict__.pop(built, None)


def _tokens(tokenizer: "SpacyTokenizer", text: str) -> tuple[str, ...]:
    return tuple(token.text.replace(" ", WORD_BOUNDARY) for token in tokenizer(_valid(text)))


class SubwordTokenizer:
    """A SentencePiece unigram model over rule-processed text.

    The special tokens are cut out before SentencePiece reads the text. So they are never split,
    have one form (fastai's `SubwordTokenizer` has both ``xxbos`` and ``▁xxbos``), and do not cut
    words with the same letters. Every word begins with ``▁``.
    """

    kind = "subword"

    def __init__(self, model: bytes, lang: str = "en") -> None:
        from sentencepiece import SentencePieceProcessor

        self.lang, self.model = lang, model
        try:
            self._pieces = SentencePieceProcessor(model_proto=model)
        except RuntimeError:
            raise UserError("spm.model is no SentencePiece model; train or copy it again") from None

    @property
    def vocab(self) -> list[str]:
        """The model's pieces in the order of the embedding's rows, the special tokens first."""
        return [self._pieces.id_to_piece(i) for i in range(self._pieces.get_piece_size())]

    def tokenize(self, text: str) -> list[str]:
        """Tokens of one text to which the rules were applied."""
        tokens: list[str] = []
        for part in _SPECIAL.split(_line(text)):
            tokens += [part] if part in SPECIAL_TOKENS else self._pieces.encode(part, out_type=str)
        return tokens

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        vocab_size: int,
        lang: str = "en",
        threads: int = 2,
        coverage: float = COVERAGE,
    ) -> "SubwordTokenizer":
        """A model of at most `vocab_size` pieces from `texts` (rules applied), one text a line.

        `coverage` is the share of all characters in the texts with a piece of their own.

        Raises UserError if there is no text, or there are fewer pieces than distinct characters.
        """
        from sentencepiece import SentencePieceTrainer

        model = io.BytesIO()
        unk, pad, *others = SPECIAL_TOKENS
        try:
            # The model contains no path, so the same texts give the same bytes.
            SentencePieceTrainer.train(
                sentence_iterator=(_SPECIAL.sub(" ", _line(text)) for text in texts),
                model_writer=model,
                vocab_size=vocab_size,
                hard_vocab_limit=False,
                character_coverage=coverage,
                model_type="unigram",
                unk_id=0,
                unk_piece=unk,
                pad_id=1,
                pad_piece=pad,
                bos_id=-1,
                eos_id=-1,
                control_symbols=others,
                max_sentence_length=1 << 20,
                # A sample is enough to choose pieces; a large corpus would take hours.
                input_sentence_size=200_000,
                shuffle_input_sentence=False,
                num_threads=2,
                minloglevel=2,
            )
        except RuntimeError as error:
            raise UserError(
                "cannot train a subword tokenizer on these texts; give more text or a larger "
                f"vocabulary ({error})"
            ) from None
        return cls(model.getvalue(), lang)


def _line(text: str) -> str:
    """`text` on one line, for SentencePiece."""
    return " ".join(_valid(text).split())


def _valid(text: str) -> str:
    """`text` with ? for lone surrogates (half an emoji, from JSON), which UTF-8 cannot encode."""
    return text.encode("utf-8", "replace").decode()


def words(tokens: Sequence[str], kind: str) -> list[str]:
    """Whole words and special tokens; subword pieces are joined."""
    if kind == "word":
        return [token.replace(WORD_BOUNDARY, " ") for token in tokens]
    spaced = (f" {token} " if token in SPECIAL_TOKENS else token for token in tokens)
    return "".join(spaced).replace(WORD_BOUNDARY, " ").split()
