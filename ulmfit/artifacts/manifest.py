"""The manifest of a model, ``manifest.json``, with strict checks."""

import json
import math
import platform
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any

from ulmfit.artifacts.config import (
    ClassifierConfig,
    Config,
    LinearConfig,
    LMConfig,
    StudentConfig,
)
from ulmfit.base.errors import UserError
from ulmfit.base.printable import visible
from ulmfit.base.untrusted import parse_json
from ulmfit.base.version import version_of
from ulmfit.data.labels import KINDS as KINDS_OF_LABELS
from ulmfit.data.labels import Labels

FORMAT_VERSION = 1
LIBRARIES = ("ulmfit", "torch", "fastai", "spacy", "sentencepiece", "numpy", "safetensors")
KINDS = {
    "lm": ("a language model", "ulmfit lm writes language models"),
    "classifier": ("a classifier", "ulmfit train writes classifiers"),
    "linear": ("a linear classifier", "ulmfit train writes linear classifiers"),
}
CLASSIFIERS = ("classifier", "linear")  # kinds that give texts labels
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Manifest:
    """The content of ``manifest.json``."""

    format_version: int
    kind: str  # lm | classifier | linear
    direction: str  # forward | backward; none of a linear classifier
    size: str
    config: Config
    tokenizer: dict[str, Any]  # kind, lang, hash of the vocabulary; nothing of a linear classifier
    labels: list[str]  # in the order of the head's outputs; none for an LM
    recipe: dict[str, Any]  # the settings of the run
    seed: int
    metrics: dict[str, Any]  # measured when the model was written
    versions: dict[str, str]  # of the libraries
    data_fingerprint: str
    parent: str | None  # sha256 of the pretrained model's manifest.json
    files: dict[str, str]  # name -> sha256 of every file except manifest.json and metrics.json
    about: str = ""  # for the card: the texts, their source, and the limits of the model

    def to_json(self) -> str:
        """The text of ``manifest.json``."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return json_text({**found, "config": self.config.as_dict()})

    @property
    def lm_config(self) -> LMConfig:
        """`config`, of a language model."""
        assert isinstance(self.config, LMConfig)
        return self.config

    @property
    def classifier_config(self) -> ClassifierConfig:
        """`config`, of a classifier."""
        assert isinstance(self.config, ClassifierConfig)
        return self.config

    @property
    def network(self) -> LMConfig | ClassifierConfig:
        """`config`, of a model with an encoder."""
        assert not isinstance(self.config, LinearConfig)
        return self.config

    @property
    def linear_config(self) -> LinearConfig:
        """`config`, of a linear classifier."""
        assert isinstance(self.config, LinearConfig)
        return self.config

    @property
    def is_student(self) -> bool:
        """Whether it is a linear classifier that was taught another one's probabilities."""
        return isinstance(self.config, StudentConfig)

    @property
    def student_config(self) -> StudentConfig:
        """`config`, of a student."""
        assert isinstance(self.config, StudentConfig)
        return self.config

    @property
    def labelled_config(self) -> ClassifierConfig | LinearConfig:
        """`config`, of a classifier of either kind."""
        assert not isinstance(self.config, LMConfig)
        return self.config

    @property
    def labelling(self) -> Labels:
        """The classes and the kind of labels of a classifier."""
        return replace(KINDS_OF_LABELS[self.labelled_config.multi_label], classes=self.labels)

    @classmethod
    def from_json(
        cls,
        text: str | bytes,
        where: Path | str,
        model: Path | str | None = None,
        ignored: str | None = None,
    ) -> "Manifest":
        """The manifest in `text`.

        Args:
            where: the file's name, for messages.
            model: the model directory's name, for messages about the config; default `where`.
            ignored: a key of the config that is neither checked nor kept.

        Raises:
            UserError: no JSON object, another format version, unknown, missing or wrongly typed
                keys (all in one message), or an impossible config.
        """
        found = parse_json(text, where)
        if not isinstance(found, dict):
            raise UserError(f"{where} holds {_quoted(found)}, a JSON object was expected")
        written = found.get("format_version", FORMAT_VERSION)
        # Checked first, because another version may have other keys.
        if type(written) is int and written != FORMAT_VERSION:
            remedy = "update ulmfit" if written > FORMAT_VERSION else "train the model again"
            raise UserError(
                f"{where}: format version {written}, this program reads version {FORMAT_VERSION};"
                f" {remedy}"
            )
        if problems := _problems(found):
            raise UserError(f"{where}: {'; '.join(problems)}")
        found["config"].pop(ignored, None)
        return cls(**{**found, "config": _config(found, model or where)})


def _config(found: dict[str, Any], where: Path | str) -> Config:
    if found["kind"] == LMConfig.kind:
        return LMConfig.from_dict(found["config"], where)
    of_kind = LinearConfig if found["kind"] == LinearConfig.kind else ClassifierConfig
    return of_kind.from_dict(found["config"], len(found["labels"]), where)


