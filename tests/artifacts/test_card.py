"""The model card: what it says of each kind of model, and what it leaves out."""

from dataclasses import replace

import pytest

from ulmfit.artifacts.card import model_card
from ulmfit.artifacts.config import ClassifierConfig, LMConfig
from ulmfit.artifacts.manifest import Manifest
from ulmfit.model.sizes import EncoderConfig

ENCODER = EncoderConfig(10, 4, 6)
CLASSIFIER = Manifest(
    format_version=1,
    kind="classifier",
    direction="forward",
    size="small",
    config=ClassifierConfig(ENCODER, max_len=1440, hidden=5),
    tokenizer={"kind": "word", "lang": "en", "vocab_sha256": "12ab"},
    labels=["neg", "pos"],
    recipe={"lr": 0.004, "max_len": 1440, "steps": [{"epochs": 1, "train": 2}]},
    seed=42,
    metrics={"valid": {"accuracy": 0.9512345678}},
    versions={"torch": "2.13.0"},
    data_fingerprint="f00d",
    parent="ab" * 32,
    files={},
)
LM = replace(CLASSIFIER, kind="lm", config=LMConfig(ENCODER), labels=[], recipe={"lr": 0.004})
STAGE1 = replace(LM, parent=None)


def test_card_of_a_classifier():
    card = model_card(CLASSIFIER, [{"epoch": 0, "accuracy": 0.9}])
    assert card.startswith(
        '---\nlibrary_name: ulmfit\npipeline_tag: text-classification\nlanguage: "en"\n'
    )
    for expected in (
        "# Text classifier: small, forward\n",
        "reads text from the first word to last.",
        'ulmfit predict --clf DIR --text "A text to classify."\n',
        "ulmfit evaluate --clf DIR --data texts.csv\n",
        'Classifier.load("DIR").predict(["A text to classify."])\n',
        "| vocab_sha256 | 12ab |\n",
        "0. neg\n1. pos\n",
        "| lr | 0.004 |\n",
        '| steps | [{"epochs": 1, "train": 2}] |\n',
        "| seed | 42 |\n",
        "| valid.accuracy | 0.951235 |\n",
        "| epoch | accuracy |\n| --- | --- |\n| 0 | 0.9 |\n",
        "- Fingerprint of the training data: `f00d`\n",
        f"has sha256 `{'ab' * 32}`\n",
        "- The decision depends on the last 1440 tokens of a text, and on the rest only as far as",
        "- It was trained on one language (`en`) and one kind of text.\n",
        "| torch | 2.13.0 |\n",
    ):
        assert expected in card
    assert "license" not in card  # the texts' owner has a say in it
    assert card.endswith(" |\n")


def test_card_of_a_domain_language_model():
    card = model_card(LM, [])
    assert "pipeline_tag: text-generation\n" in card
    assert "# Language model fine-tuned on in-domain text: small, forward\n" in card
    assert 'ulmfit generate --lm DIR --prompt "The first words"\n' in card
    assert "ulmfit clf --lm DIR --data texts.csv\n" in card
    assert "- It may write sentences of its training data" in card
    for absent in ("## Labels", "## Epochs", "The decision depends", "ulmfit.predict"):
        assert absent not in card


def test_card_of_a_pretrained_language_model():
    card = model_card(STAGE1, [])
    assert "# Pretrained language model: small, forward\n" in card
    assert "ulmfit lm --pretrained DIR --data texts.csv\n" in card
    assert "- Began from random weights\n" in card


def test_card_of_a_model_from_wt103():
    card = model_card(replace(STAGE1, recipe={"pretrained": "wt103"}), [])
    assert "# Language model fine-tuned on in-domain text" in card
    assert "- Began from wt103\n" in card


def test_backward_card():
    card = model_card(replace(LM, direction="backward"), [])
    assert "reads text from the last word to first." in card
    assert "ulmfit clf --lm DIR --data texts.csv --backwards\n" in card
    assert "ulmfit.generate" not in card  # it would write its words last to first
    card = model_card(replace(CLASSIFIER, direction="backward"), [])
    assert "depends on the first (the last in its order) 1440 tokens of a text" in card


def test_parameters():
    torch = pytest.importorskip("torch")
    layers = [torch.nn.LSTM(4, 6), torch.nn.LSTM(6, 6), torch.nn.LSTM(6, 4)]
    expected = 10 * 4 + sum(p.numel() for layer in layers for p in layer.parameters())
    assert f"Its encoder has {expected:,} parameters." in model_card(LM, [])
    assert "It has 24,000,000 parameters." in model_card(LM, [], parameters=24_000_000)


def test_only_the_last_epochs_are_shown():
    card = model_card(LM, [{"epoch": n} for n in range(25)])
    assert "The last 20 of 25 epochs; all are in `history.csv`." in card
    assert card.index("| epoch |\n| --- |\n| 5 |\n| 6 |\n") < card.index("| 24 |\n")


def test_no_absolute_paths():
    recipe = {
        "data": "/home/someone/reviews.csv",
        "cache": "~/cache",
        "corpus": "C:\\Users\\someone\\wiki.txt",
        "more": ["/home/someone/more.csv"],
        "pretrained": "models/wiki-en-small-fwd",
    }
    card = model_card(replace(STAGE1, recipe=recipe), [])
    assert "someone" not in card
    assert "~" not in card
    for kept in (
        "| reviews.csv |",
        "| cache |",
        "| wiki.txt |",
        '["more.csv"]',
        "Began from models/",
    ):
        assert kept in card


def test_labels_cannot_break_the_card():
    card = model_card(
        replace(CLASSIFIER, labels=["a|b", "c\n# d", "<script>"], metrics={"f1": {"a|b": 1.0}}), []
    )
    assert "0. a\\|b\n1. c # d\n2. &lt;script>\n" in card
    assert "| f1.a\\|b | 1.0 |\n" in card


def test_language_that_is_none_stays_out_of_the_front_matter():
    card = model_card(replace(LM, tokenizer={"kind": "subword", "lang": "x: y"}), [])
    assert "language:" not in card


def test_nothing_recorded():
    card = model_card(replace(LM, metrics={}, versions={}), [])
    assert "## Metrics\n\nNone recorded.\n" in card


def test_same_manifest_same_card():
    shuffled = replace(CLASSIFIER, recipe=dict(reversed(CLASSIFIER.recipe.items())))
    assert model_card(CLASSIFIER, []) == model_card(shuffled, [])


def test_what_the_texts_are():
    manifest = replace(LM, about="Letters | of <a> library.")
    assert "- Letters \\| of &lt;a> library." in model_card(manifest, [])
