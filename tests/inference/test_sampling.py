"""What a language model writes: the state carried on, sampling, forbidden tokens, errors."""

import math
import sys
from itertools import pairwise

import pytest
import torch
from tiny_models import refuses, widen, word_processor, write_classifier, write_lm

from ulmfit.artifacts.directory import read_artifact
from ulmfit.artifacts.trained import load_network
from ulmfit.base.cli import run_command
from ulmfit.base.precision import autocast, resolve_precision
from ulmfit.generate import main
from ulmfit.inference.sampling import Sampling, generate
from ulmfit.model.build import build_lm
from ulmfit.model.sizes import encoder_config
from ulmfit.text.rules import BOS, EOS, FLD, PAD, UNK

CPU = torch.device("cpu")
GREEDY = Sampling(temperature=0)
NEVER = (UNK, PAD, BOS, EOS, FLD)
PROMPT = "A quiet film about"


@pytest.fixture
def processor(monkeypatch):
    """Decodes into the tokens themselves."""
    made = word_processor()
    monkeypatch.setattr(made, "decode", lambda ids: [made.vocab[i] for i in ids])
    return made


@pytest.fixture
def model(processor):
    return widen(build_lm(encoder_config("tiny", len(processor.vocab))), seed=3)


@torch.no_grad()
def naive(model, processor, prompt, words, backwards=False):
    """Greedy, the whole text read again for every word."""
    bos, *rest = (int(i) for i in processor.encode([prompt])[0])
    ids = [bos, *(rest[::-1] if backwards else rest)]
    for _ in range(words):
        model.reset()
        scores = model(torch.tensor([ids]))[0].logits()[0, -1]
        scores[[processor.vocab.index(token) for token in NEVER]] = -math.inf
        ids.append(int(scores.argmax()))
    return [processor.vocab[i] for i in (ids[1:][::-1] if backwards else ids[1:])]


# The state


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("prompt", [PROMPT, "", "again"])
def test_carried_state_is_reading_the_whole_text_again(model, processor, prompt, backwards):
    expected = naive(model, processor, prompt, 25, backwards)
    found = generate(model, processor, prompt, 2, 25, GREEDY, backwards=backwards)
    assert found == [expected, expected]
    followers = set(pairwise(expected))
    assert len(followers) > len(set(expected))  # the last word alone does not decide


def test_calls_do_not_hear_of_each_other(model, processor):
    first = generate(model, processor, PROMPT, 1, 10, GREEDY)
    generate(model, processor, "the music was dull", 4, 10)
    assert generate(model, processor, PROMPT, 1, 10, GREEDY) == first


# Sampling


def test_n_samples_of_so_many_words(model, processor):
    found = generate(model, processor, PROMPT, n=4, words=30)
    assert len(found) == 4
    prompt = processor.tokenize([PROMPT])[0][1:]
    for tokens in found:
        assert tokens[: len(prompt)] == prompt
        assert len(tokens) == len(prompt) + 30
    assert len({" ".join(tokens) for tokens in found}) == 4


def test_seed_decides(model, processor):
    texts = [generate(model, processor, PROMPT, seed=seed) for seed in (1, 1, 2)]
    assert texts[0] == texts[1]
    assert texts[0] != texts[2]
    torch.manual_seed(5)  # torch's own generator has no say
    assert generate(model, processor, PROMPT, seed=1) == texts[0]


@pytest.mark.parametrize(
    "sampling", [Sampling(1.5, top_k=1), Sampling(1.0, top_p=1e-6), Sampling(1e-40)]
)
def test_what_leaves_one_word_is_greedy(model, processor, sampling):
    expected = generate(model, processor, PROMPT, 1, 20, GREEDY)
    assert generate(model, processor, PROMPT, 1, 20, sampling) == expected


