"""Predictions with the files of `ulmfit.export`: needs onnxruntime, but no torch and no fastai.

    OnnxClassifier.load("model.onnx").predict(["A quiet film."])

Needs onnxruntime, numpy, pandas, fastcore and the tokenizer's library (spaCy or sentencepiece).
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ulmfit.artifacts.config import multi_label_of
from ulmfit.artifacts.directory import ENSEMBLE, PROCESSOR, read_artifact
from ulmfit.artifacts.ensemble import Ensemble, is_ensemble, read_members_of
from ulmfit.artifacts.weights import largest
from ulmfit.base.atomic import os_errors_as
from ulmfit.base.errors import UserError
from ulmfit.base.untrusted import parse_json, read_bounded
from ulmfit.data.labels import KINDS, Labels
from ulmfit.inference.ensemble import mixture_of
from ulmfit.inference.loaded_linear import LoadedLinear
from ulmfit.inference.onnx_session import (
    FACTS,
    FORMAT_VERSION,
    batches,
    run,
    start_session,
    tokenizer_folder,
)
from ulmfit.inference.scoring import Answers, notes_on, prediction_frame, warn_of
from ulmfit.text.corpus import Corpus, tokenize_texts
from ulmfit.text.given import each_text
from ulmfit.text.ids import is_empty
from ulmfit.text.known import Known, known_tokens
from ulmfit.text.processor import TextProcessor

if TYPE_CHECKING:
    import pandas as pd


_FACTS = {"files": dict, "labels": list, "direction": str, "prior": list, "config": dict}


@dataclass(frozen=True)
class OnnxModel:
    """An ONNX file and its text processor."""

    path: Path
    facts: dict[str, Any]
    processor: TextProcessor
    session: Any  # onnxruntime.InferenceSession

    @property
    def labels(self) -> Labels:
        """Classes, and whether a text may have several; raises UserError as `multi_label_of`."""
        several = multi_label_of(self.facts["config"], self.path)
        return replace(KINDS[several], classes=self.facts["labels"])

    @classmethod
    def read(cls, path: Path, threads: int) -> "OnnxModel":
        """Raises UserError: the file is missing or of another program, or the tokenizer's are."""
        session = _session(path, threads)
        facts = _facts(session, path)
        return cls(path, facts, _processor(tokenizer_folder(path), facts["files"]), session)

    def answers(self, texts: Sequence[str]) -> tuple[np.ndarray, Known]:
        """Probabilities, float32, shape (texts, classes), and how much of each text is known."""
        tokenized = tokenize_texts(texts, self.processor, workers=1)
        documents = Corpus(self.processor.ids(tokenized.tokens)[tokenized.ids], tokenized.offsets)
        if self.facts["direction"] == "backward":
            documents = documents.reversed()
        made = np.zeros((len(texts), len(self.facts["labels"])), np.float32)
        for rows in batches(documents.lengths):
            made[rows] = run(self.session, [documents[row] for row in rows])
        made[[i for i, text in enumerate(texts) if is_empty(text)]] = self.facts["prior"]
        return made, known_tokens(tokenized, self.processor)


class LinearModel(LoadedLinear):
    """A linear classifier of an exported ensemble, which needs scikit-learn."""

    @property
    def facts(self) -> dict[str, Any]:
        """What an ONNX file has of its model, as far as ensembles ask for it."""
        manifest = self.artifact.manifest
        return {
            "labels": manifest.labels,
            "data_fingerprint": manifest.data_fingerprint,
            "manifest_sha256": self.artifact.manifest_sha256,
        }

    @property
    def path(self) -> Path:
        """Its directory."""
        return self.artifact.path

    def answers(self, texts: Sequence[str]) -> tuple[np.ndarray, Known]:
        """As `OnnxModel.answers`."""
        found, known = self.answer(texts)
        found[[i for i, text in enumerate(texts) if is_empty(text)]] = self.prior
        return found, known


