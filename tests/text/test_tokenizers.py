"""Words are fastai's, token by token; subword pieces without fastai's flaws."""

import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from fastai.text.core import TokenizeWithRules
from fastai.text.core import WordTokenizer as FastaiWordTokenizer
from sample_texts import TEXTS, random_texts

from ulmfit.base.errors import UserError
from ulmfit.text import spacy_tokenizer, tokenizers
from ulmfit.text.processor import TextProcessor
from ulmfit.text.rules import SPECIAL_TOKENS, apply_rules
from ulmfit.text.spacy_tokenizer import LONGEST_RUN
from ulmfit.text.tokenizers import SubwordTokenizer, WordTokenizer, words


def differing(texts, lang="en"):
    """Texts of which fastai makes other tokens, with both; `texts` of one language."""
    theirs = TokenizeWithRules(FastaiWordTokenizer(lang))(texts)
    ours = WordTokenizer(lang)
    pairs = ((text, list(expected)) for text, expected in zip(texts, theirs, strict=True))
    made = ((text, expected, ours.tokenize(apply_rules(text))) for text, expected in pairs)
    return [found for found in made if found[1] != found[2]]


@pytest.mark.parametrize("kind", ["word", "subword"])
def test_a_used_tokenizer_is_pickled(kind):
    tokenizer = TextProcessor(kind, lang="en", max_vocab=300).fit(TEXTS).tokenizer
    again = pickle.loads(pickle.dumps(tokenizer))
    assert (again.kind, again.lang) == (kind, "en")
    assert [again.tokenize(text) for text in TEXTS] == [tokenizer.tokenize(text) for text in TEXTS]


# Words


def test_own_texts():
    assert differing(TEXTS) == []


def test_reviews(imdb_reviews):
    assert differing(imdb_reviews) == []


@pytest.mark.parametrize("seed", range(6))
def test_random_texts(seed):
    assert differing(random_texts(150, seed)) == []


@pytest.mark.parametrize("seed", range(4))
def test_random_texts_with_many_spaces(seed):
    assert differing(random_texts(100, seed, between=" ")) == []
    assert differing([" ".join(text) for text in random_texts(60, seed, longest=8)]) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("foo:)", "foo :)"),
        # ":))" is found across the space, is no special case, and takes ":)" along
        ("foo:) )", "foo : ) )"),
        ("foo:) bar", "foo :) bar"),
        (": )", ": )"),
    ],
)
def test_special_case_beside_its_neighbours(text, expected):
    assert WordTokenizer().tokenize(text) == expected.split()


@pytest.mark.parametrize(
    ("lang", "texts"),
    [
        ("es", ["¡Qué película! ¿Dónde está EE. UU.? No lo sé :) )", "vámonos a.m. dr. c/u"]),
        ("de", ["Das geht z.B. so: usw., 'ne Frage der Zeit :) )", "Straße d.h. Nr. 5"]),
        ("bg", ["филми и др. неща :) )", "нещо и др.", "и др . и"]),
        ("el", ["Καλή-ταινία-λέω, 5.5m (10%) 250mg. " + "άλφα-βήτα-" * 9 + "γάμα :) )"]),
        ("fr", ["L'été, aujourd'hui; qu'est-ce? 10€ vas-y-donc-là-bas-chez-elle."]),
        ("hu", ["Nagyon jó-e? 5%-os, 20-ig; pl. www.example.hu/a-ban :) )"]),
    ],
)
def test_other_languages(lang, texts):
    assert differing(texts, lang) == []


def test_special_case_of_several_words():
    assert WordTokenizer("bg").tokenize("a и др. b") == ["a", "и", "др.", "b"]
    assert WordTokenizer("es").tokenize("a EE. UU. b") == ["a", "EE.▁UU.", "b"]


def test_spaces_within_a_token_are_marked():
    assert WordTokenizer().tokenize("a   b") == ["a", "▁▁", "b"]
    assert WordTokenizer().tokenize("a \n b") == ["a", "\n▁", "b"]


def test_no_text():
    assert WordTokenizer().tokenize("") == []
    assert WordTokenizer().tokenize(apply_rules("")) == ["xxbos"]


def test_lone_surrogates():
    text = "half an emoji \ud83d, \udcff:)\udcff :) )"
    assert WordTokenizer().tokenize(text) == WordTokenizer().tokenize("half an emoji ?, ?:)? :) )")


def test_text_longer_than_spacys_limit():
    assert len(WordTokenizer().tokenize("word " * 300_000)) == 300_000


def test_spacy_sees_every_run_once():
    tokenizer = WordTokenizer()
    expected = tokenizer.tokenize("the cat, the dog and the (cat)")
    tokenizer.__dict__["_spacy"] = None
    assert tokenizer.tokenize("the cat, the dog and the (cat)") == expected


