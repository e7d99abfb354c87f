"""Tokenising in worker processes: results in order, and a bounded number of texts in memory."""

import gc
import os
import signal
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice, takewhile
from multiprocessing import get_all_start_methods, get_context, parent_process
from multiprocessing.synchronize import Event

import numpy as np

from ulmfit.base.cores import cores
from ulmfit.text.blocks import Texts, in_blocks
from ulmfit.text.processor import TextProcessor
from ulmfit.text.rules import apply_rules
from ulmfit.text.tokenizers import Tokenizer

# Texts for a worker at a time: a few megabytes, enough to outweigh the transfer.
CHUNK = 500

# Distinct tokens of some texts, ids into them (all tokens,), and the length of each text.
Chunk = tuple[list[str], np.ndarray, np.ndarray]


def tokenize_chunks(
    texts: Texts, processor: TextProcessor, workers: int | None
) -> Generator[Chunk]:
    """The tokens of `texts`, `CHUNK` texts at a time, in their order."""
    workers = cores() if workers is None else workers
    chunks = in_blocks(texts, CHUNK)
    tokenizer = processor.tokenizer
    assert tokenizer is not None, "train the pieces of a subword tokenizer first"
    if workers <= 1 or len(texts) <= CHUNK:
        yield from (tokenize_chunk(chunk, tokenizer) for chunk in chunks)
        return
    # Forked workers inherit the tokenizer. (torch does not survive a fork; they do not use it.)
    context = get_context("fork" if "fork" in get_all_start_methods() else "spawn")
    stopped = context.Event()
    pool = ProcessPoolExecutor(
        workers, mp_context=context, initializer=_start_worker, initargs=(tokenizer, stopped)
    )
    try:
        yield from _in_order(pool, chunks, ahead=2 * workers)
    finally:
        stopped.set()  # after Ctrl-C, drop running and waiting work
        pool.shutdown(cancel_futures=True)


def _in_order(
    pool: ProcessPoolExecutor, chunks: Iterator[Sequence[str]], ahead: int
) -> Iterator[Chunk]:
    """Results in the order of `chunks`, with at most `ahead` of them in work."""
    waiting: list[Future[Chunk]] = [pool.submit(_work, c) for c in islice(chunks, ahead)]
    while waiting:
        yield waiting.pop(0).result()
        waiting += [pool.submit(_work, c) for c in islice(chunks, 1)]


_worker_tokenizer: Tokenizer
_worker_stopped: Event


def _start_worker(tokenizer: Tokenizer, stopped: Event) -> None:
    global _worker_tokenizer, _worker_stopped
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    gc.freeze()  # a collection would copy the pages that are shared with the parent
    _worker_tokenizer, _worker_stopped = tokenizer, stopped


def _end_with_parent() -> None:
    # A killed parent cannot stop its workers; they would wait for texts for ever.
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)


def _work(texts: Sequence[str]) -> Chunk:
    wanted = takewhile(lambda text: not _worker_stopped.is_set(), texts)
    return tokenize_chunk(wanted, _worker_tokenizer)


def tokenize_chunk(texts: Iterable[str], tokenizer: Tokenizer) -> Chunk:
    """The tokens of some texts."""
    numbers: dict[str, int] = {}
    ids: list[int] = []
    lengths: list[int] = []
    for text in texts:
        tokens = tokenizer.tokenize(apply_rules(text))
        ids += [numbers.setdefault(token, len(numbers)) for token in tokens]
        lengths.append(len(tokens))
    return list(numbers), np.array(ids, np.uint32), np.array(lengths, np.int64)