class OnnxClassifier:
    """One or more exported classifiers; the probabilities of several are averaged.

    `mixture` has the weights of an exported ensemble.

    Raises:
        UserError: the models do not make an ensemble.
    """

    def __init__(
        self, models: "Sequence[OnnxModel | LinearModel]", ensemble: Ensemble | None = None
    ) -> None:
        for a, b in combinations(models, 2):
            _check_pair(a, b)
        self.models = list(models)
        self.labels: list[str] = self.models[0].facts["labels"]
        self.labelling = self.models[0].labels
        self.mixture = mixture_of(ensemble, self.labelling)

    @classmethod
    def load(cls, *files: str | Path, threads: int = 0) -> "OnnxClassifier":
        """The classifiers of ONNX files, each with its tokenizer's folder beside it.

        The folder of an exported ensemble stands for its members, and is given alone.

        Args:
            threads: number of computing threads; 0 for one a core.

        Raises:
            UserError: a file is not from `ulmfit.export`, or the models do not make an ensemble.
        """
        if not files:
            raise UserError("no model given; name at least one file that ulmfit.export wrote")
        if together := [Path(file) for file in files if is_ensemble(Path(file))]:
            if len(files) > 1:
                raise UserError(f"{together[0]} is an ensemble, which is given alone")
            return cls._of_ensemble(read_members_of(together[0]), threads)
        return cls([OnnxModel.read(Path(file), threads) for file in files])

    @classmethod
    def _of_ensemble(cls, ensemble: Ensemble, threads: int) -> "OnnxClassifier":
        models: list[OnnxModel | LinearModel] = []
        for member in ensemble.members:
            file = ensemble.path / f"{member.name}.onnx"
            model = (
                OnnxModel.read(file, threads)
                if file.exists()
                else LinearModel(read_artifact(ensemble.path / member.name, "linear"))
            )
            if model.facts["manifest_sha256"] != member.manifest_sha256:
                raise UserError(
                    f"{model.path} is not the member that {ENSEMBLE} names; export the ensemble "
                    "again"
                )
            if model.facts["labels"] != ensemble.labels:
                raise UserError(
                    f"{model.path} has other labels than {ENSEMBLE}; export the ensemble again"
                )
            models.append(model)
        return cls(models, ensemble)

    def predict(self, texts: Iterable[str | None]) -> "pd.DataFrame":
        """`label`, its `probability`, and one column of probabilities a class, in order.

        As in `ulmfit.Classifier`: what `texts` may be, that missing and empty texts get the
        training class frequencies, and that a warning counts the texts with few known tokens.
        """
        answers = self.answers(list(each_text(texts, "predict")))
        warn_of(answers.notes)
        return prediction_frame(texts, answers.mean, self.labelling)

    def probabilities(self, texts: Iterable[str | None]) -> np.ndarray:
        """The probabilities of `predict`, float32, shape (texts, classes)."""
        return self.answers(list(each_text(texts, "probabilities"))).mean

    def answers(self, texts: Sequence[str]) -> Answers:
        """The probabilities of each model, and notes on texts with few known tokens."""
        found, known = zip(*(model.answers(texts) for model in self.models), strict=True)
        return Answers(np.stack(found), notes_on(texts, known), self.mixture)


def _session(path: Path, threads: int) -> Any:
    if not path.is_file():
        raise UserError(f"{path} is no file; ulmfit export writes ONNX files")
    try:
        return start_session(str(path), threads)
    except ModuleNotFoundError:
        raise UserError("onnxruntime is not installed; pip install onnxruntime") from None
    except Exception as error:  # onnxruntime's have no common class of their own
        raise UserError(f"{path} is damaged or no ONNX model: {error}") from None


def _facts(session: Any, path: Path) -> dict[str, Any]:
    text = session.get_modelmeta().custom_metadata_map.get(FACTS)
    if text is None:
        raise UserError(f"{path} was not written by ulmfit export; export a classifier")
    facts = parse_json(text, f"{path}: what ulmfit.export wrote into it")
    found = facts.get("format_version") if isinstance(facts, dict) else None
    if found != FORMAT_VERSION:
        raise UserError(
            f"{path}: format version {found}, this program reads version "
            f"{FORMAT_VERSION}; export the classifier again"
        )
    odd = [key for key, kind in _FACTS.items() if not isinstance(facts.get(key), kind)]
    if odd or not set(facts["files"]) <= set(PROCESSOR):
        raise UserError(
            f"{path}: found an odd {(odd or ['files'])[0]!r}; export the classifier again"
        )
    return facts


def _processor(folder: Path, hashes: dict[str, str]) -> TextProcessor:
    """The processor with files in `folder`; UserError unless they have the `hashes`."""
    files = {}
    for name, expected in hashes.items():
        with os_errors_as(f"cannot read {folder / name}, which belongs to the model"):
            files[name] = read_bounded(folder / name, largest(name))
        if hashlib.sha256(files[name]).hexdigest() != expected:
            raise UserError(
                f"{folder / name} is not the one that the model was exported with; "
                "copy both again, or export again with --overwrite"
            )
    return TextProcessor.from_files(files)


def _check_pair(a: "OnnxModel | LinearModel", b: "OnnxModel | LinearModel") -> None:
    """As `ulmfit.artifacts.directory.check_pair`."""
    ours, theirs = a.facts, b.facts
    if a.labels.multi != b.labels.multi:
        found = f"{a.path if a.labels.multi else b.path} alone is multi-label"
    elif ours["labels"] != theirs["labels"]:
        found = f"labels {', '.join(ours['labels'])} against {', '.join(theirs['labels'])}"
    elif ours["data_fingerprint"] != theirs["data_fingerprint"]:
        found = f"data {ours['data_fingerprint']} against {theirs['data_fingerprint']}"
    elif ours["manifest_sha256"] == theirs["manifest_sha256"]:
        found = "they are the same model twice"
    else:
        return
    raise UserError(f"{a.path} and {b.path} make no ensemble: {found}")
