"""The word in a blank: the product of both directions, the form of the word, errors."""

import math
import sys

import numpy as np
import pytest
import torch
from tiny_models import WORDS, finished, refuses, widen, word_processor, write_lm

from ulmfit.artifacts.config import LMConfig
from ulmfit.base.cli import run_command
from ulmfit.generate import main
from ulmfit.inference.filling import fill, load_directions
from ulmfit.inference.language_model import LanguageModel
from ulmfit.model.build import build_lm
from ulmfit.model.sizes import encoder_config
from ulmfit.text.processor import TextProcessor
from ulmfit.text.rules import SPECIAL_TOKENS, TK_MAJ, TK_UP
from ulmfit.training.settings import LMSettings, Step
from ulmfit.training.stage import Options, save

TEXT = "The music was xxmask , and the actors never laughed ."
ALL = 10_000  # more words than there are


def write_other(out, processor, backwards=False):
    """A language model's directory with a vocabulary of its own."""
    encoder = encoder_config("tiny", len(processor.vocab))
    settings = LMSettings(steps=[Step(1, 0.01)])
    made = finished(LMConfig(encoder), widen(build_lm(encoder), 5), processor, settings)
    return save(made, out, 0.1, Options(backwards=backwards)).path


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return write_lm(folder / "lm-fwd", seed=1), write_lm(folder / "lm-bwd", True, seed=2)


@pytest.fixture(scope="module")
def pair(folders):
    return load_directions(folders)


@torch.no_grad()
def next_word(model, tokens):
    """The probability of each token of the vocabulary after `tokens`."""
    model.model.reset()
    ids = [model.processor.vocab.index(token) for token in tokens]
    return model.model(torch.tensor([ids]))[0].logits()[0, -1].double().softmax(0).numpy()


def forms(model, tokens):
    """The probability of each token as it is, after xxmaj and after xxup: (3, vocabulary)."""
    plain, vocab = next_word(model, tokens), model.processor.vocab
    marked = [plain[vocab.index(m)] * next_word(model, [*tokens, m]) for m in (TK_MAJ, TK_UP)]
    return np.stack([plain, *marked])


def by_word(found):
    return dict(zip(found.words, found.probabilities, strict=True))


def normalised(scores, vocab):
    kept = {w: s for w, s in zip(vocab, scores, strict=True) if w not in SPECIAL_TOKENS}
    return {word: score / sum(kept.values()) for word, score in kept.items()}


BEFORE = ["xxbos", "xxmaj", "the", "music", "was"]
AFTER = [",", "and", "the", "actors", "never", "laughed", "."]


def zipf(vocab):
    return 1 / (np.maximum(np.arange(len(vocab)) - len(SPECIAL_TOKENS), 0) + 2.7)


def test_product_of_both_directions(pair):
    forward, backward = pair
    vocab = forward.processor.vocab
    left = forms(forward, BEFORE).sum(0)
    right = next_word(backward, ["xxbos", *AFTER[::-1]])
    expected = normalised(left * right / zipf(vocab), vocab)
    found = fill(TEXT, forward, backward, ALL)
    assert by_word(found) == pytest.approx(expected, rel=1e-4)
    assert sum(found.probabilities) == pytest.approx(1)
    assert found.probabilities == sorted(found.probabilities, reverse=True)
    assert fill(TEXT, forward, backward, 3).words == found.words[:3]
    assert fill(TEXT, forward, backward, 3).probabilities == found.probabilities[:3]


def test_one_direction_alone(pair):
    forward, backward = pair
    vocab = forward.processor.vocab
    expected = normalised(forms(forward, BEFORE).sum(0), vocab)
    assert by_word(fill(TEXT, forward, None, ALL)) == pytest.approx(expected, rel=1e-4)
    expected = normalised(next_word(backward, ["xxbos", *AFTER[::-1]]), vocab)
    assert by_word(fill(TEXT, None, backward, ALL)) == pytest.approx(expected, rel=1e-4)


