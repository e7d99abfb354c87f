"""The stages 2 and 3 as an estimator of scikit-learn."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from ulmfit.artifacts.bundled import DIRECTIONS
from ulmfit.base.atomic import atomic_directory, check_parent, os_errors_as
from ulmfit.base.errors import BadValue, UserError
from ulmfit.base.launch import check_alone
from ulmfit.base.untrusted import parse_json, read_bounded
from ulmfit.inference.ensemble import Classifier
from ulmfit.inference.scoring import warn_of
from ulmfit.pipeline.crews import crew_for
from ulmfit.text.given import each_text
from ulmfit.training.arrays import (
    checked,
    classes_of,
    names_of,
    texts_of,
    training_folder,
    write_table,
)
from ulmfit.training.auto import AUTO_RECIPE
from ulmfit.training.options import own_settings
from ulmfit.training.settings import (
    ClassifierSettings,
    LMSettings,
    load_settings,
)

_FILE, _FORMAT, _LARGEST = "estimator.json", 1, 1 << 24
_TEXTS = "texts.parquet"  # the table for the stages
_OF_MACHINE = {"folder", "n_jobs"}  # parameters that are not saved

Files = dict[str, dict[str, bytes]]  # model directory -> file -> content


class ULMFiTClassifier(ClassifierMixin, BaseEstimator):
    """A text classifier: `fit` fine-tunes a language model on the texts, then trains on the labels.

    `X` is a list, a pandas Series or an array of one dimension of strings; a missing text is an
    empty one. `y` has one class a text: strings, whole numbers or booleans.

    As everywhere in the package, tokens are kept under ``data/cache`` of the working directory, or
    under ``$ULMFIT_CACHE``. A fitted estimator can be pickled; its pickle holds the files of the
    models. Unpickle only what you trust; `save` and `load` can run no code.

    Args:
        recipe: of ``stages/*.toml``. None: "auto", whose model and lengths follow from the texts.
        pretrained: the language model to start from: a bundled name, a directory, "none"; None for
            the recipe's.
        directions: "fwd", "bwd" or both; the probabilities of both are averaged.
        seed: for the validation part (a tenth of the texts), data order, initialisation, dropout.
        precision: "auto", "float32" or "bfloat16".
        lm_settings: settings of stage 2 that replace the recipe's, e.g. ``{"epochs": 3}``.
        classifier_settings: settings of stage 3 that replace the recipe's.
        folder: a new or empty folder, where texts and all models stay. None for a temporary one.
        n_jobs: directions that are trained at the same time, each in a process of its own: 1 or 2;
            None for 1.

    Attributes:
        classes_: the classes, sorted, with the type they have in `y`.
        model_: the trained `Classifier`.
        recipe_: the recipe that was used.
    """

    def __init__(
        self,
        recipe: str | None = None,
        *,
        pretrained: str | Path | None = None,
        directions: Sequence[str] = ("fwd",),
        seed: int = 42,
        precision: str = "auto",
        lm_settings: Mapping[str, Any] | None = None,
        classifier_settings: Mapping[str, Any] | None = None,
        folder: str | Path | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.recipe = recipe
        self.pretrained = pretrained
        self.directions = directions
        self.seed = seed
        self.precision = precision
        self.lm_settings = lm_settings
        self.classifier_settings = classifier_settings
        self.folder = folder
        self.n_jobs = n_jobs

    def fit(
        self, X: Iterable[str | None], y: Any, unlabelled: Iterable[str | None] | None = None
    ) -> Self:
        """Train on the texts `X` and their classes `y`.

        Args:
            unlabelled: more texts, for the language model alone.

        Raises:
            UserError: bad texts, classes or parameters, or several launched processes; it is a
                ValueError, too.
        """
        with _as_value_errors():
            check_alone(f"{type(self).__name__}.fit")
            texts, more = texts_of(X), texts_of(() if unlabelled is None else unlabelled)
            classes, numbers = classes_of(y, len(texts))
            names = names_of(classes)
            recipe, lm, classifier = self._settings()
            with training_folder(self.folder) as folder:
                data = folder / _TEXTS
                write_table(data, [*texts, *more], [names[number] for number in numbers])
                with _as_value_errors(str(data)):
                    models = self._train(folder, {"recipe": recipe, "data": data}, lm, classifier)
                self._hold(models, {path.name: _files(path) for path in models})
        self.classes_, self.recipe_ = classes, recipe
        return self

    def predict(self, X: Iterable[str | None]) -> np.ndarray:
        """The most probable class of each text."""
        places = self.predict_proba(X).argmax(1)
        return self.classes_[places]

    def predict_proba(self, X: Iterable[str | None]) -> np.ndarray:
        """float32, shape (texts, classes), in the order of `classes_`.

        A warning counts the texts with few known tokens.
        """
        check_is_fitted(self)
        with _as_value_errors():
            answers = self.model_.answers(list(each_text(X, "predict")))
        warn_of(answers.notes)
        order = [self.model_.labels.index(name) for name in names_of(self.classes_)]
        return answers.mean[:, order]

    def save(self, folder: str | Path, overwrite: bool = False) -> Path:
        """Write classifiers, parameters (without `folder`, `n_jobs`) and classes to a new folder.

        The sub-folders ``clf-fwd`` and ``clf-bwd`` are model directories for the commands.
        """
        check_is_fitted(self)
        about = {
            "format": _FORMAT,
            "models": list(self._model_files),
            "recipe": self.recipe_,
            "classes": self.classes_.tolist(),
            "parameters": {k: v for k, v in self.get_params().items() if k not in _OF_MACHINE},
        }
        content = json.dumps(about, indent=1, default=_plain)
        target = Path(folder)
        with _as_value_errors():
            check_parent(target)
            with atomic_directory(target, overwrite) as new, os_errors_as(f"cannot write {target}"):
                _write_files(self._model_files, new)
                (new / _FILE).write_text(content, encoding="utf-8")
        return target

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """The estimator that `save` wrote.

        Raises:
            UserError: `folder` holds none, or a damaged one.
        """
        file = Path(folder, _FILE)
        with _as_value_errors():
            with os_errors_as(f"cannot read {file}, which ULMFiTClassifier.save writes"):
                about = parse_json(read_bounded(file, _LARGEST), file)
            _check_saved(about, cls._get_param_names(), file)
            parameters = about["parameters"]
            parameters["directions"] = tuple(parameters["directions"])
            estimator = cls(**parameters)
            estimator.classes_ = checked(np.array(about["classes"]))
            estimator.recipe_ = about["recipe"]
            paths = [Path(folder, name) for name in about["models"]]
            estimator._hold(paths)
            if sorted(estimator.model_.labels) != sorted(names_of(estimator.classes_)):
                raise UserError(
                    f"{file} is damaged: its classes are not those of the models; save it again"
                )
        return estimator

    def _settings(self) -> tuple[str, dict[str, Any], dict[str, Any]]:
        """The recipe, and what stages 2 and 3 are given; all is checked before any training."""
        _check_directions(self.directions)
        shared = {
            "seed": self.seed.item() if isinstance(self.seed, np.integer) else self.seed,
            "precision": self.precision,
        }
        own_lm = own_settings("lm_settings", self.lm_settings, LMSettings)
        own = own_settings("classifier_settings", self.classifier_settings, ClassifierSettings)
        lm = {"samples": 0, "pretrained": self.pretrained, **shared, **own_lm}
        classifier = {**shared, **own}
        recipe = AUTO_RECIPE if self.recipe is None else self.recipe
        load_settings(LMSettings, recipe, lm)
        load_settings(ClassifierSettings, recipe, classifier)
        return recipe, lm, classifier

    def _train(
        self,
        folder: Path,
        common: dict[str, Any],
        lm_given: dict[str, Any],
        classifier_given: dict[str, Any],
    ) -> list[Path]:
        """Stages 2 and 3 in each direction; returns the directories of the classifiers."""
        crew = crew_for(1 if self.n_jobs is None else self.n_jobs, len(self.directions))

        def trained(name: str) -> Path:
            more = {**common, "backwards": name == "bwd"}
            start, out = str(folder / f"lm-{name}"), str(folder / f"clf-{name}")
            crew.train("lm", {**lm_given, **more, "out": start})
            return crew.train("clf", {"lm": start, **classifier_given, **more, "out": out}).path

        return list(crew.each(self.directions, trained).values())

    def _hold(self, paths: list[Path], files: Files | None = None) -> None:
        """Load the models of directories, and keep their files for `save` and for pickling."""
        self.model_ = Classifier.load(*paths, precision=self.precision)
        self._model_files = files or {path.name: _files(path) for path in paths}

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        state.pop("model_", None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "_model_files" in state:
            with TemporaryDirectory() as folder:
                _write_files(self._model_files, Path(folder))
                self._hold([Path(folder, name) for name in self._model_files], self._model_files)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = tags.input_tags.one_d_array = tags.input_tags.allow_nan = True
        tags.input_tags.two_d_array = False
        return tags


@contextmanager
def _as_value_errors(data: str = "") -> Iterator[None]:
    """Raise a UserError of the block as a `BadValue`, which calls the file `data` "X and y"."""
    try:
        yield
    except UserError as error:
        line = error.line.replace(data, "X and y") if data else error.line
        raise BadValue(line) from error


def _check_directions(directions: Any) -> None:
    given = [] if isinstance(directions, str) else list(directions)
    if not given or len({*given}) < len(given) or {*given} - {*DIRECTIONS}:
        raise UserError(
            f"found directions={directions!r}, expected ('fwd',), ('bwd',) or ('fwd', 'bwd')"
        )


def _check_saved(about: Any, parameters: list[str], file: Path) -> None:
    shapes = {"models": list, "recipe": str, "classes": list, "parameters": dict}
    if not isinstance(about, dict) or about.get("format") != _FORMAT:
        raise UserError(f"{file} has another format than {_FORMAT}; save the estimator again")
    names = {f"clf-{direction}" for direction in DIRECTIONS}
    good = all(isinstance(about.get(key), kind) for key, kind in shapes.items())
    if (
        not good
        or not all(isinstance(name, str) and name in names for name in about["models"])
        or {*about["parameters"]} != {*parameters} - _OF_MACHINE
        or not isinstance(about["parameters"]["directions"], list)
    ):
        raise UserError(f"{file} is damaged; save the estimator again")


def _files(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(path.iterdir()) if file.is_file()}


def _write_files(models: Files, folder: Path) -> None:
    for name, files in models.items():
        (folder / name).mkdir()
        for file, content in files.items():
            (folder / name / file).write_bytes(content)


def _plain(value: Any) -> Any:
    """A parameter as JSON has it."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return value.item() if isinstance(value, np.generic) else str(value)
