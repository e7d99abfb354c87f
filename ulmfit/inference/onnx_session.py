"""Running an ONNX graph: the session, its inputs, and where its files are. No torch, no fastai."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ulmfit.text.processor import PAD_ID

# The model's facts are JSON under this key of ONNX's own `metadata_props`, so that no file can be
# separated from them.
FACTS = "ulmfit"
FORMAT_VERSION = 1
TOKENIZER = "-tokenizer"  # the end of the name of its folder
LIBRARIES = ("onnx", "onnxscript", "onnxruntime")  # that the export needs


def tokenizer_folder(model: Path) -> Path:
    """Where the text processor's files of an ONNX file lie: beside it, under its name."""
    return model.with_name(f"{model.stem}{TOKENIZER}")


def run(session: Any, documents: Sequence[np.ndarray]) -> np.ndarray:
    """Probabilities, float32, shape (documents, classes), of one batch."""
    lengths = np.array([len(ids) for ids in documents], np.int64)
    padded = np.full((len(documents), lengths.max()), PAD_ID, np.int64)
    for row, ids in zip(padded, documents, strict=True):
        row[: len(ids)] = ids
    return session.run(None, {"ids": padded, "lengths": lengths})[0]


def start_session(model: str | bytes, threads: int = 0) -> Any:
    """An onnxruntime session on the CPU; `model` is a path or the content of a file."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors: its warnings are about itself
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