def test_only_common_words(pair, tmp_path):
    texts = ["laughed never the sea and a dull whale \n\n was music"]
    other = TextProcessor("word", min_freq=1).fit(texts)
    backward = LanguageModel.load(write_other(tmp_path / "other", other, backwards=True))
    forward, vocab = pair[0], pair[0].processor.vocab
    common = set(vocab) & set(other.vocab) - set(SPECIAL_TOKENS)
    assert "whale" in other.vocab
    assert common == {"laughed", "never", "the", "sea", "and", "a", "dull", "was", "music"}
    known = [token if token in other.vocab else "xxunk" for token in AFTER[::-1]]
    left, right = forms(forward, BEFORE).sum(0), next_word(backward, ["xxbos", *known])
    scores = {}
    for word in common:
        a, b = vocab.index(word), other.vocab.index(word)
        prior = math.sqrt(zipf(vocab)[a] * zipf(other.vocab)[b])
        scores[word] = left[a] * right[b] / prior
    expected = {word: score / sum(scores.values()) for word, score in scores.items()}
    assert by_word(fill(TEXT, forward, backward, ALL)) == pytest.approx(expected, rel=1e-4)


def test_no_white_space(tmp_path):
    processor = TextProcessor("word", min_freq=1).fit(["a film \n\n about the sea"])
    assert "\n\n▁" in processor.vocab
    model = LanguageModel.load(write_other(tmp_path / "lm", processor))
    assert sorted(fill("a xxmask", model, None, ALL).words) == ["a", "about", "film", "sea", "the"]


# The form of the word


@pytest.mark.parametrize(
    ("blank", "mark"), [("Xxmask", TK_MAJ), ("XXMASK", TK_UP)], ids=["capitalised", "capitals"]
)
def test_form_of_the_blank(pair, blank, mark):
    forward, backward = pair
    vocab = forward.processor.vocab
    left = next_word(forward, ["xxbos", mark])
    right = next_word(backward, ["xxbos", "great", "is"])
    found = fill(f"{blank} is great", forward, backward, ALL)
    expected = normalised(left * right / zipf(vocab), vocab)
    assert by_word(found) == pytest.approx(expected, rel=1e-4)
    best = found.words[0]
    written = best.upper() if mark == TK_UP else best.capitalize()
    assert found.text == f"{written} is great"


@pytest.mark.parametrize(("mark", "written"), [(None, "film"), (TK_MAJ, "Film"), (TK_UP, "FILM")])
def test_likeliest_form_is_written(tmp_path, monkeypatch, mark, written):
    model = LanguageModel.load(write_lm(tmp_path / "lm"))
    vocab = model.processor.vocab

    def logits(network, ids, last):
        """The mark first, and the word after it."""
        made = torch.zeros(*ids.shape, len(vocab))
        for row, tokens in enumerate(ids.tolist()):
            marked = mark is None or vocab.index(mark) in tokens
            made[row, -1, vocab.index("film" if marked else "dull")] = 20.0
            made[row, -2, vocab.index(mark or "film")] = 20.0
        return made[:, -last:]

    monkeypatch.setattr("ulmfit.inference.filling.last_logits", logits)
    found = fill("xxmask :  the SEA,xxunkish", model, None)
    assert found.words[0] == "film"
    assert found.text == f"{written} :  the SEA,xxunkish"


def test_punctuation_beside_the_blank(pair):
    expected = fill('" xxmask " !', *pair)
    assert by_word(fill('"xxmask"!', *pair)) == by_word(expected)


def test_calls_do_not_hear_of_each_other(pair):
    first = fill(TEXT, *pair)
    pair[0].generate("the sea", 1, 4)
    fill("never xxmask", *pair)
    assert fill(TEXT, *pair) == first


# The command


def test_the_command(folders, pair, monkeypatch, capsys):
    arguments = ["--fill", TEXT, "--top", "2", "--lm", *map(str, folders[::-1])]
    monkeypatch.setattr(sys, "argv", ["generate", *arguments])
    run_command(main)
    (a, b), (p, q), text = fill(TEXT, *pair, 2)
    width = max(4, len(a), len(b))
    assert capsys.readouterr().out == (
        f"{'word':{width}}  probability\n{a:{width}}  {p:11.4f}\n{b:{width}}  {q:11.4f}\n\n{text}\n"
    )


