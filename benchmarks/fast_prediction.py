"""Reviews a second of fastai, the exact model, int8, a student alone, and the student first.

The reviews are of IMDb's split test, which neither the bundled classifiers nor a student has read.
fastai runs the same weights, `get_preds` in float32, on ids that the project has cut: its own
tokenizer is not counted.
Each measurement has a process of its own, and the ways alternate. Besides the time on the clock,
the processor's time is kept: it says the same where other programs run at the same time.

    ulmfit distill --clf imdb-small --data imdb --texts 36000 --out models/student
    python -m benchmarks.fast_prediction --student models/student
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.common import FIGURES, versions
from benchmarks.peers import classifier_learner
from ulmfit.artifacts.bundled import model_folders
from ulmfit.artifacts.directory import read_artifact
from ulmfit.base.atomic import atomic_write
from ulmfit.base.precision import hardware
from ulmfit.data.load import load_data
from ulmfit.inference.ensemble import Classifier
from ulmfit.inference.loaded import LoadedModel
from ulmfit.inference.student import FastClassifier, agreeing
from ulmfit.interop import fastai_state
from ulmfit.text.corpus import tokenize_texts

RESULTS = FIGURES / "fast-prediction.json"
WAYS = ("fastai", "exact", "int8", "student", "fast", "fast-int8")
_MORE = 10  # times as many reviews for the student alone, which is done in a moment


def texts_of(count: int) -> list[str]:
    """Reviews of split test, always the same ones."""
    frame = load_data("imdb", labels_required=False)
    test = frame.loc[frame["split"] == "test", "text"]
    return test.sample(min(count, len(test)), random_state=0).tolist()


class Answered(NamedTuple):
    """As `Classifier.answers` has it: float32, shape (texts, classes)."""

    mean: np.ndarray


class Fastai:
    """The mean of the networks' probabilities, by fastai."""

    def __init__(self, clf: str) -> None:
        self.models = [
            LoadedModel(read_artifact(Path(folder), "classifier")) for folder in model_folders(clf)
        ]

    def answers(self, texts: list[str]) -> Answered:
        """Of `texts`, 64 in a batch."""
        return Answered(np.mean([self._one(model, texts) for model in self.models], axis=0))

    def _one(self, loaded: LoadedModel, texts: list[str]) -> np.ndarray:
        processor = loaded.processor
        corpus = tokenize_texts(texts, processor).numericalize(
            processor.vocab, np.arange(len(texts))
        )
        if loaded.artifact.manifest.direction == "backward":
            corpus = corpus.reversed()
        encoder: Any = loaded.model[0]
        head: Any = loaded.model[1]
        config = loaded.artifact.manifest.network.encoder
        hidden, classes = head.layers[2].out_features, head.layers[6].out_features
        learn = classifier_learner(corpus, config, classes, 64, encoder.max_len, lin_ftrs=[hidden])
        learn.model.load_state_dict(fastai_state(loaded.model), strict=True)
        with learn.no_bar(), learn.no_logging():
            return learn.get_preds()[0].numpy()


def classifier(way: str, clf: str, student: str) -> Classifier | FastClassifier | Fastai:
    """What answers in this way."""
    if way == "fastai":
        return Fastai(clf)
    if way == "student":
        return Classifier.load(student)
    teacher = Classifier.load(clf, precision="int8" if way.endswith("int8") else "auto")
    return FastClassifier.of(teacher, student) if way.startswith("fast") else teacher


def side(way: str, clf: str, student: str, count: int, answers: Path) -> dict[str, Any]:
    """One measurement: a second of clock and of processor, and the labels of `count` reviews."""
    loaded = classifier(way, clf, student)
    texts = texts_of(count * (_MORE if way == "student" else 1))
    loaded.answers(texts[:8])
    if isinstance(loaded, FastClassifier):
        loaded.asked = loaded.answered = 0
    clock, processor = time.perf_counter(), time.process_time()
    found = loaded.answers(texts).mean
    clock, processor = time.perf_counter() - clock, time.process_time() - processor
    np.save(answers, found[:count], allow_pickle=False)
    figures = {"per_second": len(texts) / clock, "per_processor_second": len(texts) / processor}
    if isinstance(loaded, FastClassifier):
        figures["asked"] = loaded.asked / loaded.answered
    return figures


def rows(measured: dict[str, list[dict[str, Any]]], folder: Path, clf: str) -> dict[str, Any]:
    """Medians of each way, its ratios to the exact model and fastai, and its labels as exact."""
    labels = Classifier.load(clf).labelling
    exact = np.load(folder / "exact.npy", allow_pickle=False)
    names = sorted({name for several in measured.values() for one in several for name in one})
    made: dict[str, Any] = {}
    for way, several in measured.items():
        found = np.load(folder / f"{way}.npy", allow_pickle=False)
        made[way] = {
            name: statistics.median(one[name] for one in several)
            for name in names
            if name in several[0]
        }
        made[way]["agreement"] = float(agreeing(found, exact, labels).mean())
        made[way]["runs"] = several
    for way in made.values():
        for name in ("per_second", "per_processor_second"):
            way[f"{name}_ratio"] = way[name] / made["exact"][name]
            way[f"{name}_against_fastai"] = way[name] / made["fastai"][name]
    return made


def main() -> None:
    """Measure all ways, and write the table and the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clf", default="imdb-small")
    parser.add_argument("--student", required=True)
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--note", default="", help="what else is to be known of the run")
    parser.add_argument("--way", choices=WAYS, help="measure one way, once")
    parser.add_argument("--folder", type=Path, default=Path(__file__).with_name("work") / "fast")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.way:
        file = given.folder / f"{given.way}.npy"
        print(json.dumps(side(given.way, given.clf, given.student, given.texts, file)))
        return
    measured: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    for n in range(given.runs):
        for way in WAYS:
            command = [sys.executable, "-m", "benchmarks.fast_prediction", *sys.argv[1:]]
            done = subprocess.run([*command, "--way", way], stdout=subprocess.PIPE, check=True)
            measured[way].append(json.loads(done.stdout.splitlines()[-1]))
            print(f"  {way} {n + 1}/{given.runs}: {measured[way][-1]}", file=sys.stderr, flush=True)
        _write(measured, given)


def _write(measured: dict[str, list[dict[str, Any]]], given: argparse.Namespace) -> None:
    taught = json.loads(Path(given.student, "manifest.json").read_text())["metrics"]
    found = {
        "rows": rows(measured, given.folder, given.clf),
        "texts": given.texts,
        "clf": given.clf,
        "student": taught,
        "note": given.note,
        "hardware": hardware(),
        "versions": versions(),
        "date": datetime.now(UTC).date().isoformat(),
    }
    atomic_write(RESULTS, json.dumps(found, indent=2, sort_keys=True) + "\n")
    print("| way | reviews/s | a processor second | against fastai | labels of exact |")
    print("|---|---:|---:|---:|---:|")
    for way, row in found["rows"].items():
        print(
            f"| {way} | {row['per_second']:,.0f} | {row['per_processor_second']:,.0f} "
            f"| {row['per_second_against_fastai']:.1f}x | {row['agreement']:.1%} |"
        )


if __name__ == "__main__":
    main()