def test_forgetting_runs_changes_nothing(monkeypatch):
    tokenizer = WordTokenizer()
    expected = [tokenizer.tokenize(text) for text in TEXTS]
    monkeypatch.setattr(tokenizers, "_CACHED_CHARACTERS", 1000)
    built = []
    make = tokenizers.spacy_tokenizer
    monkeypatch.setattr(tokenizers, "spacy_tokenizer", lambda lang: built.append(1) or make(lang))
    tokenizer._tokens.clear()
    tokenizer._older.clear()
    assert [tokenizer.tokenize(text) for text in TEXTS] == expected
    assert len(built) > 1  # and with it what spaCy remembers
    for kept in (tokenizer._tokens, tokenizer._older):
        assert 0 < sum(map(len, kept)) < 1000 + LONGEST_RUN


def test_runs_that_come_again_are_not_forgotten(monkeypatch):
    tokenizer = WordTokenizer()
    monkeypatch.setattr(tokenizers, "_CACHED_CHARACTERS", 15)
    tokenizer.tokenize("one two three four")
    tokenizer.tokenize("one five six seven")
    monkeypatch.setattr(tokenizers, "spacy_tokenizer", None)
    assert tokenizer.tokenize("one six") == ["one", "six"]
    with pytest.raises(TypeError):
        tokenizer.tokenize("two")


def test_order_of_texts_changes_nothing():
    texts = [apply_rules(text) for text in TEXTS + random_texts(200)]
    forward, backward = WordTokenizer(), WordTokenizer()
    expected = [forward.tokenize(text) for text in texts]
    assert [backward.tokenize(text) for text in reversed(texts)][::-1] == expected


def test_long_words_are_fastais_up_to_a_length():
    words_of = ["ab-cd.", "a:b@c.de/f?g", "x()", "don't", "1.5", '"so"']
    for length in (31, 32, 33, 64, 500):
        texts = [(word * length)[:length] for word in words_of]
        texts += [word + "." * length for word in words_of]
        assert differing(texts) == []


@pytest.mark.parametrize("piece", ["ab", "()", "a.b", ":) "])
def test_longer_runs_are_cut(piece):
    run = (piece.strip() * 3 * LONGEST_RUN)[: 2 * LONGEST_RUN + 1]
    pieces = [run[:LONGEST_RUN], run[LONGEST_RUN:-1], run[-1]]
    tokenizer = WordTokenizer()
    expected = [token for piece in pieces for token in tokenizer.tokenize(piece)]
    assert tokenizer.tokenize(run) == expected
    assert tokenizer.tokenize(f"so {run} it is") == ["so", *expected, "it", "is"]
    assert max(map(len, tokenizer._tokens)) <= LONGEST_RUN


def test_long_texts_are_cut_between_words(monkeypatch):
    text = "foo:) ) and \n  so :) on " * 20
    expected = WordTokenizer().tokenize(text)
    monkeypatch.setattr(spacy_tokenizer, "_LONGEST_DOCUMENT", 40)
    parts = list(spacy_tokenizer.parts(text))
    assert "".join(parts) == text
    assert max(map(len, parts)) < 50
    assert WordTokenizer().tokenize(text) == expected


def test_url_that_can_be_read_in_many_ways():
    text = "a:" * 150 + "@b" * 150 + "c.d" * 30 + "9"
    assert differing(["a:b:c@d:e@f.gh", "a@b.cd:80/x", "mailto:a:b@c.de?f", "a:b@c"]) == []
    assert len(WordTokenizer().tokenize(text)) > 1


def test_unknown_language():
    with pytest.raises(
        UserError,
        match=r"^spaCy has no tokenizer for language 'klingon'; give a code such as 'en', 'es' or "
        r"'de' \(.*\)$",
    ):
        WordTokenizer("klingon").tokenize("a")


def test_language_whose_tokenizer_takes_no_special_tokens():
    with pytest.raises(
        UserError,
        match=r"^spaCy's tokenizer for language 'zh' has no special tokens; use the subword "
        r"tokenizer$",
    ):
        WordTokenizer("zh").tokenize("a")


@pytest.mark.slow
def test_all_reviews(all_imdb_reviews):
    """Some five minutes on two cores."""
    parts = [all_imdb_reviews[i : i + 2000] for i in range(0, len(all_imdb_reviews), 2000)]
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        found = [text for part in pool.map(differing, parts) for text in part]
    assert found == []
    assert len(all_imdb_reviews) == 100_000


# Subword pieces


@pytest.fixture(scope="module")
def corpus():
    return TEXTS + random_texts(300, seed=1)


@pytest.fixture(scope="module")
def pieces(corpus):
    return SubwordTokenizer.train([apply_rules(text) for text in corpus], 600)


