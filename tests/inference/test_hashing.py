"""Hashed n-grams: the same token has the same bucket wherever it stands."""

from hashlib import sha256

import numpy as np
import pytest

from ulmfit.inference.hashing import HashedNgrams, hashed, token_hashes, token_spans

BUCKETS = 1 << 16


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("It's GOOD!!", ["It's", "GOOD", "!", "!"]),
        ("", []),
        (" \t\n", []),
        ("a<br />b", ["a", "b"]),
        ("中文", ["中", "文"]),
        ("été, né", ["été", ",", "né"]),
        ("İs it", ["İs", "it"]),
        ("half \ud800 pair", ["half", "\ud800", "pair"]),
    ],
)
def test_tokens(text, tokens):
    assert [text[a:b] for a, b in token_spans(text)] == tokens
    assert len(token_hashes([text])[0]) == len(tokens)


def test_a_text_has_the_same_buckets_alone_and_among_others():
    texts = ["A good film, good actors", "", "the GOOD film", "good"]
    together = hashed(texts, BUCKETS)
    for n, text in enumerate(texts):
        alone = hashed([text], BUCKETS)
        own = together.numbers[together.starts[n] : together.starts[n + 1]]
        np.testing.assert_array_equal(own, alone.numbers)
    assert np.diff(together.starts).tolist() == [5 + 5, 0, 3 + 2, 1]
    assert set(hashed(["good film"], BUCKETS).numbers) <= set(hashed(texts[:1], BUCKETS).numbers)


def test_buckets_are_those_of_students_trained_before():
    texts = ["It's GOOD, good!", "", "été 中文 <br />x", "a " * 300 + "b"]
    found = hashed(texts, 1 << 20)
    assert found.starts.tolist() == [0, 8, 8, 15, 19]
    assert sha256(found.numbers.astype("<i4").tobytes()).hexdigest() == (
        "64cae16689a8dfa3fd95c748532cd6f530d99382c867548fd5402c661f9a6c07"
    )


def test_reading_a_text_once_gives_its_rows_and_its_known_words():
    texts = ["good film"] * 15 + ["bad film", ""]
    features = HashedNgrams.fit(hashed(texts, BUCKETS), BUCKETS)
    rows, tokens, known = features.read(texts)
    assert (rows != features.transform(texts)).nnz == 0
    assert [tokens.tolist(), known.tolist()] == [a.tolist() for a in features.known(texts)]


@pytest.mark.parametrize("count", [1, 4095, 4096])
def test_many_texts_and_few_have_the_same_buckets(count):
    # From 4,096 texts on, the numbers to sort have 64 bits.
    found = hashed(["good film"] * count, 1 << 20)
    assert found.numbers.tolist() == hashed(["good film"], 1 << 20).numbers.tolist() * count
    assert found.starts.tolist() == list(range(0, 3 * count + 1, 3))


def test_order_matters_to_pairs_alone():
    one, other = (set(hashed([text], BUCKETS).numbers.tolist()) for text in ("a b", "b a"))
    assert len(one & other) == 2
    assert all(n < BUCKETS // 2 for n in one & other)
    assert all(n >= BUCKETS // 2 for n in one ^ other)


def test_words_rarely_share_a_bucket():
    words = [f"word{n}" for n in range(5000)]
    buckets = hashed([" ".join(words)], 1 << 22).numbers
    assert (buckets < 1 << 21).sum() > 4980


def test_rows_have_length_one_and_unknown_words_none():
    texts = ["good film"] * 15 + ["bad film"] * 15 + ["seldom"]
    features = HashedNgrams.fit(hashed(texts, BUCKETS), BUCKETS)
    rows = features.transform(["good film", "seldom", ""])
    np.testing.assert_allclose((rows**2).sum(1), [1, 0, 0], rtol=1e-5)
    tokens, known = features.known(["good film", "seldom film", "", "!"])
    assert tokens.tolist() == [2, 2, 0, 1]
    assert known.tolist() == [2, 1, 0, 0]
