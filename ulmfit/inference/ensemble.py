"""One classifier or an ensemble: classes and probabilities of texts.

torch and pandas are imported late, so that an error in a command's arguments shows at once.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ulmfit.artifacts import bundled
from ulmfit.artifacts.directory import Artifact, check_pair, read_artifact
from ulmfit.artifacts.ensemble import Ensemble, is_ensemble, read_ensemble
from ulmfit.artifacts.manifest import CLASSIFIERS
from ulmfit.base.errors import UserError
from ulmfit.base.imports import importing
from ulmfit.base.log import logger
from ulmfit.data.labels import Labels
from ulmfit.inference.loaded_int8 import INT8, LoadedInt8, check_installed
from ulmfit.inference.loaded_linear import LoadedLinear
from ulmfit.inference.mixture import EQUAL, Mixture
from ulmfit.inference.scoring import Answers, notes_on, prediction_frame, warn_of
from ulmfit.text.corpus import TokenizedTexts
from ulmfit.text.given import each_text
from ulmfit.text.ids import Text, is_empty

if TYPE_CHECKING:
    import pandas as pd

    from ulmfit.inference.loaded import LoadedModel

    Loaded = LoadedModel | LoadedLinear | LoadedInt8

DEFAULT = bundled.DEFAULT_CLASSIFIER


class Classifier:
    """One or more classifiers; the probabilities of several are averaged.

    `labels` has the names of the classes, `labelling` also their kind. `mixture` has the weights
    of an ensemble's directory, `ensemble`; the weights of several directories are equal.
    """

    def __init__(self, models: "Sequence[Loaded]", ensemble: Ensemble | None = None) -> None:
        self.models, self.ensemble = list(models), ensemble
        trained = self.models[0].artifact.manifest
        self.labels = trained.labels
        self.labelling = trained.labelling
        self.mixture = mixture_of(ensemble, self.labelling)

    @property
    def networks(self) -> "list[LoadedModel]":
        """The models that are no linear classifiers; of 8-bit ones, their exact form."""
        models = [m.exact() if isinstance(m, LoadedInt8) else m for m in self.models]
        return [model for model in models if not isinstance(model, LoadedLinear)]

    @property
    def is_several(self) -> bool:
        """Whether it is more than one model by itself."""
        return len(self.models) > 1 or self.ensemble is not None

    @property
    def names(self) -> list[str]:
        """The models' names: their directories' names, as paths where two have the same."""
        paths = [model.artifact.path for model in self.models]
        names = [path.resolve().name for path in paths]
        return names if len(set(names)) == len(names) else [str(path) for path in paths]

    @property
    def folders(self) -> list[str]:
        """The models' directories."""
        return [str(model.artifact.path) for model in self.models]

    @property
    def precision(self) -> str:
        """The number format of products: bfloat16, float32 or int8."""
        kinds = [m.precision for m in self.models if not isinstance(m, LoadedLinear)]
        return (kinds or [self.models[0].precision])[0]

    @classmethod
    def load(cls, *folders: str | Path, precision: str = "auto") -> "Classifier":
        """An ensemble of model directories or bundled classifiers.

        An ensemble's directory stands for its members, and is given alone.

        Args:
            precision: "float32" gives a text the same prediction alone and in any batch (to
                1e-4). "bfloat16" is several times as fast on suitable hardware, but a probability
                depends on the batch, by some hundredths at worst. "auto" uses bfloat16 if the
                hardware has it. "int8" needs onnxruntime and onnx (the extra `export`).

        Raises:
            UserError: a directory holds no classifier, or they cannot be averaged (`check_pair`).
        """
        if not folders:
            raise UserError("no model given; name at least one classifier's directory")
        paths = bundled.model_folders(folders)
        if precision == INT8:
            check_installed()
        artifacts, ensemble = read_classifiers(paths)
        return cls([load_model(artifact, precision) for artifact in artifacts], ensemble)

    def predict(self, texts: Iterable[str | None]) -> "pd.DataFrame":
        """`label`, its `probability`, and a column of probabilities for each class, in order.

        An empty or missing text gets the training class frequencies. Several labels are separated
        by ';' (see `scoring.prediction_columns`). A warning counts the texts with few known tokens.

        Args:
            texts: a list, a pandas Series (the result has its index), an array of one dimension, or
                any other sequence of strings.

        Raises:
            UserError: `texts` is something else, or one of its items is no text.
        """
        answers = self.answers(list(each_text(texts, "predict")))
        warn_of(answers.notes)
        return prediction_frame(texts, answers.mean, self.labelling)

    def probabilities(
        self, texts: Iterable[str | None], tell: Callable[[float], object] | None = None
    ) -> np.ndarray:
        """float32, shape (texts, classes), as in `predict`.

        `tell` is called with numbers of finished texts, which may be fractions.
        """
        return self.answers(list(each_text(texts, "probabilities")), tell).mean

    def probabilities_by_model(self, texts: Sequence[Text]) -> list[np.ndarray]:
        """One array of shape (texts, classes) for each model, in their order."""
        return list(self.answers(texts).by_model)

    def answers(
        self, texts: Sequence[Text], tell: Callable[[float], object] | None = None
    ) -> Answers:
        """The probabilities of each model, and notes on texts with few known tokens."""
        if len(texts) == 0:
            none = np.zeros((len(self.models), 0, len(self.labels)), np.float32)
            return Answers(none, [], self.mixture)
        share = tell and (lambda count: tell(count / len(self.models)))
        tokens: dict[str, TokenizedTexts] = {}
        found = [loaded.answer(texts, tokens, share) for loaded in self.models]
        results, known = zip(*found, strict=True)
        empty = [i for i, text in enumerate(texts) if is_empty(text)]
        for loaded, probabilities in zip(self.models, results, strict=True):
            probabilities[empty] = loaded.prior
        return Answers(np.stack(results), notes_on(texts, known), self.mixture)


