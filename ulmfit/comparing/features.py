"""A frozen transformer as feature extractor: under logistic regression, and under a GRU."""

import pickle
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from ulmfit.atomic import atomic_file
from ulmfit.comparing.gru import GRUClassifier, gru_probabilities, parameter_bytes, train_gru
from ulmfit.comparing.task import Fitted, Task, folder_size
from ulmfit.comparing.transformer import Encoder, locate
from ulmfit.precision import set_seed

POOLINGS = ("cls", "mean", "both")
_STRENGTHS = (0.001, 0.01, 0.1, 1.0)
_PART = 1_000  # texts of a file of the cache: so much is computed again after an interruption
_KEPT = 1_500_000_000  # bytes of a training's token vectors up to which they stay in memory


class Features(NamedTuple):
    """Pooled outputs of texts, one row each.

    rows: their numbers in the data set, in rising order.
    cls, mean: float32, shape (texts, width).
    seconds: that each took; cut: whether the transformer read only its beginning.
    """

    rows: np.ndarray
    cls: np.ndarray
    mean: np.ndarray
    seconds: np.ndarray
    cut: np.ndarray

    def pooled(self, pooling: str) -> np.ndarray:
        """Of one pooling, or of both side by side."""
        if pooling == "both":
            return np.concatenate([self.cls, self.mean], axis=1)
        return {"cls": self.cls, "mean": self.mean}[pooling]

    def of(self, rows: np.ndarray) -> "Features":
        """Those of some rows of the data set."""
        places = np.searchsorted(self.rows, rows)
        return Features(*(column[places] for column in self))


def features(task: Task) -> Fitted:
    """Features of all texts but those of unsup, kept in parts for every trial to come."""
    encoder = Encoder(task.settings.transformer, task.settings.max_length)
    rows = np.flatnonzero(task.frame["split"] != "unsup")
    for part, start in enumerate(range(0, len(rows), _PART)):
        file = _file(task.folder, part)
        if not file.exists():
            asked = rows[start : start + _PART]
            made = pool(encoder, asked, task.frame["text"].iloc[asked].tolist())
            with atomic_file(file) as opened:
                np.savez(opened, **made._asdict())
    # Each trial counts the seconds of the texts that it reads.
    return Fitted(facts={"width": encoder.width}, seconds=0.0)


def _file(folder: Path, part: int) -> Path:
    return folder / f"features-{part}.npz"


def read_features(folder: Path) -> Features:
    """All that `features` kept."""
    parts: list[Features] = []
    while _file(folder, len(parts)).exists():
        with np.load(_file(folder, len(parts))) as kept:
            parts.append(Features(**kept))
    return Features(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def pool(encoder: Encoder, rows: np.ndarray, texts: list[str]) -> Features:
    """[CLS] (the first token's output) and the mean over all tokens but padding."""
    began = time.perf_counter()
    asked = encoder.texts(texts)
    cls = np.empty((len(texts), encoder.width), np.float32)
    mean = np.empty_like(cls)
    for numbers in asked.batches():
        states, mask = encoder.states(asked, numbers)
        weights = mask.unsqueeze(2)
        cls[numbers] = states[:, 0].numpy()
        mean[numbers] = ((states * weights).sum(1) / weights.sum(1)).numpy()
    # What a text costs is nearly in proportion to its tokens.
    seconds = (time.perf_counter() - began) * asked.lengths / asked.lengths.sum()
    return Features(rows, cls, mean, seconds, asked.cut)


def features_lr(task: Task) -> Fitted:
    """Logistic regression on scaled features; pooling and C are chosen on valid."""
    every = read_features(task.needs["features"])
    train, valid, test = (every.of(task.rows(split)) for split in ("train", "valid", "test"))
    best: tuple[float, str, float, Any] | None = None
    for pooling in POOLINGS:
        for strength in _STRENGTHS:
            regression = LogisticRegression(C=strength, max_iter=2000)
            model = make_pipeline(StandardScaler(), regression)
            model.fit(train.pooled(pooling), task.truth("train"))
            right = float(model.score(valid.pooled(pooling), task.truth("valid")))
            if best is None or right > best[0]:
                best = (right, pooling, strength, model)
    assert best is not None
    _, pooling, strength, model = best

    def predict(texts: list[str]) -> np.ndarray:
        return model.predict_proba(test.pooled(pooling))  # the features of these texts are kept

    return Fitted(
        predict,
        folder_size(Path(locate(task.settings.transformer))) + len(pickle.dumps(model)),
        {"pooling": pooling, "C": strength, "texts cut": float(train.cut.mean())},
        train_before=float(train.seconds.sum() + valid.seconds.sum()),
        predict_before=float(test.seconds.sum()),
    )


def features_gru(task: Task) -> Fitted:
    """The GRU over the transformer's outputs, one vector a token."""
    encoder = Encoder(task.settings.transformer, task.settings.max_length)
    set_seed(task.seed)
    model = GRUClassifier(encoder.width, len(task.classes)).to(encoder.device)
    train, valid = (_States(encoder, task.texts(split)) for split in ("train", "valid"))
    facts = train_gru(
        model,
        (train.inputs, train.asked.lengths, task.truth("train")),
        (valid.inputs, valid.asked.lengths, task.truth("valid")),
        task.settings.gru_epochs,
        task.seed,
    )

    def predict(texts: list[str]) -> np.ndarray:
        unseen = _States(encoder, texts, keep=False)
        return gru_probabilities(model, unseen.inputs, unseen.asked.lengths)

    size = folder_size(Path(locate(task.settings.transformer))) + parameter_bytes(model)
    return Fitted(predict, size, {**facts, "texts cut": float(train.asked.cut.mean())})


class _States:
    """Token vectors of texts: kept after the first epoch in half precision if they are not many."""

    def __init__(self, encoder: Encoder, texts: list[str], keep: bool = True) -> None:
        self.encoder = encoder
        self.asked = encoder.texts(texts)
        self.keep = keep and int(self.asked.lengths.sum()) * encoder.width * 2 <= _KEPT
        self.kept: dict[int, Tensor] = {}

    def inputs(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Vectors, shape (texts, tokens, width), and lengths of texts by their numbers."""
        lengths = torch.from_numpy(self.asked.lengths[rows])
        if self.keep and all(row in self.kept for row in rows.tolist()):
            vectors = [self.kept[row].float() for row in rows.tolist()]
            return torch.nn.utils.rnn.pad_sequence(vectors, batch_first=True), lengths
        states, _ = self.encoder.states(self.asked, rows)
        if self.keep:
            for row, vectors_of, length in zip(rows.tolist(), states, lengths, strict=True):
                self.kept[row] = vectors_of[:length].half()
        return states, lengths
