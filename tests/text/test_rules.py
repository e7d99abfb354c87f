"""The rules are fastai's, one by one and all together; `restore` is their inverse."""

import random

import pytest
from fastai.text import core
from fastai.torch_basics import compose, defaults
from sample_texts import TEXTS, random_texts

from ulmfit.text import rules
from ulmfit.text.rules import RULES, SPECIAL_TOKENS, apply_rules, restore

ALL_TEXTS = TEXTS + random_texts(300)


def test_special_tokens_and_order_of_rules_are_fastais():
    assert list(SPECIAL_TOKENS) == defaults.text_spec_tok
    assert [rule.__name__ for rule in RULES] == [r.__name__ for r in defaults.text_proc_rules]


@pytest.mark.parametrize("name", [rule.__name__ for rule in RULES])
def test_each_rule_is_fastais(name):
    ours, theirs = getattr(rules, name), getattr(core, name)
    assert [ours(text) for text in ALL_TEXTS] == [theirs(text) for text in ALL_TEXTS]


def test_each_rule_is_fastais_after_those_before_it():
    texts = ALL_TEXTS
    for ours, theirs in zip(RULES, defaults.text_proc_rules, strict=True):
        expected = [theirs(text) for text in texts]
        texts = [ours(text) for text in texts]
        assert texts == expected, ours.__name__


def test_all_rules_are_fastais():
    theirs = compose(*defaults.text_proc_rules)
    assert [apply_rules(text) for text in ALL_TEXTS] == [theirs(text) for text in ALL_TEXTS]


def test_all_rules_are_fastais_on_reviews(imdb_reviews):
    theirs = compose(*defaults.text_proc_rules)
    assert [apply_rules(text) for text in imdb_reviews] == [theirs(text) for text in imdb_reviews]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "xxbos "),
        ("The END", "xxbos xxmaj the xxup end"),
        ("I saw A film", "xxbos i saw a film"),
        ("Wow!!!", "xxbos xxmaj wow xxrep 3 !"),
        ("no no no.", "xxbos xxwrep 3 no ."),
        ("a<br />b", "xxbos a\nb"),
        ("<unk> tail", "xxbos xxunk tail"),
    ],
)
def test_what_the_rules_make(text, expected):
    assert apply_rules(text) == expected


# The inverse


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ("xxbos xxmaj the xxup end", "The END"),
        ("xxrep 3 a", "aaa"),
        ("xxrep 3 3", "333"),
        ("xxrep 4 ! xxrep 3 ?", "!!!! ???"),
        ("xxwrep 3 no", "no no no"),
        ("xxwrep 3 1 1", "1 1 1 1"),
        # fastai's decode_spec_tokens: aaa bbb C d
        ("xxrep 3 a b xxmaj c d", "aaa b C d"),
        ("xxwrep 2 a b c", "a a b c"),
        ("xxwrep 3 xxup no stop", "NO NO NO stop"),
        ("xxwrep 3 xxmaj no stop", "No No No stop"),
        ("xxrep 3 xxup a b", "AAA b"),
        ("xxup xxrep 3 a b", "AAA b"),
        ("xxmaj xxup a b", "A b"),
        ("xxrep 3 xxwrep 2 a b", "a a b"),
        ("xxmaj élan xxup straße xxmaj ßa", "Élan STRASSE SSa"),
        ("xxmaj “quoted", "“quoted"),
        ("a xxunk b", "a xxunk b"),
        ("xxpad xxbos a xxeos xxfld b", "a b"),
    ],
)
def test_restore(tokens, expected):
    assert restore(tokens.split()) == expected.split()


@pytest.mark.parametrize("mark", ["xxmaj", "xxup", "xxrep", "xxwrep", "xxrep 3", "xxwrep 2"])
def test_marks_that_nothing_follows(mark):
    assert restore(mark.split()) == []
    assert restore(f"a {mark}".split()) == ["a"]
    assert restore(f"{mark} xxbos a b".split()) == ["a", "b"]
    assert restore(f"{mark} xxunk a b".split()) == ["xxunk", "a", "b"]


@pytest.mark.parametrize("mark", ["xxrep", "xxwrep"])
@pytest.mark.parametrize("count", ["a", "0", "1", "-3", "3.5", "²", "٣", "1001", "9" * 5000])
def test_repetitions_without_a_count_that_makes_sense(mark, count):
    # The mark is dropped, and what stands in the count's place is a word like any other.
    assert restore([mark, count, "b", "c"]) == [count, "b", "c"]


def test_longest_repetition():
    assert restore(["xxrep", "1000", "a"]) == ["a" * 1000]
    assert restore(["xxwrep", "1000", "a"]) == ["a"] * 1000


@pytest.mark.parametrize("mark", ["xxrep", "xxwrep"])
def test_repetitions_have_a_sum(monkeypatch, mark):
    made = "".join(restore([mark, "1000", "word" * 10] * 100_000))
    assert 1_000_000 <= len(made) < 1_000_000 + 100_000 * 40 + 1
    monkeypatch.setattr(rules, "_LONGEST_REPETITIONS", 10)
    assert restore(["xxrep", "3", "a", "xxrep", "9", "b", "c"]) == ["aaa", "b", "c"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("&#" + "9" * 100_000 + ";", "\ufffd"),
        ("&#" + "0" * 100_000 + "65", "A"),
        ("&#" + "0" * 9, "\ufffd"),
        ("&#x" + "f" * 100_000 + ";", "\ufffd"),
    ],
)
def test_character_references_of_any_length(text, expected):
    assert rules.fix_html(f"a {text} b") == f"a {expected} b"


@pytest.mark.parametrize(
    "digits", ["65", "0000000065", "1114111", "1114112", "000000000", "99999999999"]
)
def test_character_references_are_fastais(digits):
    for text in (f"&#{digits};", f"a&#{digits}b"):
        assert rules.fix_html(text) == core.fix_html(text)


def test_restore_takes_an_iterator():
    assert restore(iter(["xxmaj", "a"])) == ["A"]


@pytest.mark.parametrize("seed", range(20))
def test_restore_undoes_the_rules(seed):
    rng = random.Random(seed)  # of words whose case fastai marks: more than one letter, A to Z
    kinds = ["plain", "Capital", "LOUD", "élan", "i", "a1", "!", "!!!!", "ooo", "777", "?!"]
    words = []
    for _ in range(40):
        words += [rng.choice(kinds)] * rng.choice([1, 1, 1, 2, 3, 5])
    assert restore(apply_rules(" ".join(words)).split()) == words