def drawn(sampling, logits, times=2000):
    generator = torch.Generator().manual_seed(0)
    ids = sampling.draw(torch.tensor([logits]).log().repeat(times, 1), generator)
    return torch.bincount(ids, minlength=len(logits)) / times


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(1.0), [0.5, 0.3, 0.15, 0.05]),
        (Sampling(0.5), [0.25 / 0.365, 0.09 / 0.365, 0.0225 / 0.365, 0.0025 / 0.365]),
        (Sampling(1.0, top_k=2), [0.625, 0.375, 0, 0]),
        (Sampling(1.0, top_k=9), [0.5, 0.3, 0.15, 0.05]),
        (Sampling(1.0, top_p=0.4), [1, 0, 0, 0]),
        (Sampling(1.0, top_p=0.6), [0.625, 0.375, 0, 0]),
        (Sampling(1.0, top_p=0.9), [0.5 / 0.95, 0.3 / 0.95, 0.15 / 0.95, 0]),
        (Sampling(1.0, top_k=3, top_p=0.8), [0.625, 0.375, 0, 0]),
        (Sampling(0), [1, 0, 0, 0]),
    ],
)
def test_shares_of_what_is_drawn(sampling, expected):
    found = drawn(sampling, [0.5, 0.3, 0.15, 0.05])
    torch.testing.assert_close(found, torch.tensor(expected, dtype=found.dtype), rtol=0, atol=0.04)
    assert [share == 0 for share in expected] == [share == 0 for share in found.tolist()]


@pytest.mark.parametrize(
    "sampling", [GREEDY, Sampling(2.0), Sampling(1.0, 3), Sampling(1.0, 0, 0.9)]
)
def test_some_tokens_are_never_written(model, processor, sampling):
    with torch.no_grad():  # a model that wants nothing else
        model[1].bias[[processor.vocab.index(token) for token in NEVER]] = 100.0
    for tokens in generate(model, processor, PROMPT, n=5, words=40, sampling=sampling):
        assert not set(tokens) & set(NEVER)


def test_a_long_prompt_needs_little_memory(model, processor):
    found = generate(model, processor, "the sea " * 5000, n=1, words=2)
    assert len(found[0]) == 10_002


# The command


@pytest.mark.computes
def test_forward_texts_begin_with_the_prompt(tmp_path, capsys):
    folder = write_lm(tmp_path / "lm-fwd")
    texts = main(lm=str(folder), prompt="The quiet film", n=2, words=7, seed=3)
    assert len(texts) == 2
    assert all(text.startswith("The quiet film ") for text in texts)
    assert capsys.readouterr().out == "".join(f"{text}\n\n" for text in texts)
    artifact = read_artifact(folder, "lm")
    model, own = load_network(artifact), artifact.processor()
    with autocast(CPU, resolve_precision("auto", CPU)):
        assert generate(model, own, "The quiet film", 2, 7, seed=3) == texts


def test_backward_texts_end_with_the_prompt(tmp_path, capsys):
    folder = write_lm(tmp_path / "lm-bwd", backwards=True)
    texts = main(lm=str(folder), prompt="It is great", n=3, words=7)
    assert all(text.endswith(" it is great") or text.endswith(" It is great") for text in texts)
    assert all(len(text) > len("It is great") + 5 for text in texts)


def test_the_command_line(tmp_path, monkeypatch, capsys):
    folder = write_lm(tmp_path / "lm")
    monkeypatch.setattr(
        sys, "argv", ["generate", "--lm", str(folder), "--n", "1", "--words", "3", "--top-k", "5"]
    )
    run_command(main)
    expected = main(lm=str(folder), n=1, words=3, top_k=5)
    printed = f"{expected[0]}\n\n"
    assert capsys.readouterr().out == printed * 2


# Errors


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"temperature": -0.5}, "--temperature is -0.5, expected 0 or more"),
        ({"temperature": math.nan}, "--temperature is nan, expected 0 or more"),
        ({"temperature": math.inf}, "--temperature is inf, expected 0 or more"),
        ({"top_k": -1}, "--top-k is -1, expected 0 (all words) or more"),
        ({"top_p": 0.0}, "--top-p is 0.0, expected more than 0 and at most 1"),
        ({"top_p": 1.5}, "--top-p is 1.5, expected more than 0 and at most 1"),
        ({"n": 0}, "--n is 0 and --words is 60, expected at least 1 each"),
        ({"words": 0}, "--n is 3 and --words is 0, expected at least 1 each"),
    ],
)
def test_settings_that_make_no_sense(arguments, line):
    with refuses(line):
        main(lm="none", **arguments)


def test_no_model():
    with refuses("no model given; --lm DIR names a language model, as ulmfit lm writes it"):
        main(prompt="A film")


def test_no_language_model(tmp_path):
    with refuses(f"{tmp_path / 'none'} does not exist; ulmfit lm writes language models"):
        main(lm=str(tmp_path / "none"))
    folder = write_classifier(tmp_path / "clf")
    with refuses(
        f"{folder} holds a classifier, a language model was expected; "
        "ulmfit lm writes language models"
    ):
        main(lm=str(folder))
