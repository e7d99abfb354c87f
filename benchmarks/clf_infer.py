"""Classifying reviews: fastai's `get_preds` against the project, equal weights.

Size small: 2,000 documents, a trained classifier, and the agreement of labels and probabilities.
Size base: speed only, 500 documents, random weights.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import Row, alternate, measure, rate_row, script
from benchmarks.peak import peak, recurrent_weights
from benchmarks.peers import classifier_learner as fastai_learner
from benchmarks.texts import classifier, corpus, reviews
from ulmfit.artifacts.directory import read_artifact
from ulmfit.base.precision import default_device, keep_memory, resolve_precision, use_all_cores
from ulmfit.inference.loaded import LoadedModel, predict_probabilities
from ulmfit.interop import fastai_state
from ulmfit.model.build import build_classifier
from ulmfit.model.sizes import SIZES, EncoderConfig
from ulmfit.text.corpus import Corpus, tokenize_texts

REVIEWS = {"small": 2000, "base": 500}


def _model(size: str, count: int) -> tuple[Any, EncoderConfig, Corpus]:
    """A classifier, its sizes, and the documents."""
    if size == "base":
        config = EncoderConfig(20_000, *SIZES["base"])
        return build_classifier(config, 2).eval(), config, corpus(count)
    loaded = LoadedModel(read_artifact(classifier(), "classifier"))
    vocab = loaded.processor.vocab
    tokenized = tokenize_texts(reviews(count), loaded.processor)
    config = loaded.artifact.manifest.network.encoder
    return loaded.model, config, tokenized.numericalize(vocab, np.arange(count))


def peer(size: str, folder: str, count: int = 0) -> dict[str, Any]:
    """fastai's `get_preds`, 64 documents a batch, in float32 (on a GPU: `to_fp16`)."""
    count = count or REVIEWS[size]
    model, config, texts = _model(size, count)
    hidden, classes = (
        model[1].layers[2].out_features,
        model[1].layers[6].out_features,
    )
    learn = fastai_learner(texts, config, classes, 64, model[0].max_len, lin_ftrs=[hidden])
    learn.model.load_state_dict(fastai_state(model), strict=True)
    with learn.no_bar(), learn.no_logging():
        began = time.perf_counter()
        probabilities = learn.get_preds()[0].numpy()
        seconds = time.perf_counter() - began
    np.save(Path(folder, "peer"), probabilities)
    return {"value": count / seconds}


def ours(size: str, folder: str, precision: str = "auto", count: int = 0) -> dict[str, Any]:
    """As `predict` and `evaluate` do it."""
    count = count or REVIEWS[size]
    keep_memory()
    use_all_cores()
    device = default_device()
    model, _, texts = _model(size, count)
    model.to(device)
    began = time.perf_counter()
    probabilities = predict_probabilities(
        model, texts, device, resolve_precision(precision, device)
    )
    seconds = time.perf_counter() - began
    np.save(Path(folder, precision), probabilities)
    return {"value": count / seconds}


def agreement(one: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """Of two arrays of probabilities, shape (documents, classes)."""
    difference = np.abs(one - other).max(1)
    return {
        "labels_same": float((one.argmax(1) == other.argmax(1)).mean()),
        "documents_within_0.01": float((difference <= 0.01).mean()),
        "largest_difference": float(difference.max()),
        "median_difference": float(np.median(difference)),
    }


def row(size: str, runs: int) -> Row:
    """Speed of one size and, of the trained model, agreement with fastai and with float32."""
    name, details = "benchmarks.clf_infer", {}
    with tempfile.TemporaryDirectory() as folder:
        found = alternate(name, runs, {"size": size, "folder": folder})
        if size == "small":
            exact = {"size": size, "folder": folder, "precision": "float32"}
            details["float32"] = measure(name, "ours", exact)["value"]
            made = {n: np.load(Path(folder, f"{n}.npy")) for n in ("peer", "auto", "float32")}
            details["against_fastai"] = agreement(made["auto"], made["peer"])
            details["against_float32"] = agreement(made["auto"], made["float32"])
            details["float32_against_fastai"] = agreement(made["float32"], made["peer"])
    tokens = len(corpus(REVIEWS[size]).ids) / REVIEWS[size]
    return rate_row(
        "clf_infer" if size == "small" else f"clf_infer_{size}",
        f"classifying {REVIEWS[size]:,} reviews, {size}",
        found,
        "documents/s",
        floor=peak() / (2 * recurrent_weights(SIZES[size]) * tokens),
        target="4x",
        details=details,
    )


def rows(runs: int) -> list[Row]:
    """Sizes small and base."""
    return [row("small", runs), row("base", runs)]


if __name__ == "__main__":
    script("benchmarks.clf_infer", {"peer": peer, "ours": ours}, rows)