def read_classifiers(paths: Sequence[str]) -> tuple[list[Artifact], Ensemble | None]:
    """The classifiers of directories, verified, and the ensemble if that is what was given.

    Raises:
        UserError: as `read_artifact`, `read_ensemble` and `check_pair`, or an ensemble is not
            given alone.
    """
    if together := [path for path in paths if is_ensemble(Path(path))]:
        if len(paths) > 1:
            raise UserError(
                f"{together[0]} is an ensemble, and {len(paths)} directories were given; give an "
                "ensemble alone, or its members' directories"
            )
        ensemble = read_ensemble(Path(together[0]))
        return list(ensemble.artifacts), ensemble
    artifacts = [read_artifact(Path(path), *CLASSIFIERS) for path in paths]
    check_pair(artifacts)
    return artifacts, None


def load_model(artifact: Artifact, precision: str) -> "Loaded":
    """A classifier of either kind, where it computes."""
    if artifact.manifest.kind == "linear":
        return LoadedLinear(artifact)
    if precision == INT8:
        return LoadedInt8(artifact)
    from ulmfit.inference.loaded import LoadedModel

    return LoadedModel(artifact, precision)


def mixture_of(ensemble: Ensemble | None, labels: Labels) -> Mixture:
    """The weights and the temperature of an ensemble's directory; without one, equal weights."""
    if ensemble is None:
        return EQUAL
    weights = tuple(member.weight for member in ensemble.members)
    return Mixture(weights, ensemble.temperature, labels)


def load_named(clf: bundled.Paths, precision: str) -> Classifier:
    """The classifiers of a command; a line reports the default. Raises like `Classifier.load`."""
    if clf == DEFAULT:
        logger.info(f"with the bundled {DEFAULT}; --clf DIR [DIR ...] names other classifiers")
    with importing():
        classifier = Classifier.load(*bundled.model_folders(clf), precision=precision)
        from ulmfit.base.precision import keep_memory
    keep_memory()
    return classifier
