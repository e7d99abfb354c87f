"""How much of texts a vocabulary knows."""

import numpy as np
import pytest
from tiny_models import word_processor

from ulmfit.text.corpus import tokenize_texts
from ulmfit.text.fit import fit_of, unknown_or_warning
from ulmfit.text.known import Known, best_known, known_tokens
from ulmfit.text.processor import TextProcessor
from ulmfit.text.rules import SPECIAL_TOKENS

ENGLISH = ["a quiet film about the sea", "the old keeper reads letters", "good music"] * 20
# What a model that knows `tiny_models.WORDS` makes of a text: tokens that count, known ones.
COUNTED = [
    ("A great film about the sea.", 6, 6),
    ("GREAT FILM!!!", 2, 2),
    ("这部电影很好看。", 1, 0),
    ("หนังเรื่องนี้ดีมาก", 1, 0),
    ("Η ταινία ήταν πολύ καλή, great!", 6, 1),
    ("😀 😀", 2, 0),
    ("哈哈哈哈", 1, 0),  # the number of a repetition is no word of the text
    ("; , !", 3, 3),  # no word, but known signs
    ("1 2", 2, 0),
    ("", 0, 0),
    ("\u200b \u200b", 0, 0),
    ("xxmaj xxunk", 0, 0),
]


@pytest.mark.parametrize(("text", "tokens", "known"), COUNTED)
def test_tokens_that_count(text, tokens, known):
    processor = word_processor()
    found = known_tokens(tokenize_texts([text], processor), processor)
    assert (found.tokens.tolist(), found.known.tolist()) == ([tokens], [known])


def test_texts_together_are_those_alone(monkeypatch):
    monkeypatch.setattr("ulmfit.text.corpus._BLOCK", 3)
    processor = word_processor()
    texts = [text for text, _, _ in COUNTED] * 2
    found = known_tokens(tokenize_texts(texts, processor), processor)
    assert found.tokens.tolist() == [tokens for _, tokens, _ in COUNTED] * 2
    assert found.known.tolist() == [known for _, _, known in COUNTED] * 2


def test_no_text_at_all():
    assert known_tokens(tokenize_texts([], word_processor()), word_processor()).unknown() == 0


def test_the_share_of_some_texts():
    known = Known(np.array([4, 10, 0]), np.array([3, 0, 0]))
    assert known.unknown() == pytest.approx(11 / 14)
    assert known.unknown(np.array([0])) == 0.25
    assert known.unknown(np.array([2])) == 0


def test_of_several_models_the_one_that_knows_most_counts():
    first = Known(np.array([4, 10]), np.array([3, 0]))
    second = Known(np.array([8, 5]), np.array([4, 1]))
    best = best_known([first, second])
    assert (best.tokens.tolist(), best.known.tolist()) == ([4, 5], [3, 1])


def test_of_subwords_what_has_no_piece_is_unknown():
    processor = TextProcessor("subword", max_vocab=60).fit(ENGLISH)
    texts = ["the quiet letters", "这部电影", "the 这部电影"]
    found = known_tokens(tokenize_texts(texts, processor), processor)
    assert (found.known / found.tokens).tolist()[:2] == [1, 0]
    assert 0 < found.known[2] < found.tokens[2]


class Bytes:
    """A tokenizer that writes an unknown character as its bytes."""

    kind, lang = "subword", "en"

    def tokenize(self, text):
        return ["xxbos", "▁", *(f"<0x{byte:02X}>" for byte in text.removeprefix("xxbos ").encode())]


def test_bytes_of_a_character_are_unknown():
    processor = TextProcessor("subword")
    processor.tokenizer = Bytes()
    every = [f"<0x{byte:02X}>" for byte in range(256)]
    processor.with_vocab([*SPECIAL_TOKENS, "▁", *every])
    found = known_tokens(tokenize_texts(["电"], processor), processor)
    assert (found.tokens.tolist(), found.known.tolist()) == ([3], [0])


def test_fit():
    processor = word_processor()
    good = fit_of(["A great film about the sea."] * 3, processor)
    assert (good.unknown, good.sentences, good.fits) == (0, False, True)
    greek = fit_of(["Η ταινία ήταν πολύ καλή"], processor)
    assert (greek.unknown, greek.sentences, greek.fits) == (1, False, False)
    # Known words beside sentences without spaces: more than half is known, and nothing is cut.
    mixed = fit_of(["the film 这部电影很好看这部电影很好看"], processor)
    assert (mixed.fits, mixed.sentences) == (False, True)
    assert mixed.reason("it") == (
        "the texts have no spaces between words, and 33.3 % of the tokens are unknown to it"
    )
    subword = TextProcessor("subword", max_vocab=60).fit(["这部电影很好看", "这本书不好看"] * 20)
    assert fit_of(["这部电影不好看"], subword).fits


def test_from_a_fifth_on_the_line_is_a_warning():
    assert unknown_or_warning(0.199, "it") == "19.9 % of the tokens are unknown to it"
    assert unknown_or_warning(0.2, "it") == (
        "warning: 20.0 % of the tokens are unknown to it; ulmfit train --recipe own-text "
        "starts from no other model and trains on these texts alone, in subwords"
    )
