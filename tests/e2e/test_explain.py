"""Explanations: words of all kinds of text, what moves a trained classifier, how it is shown."""

import random
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from itertools import chain

import numpy as np
import pytest
import tiny_models
from sample_texts import TEXTS, random_texts
from tiny_models import needs_bfloat16, refuses, write_classifier
from tiny_stages import MOODS, PLOT, reviews, stage3, write_csv

from ulmfit.artifacts.directory import read_artifact
from ulmfit.explain import main
from ulmfit.inference.ensemble import Classifier
from ulmfit.inference.explanation import Explanation, explain
from ulmfit.inference.scoring import EMPTY
from ulmfit.text.processor import TextProcessor
from ulmfit.text.rules import fix_html
from ulmfit.text.word_cut import cut_words

SETTINGS = {
    "size": "tiny",
    "min_freq": 1,
    "precision": "float32",  # as `explain` computes
    "steps": [{"epochs": 12, "lr": 0.005}],
}
MOOD_WORDS = {mood: set(words) for mood, words in MOODS.items()}


def mixed_reviews(n):
    """Rows of text, label, split: one word of a mood or many; in train, also texts of none.

    Each word has to be understood by itself, and a text of no mood has to be in doubt. With texts
    full of one mood a classifier needs a few words only, and is sure of texts without a mood:
    rounding, which differs from processor to processor, then decides which words and which class.
    """
    rng, splits = random.Random(0), ("train", "train", "train", "valid")
    rows = []
    for i in range(n):
        split = splits[i % len(splits)]
        mood, other = rng.sample(list(MOODS), 2)
        own = 0 if split == "train" and rng.random() < 0.2 else rng.randint(1, 8)
        words = [*rng.choices(MOODS[mood], k=own), *rng.choices(PLOT, k=rng.randint(1, 8))]
        words += rng.choices(MOODS[other], k=rng.randint(0, max(0, own - 1) // 2))
        rng.shuffle(words)
        rows.append([f"The {' '.join(words)}.", mood, split])
    return rows


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Classifiers that learned words of two moods, forward and backward."""
    folder = tmp_path_factory.mktemp("explain")
    data = write_csv(folder / "reviews.csv", ["text", "label", "split"], mixed_reviews(n=960))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ULMFIT_CACHE", str(folder / "cache"))
        made = [
            stage3(data, "none", folder / name, backwards=name == "bwd", **SETTINGS)
            for name in ("fwd", "bwd")
        ]
    assert min(result.metrics["valid"]["accuracy"] for result in made) > 0.9
    return [str(result.path) for result in made]


@pytest.fixture(scope="module")
def ensemble(folders):
    return Classifier.load(*folders, precision="float32")


@pytest.fixture(scope="module")
def backward(folders):
    return Classifier.load(folders[1], precision="float32")


@pytest.fixture(scope="module")
def processors():
    """A processor of each kind."""
    pieces = TextProcessor("subword", max_vocab=400).fit([*random_texts(200), *TEXTS])
    return {"word": TextProcessor("word"), "subword": pieces}


def words_of(text, processor):
    return cut_words(text, processor.tokenize([text])[0], processor.kind)


def shown(cut):
    return "".join(gap + word for gap, word in zip(cut.gaps, cut.words, strict=True))


# From tokens to words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ""),
        ("dull", "dull"),
        ("A Great film, by McDonald.", "A|Great|film|,|by|McDonald|."),
        ("I DIDN'T, she's; it cannot", "I|DIDN'T|,|she's|;|it|cannot"),
        ("Sooooo good!!!! AVOID :)", "Sooooo|good|!!!!|AVOID|:)"),
        ("no No no no, very very very bad", "no|No|no|no|,|very very very|bad"),
        ("Good<br /><br />Tom#39;s amp; &lt;b&gt;...", "Good|Tom's|&|<|b|>|…"),
        ("ŁÓDŹ İstanbul ΛΟΓΟΣ", "ŁÓDŹ|i̇stanbul|ΛΟΓΟΣ"),
        ("😀😀😀 👍 电影", "😀😀😀|👍|电影"),
        ("xxmaj film xxbos xxup", "film|xxbos xxup"),
        ("\ud83d half", "?|half"),
    ],
)
def test_words(processors, text, words):
    assert words_of(text, processors["word"]).words == (words.split("|") if words else [])


def test_gaps(processors):
    cut = words_of(' "It\'s  fine", he\tsaid.<br />\nNever!!! ', processors["word"])
    assert shown(cut) == '"It\'s fine", he said.\nNever!!!'


def test_pieces_are_put_together(processors):
    text = "The WORST word, sooo dull!!! Don't."
    tokens = processors["subword"].tokenize([text])[0]
    cut = cut_words(text, tokens, "subword")
    assert len(tokens) > len(cut.words) + 6
    assert cut.words == ["The", "WORST", "word,", "sooo", "dull", "!!!", "Don't."]
    assert tokens[cut.tokens[1][0]] == "xxup"


@pytest.mark.parametrize("kind", ["word", "subword"])
def test_every_token_belongs_to_one_word(processors, kind):
    for text in [*TEXTS, *random_texts(300, seed=1), *random_texts(100, seed=2, between=" ")]:
        tokens = processors[kind].tokenize([text])[0]
        cut = cut_words(text, tokens, kind)
        assert list(chain.from_iterable(cut.tokens)) == list(range(1, len(tokens)))
        assert len(cut.words) == len(cut.gaps) == len(cut.tokens)
        assert all(word.strip() for word in cut.words)


def test_words_read_like_the_text(processors):
    """But for white space, and marks that somebody typed, they are the text letter by letter."""
    plain = [t for t in TEXTS if "xx" not in t and "<unk>" not in t and "unicode" not in t]
    letters = [("".join(fix_html(t).split()), words_of(t, processors["word"])) for t in plain]
    same = [text == "".join(shown(cut).split()) for text, cut in letters]
    assert sum(same) >= len(plain) - 4
    assert len(plain) > 30


def test_long_texts_are_cut_in_time(processors):
    """Without spaces a subword tokenizer gives one word of very many pieces."""
    assert len(words_of("电影很好看" * 4000, processors["subword"]).words) == 1
    assert len(words_of("good film, " * 8000, processors["word"]).words) == 24_000


# What moves a prediction


@pytest.mark.parametrize("mood", MOODS)
@pytest.mark.parametrize("which", ["ensemble", "backward"])
def test_mood_words_move_it(request, which, mood):
    """Over texts of six words of one mood, one of the other and six that say nothing."""
    classifier = request.getfixturevalue(which)
    rng = random.Random(3)
    other = next(m for m in MOODS if m != mood)
    own, against, rest, right = [], [], [], 0
    for _ in range(12):
        words = [*rng.sample(MOODS[mood], 6), rng.choice(MOODS[other]), *rng.sample(PLOT, 6)]
        rng.shuffle(words)
        text = f"The {' '.join([words[0].title(), words[1].upper(), *words[2:]])}."
        found = explain(classifier, text)
        assert shown(found) == text
        if found.label != mood:
            continue
        right += 1
        for word, score in zip(map(str.lower, found.words), found.scores, strict=True):
            for group, scores in ((MOOD_WORDS[mood], own), (MOOD_WORDS[other], against)):
                scores += [score] if word.strip(".") in group else []
            rest += [score] if word.strip(".") in PLOT else []
    assert right >= 10
    assert (len(own), len(against), len(rest)) == (6 * right, right, 6 * right)
    assert np.mean(own) > 0 > np.mean(against)
    assert np.mean(np.array(own) > 0) > 0.7  # a word alone may have been misunderstood
    assert np.mean(own) > 2 * np.mean(np.abs(rest))


def deleted(words, numbers):
    return " ".join(np.delete(words, numbers))


def test_without_its_top_words_a_prediction_falls(ensemble):
    """The scores predict what the classifier does: far more than as many words by chance."""
    rng = np.random.default_rng(0)
    texts = [text for text, _, _ in reviews(n=24, seed=7)]
    falls = {"integrated": [], "gradient": [], "chance": []}
    for text in texts:
        for method in ("integrated", "gradient"):
            found = explain(ensemble, text, method=method, steps=16)
            top = np.argsort(-found.scores)[:8]
            column = ensemble.labels.index(found.label)
            left = ensemble.probabilities([deleted(found.words, top)])[0, column]
            falls[method].append(found.probability - left)
        chance = [rng.choice(len(found.words), 8, replace=False) for _ in range(5)]
        left = ensemble.probabilities([deleted(found.words, some) for some in chance])
        falls["chance"] += list(found.probability - left[:, column])
    means = {name: float(np.mean(fall)) for name, fall in falls.items()}
    assert means["integrated"] > 0.15
    assert means["integrated"] > 10 * means["chance"]
    assert means["gradient"] > 5 * means["chance"]


def test_scores_sum_to_the_total(ensemble):
    text = "The film was great, the story awful; a lovely, dull, fresh plot."
    found = explain(ensemble, text, steps=128)
    assert found.total == found.probability - found.baseline
    assert abs(found.total) > 0.05
    assert found.scores.sum() == pytest.approx(found.total, abs=0.01)


def test_fewer_points_where_the_sum_fits(ensemble, monkeypatch):
    text = "The film was great, the story awful; a lovely, dull, fresh plot."
    found = explain(ensemble, text)
    few, many = (explain(ensemble, text, steps=steps) for steps in (11, 33))
    misses = abs(few.scores.sum() - few.total)
    assert found.points == (11 if misses <= max(0.05 * abs(few.total), 0.005) else 33)
    for share, points, same in ((0.0, 33, many), (100.0, 11, few)):
        monkeypatch.setattr("ulmfit.inference.explanation._FITS", share)
        monkeypatch.setattr("ulmfit.inference.explanation._NOTHING", share * 1e-4)
        found = explain(ensemble, text)
        assert found.points == same.points == points
        np.testing.assert_allclose(found.scores, same.scores, atol=1e-6)
        assert f"({points} points)\n" in found.to_terminal()
    assert "points" not in explain(ensemble, text, method="gradient").to_terminal()


@pytest.mark.parametrize("precision", ["float32", pytest.param("bfloat16", marks=needs_bfloat16)])
def test_prediction_is_the_classifiers(ensemble, folders, precision):
    """All is computed in float32, whatever the classifier's precision."""
    texts = ["The film was great.", "dull dull plot", "", "a b c"]
    expected = ensemble.predict(texts)
    classifier = Classifier.load(*folders, precision=precision)
    for i, text in enumerate(texts):
        found = explain(classifier, text, method="gradient")
        assert found.label == expected["label"][i]
        assert found.probability == pytest.approx(expected["probability"][i], abs=1e-5)


def test_ensemble_has_the_mean_of_its_models(ensemble, folders):
    text = "A superb, warm and lovely film with great music."
    loaded = [Classifier.load(folder, precision="float32") for folder in folders]
    singles = [explain(each, text, steps=33) for each in loaded]
    found = explain(ensemble, text, steps=33)
    assert {single.label for single in singles} == {found.label}
    assert np.abs(singles[0].scores - singles[1].scores).max() > 0.01
    for name in ("scores", "probability", "baseline"):
        mean = np.mean([getattr(single, name) for single in singles], axis=0)
        np.testing.assert_allclose(getattr(found, name), mean, atol=1e-6)


# Odd texts


def test_empty_text(ensemble):
    for text in ("", " \n\t", "\u200b"):
        found = explain(ensemble, text)
        assert (found.words, found.gaps, found.scores.shape) == ([], [], (0,))
        assert found.total == 0
        assert f"note: {EMPTY}\n" in found.to_terminal()
        assert found.to_terminal().endswith("no words")
        assert found.to_terminal(colour=True).endswith("no words")
        assert found.to_html().endswith("></p>")


def test_one_word(ensemble):
    found = explain(ensemble, "dreadful", steps=128)
    assert found.words == ["dreadful"]
    assert found.label == "bad"
    assert found.scores[0] == pytest.approx(found.total, abs=0.01)


def test_unknown_words_alone_are_all_alike_to_the_model(ensemble):
    found = explain(ensemble, "qwertz asdfgh yxcvbn", steps=128)
    assert found.words == ["qwertz", "asdfgh", "yxcvbn"]
    assert found.to_terminal().splitlines()[1] == (
        "note: none of 3 tokens is known to this model; its answer means little"
    )
    assert explain(ensemble, "a lovely plot", steps=1).note == ""
    assert found.scores.sum() == pytest.approx(found.total, abs=0.01)
    assert np.array_equal(found.scores, explain(ensemble, "1234 5678 9012", steps=128).scores)


def test_odd_texts(ensemble):
    for text in [*TEXTS, "nul \x00, half a pair \ud83d, <script>alert(1)</script>"]:
        found = explain(ensemble, text, method="gradient")
        assert np.isfinite(found.scores).all()
        for colour in (False, True):
            assert found.to_terminal(colour).encode()
        assert found.to_html().encode()


def test_several_thousand_tokens(ensemble):
    """The part that is pooled and the part before it."""
    text = "The film was dull. " * 800 + "A great, lovely plot."
    found = explain(ensemble, text, steps=2)
    assert len(found.words) == 5 * 800 + 6
    assert np.isfinite(found.scores).all()
    assert np.abs(found.scores).max() > 0


# How it is shown

MADE = Explanation(
    label="neg",
    probability=0.9,
    baseline=0.4,
    words=["A", "<b>", "dull", "film", "\x1b[31m", "great"],
    scores=np.array([0.001, 0.1, 0.5, 0.2, -0.06, -0.25]),
    gaps=["", " ", " ", "\n", " ", " "],
)


def test_plain_form():
    assert MADE.to_terminal().splitlines() == [
        "label neg, probability 0.900",
        "the words moved it by +0.500, from 0.400 with average words; their scores sum to +0.491",
        "strongest of 6 words, + for neg:",
        "   +0.5000  dull",
        "   -0.2500  great",
        "   +0.2000  film",
        "   +0.1000  <b>",
        "   -0.0600  \ufffd[31m",
        "   +0.0010  A",
    ]
    assert MADE.strongest(1) == [("dull", 0.5)]


def test_colour_form():
    lines = MADE.to_terminal(colour=True).splitlines()
    assert lines[0] == "label neg, probability 0.900"
    green, red = "\x1b[38;5;16;48;5;{}m", "\x1b[38;5;16;48;5;{}m"
    end = "\x1b[0m"
    assert lines[2] == f"{green.format(77)}for{end} {red.format(203)}against{end}"
    assert lines[3] == f"A {green.format(194)}<b>{end} {green.format(77)}dull{end}"
    assert lines[4] == (
        f"{green.format(157)}film{end} {red.format(224)}\ufffd[31m{end} {red.format(210)}great{end}"
    )


class _Spans(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.tags, self.text = [], [], ""

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag == "span":
            self.found.append(dict(attributes))

    def handle_data(self, data):
        self.text += data


def test_html():
    parser = _Spans()
    parser.feed(MADE.to_html())
    assert parser.tags == ["p", *["span"] * 5]
    assert parser.text == "A <b> dull\nfilm \ufffd[31m great"
    assert [span["title"] for span in parser.found] == [
        *("+0.1000", "+0.5000", "+0.2000", "-0.0600", "-0.2500")
    ]
    assert parser.found[1]["style"] == "background:rgba(86,180,233,1.00)"
    assert parser.found[4]["style"] == "background:rgba(230,159,0,0.50)"
    assert "http" not in MADE.to_html()


# What is refused, and the command


def test_models_that_cut_words_in_other_ways(tmp_path, monkeypatch):
    first = write_classifier(tmp_path / "word")
    pieces = TextProcessor("subword", max_vocab=60).fit([tiny_models.WORDS] * 9)
    monkeypatch.setattr(tiny_models, "word_processor", lambda: pieces)
    second = write_classifier(tmp_path / "subword", seed=1)
    both = Classifier.load(first, second)
    assert explain(both, "a good film").words == ["a", "good", "film"]
    with refuses(
        f"{first} and {second} cut the text into different words; explain them one by one"
    ):
        explain(both, "a good film.")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({}, "no text given; --text TEXT is the text to explain"),
        (
            {"text": "a", "method": "lime"},
            "--method is 'lime', expected one of integrated, gradient",
        ),
        ({"text": "a", "steps": 0}, "--steps is 0, expected 1 or more"),
        ({"text": ["a"]}, "found list, expected one text; explain takes a string"),
    ],
)
def test_refused_before_a_model_is_loaded(arguments, line):
    with refuses(line):
        main(clf="nowhere", **arguments)


def test_command(folders, capsys):
    found = main(clf=folders, text="A lovely film.", steps=4)
    out = capsys.readouterr().out
    assert out == f"{found.to_terminal()}\n"
    assert found.words == ["A", "lovely", "film", "."]
    main(clf=folders, text="A lovely film.", steps=4, colour=True)
    assert capsys.readouterr().out == f"{found.to_terminal(colour=True)}\n"


def test_no_model_is_the_bundled_ensemble(folders, tmp_path, monkeypatch, capsys):
    for folder, name in zip(folders, ("fwd", "bwd"), strict=True):
        (tmp_path / f"imdb-small-{name}").symlink_to(folder)
    monkeypatch.setattr("ulmfit.artifacts.bundled.folder", lambda: tmp_path)
    found = main(text=f"A {PLOT[0]}", method="gradient")
    said = "with the bundled imdb-small; --clf DIR [DIR ...] names other classifiers\n"
    assert capsys.readouterr().out.startswith(said)
    assert (
        found.probability == main(clf=folders, text=f"A {PLOT[0]}", method="gradient").probability
    )


def test_a_calibrated_model_is_explained_as_it_predicts(folders, tmp_path):
    folder = tmp_path / "calibrated"
    shutil.copytree(folders[0], folder)
    manifest = read_artifact(folder).manifest
    warm = replace(manifest, config=replace(manifest.config, temperature=3.0))
    (folder / "manifest.json").write_text(warm.to_json())
    classifier = Classifier.load(folder, precision="float32")
    text = "The film was great and the plot superb."
    found = explain(classifier, text, steps=64)
    raw = explain(Classifier.load(folders[0], precision="float32"), text, steps=64)
    assert found.probability == pytest.approx(classifier.probabilities([text]).max(), abs=1e-5)
    assert found.probability < raw.probability
    assert found.scores.sum() == pytest.approx(found.total, abs=0.01)
