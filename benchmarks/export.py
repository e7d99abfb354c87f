"""Exported classifiers in onnxruntime: speed, size, and agreement with PyTorch.

Both run on the CPU in float32, or with weights of 8 bits, on one thread a core, from texts to
probabilities. There is no peer: fastai has no export that takes texts of any length.
"""

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.clf_infer import agreement
from benchmarks.common import Figures, Row, measure, median, script, single_row
from benchmarks.texts import classifier, reviews
from ulmfit import export
from ulmfit.base.cores import cores
from ulmfit.base.precision import use_all_cores

REVIEWS = 500
WEIGHTS = ("float32", "int8")


def ours(weights: str, folder: str, count: int) -> Figures:
    """Documents a second of one of `WEIGHTS`, or of "pytorch"; the probabilities are kept."""
    made = _pytorch() if weights == "pytorch" else _onnx(Path(folder, f"{weights}.onnx"))
    texts = reviews(count)
    made.probabilities(texts[:1])  # spaCy is loaded at the first text
    began = time.perf_counter()
    probabilities = made.probabilities(texts)
    seconds = time.perf_counter() - began
    np.save(Path(folder, weights), probabilities)
    return {"value": count / seconds}


def _pytorch() -> Any:
    from ulmfit.inference.ensemble import Classifier

    use_all_cores()
    return Classifier.load(classifier(), precision="float32")


def _onnx(file: Path) -> Any:
    from ulmfit.onnx_classifier import OnnxClassifier

    return OnnxClassifier.load(file, threads=int(os.environ.get("OMP_NUM_THREADS", cores())))


def rows(runs: int, count: int = REVIEWS) -> list[Row]:
    """Speed with size and agreement, float32 and int8; each after PyTorch in float32, by turns."""
    found: dict[str, list[Figures]] = {name: [] for name in ("pytorch", *WEIGHTS)}
    with tempfile.TemporaryDirectory() as folder:
        sizes = {name: _exported(name, folder) for name in WEIGHTS}
        for _ in range(runs):
            for name, figures in found.items():
                arguments = {"weights": name, "folder": folder, "count": count}
                figures.append(measure("benchmarks.export", "ours", arguments))
        probabilities = {name: np.load(Path(folder, f"{name}.npy")) for name in found}
    pytorch = median(found["pytorch"])
    return [
        single_row(
            f"onnx_{name}",
            f"classifying {count:,} reviews, ONNX {name}, {sizes[name]:.0f} MB",
            median(found[name]),
            "documents/s",
            runs=runs,
            details={
                "pytorch_float32": pytorch,
                "megabytes": sizes[name],
                "against_pytorch": agreement(probabilities[name], probabilities["pytorch"]),
            },
        )
        for name in WEIGHTS
    ]


def _exported(weights: str, folder: str) -> float:
    """Megabytes of the file that the command writes."""
    out = Path(folder, f"{weights}.onnx")
    export.main(clf=str(classifier()), out=str(out), int8=weights == "int8")
    return out.stat().st_size / 1e6


if __name__ == "__main__":
    script("benchmarks.export", {"peer": ours, "ours": ours}, rows)
