"""Static vectors of tokens, distilled from a transformer by model2vec, and classifiers on them.

Each token of the vocabulary is read by the transformer alone; its vector is projected on the first
256 principal components and weighted by its rank, as the rarer tokens say more. The vector of a
text is the mean of those of its tokens: word order is lost, and no transformer is needed any more.
(Tulkens & van Dongen 2024, https://github.com/MinishLab/model2vec)
"""

import pickle
from typing import Any

import numpy as np
import torch
from model2vec import StaticModel
from transformers import AutoModel, AutoTokenizer

from ulmfit.base.precision import default_device
from ulmfit.compare.gru import parameter_bytes
from ulmfit.compare.heads import best_head
from ulmfit.compare.task import Fitted, Task, folder_size
from ulmfit.compare.transformer import load
from ulmfit.inference.baseline import Score, score

_RATES = (1e-3, 1e-2)  # the first is model2vec's default
_EPOCHS = 10  # at least: with few labels, accuracy stays at the largest class for some epochs


def static_vectors(task: Task) -> Fitted:
    """Vectors of the transformer's tokens, for all trials."""
    from model2vec.distill import distill_from_model  # needs more than the use of the vectors

    name = task.settings.transformer
    model = distill_from_model(
        load(AutoModel, name, dtype=torch.float32),
        load(AutoTokenizer, name),
        device=str(default_device()),
    )
    model.save_pretrained(str(task.folder))
    tokens, dimensions = model.embedding.shape
    return Fitted(facts={"tokens": tokens, "dimensions": dimensions})


def static(task: Task) -> Fitted:
    """Logistic regression on the texts' mean vectors; C and class_weight are chosen on valid."""
    model = _read(task)
    train, valid = (_vectors(model, task.texts(split)) for split in ("train", "valid"))
    head = best_head(train, task.truth("train"), valid, task.truth("valid"))
    return Fitted(
        lambda texts: head.model.predict_proba(_vectors(model, texts)),
        folder_size(task.needs["static-vectors"]) + len(pickle.dumps(head.model)),
        head.facts,
    )


def static_tuned(task: Task) -> Fitted:
    """The vectors and a linear layer on their mean, trained together by model2vec's own trainer.

    For each learning rate, the training ends when accuracy on valid has not risen for five epochs,
    after ten epochs at the earliest; its best epoch counts. Valid chooses the rate.
    """
    from model2vec.train import StaticModelForClassification

    train, valid = ((task.texts(split), task.truth(split)) for split in ("train", "valid"))
    best: tuple[Score, float, Any] | None = None
    for rate in _RATES:
        model = StaticModelForClassification.from_static_model(model=_read(task), max_length=None)
        model.fit(
            train[0],
            train[1].tolist(),
            learning_rate=rate,
            min_epochs=_EPOCHS,
            device=str(default_device()),
            X_val=valid[0],
            y_val=valid[1].tolist(),
            random_seed=task.seed,
        )
        now = score(model.predict_proba(valid[0]), valid[1])
        if best is None or now > best[0]:
            best = now, rate, model
    assert best is not None
    _, rate, model = best
    return Fitted(model.predict_proba, parameter_bytes(model), {"learning rate": rate})


def _read(task: Task) -> Any:
    return StaticModel.from_pretrained(str(task.needs["static-vectors"]))


def _vectors(model: Any, texts: list[str]) -> np.ndarray:
    """Mean vectors of texts, of all their tokens, float32, shape (texts, dimensions)."""
    found = model.encode(texts, max_length=None, use_multiprocessing=False)
    return np.asarray(found, np.float32)
