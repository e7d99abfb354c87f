"""From tokens back to the words of the text, for both tokenizers."""

from collections.abc import Sequence
from typing import NamedTuple

from ulmfit.text.rules import SPECIAL_TOKENS, fix_html, restore
from ulmfit.text.tokenizers import WORD_BOUNDARY, words

_NEAR = 40  # characters in which to search for the next word of a text


class Cut(NamedTuple):
    """A text as words, gaps before them, and the positions of each word's tokens.

    Every token except ``xxbos`` belongs to one word.
    """

    words: list[str]
    gaps: list[str]
    tokens: list[list[int]]


def cut_words(text: str, tokens: Sequence[str], kind: str) -> Cut:
    """The words of `text`, from its `tokens` by a tokenizer of `kind` "word" or "subword".

    Marks and white space belong to the word after them. A repetition (``!!!``, ``very very very``)
    is one word.
    """
    groups = _groups(tokens, kind)
    parts = [[tokens[i] for i in group] for group in groups]
    # Marks without a word after them are shown as they are; they were perhaps typed.
    shown = [_restored(part, kind) or " ".join(part) for part in parts]
    return _joined(Cut(*_as_written(shown, fix_html(text)), groups))


def _groups(tokens: Sequence[str], kind: str) -> list[list[int]]:
    """The positions of each word's tokens, with the marks before it."""
    groups: list[list[int]] = []
    for i, token in enumerate(tokens[1:], 1):  # xxbos is first
        begins = kind == "word" or token.startswith(WORD_BOUNDARY) or token in SPECIAL_TOKENS
        if not groups or (begins and _restored([tokens[j] for j in groups[-1]], kind)):
            groups.append([])
        groups[-1].append(i)
    return groups


def _restored(tokens: list[str], kind: str) -> str:
    return " ".join(restore(words(tokens, kind))).strip()


def _as_written(shown: list[str], text: str) -> tuple[list[str], list[str]]:
    """The words with their case in `text`, and the gaps before them, for display.

    A word that the tokenizer spells differently is not found; it is unchanged, after a space.
    """
    text = text.strip()
    folded = _folded(text)
    written, gaps = [], []
    end = missed = 0
    for word in shown:
        at = folded.find(_folded(word), end, end + missed + len(word) + _NEAR)
        if at < 0:
            written.append(word)
            gaps.append(" ")
            missed += len(word) + 1
            continue
        written.append(text[at : at + len(word)])
        gaps.append("\n" if "\n" in text[end:at] else " " if at > end else "")
        end, missed = at + len(word), 0
    return written, gaps


def _folded(text: str) -> str:
    """`text` in lower case; every character keeps its position."""
    return "".join(c.casefold() if len(c.casefold()) == 1 else c for c in text)


def _joined(cut: Cut) -> Cut:
    """Join the parts of one word: don't, it's, cannot, sooooo.

    Letters without case are not joined: Chinese has no spaces between words.
    """
    joined = Cut([], [], [])
    for word, gap, tokens in zip(*cut, strict=True):
        inside = not gap and joined.words and _has_case(joined.words[-1][-1])
        if inside and _has_case(word.lstrip("'’")[:1]):
            joined.words[-1] += word
            joined.tokens[-1].extend(tokens)
        else:
            joined.words.append(word)
            joined.gaps.append(gap)
            joined.tokens.append([*tokens])
    return joined


def _has_case(character: str) -> bool:
    return character.lower() != character.upper()
