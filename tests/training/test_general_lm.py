"""Stage 1's documents: what is held out never meets what is trained."""

import pandas as pd
import pytest
from tiny_stages import SETTINGS_1, general

from ulmfit.text.processor import TextProcessor
from ulmfit.training.general_lm import prepare
from ulmfit.training.settings import PretrainSettings, load_settings


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ULMFIT_CACHE", str(tmp_path / "cache"))


def settings(**more):
    return load_settings(PretrainSettings, "demo", {**SETTINGS_1, **more})


def test_pieces_are_trained_without_the_held_out_texts(monkeypatch):
    texts = [f"{text} number{i}" for i, text in enumerate(general())]
    seen = []
    train_pieces = TextProcessor.train_pieces

    def noted(processor, texts, coverage):
        seen.extend(texts)
        return train_pieces(processor, seen, coverage)

    monkeypatch.setattr(TextProcessor, "train_pieces", noted)
    processor, train, valid = prepare(pd.Series(texts), settings(tokenizer="subword", max_vocab=80))
    held_out = [text for text in texts if text not in seen]
    assert len(seen) == len(train) == len(texts) - 8
    assert sorted(map(list, valid)) == sorted(map(list, processor.encode(held_out)))
    assert sorted(map(list, train)) == sorted(map(list, processor.encode(seen)))
