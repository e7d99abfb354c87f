"""spaCy's rule-based tokenizer of a language, as in fastai, in time linear in the text."""

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ulmfit.base.errors import UserError
from ulmfit.text.rules import SPECIAL_TOKENS

if TYPE_CHECKING:  # spaCy takes a second to import
    from spacy.tokenizer import Tokenizer as SpacyTokenizer

_LANGUAGE = re.compile("[a-z]{2,3}")

Search = Callable[[str], re.Match[str] | None]

# spaCy cuts affixes one by one and reads the rest of the run each time, so its time grows with the
# square of a run's length. Longer runs are cut; no word is so long.
LONGEST_RUN = 1000
_LONG_RUN = re.compile(rf"(?<!\S)\S{{{LONGEST_RUN + 1},}}+")
# A spaCy document takes some hundred bytes a character, so a long text becomes several documents.
_LONGEST_DOCUMENT = 100_000
_WORD = re.compile(r"(?<=\s)\S")
# Characters at a word's end in which to search for a suffix first. The longest fixed suffix of any
# language has nine. The others are repetitions ("......"), whose ends are suffixes, too.
_TAIL = 32


def spacy_tokenizer(lang: str) -> "SpacyTokenizer":
    """The tokenizer for a language code; it keeps the special tokens whole.

    Raises UserError if spaCy has no tokenizer with rules for this language, or cannot be imported.
    """
    try:
        import spacy
        from spacy.symbols import ORTH
        from spacy.tokenizer import Tokenizer as SpacyTokenizer
    except ImportError as error:
        raise UserError(
            f"the word tokenizer needs spaCy, which cannot be imported ({error}); install it "
            "(pip install spacy), or give ids, which python -m ulmfit.tokenize makes elsewhere"
        ) from None
    try:
        if not _LANGUAGE.fullmatch(lang):  # spaCy would import a module of that name
            raise ImportError("no code of a language")
        given = spacy.blank(lang).tokenizer
    except ImportError as error:
        raise UserError(
            f"spaCy has no tokenizer for language {lang!r}; give a code such as 'en', "
            f"'es' or 'de' ({error})"
        ) from None
    if not isinstance(given, SpacyTokenizer):
        raise UserError(
            f"spaCy's tokenizer for language {lang!r} has no special tokens; "
            "use the subword tokenizer"
        )
    tokenizer = SpacyTokenizer(
        given.vocab,
        {**given.rules, **{token: [{ORTH: token}] for token in SPECIAL_TOKENS}},
        _prefix_search(given.prefix_search),
        _suffix_search(given.suffix_search),
        given.infix_finditer,
        given.token_match,
        _url_match(given.url_match),
    )
    # The shape, prefix and the like of every new word are not used here.
    tokenizer.vocab.lex_attr_getters = {}
    return tokenizer


def _pattern(method: Any) -> re.Pattern[str] | None:
    found = getattr(method, "__self__", None)
    return found if isinstance(found, re.Pattern) else None


def _prefix_search(search: Search | None) -> Search | None:
    """The same search, only at the beginning of a word."""
    pattern = _pattern(search)
    anchored = pattern and all(part.startswith("^") for part in pattern.pattern.split("|"))
    return pattern.match if pattern and anchored else search


def _suffix_search(search: Search | None) -> Search | None:
    """The same search, first at a word's end, and in the whole word only if necessary."""
    pattern = _pattern(search)
    if pattern is None:
        return search

    def search_tail(word: str) -> re.Match[str] | None:
        start = max(0, len(word) - _TAIL)
        found = pattern.search(word, start)
        longer = start and found and found.start() < start + _TAIL // 2
        return pattern.search(word) if longer else found

    return search_tail


def _url_match(match: Search | None) -> Search | None:
    r"""The same match, but faster: `\S+` matches in one way, `\S+(?::\S*)?` in many."""
    if (pattern := _pattern(match)) is None:
        return match
    return re.compile(pattern.pattern.replace(r"\S+(?::\S*)?@", r"\S+@"), pattern.flags).match


def without_last_pass(tokenizer: "SpacyTokenizer") -> "SpacyTokenizer":
    """The same tokenizer without its last pass: special cases count only after affixes are cut.

    spaCy's last pass searches for cases that had an affix when they were added. Here none had.
    """
    from spacy.tokenizer import Tokenizer as SpacyTokenizer

    added = False

    def once_added(search: Callable[[str], Any] | None, nothing: object) -> Callable | None:
        return search and (lambda text: search(text) if added else nothing)

    affixes = SpacyTokenizer(
        tokenizer.vocab,
        {case: tokens for case, tokens in tokenizer.rules.items() if " " not in case},
        once_added(tokenizer.prefix_search, None),
        once_added(tokenizer.suffix_search, None),
        once_added(tokenizer.infix_finditer, ()),
        tokenizer.token_match,
        tokenizer.url_match,
    )
    added = True
    return affixes


def parts(text: str) -> Iterator[str]:
    """`text` in parts: cut inside runs that are too long, and before a word in long texts."""
    start = 0
    for run in _LONG_RUN.finditer(text):
        for end in range(run.start() + LONGEST_RUN, run.end(), LONGEST_RUN):
            yield from _documents(text[start:end])
            start = end
    yield from _documents(text[start:])


def _documents(text: str) -> Iterator[str]:
    start = 0
    while word := _WORD.search(text, start + _LONGEST_DOCUMENT):
        yield text[start : word.start()]
        start = word.start()
    yield text[start:]
