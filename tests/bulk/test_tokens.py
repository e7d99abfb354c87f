"""Tokenising on an engine: the tokens of one machine, in their order."""

import pickle

import numpy as np
import pyarrow.parquet as pq
import pytest
from tiny_models import TEXTS, refuses, word_processor
from tiny_tables import rows

from ulmfit import tokenize
from ulmfit.bulk import tokens
from ulmfit.text.corpus import tokenize_texts
from ulmfit.text.processor import TextProcessor
from ulmfit.text.workers import tokenize_chunks

MANY = [f"{TEXTS[i % len(TEXTS)]} {i}" for i in range(30)]


def out_of_order(workers, address, job, parts, count):
    """As if workers were fast and slow: what Ray sends goes through pickle, there and back."""
    made = [job.run(pickle.loads(pickle.dumps(part))) for part in parts]
    assert len(made) >= count
    yield from made[1::2] + made[::2]


def test_tokens_are_those_of_one_machine(monkeypatch):
    monkeypatch.setattr(tokens, "in_actors", out_of_order)
    monkeypatch.setattr(tokens, "CHUNK", 4)
    processor = word_processor()
    ours = tokenize_texts(
        MANY, processor, engine=lambda *given: tokens.tokenize_on_ray(2, None, *given)
    )
    alone = tokenize_texts(MANY, processor, workers=1)
    assert ours.tokens == alone.tokens
    assert np.array_equal(ours.ids, alone.ids)
    assert np.array_equal(ours.offsets, alone.offsets)


def test_long_texts_go_out_by_themselves(monkeypatch):
    monkeypatch.setattr(tokens, "CHUNK", 4)
    monkeypatch.setattr(tokens, "_CHARACTERS", 10)
    texts = ["a" * 4, "b" * 6, "c" * 30, "", "d", "e" * 9, "f"]
    found = list(tokens.pieces(texts))
    assert [piece.texts for piece in found] == [
        texts[:2],
        texts[2:3],
        texts[3:4],
        texts[4:6],
        texts[6:],
    ]
    assert [(piece.number, piece.first) for piece in found] == [
        *((0, 0), (1, 2), (2, 3), (3, 4), (4, 6))
    ]
    assert found[3].about == "texts 5 to 6"


def test_a_worker_with_another_tokenizer():
    key = word_processor().tokenizer_key()
    other = tokens.Tokenizing(TextProcessor("word", "de"), key)
    with refuses(
        f"a worker tokenises in another way than this machine ({key.replace(':en:', ':de:')}, here "
        f"{key}); install the same versions of ulmfit and its libraries on every machine"
    ):
        other.run(tokens.Piece(0, 0, ["a"]))


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({"engine": "spark"}, "--engine is spark, expected local or ray"),
        ({"engine": "local", "workers": 0}, "--workers is 0, expected 1 or more"),
        ({"workers": 2}, "found --workers without --engine local or --engine ray; add one"),
        ({"address": "auto"}, "found --address auto without --engine ray; add it"),
    ],
)
def test_flags(tmp_path, more, line):
    with refuses(line):
        tokenize.main(data="missing.csv", out=str(tmp_path / "x.ids.parquet"), **more)


def test_workers_of_the_local_engine(tmp_path, monkeypatch):
    asked = []

    def told(texts, processor, workers):
        asked.append(workers)
        return tokenize_chunks(texts, processor, 1)

    monkeypatch.setattr("ulmfit.bulk.engines.tokenize_chunks", told)
    monkeypatch.setenv("ULMFIT_CACHE", str(tmp_path / "cache"))
    data, out = tmp_path / "texts.parquet", tmp_path / "x.ids.parquet"
    pq.write_table(rows(9), data)
    tokenize.main(data=str(data), out=str(out), engine="local", workers=3)
    assert asked == [3]
    assert out.exists()
