"""Text rules applied before a tokenizer, and their inverse.

Which rules, in which order and with which special tokens is fastai's (`fastai.text.core`,
`defaults.text_proc_rules`), so that tokens are identical to those of a fastai pipeline.
"""

import html
import re
from collections.abc import Callable, Iterable

UNK, PAD, BOS, EOS, FLD = "xxunk", "xxpad", "xxbos", "xxeos", "xxfld"
TK_REP, TK_WREP, TK_UP, TK_MAJ = "xxrep", "xxwrep", "xxup", "xxmaj"
SPECIAL_TOKENS = (UNK, PAD, BOS, EOS, FLD, TK_REP, TK_WREP, TK_UP, TK_MAJ)

Rule = Callable[[str], str]

_SPECIAL_CHARACTERS = re.compile(r"([/#\\])")
_SPACES = re.compile(" {2,}")
# These match what fastai's expressions match, but begin with a set of characters, to which the
# engine skips, and never try a word again by halves. `[A-Z](?<!\S.)` is a capital that begins a
# word.
_REPEATED_CHARACTER = re.compile(r"(\S)\1\1+")
_ALL_CAPS = re.compile(r"[A-Z](?<!\S.)[^a-z\s]*+(?!\S)")
_CAPITALISED = re.compile(r"[A-Z](?<!\S.)[^A-Z\s]*+(?!\S)")
_REPEATED_WORD = re.compile(r"\s(\w++)\s++(?=\1\s)((?:\1\s++)+)\1(\s|\W|$)")

# A character of so many digits is none, but Python takes no number of 4,300 digits to say so.
_LONG_REFERENCE = re.compile(r"&#([0-9]{9,}+)")

# fastai's `fix_html`, in its order.
_HTML_FIXES = (
    ("#39;", "'"),
    ("amp;", "&"),
    ("#146;", "'"),
    ("nbsp;", " "),
    ("#36;", "$"),
    ("\\n", "\n"),
    ("quot;", "'"),
    ("<br />", "\n"),
    ('\\"', '"'),
    ("<unk>", UNK),
    (" @.@ ", "."),
    (" @-@ ", "-"),
    ("...", " …"),
)


def fix_html(text: str) -> str:
    """Undo the html escapes and line breaks that texts from the web carry (`fix_html`)."""
    for found, replacement in _HTML_FIXES:
        text = text.replace(found, replacement)
    return html.unescape(_LONG_REFERENCE.sub(_shortened, text))


def _shortened(reference: re.Match[str]) -> str:
    """Without leading zeros, and of eight digits at most, which is beyond the last character."""
    return f"&#{reference[1].lstrip('0')[:8] or '0'}"


def replace_rep(text: str) -> str:
    """Write three and more equal characters as ``xxrep n c`` (`replace_rep`)."""
    return _REPEATED_CHARACTER.sub(lambda m: f" {TK_REP} {len(m[0])} {m[1]} ", text)


def replace_wrep(text: str) -> str:
    """Write three and more equal words in a row as ``xxwrep n word`` (`replace_wrep`)."""
    # White space in front, taken off again, is for the first word; a replacement begins with " ".
    return _REPEATED_WORD.sub(
        lambda m: f" {TK_WREP} {len(m[2].split()) + 2} {m[1]} {m[3]}", f"\n{text}"
    ).removeprefix("\n")


def spec_add_spaces(text: str) -> str:
    """Put spaces around ``/``, ``#`` and the backslash (`spec_add_spaces`)."""
    return _SPECIAL_CHARACTERS.sub(r" \1 ", text)


def rm_useless_spaces(text: str) -> str:
    """Make one space of several (`rm_useless_spaces`)."""
    return _SPACES.sub(" ", text) if "  " in text else text


def replace_all_caps(text: str) -> str:
    """Lower words in capitals and mark them with ``xxup`` (`replace_all_caps`)."""
    return _ALL_CAPS.sub(lambda m: _lowered(TK_UP, m[0]), text)


def replace_maj(text: str) -> str:
    """Lower capitalised words and mark them with ``xxmaj`` (`replace_maj`)."""
    return _CAPITALISED.sub(lambda m: _lowered(TK_MAJ, m[0]), text)


def _lowered(marker: str, word: str) -> str:
    # One letter alone ("I", "A") is not marked: its case says nothing.
    return f"{marker} {word.lower()}" if len(word) > 1 else word.lower()


def lowercase(text: str) -> str:
    """Lower the text and begin it with ``xxbos`` (`lowercase`)."""
    return f"{BOS} {text.lower().strip()}"


RULES: tuple[Rule, ...] = (
    fix_html,
    replace_rep,
    replace_wrep,
    spec_add_spaces,
    rm_useless_spaces,
    replace_all_caps,
    replace_maj,
    lowercase,
)


def apply_rules(text: str) -> str:
    """`text` as the tokenizer gets it, every rule applied in fastai's order."""
    for rule in RULES:
        text = rule(text)
    return text


def restore(tokens: Iterable[str]) -> list[str]:
    """Words with the marks of the rules turned back into what they stand for.

    ``xxmaj`` and ``xxup`` set the case of the word that follows (also of a repeated one),
    ``xxrep 3 a`` becomes ``aaa``, ``xxwrep 3 a`` three words; a mark that nothing fits to
    (a language model may write one) is dropped. fastai's `decode_spec_tokens` does not reset
    after a repetition, so that every later word is repeated, too. Whoever writes the marks himself
    gets no text of any size: repetitions beyond `_LONGEST_REPETITIONS` characters are dropped.
    """
    room = _LONGEST_REPETITIONS
    words: list[str] = []
    case: str | None = None
    repetition: str | None = None
    count: int | None = None
    for token in tokens:
        if token in (TK_MAJ, TK_UP):
            case = token
        elif token in (TK_REP, TK_WREP):
            repetition, count = token, None
        elif token in SPECIAL_TOKENS:
            case = repetition = count = None
            if token == UNK:
                words.append(token)
        elif repetition and count is None and _is_count(token):
            count = int(token)
        else:
            word = _cased(token, case)
            room -= len(word) * (count or 0)
            words += _repeated(word, repetition, count if room >= 0 else None)
            case = repetition = count = None
    return words


# A model may write any number; a repetition longer than this is no text of anybody's.
_LONGEST_REPETITION = 1000
_LONGEST_REPETITIONS = 1_000_000  # of all of a text together, characters


def _is_count(token: str) -> bool:
    return token.isascii() and token.isdigit() and 1 < int(token[:9]) <= _LONGEST_REPETITION


def _cased(word: str, case: str | None) -> str:
    if case == TK_MAJ:
        return word[:1].upper() + word[1:]
    return word.upper() if case == TK_UP else word


def _repeated(word: str, repetition: str | None, count: int | None) -> list[str]:
    if repetition is None or count is None:
        return [word]
    return [word * count] if repetition == TK_REP else [word] * count
