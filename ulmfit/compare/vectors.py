"""Frozen word vectors, given or trained on the unlabelled text, under a bidirectional GRU."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ulmfit.base.errors import UserError
from ulmfit.base.precision import default_device, set_seed
from ulmfit.compare.gru import GRUClassifier, gru_probabilities, parameter_bytes, train_gru
from ulmfit.compare.task import Fitted, Task

DIMENSIONS = 100
_READ = 10_000_000  # words that gensim reads, over several passes
_PASSES = (5, 50)  # at least, at most
_PIECES = 100_000  # vectors for the pieces of words (fastText's buckets)
MOST_WORDS = 400_000  # words read from a file, as many as GloVe's smallest file has
LONGEST = 512  # words of a text that the GRU reads
# Words as in GloVe's tokenizer: do n't, it 's; punctuation is separate.
_WORD = re.compile(r"\w+?(?=n't)|n't|'(?:s|re|ve|ll|d|m)\b|\w+|[^\w\s]")


class Vectors(NamedTuple):
    """Words, and their vectors, float32, shape (words, dimensions)."""

    words: list[str]
    matrix: np.ndarray


def tokens(text: str) -> list[str]:
    """Lower-case words and punctuation."""
    return _WORD.findall(text.lower())


def word_vectors(task: Task) -> Fitted:
    """Vectors for all trials: from the given file, or trained on train and unsup."""
    given = task.settings.vectors
    if given:
        found = read_vectors(Path(given))
    else:
        found = train_vectors(task.texts("train", "unsup"), task.seed)
    task.folder.mkdir(parents=True, exist_ok=True)
    np.save(task.folder / "vectors.npy", found.matrix)
    (task.folder / "words.txt").write_text("\n".join(found.words), encoding="utf-8")
    facts = {"words": len(found.words), "dimensions": found.matrix.shape[1]}
    # Ready-made vectors cost nothing, like a ready-made transformer.
    return Fitted(facts=facts, seconds=0.0 if given else None)


def train_vectors(texts: list[str], seed: int) -> Vectors:
    """fastText's skip-gram with pieces of words, by gensim (Bojanowski et al. 2017)."""
    from gensim.models import FastText

    sentences = [tokens(text) for text in texts]
    passes = _READ // max(1, sum(map(len, sentences)))
    model = FastText(
        sentences=sentences,
        vector_size=DIMENSIONS,
        sg=1,
        min_count=2,
        bucket=_PIECES,
        epochs=min(_PASSES[1], max(_PASSES[0], passes)),
        seed=seed,
        workers=1,  # several workers give different results in each run
    )
    return Vectors(list(model.wv.index_to_key), np.asarray(model.wv.vectors, np.float32))


def read_vectors(path: Path) -> Vectors:
    """The first 400,000 words of a file in GloVe's text form: a line has a word and its numbers.

    A first line of two numbers, as in word2vec, is skipped.

    Raises:
        UserError: there is no such file, or a line is malformed.
    """
    if not path.is_file():
        raise UserError(f"no file {path}; --vectors takes word vectors in GloVe's text form")
    words: dict[str, np.ndarray] = {}
    size = 0
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            cells = line.rstrip().split(" ")
            if number == 1 and len(cells) == 2:
                continue
            size = size or len(cells) - 1
            word = " ".join(cells[:-size]) if size else ""  # a few words contain a space
            try:
                vector = np.array(cells[-size:], np.float32)
            except ValueError:
                word = ""
            if not word or size < 2:
                raise UserError(
                    f"{path}, line {number}: found {line[:40].rstrip()!r}, expected a word and "
                    f"{f'{size} numbers' if size > 1 else 'its numbers'} separated by spaces; give "
                    "vectors in GloVe's text form"
                )
            words.setdefault(word, vector)
            if len(words) == MOST_WORDS:
                break
    if not words:
        raise UserError(f"{path} holds no word vectors; give some in GloVe's text form")
    return Vectors(list(words), np.stack(list(words.values())))


def vectors_gru(task: Task) -> Fitted:
    """The GRU over the words' vectors; a word without a vector is zeros."""
    folder = task.needs["word-vectors"]
    words = (folder / "words.txt").read_text(encoding="utf-8").split("\n")
    matrix = np.load(folder / "vectors.npy")
    # Each dimension gets mean 0 and variance 1: vectors from few texts have nearly one direction.
    matrix = (matrix - matrix.mean(0)) / np.maximum(matrix.std(0), 1e-6)
    numbers = {word: n for n, word in enumerate(words, 1)}
    table = torch.from_numpy(np.concatenate([np.zeros_like(matrix[:1]), matrix]))
    set_seed(task.seed)
    model = GRUClassifier(table.shape[1], len(task.classes)).to(default_device())
    train, valid = (_Numbered(task.texts(split), numbers, table) for split in ("train", "valid"))
    facts = train_gru(
        model,
        (train.inputs, train.lengths, task.truth("train")),
        (valid.inputs, valid.lengths, task.truth("valid")),
        task.settings.gru_epochs,
        task.seed,
    )

    def predict(texts: list[str]) -> np.ndarray:
        asked = _Numbered(texts, numbers, table)
        return gru_probabilities(model, asked.inputs, asked.lengths)

    size = parameter_bytes(model) + matrix.nbytes + (folder / "words.txt").stat().st_size
    return Fitted(predict, size, {**facts, "texts cut": train.cut, "known words": train.known})


class _Numbered:
    """Texts as numbers of words; 0 for a word without a vector and for a text without words."""

    def __init__(self, texts: list[str], numbers: dict[str, int], table: Tensor) -> None:
        found = [[numbers.get(word, 0) for word in tokens(text)] or [0] for text in texts]
        self.ids = [np.array(one[:LONGEST], np.int64) for one in found]
        self.lengths = np.array([len(one) for one in self.ids])
        self.table = table
        self.cut = float(np.mean([len(one) > LONGEST for one in found]))
        self.known = float(np.mean(np.concatenate(self.ids) > 0))

    def inputs(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        lengths = self.lengths[rows]
        ids = np.zeros((len(rows), lengths.max()), np.int64)
        for place, row in enumerate(rows):
            ids[place, : self.lengths[row]] = self.ids[row]
        return self.table[torch.from_numpy(ids)], torch.from_numpy(lengths)
