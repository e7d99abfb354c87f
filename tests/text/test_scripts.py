"""Languages without spaces between words, and their tokenizer."""

import pandas as pd
import pytest

from ulmfit.text.scripts import coverage_of, tokenizer_for, without_spaces
from ulmfit.text.tokenizers import COVERAGE

UNSPACED = {
    "Chinese": "这部电影很好看",
    "Japanese": "これはとても面白い映画です",
    "Thai": "หนังเรื่องนี้ดีมาก",
    "Lao": "ຮູບເງົາເລື່ອງນີ້ດີຫຼາຍ",
    "Khmer": "ភាពយន្តនេះល្អណាស់",
    "Burmese": "ဒီရုပ်ရှင်က အရမ်းကောင်းတယ်",
    "Chinese with English": "这个 iPhone 的 camera 很好用",
}
SPACED = {
    "English": "A quiet film about the sea.",
    "Greek": "Η ταινία ήταν πολύ καλή",
    "Korean": "이 영화는 정말 재미있어요",
    "Arabic": "هذا فيلم جيد جدا",
    "Hindi": "यह फिल्म बहुत अच्छी है",
    "English about Chinese": "The word 电影 means film, as every first lesson says.",
    "emoji": "😀 👍",
    "nothing": "",
}
TOLD = (
    "the texts are in a language without spaces between words: the tokenizer is subword "
    "(--tokenizer word takes whole sentences for words)"
)
WARNED = (
    "warning: the texts are in a language without spaces between words, and a word tokenizer "
    "takes whole sentences for words; --tokenizer subword cuts them"
)


@pytest.mark.parametrize("name", UNSPACED)
def test_unspaced(name):
    assert without_spaces([UNSPACED[name]])


@pytest.mark.parametrize("name", SPACED)
def test_spaced(name):
    assert not without_spaces(pd.Series([SPACED[name]]))


def test_by_themselves_such_texts_get_subwords(told):
    assert tokenizer_for([UNSPACED["Thai"]], None) == "subword"
    assert told == [TOLD]


def test_named_words_stay_with_a_warning(told):
    assert tokenizer_for([UNSPACED["Thai"]], "word") == "word"
    assert told == [WARNED]


def test_other_texts_and_subwords_are_not_spoken_of(told):
    assert tokenizer_for([SPACED["Greek"]], None) == "word"
    assert tokenizer_for([SPACED["Greek"]], "subword") == "subword"
    assert tokenizer_for([UNSPACED["Thai"]], "subword") == "subword"
    assert tokenizer_for([UNSPACED["Thai"]], None, usual="subword") == "subword"
    assert told == []


def test_rare_characters_of_many_need_no_piece():
    assert coverage_of([UNSPACED["Chinese"]]) < coverage_of([SPACED["English"]]) == COVERAGE
