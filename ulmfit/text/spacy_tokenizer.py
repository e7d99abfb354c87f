"""spaCy's rule-based tokenizer of a language, as in fastai, in time linear in the text."""

import re
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import LazyLoader, find_spec, module_from_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ulmfit.base.errors import UserError
from ulmfit.text.rules import SPECIAL_TOKENS

if TYPE_CHECKING:  # spaCy takes a second to import
    from spacy.tokenizer import Tokenizer as SpacyTokenizer

_LANGUAGE = re.compile("[a-z]{2,3}")
_WITH_RULES = "spacy.Tokenizer.v1"  # the name of the tokenizer with rules in spaCy's configs

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
        spacy = _imported()
        from spacy.symbols import ORTH
        from spacy.tokenizer import Tokenizer as SpacyTokenizer
        from spacy.vocab import Vocab
    except ImportError as error:
        raise UserError(
            f"the word tokenizer needs spaCy, which cannot be imported ({error}); install it "
            "(pip install spacy), or give ids, which ulmfit tokenize makes elsewhere"
        ) from None
    try:
        if not _LANGUAGE.fullmatch(lang):  # spaCy would import a module of that name
            raise ImportError("no code of a language")
        language = spacy.util.get_lang_class(lang)
        if language.default_config["nlp"]["tokenizer"]["@tokenizers"] != _WITH_RULES:
            spacy.blank(lang)  # names what is missing for it
            raise UserError(
                f"spaCy's tokenizer for language {lang!r} has no special tokens; "
                "use the subword tokenizer"
            )
    except ImportError as error:
        raise UserError(
            f"spaCy has no tokenizer for language {lang!r}; give a code such as 'en', "
            f"'es' or 'de' ({error})"
        ) from None
    # As `spacy.blank(lang).tokenizer`, which takes three times as long: it checks the config of a
    # whole pipeline, and computes shape, prefix and the like of every new word.
    own = language.Defaults
    compiled = spacy.util
    return SpacyTokenizer(
        Vocab(),
        {**own.tokenizer_exceptions, **{token: [{ORTH: token}] for token in SPECIAL_TOKENS}},
        _prefix_search(own.prefixes and compiled.compile_prefix_regex(own.prefixes).search),
        _suffix_search(own.suffixes and compiled.compile_suffix_regex(own.suffixes).search),
        own.infixes and compiled.compile_infix_regex(own.infixes).finditer,
        own.token_match,
        _url_match(own.url_match),
    )


def _imported() -> ModuleType:
    """spaCy; its command line, half of the time of its import, is imported on first use."""
    if (there := sys.modules.get("spacy")) is not None:
        return there
    name = "spacy.cli.info"
    stub: Any = ModuleType(name)  # `import spacy` takes one function out of it
    stub.info = _info
    sys.modules[name] = stub
    try:
        spacy = import_module("spacy")
    finally:
        if sys.modules.get(name) is stub:
            del sys.modules[name]
    if "spacy.cli" not in sys.modules and (spec := find_spec("spacy.cli")) and spec.loader:
        spec.loader = LazyLoader(spec.loader)
        commands = module_from_spec(spec)
        sys.modules["spacy.cli"] = commands
        spec.loader.exec_module(commands)
        spacy.cli = commands  # type: ignore[attr-defined]
    return spacy


def _info(*args: Any, **kwargs: Any) -> Any:
    return import_module("spacy.cli.info").info(*args, **kwargs)


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