def library_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that affect a model's results."""
    return {"python": platform.python_version(), **{n: version_of(n) for n in LIBRARIES}}


def _all_texts(values: Iterable[object]) -> bool:
    return all(isinstance(value, str) for value in values)


# A field's annotation -> the expectation in messages, and whether a value from JSON fits.
_FORMS: dict[object, tuple[str, Callable[[Any], bool]]] = {
    int: ("a whole number", lambda v: type(v) is int),  # isinstance would accept true
    bool: ("true or false", lambda v: isinstance(v, bool)),
    str: ("a text", lambda v: isinstance(v, str)),
    str | None: ("a text or null", lambda v: v is None or isinstance(v, str)),
    list[str]: ("a list of texts", lambda v: isinstance(v, list) and _all_texts(v)),
    dict[str, Any]: ("an object", lambda v: isinstance(v, dict)),
    Config: ("an object", lambda v: isinstance(v, dict)),
    dict[str, str]: (
        "an object of texts",
        lambda v: isinstance(v, dict) and _all_texts(v.values()),
    ),
}
NO_DIRECTION = "none"  # of a linear classifier, which counts words in whatever order
_CHOICES = {"kind": list(KINDS), "direction": ["forward", "backward"]}
# Keys of a recipe that commands read.
_RECIPE: dict[str, object] = {
    "data": str,
    "text_col": str | None,
    "label_col": str | None,
    "split_col": str | None,
    "label_cols": list[str],
    "label_sep": str,
    "sep": str | None,
    "quoting": str | None,
    "encoding": str | None,
    "no_header": bool,
    "labels": int,
}


def _problems(found: dict[str, Any]) -> list[str]:
    forms = {field.name: _FORMS[field.type] for field in fields(Manifest)}
    needed = [field.name for field in fields(Manifest) if field.default is MISSING]
    problems = [f'"{key}" is missing' for key in needed if key not in found]
    problems += [f"{_quoted(key)} is unknown" for key in found if key not in forms]
    for key in (key for key in forms if key in found):
        expected, fits = forms[key]
        if key in _CHOICES:
            choices = _CHOICES[key]
            if key == "direction" and found.get("kind") == LinearConfig.kind:
                choices = [NO_DIRECTION]
            expected, fits = " or ".join(choices), choices.__contains__
        if not fits(found[key]):
            problems.append(f'"{key}" is {_quoted(found[key])}, {expected} was expected')
        elif key == "files":
            # Names are joined to the directory: "../x" or "/x" would be another place.
            odd = [name for name in found[key] if not PLAIN_NAME.fullmatch(name)]
            problems += [f'"files" names {_quoted(n)}, a plain file name was expected' for n in odd]
    return problems or [*_number_problems(found), *_label_problems(found["kind"], found["labels"])]


def _number_problems(found: dict[str, Any]) -> list[str]:
    """Problems of the seed and of the recipe's keys that commands read."""
    recipe = found["recipe"]
    problems = [
        f'the recipe\'s "{key}" is {_quoted(recipe[key])}, {_FORMS[form][0]} was expected'
        for key, form in _RECIPE.items()
        if key in recipe and not _FORMS[form][1](recipe[key])
    ]
    numbers = {'"seed"': found["seed"], 'the recipe\'s "labels"': recipe.get("labels", 0)}
    negative = [(key, n) for key, n in numbers.items() if type(n) is int and n < 0]
    return problems + [f"{key} is {n}, a number from 0 on was expected" for key, n in negative]


def _label_problems(kind: str, labels: list[str]) -> list[str]:
    if kind == "lm":
        return [f'"labels" is {_quoted(labels)}, none were expected of an LM'] if labels else []
    if not labels:
        return ['"labels" is [], those of a classifier were expected']
    # Tables and errors print labels.
    odd = [x for x in labels if not x.strip() or "\n" in x or "\t" in x or visible(x) != x]
    if odd:
        return [f'"labels" has {_quoted(odd[0])}, a line that can be shown was expected']
    repeated = [label for label, n in Counter(labels).items() if n > 1]
    return [f'"labels" has {_quoted(label)} more than once' for label in repeated[:1]]


def _quoted(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def json_text(value: dict[str, Any]) -> str:
    """`value` as JSON with sorted keys, an indent of two spaces and a final newline."""
    text = json.dumps(plain(value), sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    return text + "\n"


def plain(value: object) -> object:
    """`value` in JSON's types: numpy and torch scalars as numbers, tuples as lists."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "item"):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has no NaN, and a diverged run still needs its report
    return str(value) if isinstance(value, Path) else value


def direction(backwards: bool) -> str:
    """The manifest's word for it."""
    return "backward" if backwards else "forward"


def suffix(backwards: bool) -> str:
    """The end of a model directory's name."""
    return "bwd" if backwards else "fwd"
