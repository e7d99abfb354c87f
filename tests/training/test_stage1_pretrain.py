"""Stage 1's data: what it reads, what it holds out, and what never meets what is held out."""

import pandas as pd
import pytest
from tiny_models import refuses
from tiny_stages import SETTINGS_1, general

from ulmfit.stage1_pretrain import prepare, read_corpus
from ulmfit.text.processor import TextProcessor
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

    def noted(processor, texts):
        seen.extend(texts)
        return train_pieces(processor, seen)

    monkeypatch.setattr(TextProcessor, "train_pieces", noted)
    processor, train, valid = prepare(pd.Series(texts), settings(tokenizer="subword", max_vocab=80))
    held_out = [text for text in texts if text not in seen]
    assert len(seen) == len(train) == len(texts) - 8
    assert sorted(map(list, valid)) == sorted(map(list, processor.encode(held_out)))
    assert sorted(map(list, train)) == sorted(map(list, processor.encode(seen)))


def test_folder_of_texts(tmp_path):
    for name, text in {"b": "second", "a": "first", "c": " "}.items():
        (tmp_path / f"{name}.txt").write_text(text)
    assert read_corpus(tmp_path, "text").tolist() == ["first", "second"]


def test_text_file_alone_is_refused(tmp_path):
    path = tmp_path / "general.txt"
    path.write_text("a text")
    with refuses(
        f"{path}: found the extension '.txt', expected one of .csv, .tsv, .jsonl, .parquet, or a "
        "folder of .txt files"
    ):
        read_corpus(path, "text")
