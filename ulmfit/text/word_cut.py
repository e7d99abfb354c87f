"""From tokens back to words as a reader sees them, for spaCy and SentencePiece."""

from collections.abc import Sequence
from typing import NamedTuple

from ulmfit.text.rules import SPECIAL_TOKENS, fix_html, restore
from ulmfit.text.tokenizers import WORD_BOUNDARY, words

_NEAR = 40  # characters in which to search for the next word of a text


class Cut(NamedTuple):
    """A text cut into words; `tokens` has the numbers of the tokens of each word.

    Every token except ``xxbos`` belongs to one word.
    """

    words: list[str]
    gaps: list[str]
    tokens: list[list[int]]


def cut_words(text: str, tokens: Sequence[str], kind: str) -> Cut:
    """The words of `text`, from its `tokens` by a tokenizer of `kind` "word" or "subword".

    Marks and white space belong to the word after them. ``!!!`` and ``very very very`` are one
    token with marks, and so one word.
    """
    groups = _groups(tokens, kind)
    shown = [_shown([tokens[i] for i in group], kind) for group in groups]
    return _joined(Cut(*_as_written(shown, fix_html(text)), groups))


def _groups(tokens: Sequence[str], kind: str) -> list[list[int]]:
    """Numbers of the tokens of a word, each with the marks before it."""
    groups: list[list[int]] = []
    for i, token in enumerate(tokens[1:], 1):  # xxbos is first
        begins = kind == "word" or token.startswith(WORD_BOUNDARY) or token in SPECIAL_TOKENS
        if not groups or (begins and _restored([tokens[j] for j in groups[-1]], kind)):
            groups.append([])
        groups[-1].append(i)
    return groups


def _restored(tokens: list[str], kind: str) -> str:
    return " ".join(restore(words(tokens, kind))).strip()


def _shown(tokens: list[str], kind: str) -> str:
    """The word as it is read; marks without a word after them (typed ones, perhaps) as they are."""
    return _restored(tokens, kind) or " ".join(tokens)


def _as_written(shown: list[str], text: str) -> tuple[list[str], list[str]]:
    """The words with their case in `text`, and the gaps before them.

    This affects the display only. A word that the tokenizer wrote in another way is not found; it
    stays as it is, with a space before it.
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
    """`text` in lower case, character by character, so that every character keeps its position."""
    return "".join(c.casefold() if len(c.casefold()) == 1 else c for c in text)


def _joined(cut: Cut) -> Cut:
    """Join parts that were cut out of the middle of a word: don't, it's, cannot, sooooo.

    Letters without case are left alone: Chinese has no spaces between words.
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