def test_special_tokens_come_first_and_once(pieces):
    vocab = pieces.vocab
    assert vocab[: len(SPECIAL_TOKENS)] == list(SPECIAL_TOKENS)
    assert len(set(vocab)) == len(vocab) <= 600
    others = vocab[len(SPECIAL_TOKENS) :]
    assert [p for p in others if p.strip("▁") in SPECIAL_TOKENS] == []


def test_special_tokens_are_never_split(pieces, corpus):
    for token in SPECIAL_TOKENS:
        assert pieces.tokenize(token) == [token]
        assert pieces.tokenize(f"{token} {token}") == [token, token]
        assert pieces.tokenize(f"the {token} the").count(token) == 1
        assert pieces.tokenize(f"({token})").count(token) == 1
    for text in map(apply_rules, corpus):
        tokens = pieces.tokenize(text)
        assert tokens[0] == "xxbos"
        inside = [t for t in tokens if t not in SPECIAL_TOKENS and t.strip("▁") in SPECIAL_TOKENS]
        assert inside == []


def test_words_that_hold_a_special_token_stay_whole(pieces):
    tokens = pieces.tokenize("maxxrepair xxmajor 5xxup")
    assert not set(tokens) & set(SPECIAL_TOKENS)
    assert words(tokens, "subword") == ["maxxrepair", "xxmajor", "5xxup"]


def test_a_word_has_the_same_pieces_wherever_it_stands(pieces):
    expected = pieces.tokenize("word")
    assert expected[0].startswith("▁")
    assert pieces.tokenize("xxmaj word") == ["xxmaj", *expected]
    assert pieces.tokenize("word\n word  word") == expected * 3


def test_newlines_and_tabs_split_no_document():
    lines = ["one film\nof many\r\nnights", "a\tb\u2028c d\x0be\n\nf"] * 20
    spaces = ["one film of many nights", "a b c d e f"] * 20
    made = [SubwordTokenizer.train(texts, 40).model for texts in (lines, spaces)]
    assert made[0] == made[1]


def test_same_texts_give_the_same_bytes(corpus, pieces):
    assert SubwordTokenizer.train(map(apply_rules, corpus), 600).model == pieces.model


def test_surrogates_and_other_strange_characters(pieces):
    strange = ["a \ud800 b", "\udcff", "nul \x00 end", "▁ ▅ ▁▁", "\ufffe\U0010ffff"]
    for text in strange:
        assert pieces.tokenize(apply_rules(text))[0] == "xxbos"
    trained = SubwordTokenizer.train(strange * 10, 40)
    assert trained.tokenize("a b")[0].startswith("▁")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A naïve café, quoted “straße”.", "a naïve café, quoted “straße”."),
        ("привет и 这部电影 שלום 😀👍🏽", "привет и 这部电影 שלום 😀👍🏽"),
        ("The END: no no no, NO NO NO!!!! zzzz", "The END: no no no , NO NO NO !!!! zzzz"),
        ("a\nb\tc   d\n\n", "a b c d"),
        ("<unk> is 100% Greek", "xxunk is 100% Greek"),
    ],
)
def test_pieces_are_put_together_again(text, expected):
    processor = TextProcessor("subword", max_vocab=200).fit([text] * 20)
    assert processor.decode(processor.encode([text])[0]) == expected


def test_unknown_characters_become_xxunk():
    processor = TextProcessor("subword", max_vocab=100).fit(["a few letters"] * 20)
    ids = processor.encode(["a few 漢 letters"])[0]
    assert processor.decode(ids) == "a few xxunk letters"


@pytest.mark.parametrize(
    ("texts", "size", "reason"),
    [([], 100, ""), ([" ", "xxbos"], 100, ""), (["abcdef"], 10, "required_chars. 10 vs 16.")],
)
def test_texts_that_teach_no_pieces(texts, size, reason):
    with pytest.raises(UserError) as caught:
        SubwordTokenizer.train(texts, size)
    line, reported = str(caught.value).split(" (", 1)
    assert line == (
        "cannot train a subword tokenizer on these texts; give more text or a larger vocabulary"
    )
    assert reason in reported
    assert "\n" not in reported


def test_file_that_is_no_model():
    with pytest.raises(
        UserError, match=r"^spm\.model is no SentencePiece model; train or copy it again$"
    ):
        SubwordTokenizer(b"no model")


# Whole words


def test_words_of_word_tokens():
    assert words(["xxbos", "a▁b", "\n▁"], "word") == ["xxbos", "a b", "\n "]


def test_words_of_pieces():
    tokens = ["xxbos", "xxmaj", "▁film", "s", "xxrep", "▁3", "▁!", "!", "▁", "a"]
    assert words(tokens, "subword") == ["xxbos", "xxmaj", "films", "xxrep", "3", "!!", "a"]
