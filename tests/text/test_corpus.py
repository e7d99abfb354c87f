"""Tokenised once, kept under its content's name, numericalised as the processor would."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pandas as pd
import pytest
from sample_texts import TEXTS, random_texts
from tiny_models import corpus_from

from ulmfit.base.atomic import atomic_directory
from ulmfit.base.errors import UserError
from ulmfit.text import corpus, workers
from ulmfit.text.corpus import cache_folder, content_key, tokenize_texts
from ulmfit.text.processor import TextProcessor, make_vocab

ALL_TEXTS = TEXTS + random_texts(60)


def tokens_of(tokenized):
    parts = np.split(tokenized.ids, tokenized.offsets[1:-1])
    return [[tokenized.tokens[i] for i in part] for part in parts]


def documents(made):
    return [made[i].tolist() for i in range(len(made))]


@pytest.fixture
def processor():
    return TextProcessor()


# Tokenising


def test_tokens_are_the_processors(processor):
    made = tokenize_texts(ALL_TEXTS, processor)
    assert tokens_of(made) == processor.tokenize(ALL_TEXTS)
    assert made.ids.dtype == np.uint32
    assert made.offsets.dtype == np.int64
    assert len(set(made.tokens)) == len(made.tokens)
    assert made.tokens == list(dict.fromkeys(t for d in processor.tokenize(ALL_TEXTS) for t in d))


@pytest.mark.parametrize("kind", ["word", "subword"])
def test_workers_change_nothing(monkeypatch, kind):
    monkeypatch.setattr(workers, "CHUNK", 7)
    processor = TextProcessor(kind, max_vocab=400)
    if kind == "subword":
        processor.fit(ALL_TEXTS)
    one, two = (tokenize_texts(ALL_TEXTS, processor, workers=n) for n in (1, 2))
    assert one.tokens == two.tokens
    assert one.ids.tolist() == two.ids.tolist()
    assert one.offsets.tolist() == two.offsets.tolist()
    assert tokens_of(two) == processor.tokenize(ALL_TEXTS)


def test_workers_of_different_speed_change_nothing(monkeypatch, processor):
    """Whoever is done first: chunks come in the order of the texts."""
    monkeypatch.setattr(workers, "CHUNK", 7)
    tokenize = workers.tokenize_chunk
    first = ALL_TEXTS[0]

    def late(texts, tokenizer):
        texts = list(texts)
        time.sleep(0.3 if first in texts else random.random() / 50)
        return tokenize(texts, tokenizer)

    expected = tokenize_texts(ALL_TEXTS, processor, workers=1)
    monkeypatch.setattr(workers, "tokenize_chunk", late)
    made = tokenize_texts(ALL_TEXTS, processor, workers=3)
    assert made.tokens == expected.tokens
    assert made.ids.tolist() == expected.ids.tolist()
    assert made.offsets.tolist() == expected.offsets.tolist()


@pytest.mark.parametrize("cached", [False, True])
def test_column_is_read_as_a_list_is(monkeypatch, processor, tmp_path, cached):
    monkeypatch.setattr(workers, "CHUNK", 7)
    column = pd.Series(ALL_TEXTS, index=range(5, 5 + len(ALL_TEXTS)))
    assert content_key(column, processor) == content_key(ALL_TEXTS, processor)
    taken, tolist = [], pd.Series.tolist
    monkeypatch.setattr(pd.Series, "tolist", lambda s: taken.append(len(s)) or tolist(s))
    cache = tmp_path if cached else None
    made = tokenize_texts(column, processor, cache, workers=2)
    assert tokens_of(made) == processor.tokenize(ALL_TEXTS)
    assert max(taken[cached:]) == 7  # the first one is for the key


@pytest.mark.parametrize("cached", [False, True])
def test_no_texts(processor, tmp_path, cached):
    made = tokenize_texts([], processor, tmp_path if cached else None)
    assert (made.tokens, made.ids.tolist(), made.offsets.tolist()) == ([], [], [0])
    assert len(made.numericalize(processor.vocab, np.arange(0))) == 0


def test_error_in_a_worker_is_raised(monkeypatch, processor):
    monkeypatch.setattr(workers, "CHUNK", 2)
    with pytest.raises(AttributeError):
        tokenize_texts(["a", "b", None, "c"], processor, workers=2)


@pytest.mark.slow  # each worker imports everything anew
def test_workers_are_spawned_where_the_system_cannot_fork(monkeypatch, processor):
    monkeypatch.setattr(workers, "CHUNK", 50)
    monkeypatch.setattr(workers, "get_all_start_methods", lambda: ["spawn"])
    methods = []
    monkeypatch.setattr(
        workers, "get_context", lambda name: methods.append(name) or get_context(name)
    )
    processor.tokenize(TEXTS)  # once used, it holds spaCy's tokenizer and functions without a name
    made = tokenize_texts(ALL_TEXTS, processor, workers=2)
    assert tokens_of(made) == processor.tokenize(ALL_TEXTS)
    assert methods == ["spawn"]


def test_workers_leave_ctrl_c_to_the_parent(monkeypatch, processor):
    class Tells:
        def tokenize(self, text):
            return [str(signal.getsignal(signal.SIGINT))]

    monkeypatch.setattr(workers, "CHUNK", 2)
    processor.tokenizer = Tells()
    ignored = str(signal.SIG_IGN)
    # A shell starts what runs in the background with the signal ignored from the outset.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert tokenize_texts(TEXTS, processor, workers=2).tokens == [ignored]
        assert tokenize_texts(TEXTS, processor, workers=1).tokens != [ignored]
    finally:
        signal.signal(signal.SIGINT, before)


# The cache


def test_cache_is_used(monkeypatch, processor, tmp_path, told):
    made = tokenize_texts(ALL_TEXTS, processor, tmp_path)
    expected = [f"tokenising {len(ALL_TEXTS)} texts"]
    assert told == expected
    monkeypatch.setattr(corpus, "tokenize_chunks", None)
    again = tokenize_texts(ALL_TEXTS, TextProcessor(), tmp_path)
    assert told == expected  # nothing more
    assert tokens_of(again) == tokens_of(made) == TextProcessor().tokenize(ALL_TEXTS)
    assert isinstance(again.ids, np.memmap)
    assert [path.name for path in tmp_path.iterdir()] == [content_key(ALL_TEXTS, processor)]


@pytest.mark.parametrize("count", [1, 2])
def test_ids_on_disk_are_those_in_memory(monkeypatch, processor, tmp_path, count):
    monkeypatch.setattr(workers, "CHUNK", 7)
    monkeypatch.setattr(corpus, "_BLOCK", 3)
    kept = tokenize_texts(ALL_TEXTS, processor, tmp_path, count)
    held = tokenize_texts(ALL_TEXTS, processor, workers=count)
    assert kept.tokens == held.tokens
    assert kept.ids.tolist() == held.ids.tolist()
    assert kept.offsets.tolist() == held.offsets.tolist()
    assert (kept.ids.dtype, kept.offsets.dtype) == (held.ids.dtype, held.offsets.dtype)
    rows = np.arange(len(ALL_TEXTS))[::-1]
    vocab = make_vocab(held.counts(rows), 300, 2)
    assert json.dumps(kept.counts(rows)) == json.dumps(held.counts(rows))
    assert documents(kept.numericalize(vocab, rows)) == documents(held.numericalize(vocab, rows))


def test_header_is_written_over_whatever_the_count(tmp_path):
    lengths = set()
    for count in (0, 1, 10**6, 10**15):
        with (tmp_path / "ids.npy").open("wb") as file:
            corpus._write_header(file, count)
            lengths.add(file.tell())
    assert len(lengths) == 1


def test_of_two_at_once_one_tokenises(monkeypatch, processor, tmp_path):
    folder = tmp_path / content_key(TEXTS, processor)
    expected = processor.tokenize(TEXTS)
    tokenize_chunks, calls, both = corpus.tokenize_chunks, [], threading.Barrier(2, timeout=20)

    def slow(*arguments):
        calls.append(arguments)
        time.sleep(0.5)
        return tokenize_chunks(*arguments)

    def made(_):
        both.wait()
        return tokenize_texts(TEXTS, processor, tmp_path)

    monkeypatch.setattr(corpus, "tokenize_chunks", slow)
    with ThreadPoolExecutor(2) as pool:
        assert [tokens_of(one) for one in pool.map(made, range(2))] == [expected, expected]
    assert len(calls) == 1
    assert list(tmp_path.iterdir()) == [folder]


def test_two_processes_that_end_at_once(monkeypatch, processor, tmp_path):
    def overtaken(target, overwrite):
        with atomic_directory(target, overwrite) as folder:
            np.save(folder / "ids.npy", [0])
        return atomic_directory(target, overwrite)

    made = tokenize_texts(TEXTS, processor)
    monkeypatch.setattr(corpus, "atomic_directory", overtaken)
    corpus._keep([(made.tokens, made.ids, np.diff(made.offsets))], tmp_path / "key")
    assert [path.name for path in (tmp_path / "key").iterdir()] == ["ids.npy"]


def test_cache_that_cannot_be_written(processor, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"^cannot write .*file"):
        tokenize_texts(TEXTS, processor, tmp_path / "file")


def test_key_names_texts_and_tokenizer(processor):
    subword = [TextProcessor("subword", max_vocab=n).fit(ALL_TEXTS) for n in (200, 300)]
    keys = [
        content_key(ALL_TEXTS, processor),
        content_key(ALL_TEXTS[::-1], processor),
        content_key(ALL_TEXTS[:-1], processor),
        content_key(["ab"], processor),
        content_key(["a", "b"], processor),
        content_key(["a\ud800"], processor),
        content_key([], processor),
        content_key(ALL_TEXTS, TextProcessor(lang="es")),
        *(content_key(ALL_TEXTS, p) for p in subword),
    ]
    assert len(set(keys)) == len(keys)


def test_key_does_not_depend_on_the_vocabulary(processor):
    fitted = TextProcessor(max_vocab=100, min_freq=1).fit(["a b"])
    assert content_key(TEXTS, fitted) == content_key(TEXTS, processor)


def test_key_changes_with_the_format(monkeypatch, processor):
    before = content_key(TEXTS, processor)
    monkeypatch.setattr("ulmfit.text.processor.TEXT_FORMAT", 0)
    assert content_key(TEXTS, processor) != before


@pytest.mark.parametrize("kind", ["word", "subword"])
def test_key_changes_with_the_library(monkeypatch, kind):
    processor = TextProcessor(kind, max_vocab=300).fit(ALL_TEXTS)
    before = content_key(TEXTS, processor)
    libraries = {"word": "spacy", "subword": "sentencepiece"}
    monkeypatch.setattr("ulmfit.text.processor.version_of", {libraries[kind]: "0.1"}.__getitem__)
    assert content_key(TEXTS, processor) != before


@pytest.mark.parametrize("where", ["workers.tokenize_chunk", "corpus.write_vocab"])
def test_interrupted_tokenisation_leaves_nothing(monkeypatch, processor, tmp_path, where):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(f"ulmfit.text.{where}", interrupt)
        with pytest.raises(KeyboardInterrupt):
            tokenize_texts(TEXTS, processor, tmp_path)
    assert list(tmp_path.iterdir()) == []
    made = tokenize_texts(TEXTS, processor, tmp_path)
    assert tokens_of(made) == processor.tokenize(TEXTS)


KILLED = """
import sys, time
from pathlib import Path
from ulmfit.text import corpus, workers
from ulmfit.text.processor import TextProcessor

