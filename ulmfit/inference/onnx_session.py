"""Running an ONNX graph without torch: the session, its inputs and its files."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ulmfit.text.processor import PAD_ID

FACTS = "ulmfit"  # the key of the model's facts, JSON, in ONNX's `metadata_props`
FORMAT_VERSION = 1
TOKENIZER = "-tokenizer"  # end of the name of the text processor's folder
LIBRARIES = ("onnx", "onnxscript", "onnxruntime")  # needed for the export
# Tokens of a batch, including padding. onnxruntime keeps the features of every layer: 50 MB for
# size small. Larger batches are slower, because the features leave the processor's cache.
_TOKENS = 8_192


def tokenizer_folder(model: Path) -> Path:
    """The folder of the text processor's files, beside the ONNX file."""
    return model.with_name(f"{model.stem}{TOKENIZER}")


def run(session: Any, documents: Sequence[np.ndarray]) -> np.ndarray:
    """Probabilities of one batch, float32, shape (documents, classes)."""
    lengths = np.array([len(ids) for ids in documents], np.int64)
    padded = np.full((len(documents), lengths.max()), PAD_ID, np.int64)
    for row, ids in zip(padded, documents, strict=True):
        row[: len(ids)] = ids
    return session.run(None, {"ids": padded, "lengths": lengths})[0]


def batches(lengths: np.ndarray) -> Iterator[np.ndarray]:
    """Batches of rows with at most `_TOKENS` tokens each, the longest documents first."""
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        rows = order[start : start + max(1, _TOKENS // int(lengths[order[start]]))]
        yield rows
        start += len(rows)


def start_session(model: str | bytes, threads: int = 0) -> Any:
    """An onnxruntime session on the CPU; `model` is a path or the content of a file."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors only
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
