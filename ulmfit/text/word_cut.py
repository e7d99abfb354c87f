"""From tokens back to the words that a reader knows, spaCy's and SentencePiece's alike."""

from collections.abc import Sequence
from typing import NamedTuple

from ulmfit.text.rules import SPECIAL_TOKENS, fix_html, restore
from ulmfit.text.tokenizers import WORD_BOUNDARY, words

_NEAR = 40  # characters among which the next word of a text is looked for


class Cut(NamedTuple):
    """A text cut into words; `tokens` has the numbers of those that make each of them.

    Every token but ``xxbos`` belongs to one word.
    """

    words: list[str]
    gaps: list[str]
    tokens: list[list[int]]


def cut_words(text: str, tokens: Sequence[str], kind: str) -> Cut:
    """The words of `text`, from its `tokens` by a tokenizer of `kind` "word" or "subword".

    Marks and white space belong to the word that they stand before. ``!!!`` and ``very very very``,
    which are one token with marks, are one word.
    """
    groups = _groups(tokens, kind)
    shown = [_shown([tokens[i] for i in group], kind) for group in groups]
    return _joined(Cut(*_as_written(shown, fix_html(text)), groups))


def _groups(tokens: Sequence[str], kind: str) -> list[list[int]]:
    """Numbers of the tokens that make a word, each with the marks before it."""
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
    """As it is read; marks that nothing follows, as somebody may have typed them, as they are."""
    return _restored(tokens, kind) or " ".join(tokens)


def _as_written(shown: list[str], text: str) -> tuple[list[str], list[str]]:
    """The words with their case in `text`, and the gaps before them.

    Only looks depend on it: what is not found, as the tokenizer wrote it in another way, stays as
    it is, with a space before it.
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
    """`text` without case, character by character, so that none changes its place."""
    return "".join(c.casefold() if len(c.casefold()) == 1 else c for c in text)


def _joined(cut: Cut) -> Cut:
    """What was cut out of the middle of a word is part of it: don't, it's, cannot, sooooo.

    Letters without case are left as they are: Chinese has no spaces between words.
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