class Slow:
    def tokenize(self, text):
        time.sleep(0.02)
        return ["half"] * 10_000

workers.CHUNK = 2
processor = TextProcessor()
processor.tokenizer = Slow()
corpus.tokenize_texts(["a text"] * 10_000, processor, Path(sys.argv[1]), workers=2)
"""


def test_killed_while_it_writes(processor, tmp_path):
    killed = subprocess.Popen([sys.executable, "-c", KILLED, tmp_path], stdout=subprocess.PIPE)
    try:
        while not any(file.stat().st_size > 10_000 for file in tmp_path.glob(".*/ids.npy")):
            assert killed.poll() is None
            time.sleep(0.05)
    finally:
        killed.kill()
    killed.communicate(timeout=60)  # its workers write there, too: the end of the last one
    [left] = tmp_path.glob(".*")  # and the file of its lock
    made = tokenize_texts(["a text"] * 10_000, processor, tmp_path, 1)
    assert made.tokens == ["xxbos", "a", "text"]
    assert made.ids.tolist() == [0, 1, 2] * 10_000

    tokenize_texts(["another"], processor, tmp_path)
    assert left.exists()  # for all that is known, somebody writes there
    (tmp_path / f"{left.name[:-12]}other.tmp").mkdir()  # has the time of now
    for path in (left / "ids.npy", left):
        os.utime(path, (time.time() - 2 * 24 * 3600,) * 2)
    tokenize_texts(["a third"], processor, tmp_path)
    assert not left.exists()
    assert len(list(tmp_path.iterdir())) == 4


def test_disk_that_is_full(monkeypatch, processor, tmp_path):
    def refuse(tokens):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(corpus, "write_vocab", refuse)
    folder = tmp_path / content_key(TEXTS, processor)
    with pytest.raises(UserError) as caught:
        tokenize_texts(TEXTS, processor, tmp_path)
    assert str(caught.value) == f"cannot write {folder}: {os.strerror(errno.ENOSPC)}"
    assert list(tmp_path.iterdir()) == []


def test_folder_of_caches(monkeypatch):
    monkeypatch.delenv("ULMFIT_CACHE", raising=False)
    assert cache_folder().as_posix() == "data/cache"
    monkeypatch.setenv("ULMFIT_CACHE", "/elsewhere")
    assert cache_folder().as_posix() == "/elsewhere"


def test_strange_tokens_survive_the_cache(processor, tmp_path):
    texts = ["a\n\n\nb", "back\\slash \\n", "a\u2028b \x85", "e\u0301😀", "half \ud83d emoji"]
    made = tokenize_texts(texts, processor, tmp_path)
    assert tokens_of(made) == processor.tokenize(texts)


# Counting and numericalising


@pytest.mark.parametrize("rows", [[0, 1, 2], [30, 3, 11], [5, 5], list(range(40, 20, -1)), []])
@pytest.mark.parametrize("block", [2, 2000])
def test_counts_are_in_order_of_first_occurrence(monkeypatch, processor, rows, block):
    monkeypatch.setattr(corpus, "_BLOCK", block)
    made = tokenize_texts(ALL_TEXTS, processor)
    expected = Counter()
    for row in rows:
        expected.update(processor.tokenize([ALL_TEXTS[row]])[0])
    counts = made.counts(np.array(rows, np.int64))
    assert json.dumps(counts) == json.dumps(expected)  # a Counter compares without its order


@pytest.mark.parametrize("rows", [[0, 1, 2], [30, 3, 11], [5, 5], list(range(len(ALL_TEXTS))), []])
@pytest.mark.parametrize("block", [2, 2000])
def test_numericalised_as_the_processor_encodes(monkeypatch, processor, rows, block):
    monkeypatch.setattr(corpus, "_BLOCK", block)
    made = tokenize_texts(ALL_TEXTS, processor)
    vocab = make_vocab(made.counts(np.arange(30)), 300, 2)
    numbers = made.numericalize(vocab, np.array(rows, np.int64))
    expected = processor.with_vocab(vocab).encode([ALL_TEXTS[row] for row in rows])
    assert documents(numbers) == [ids.tolist() for ids in expected]
    assert numbers.lengths.tolist() == [len(ids) for ids in expected]
    assert numbers.ids.dtype == np.uint16


def test_vocab_of_counts_is_the_one_that_fit_learns(processor):
    made = tokenize_texts(ALL_TEXTS, processor)
    vocab = make_vocab(made.counts(np.arange(len(ALL_TEXTS))), 60_000, 3)
    assert vocab == processor.fit(ALL_TEXTS).vocab


# Documents


def made_of(*lists):
    return corpus_from([np.array(ids, np.uint16) for ids in lists])


def test_documents():
    made = made_of([2, 5, 6], [2], [2, 7])
    assert len(made) == 3
    assert documents(made) == [[2, 5, 6], [2], [2, 7]]
    assert made.lengths.tolist() == [3, 1, 2]
    assert (made.ids.dtype, made.offsets.dtype) == (np.uint16, np.int64)


def test_reversed_keeps_xxbos_first():
    backward = made_of([2, 5, 6, 7], [2], [2, 8], [], [2, 9, 10]).reversed()
    assert documents(backward) == [[2, 7, 6, 5], [2], [2, 8], [], [2, 10, 9]]
    assert backward.ids.dtype == np.uint16


def test_reversed_twice_changes_nothing(processor):
    made = tokenize_texts(ALL_TEXTS, processor)
    forward = made.numericalize(make_vocab(made.counts(np.arange(30))), np.arange(len(ALL_TEXTS)))
    backward = forward.reversed()
    assert documents(backward) != documents(forward)
    assert documents(backward.reversed()) == documents(forward)
    for ours, theirs in zip(documents(backward), documents(forward), strict=True):
        assert ours == [theirs[0], *theirs[:0:-1]]
