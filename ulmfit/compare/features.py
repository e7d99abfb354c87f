"""A frozen transformer as feature extractor: under logistic regression, and under a GRU."""

import pickle
import time

import numpy as np
import torch
from torch import Tensor

from ulmfit.base.precision import set_seed
from ulmfit.compare.feature_cache import POOLINGS, FeatureCache, Features
from ulmfit.compare.gru import GRUClassifier, gru_probabilities, parameter_bytes, train_gru
from ulmfit.compare.heads import best_head
from ulmfit.compare.task import Fitted, Task
from ulmfit.compare.transformer import Encoder

_PART = 1_000  # texts in a file of the cache: the most to repeat after an interruption
_KEPT = 1_500_000_000  # token vectors up to so many bytes stay in memory


def features_lr(task: Task) -> Fitted:
    """Logistic regression on scaled features; pooling, C and class_weight are chosen on valid."""
    train, valid, test, size, clock = _features(task)
    truth, wanted = (task.truth(split) for split in ("train", "valid"))
    heads = {
        pooling: best_head(train.pooled(pooling), truth, valid.pooled(pooling), wanted)
        for pooling in POOLINGS
    }
    pooling = max(heads, key=lambda name: heads[name].score)  # in a tie, the first
    model = heads[pooling].model
    return Fitted(
        lambda texts: model.predict_proba(test.pooled(pooling)),  # from the cache
        size + len(pickle.dumps(model)),
        {"pooling": pooling, **heads[pooling].facts, "texts cut": float(train.cut.mean())},
        train_elsewhere=float(train.seconds.sum() + valid.seconds.sum()) - clock,
        predict_elsewhere=float(test.seconds.sum()),
    )


def _features(task: Task) -> tuple[Features, Features, Features, int, float]:
    """Features of train, valid and test, the transformer's bytes, and the seconds of this call.

    Results of earlier trials are read from the cache; their computing time counts for this trial,
    too.
    """
    began = time.monotonic()
    encoder = Encoder(task.settings.transformer, task.settings.max_length)
    cache = FeatureCache(task.shared, task.frame["text"], task.settings)
    parts = [task.rows(split) for split in ("train", "valid", "test")]
    missing = cache.missing(np.concatenate(parts))
    for start in range(0, len(missing), _PART):
        rows = missing[start : start + _PART]
        cache.add(pool(encoder, rows, task.frame["text"].iloc[rows].tolist()))
    train, valid, test = (cache.read(rows) for rows in parts)
    return train, valid, test, parameter_bytes(encoder.model), time.monotonic() - began


def pool(encoder: Encoder, rows: np.ndarray, texts: list[str]) -> Features:
    """[CLS] (the first token's output) and the mean over all tokens except padding."""
    began = time.perf_counter()
    asked = encoder.texts(texts)
    cls = np.empty((len(texts), encoder.width), np.float32)
    mean = np.empty_like(cls)
    for numbers in asked.batches():
        states, mask = encoder.states(asked, numbers)
        weights = mask.unsqueeze(2)
        cls[numbers] = states[:, 0].numpy()
        mean[numbers] = ((states * weights).sum(1) / weights.sum(1)).numpy()
    # The cost of a text is nearly proportional to its tokens.
    seconds = (time.perf_counter() - began) * asked.lengths / asked.lengths.sum()
    return Features(rows, cls, mean, seconds, asked.cut)


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

    size = parameter_bytes(encoder.model) + parameter_bytes(model)
    return Fitted(predict, size, {**facts, "texts cut": float(train.asked.cut.mean())})


class _States:
    """Token vectors of texts; a small set stays in memory, in half precision."""

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