def test_a_bundled_name_means_both_directions(pair, tmp_path, monkeypatch):
    for name, backwards in (("films-fwd", False), ("films-bwd", True)):
        write_lm(tmp_path / name, backwards, seed=1 + backwards)
    monkeypatch.setattr("ulmfit.artifacts.bundled.folder", lambda: tmp_path)
    assert main(lm="films", fill=TEXT) == fill(TEXT, *pair)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (0, "only a forward model was given: the text after the blank has no effect; name the "
            "backward one, too, for both sides"),
        (1, "only a backward model was given: the text before the blank has no effect; name the "
            "forward one, too, for both sides"),
    ],
)  # fmt: skip
def test_one_direction_is_said(folders, capsys, given, line):
    main(lm=str(folders[given]), fill=TEXT)
    assert capsys.readouterr().out.splitlines()[0] == line


# Errors


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a film", "found no blank in the text, expected one; write xxmask for one word"),
        ("", "found no blank in the text, expected one; write xxmask for one word"),
        (
            "Xxmask is xxmask",
            "found 2 blanks in the text, expected one; write xxmask for one word",
        ),
        (
            "a few xxmasks more",
            "the blank is part of 'xxmasks', expected xxmask as a word of its own; put a space "
            "before and after it",
        ),
        (["xxmask"], "found list, expected one text; fill(text, ...) takes a string"),
    ],
)
def test_texts_without_one_blank(pair, text, line):
    with refuses(line):
        fill(text, *pair)


def test_models_that_do_not_fit(folders, pair, tmp_path):
    with refuses("no model given, expected a forward or a backward language model"):
        fill(TEXT, None, None)
    with refuses(
        f"{folders[1]} is a backward language model, expected a forward one; give the other model"
    ):
        fill(TEXT, pair[1], pair[0])
    with refuses(
        f"{folders[0]} and {folders[0]} are forward language models, expected a forward and a "
        "backward one; replace one of them"
    ):
        load_directions([folders[0]] * 2)
    with refuses(
        "found 3 language models, expected a forward and a backward one; name two directories "
        "with --lm"
    ):
        load_directions([*folders, folders[0]])
    strange = TextProcessor("word", min_freq=1).fit(["ballena blanca"])
    other = LanguageModel.load(write_other(tmp_path / "other", strange, backwards=True))
    with refuses(
        f"found no common word in the vocabularies of {folders[0]} and {tmp_path / 'other'}, "
        "expected models of one language; give models that were trained on the same texts"
    ):
        fill(TEXT, pair[0], other)


def test_subwords(tmp_path):
    processor = TextProcessor("subword", max_vocab=60).fit([WORDS] * 3)
    model = LanguageModel.load(write_other(tmp_path / "lm", processor))
    with refuses(
        f"{tmp_path / 'lm'} has a subword tokenizer, expected one of words: a blank of one piece "
        "is no word; give a model with the word tokenizer"
    ):
        fill(TEXT, model, None)


def test_nan(tmp_path):
    model = LanguageModel.load(write_lm(tmp_path / "lm"))
    with torch.no_grad():
        model.model[1].bias[20] = math.nan
    with refuses(
        "the language model computes nan or infinity instead of probabilities; train or copy it "
        "again"
    ):
        fill(TEXT, model, None)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"fill": TEXT, "top": 0}, "--top is 0, expected at least 1"),
        ({"top": 3}, "--top is 3, but it works with --fill alone; leave it out"),
        ({"fill": TEXT, "n": 1}, "--n is 1, but --fill does not use it; leave it out"),
        ({"fill": TEXT, "top_k": 5}, "--top-k is 5, but --fill does not use it; leave it out"),
        ({"fill": "", "prompt": "A"}, "--prompt is A, but --fill does not use it; leave it out"),
    ],
)
def test_flags_of_the_other_task(folders, arguments, line):
    with refuses(line):
        main(lm=[str(folder) for folder in folders[: 2 if "fill" in arguments else 1]], **arguments)


def test_several_models_without_a_blank(folders):
    with refuses(
        "--lm names 2 models, expected one to generate texts; only --fill reads in both directions"
    ):
        main(lm=[str(folder) for folder in folders], prompt="A film")


def test_the_vocabulary_of_these_models_has_all_words_of_the_text():
    assert {*BEFORE, *AFTER} <= {*word_processor().vocab}
