"""Text rules applied before a tokenizer, and their inverse.

The rules, their order and the special tokens are fastai's (`fastai.text.core`,
`defaults.text_proc_rules`), so the tokens are the same as in a fastai pipeline.
"""

import html
import re
from collections.abc import Callable, Iterable

UNK, PAD, BOS, EOS, FLD = "xxunk", "xxpad", "xxbos", "xxeos", "xxfld"
TK_REP, TK_WREP, TK_UP, TK_MAJ = "xxrep", "xxwrep", "xxup", "xxmaj"
SPECIAL_TOKENS = (UNK, PAD, BOS, EOS, FLD, TK_REP, TK_WREP, TK_UP, TK_MAJ)

_SPECIAL_CHARACTERS = re.compile(r"([/#\\])")
_SPACES = re.compile(" {2,}")
# These match the same as fastai's expressions, but faster: the engine skips to their first set of
# characters, and they never try a part of a word again. `[A-Z](?<!\S.)` is a capital at the
# beginning of a word.
_REPEATED_CHARACTER = re.compile(r"(\S)\1\1+")
_ALL_CAPS = re.compile(r"[A-Z](?<!\S.)[^a-z\s]*+(?!\S)")
_CAPITALISED = re.compile(r"[A-Z](?<!\S.)[^A-Z\s]*+(?!\S)")
_REPEATED_WORD = re.compile(r"\s(\w++)\s++(?=\1\s)((?:\1\s++)+)\1(\s|\W|$)")

# No character's number has so many digits; Python fails on a number of 4,300 digits.
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
    """Undo html escapes and line breaks in texts from the web (`fix_html`)."""
    for found, replacement in _HTML_FIXES:
        text = text.replace(found, replacement)
    return html.unescape(_LONG_REFERENCE.sub(_shortened, text))


def _shortened(reference: re.Match[str]) -> str:
    """Without leading zeros and with at most eight digits, which is beyond the last character."""
    return f"&#{reference[1].lstrip('0')[:8] or '0'}"


def replace_rep(text: str) -> str:
    """Write three or more equal characters as ``xxrep n c`` (`replace_rep`)."""
    return _REPEATED_CHARACTER.sub(lambda m: f" {TK_REP} {len(m[0])} {m[1]} ", text)


def replace_wrep(text: str) -> str:
    """Write three or more equal words in a row as ``xxwrep n word`` (`replace_wrep`)."""
    # The first word needs white space before it, which is removed again.
    return _REPEATED_WORD.sub(
        lambda m: f" {TK_WREP} {len(m[2].split()) + 2} {m[1]} {m[3]}", f"\n{text}"
    ).removeprefix("\n")


def spec_add_spaces(text: str) -> str:
    """Put spaces around ``/``, ``#`` and the backslash (`spec_add_spaces`)."""
    return _SPECIAL_CHARACTERS.sub(r" \1 ", text)


def rm_useless_spaces(text: str) -> str:
    """Replace several spaces by one (`rm_useless_spaces`)."""
    return _SPACES.sub(" ", text) if "  " in text else text


def replace_all_caps(text: str) -> str:
    """Lower words in capitals and mark them with ``xxup`` (`replace_all_caps`)."""
    return _ALL_CAPS.sub(lambda m: _lowered(TK_UP, m[0]), text)


def replace_maj(text: str) -> str:
    """Lower capitalised words and mark them with ``xxmaj`` (`replace_maj`)."""
    return _CAPITALISED.sub(lambda m: _lowered(TK_MAJ, m[0]), text)


def _lowered(marker: str, word: str) -> str:
    # A single letter ("I", "A") is not marked: its case has no meaning.
    return f"{marker} {word.lower()}" if len(word) > 1 else word.lower()


def lowercase(text: str) -> str:
    """Lower the text and begin it with ``xxbos`` (`lowercase`)."""
    return f"{BOS} {text.lower().strip()}"


RULES: tuple[Callable[[str], str], ...] = (
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
    """`text` with all rules applied in fastai's order, as input of a tokenizer."""
    for rule in RULES:
        text = rule(text)
    return text


def restore(tokens: Iterable[str]) -> list[str]:
    """Words, with the marks of the rules undone.

    ``xxmaj`` and ``xxup`` set the case of the next word (also of a repeated one). ``xxrep 3 a``
    becomes ``aaa``, and ``xxwrep 3 a`` becomes three words. A mark without a fitting word (from a
    language model) is dropped. Repetitions beyond `_LONGEST_REPETITIONS` characters are dropped,
    which limits the size of the text. (fastai's `decode_spec_tokens` does not reset after a
    repetition and repeats every later word, too.)
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


# A model may write any number; no real text has a longer repetition.
_LONGEST_REPETITION = 1000
_LONGEST_REPETITIONS = 1_000_000  # characters, all repetitions of a text together


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
