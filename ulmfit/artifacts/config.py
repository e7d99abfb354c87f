"""The config in a manifest, one class for each kind of model, with checks of every value."""

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from ulmfit.base.errors import UserError
from ulmfit.model.sizes import EncoderConfig
from ulmfit.text.processor import PAD_ID

# The lowest and highest numbers in a config; they are checked before the weights are read.
_LOWEST = {"vocab_sz": PAD_ID + 1}
_HIGHEST = {"n_layers": 64, "max_len": 2**31 - 1}
_HIGHEST_ELSE = 2**24
NB_LR, TFIDF_LR = "nb-lr", "tfidf-lr"
HASHED = "hashed"  # a student's, see `StudentConfig`
# Of linear models; whether they know several labels.
FEATURES = {NB_LR: False, TFIDF_LR: True, HASHED: True}
_ENCODER = [number.name for number in fields(EncoderConfig)]


@dataclass(frozen=True)
class _Config:
    unknown: Mapping[str, Any] = field(default_factory=dict, kw_only=True)  # other versions' keys

    def as_dict(self) -> dict[str, Any]:
        """The entry in ``manifest.json``, without values at their default."""
        own = {
            name: getattr(self, name)
            for name, default in self._own().items()
            if getattr(self, name) != default
        }
        return {**self.unknown, **own}

    @classmethod
    def _own(cls) -> dict[str, Any]:
        """Name and default of each field except `encoder` and `unknown`."""
        return {f.name: f.default for f in fields(cls) if f.name not in ("encoder", "unknown")}

    @classmethod
    def _unknown(cls, found: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in found.items() if key not in cls._own()}


@dataclass(frozen=True)
class _NetworkConfig(_Config):
    encoder: EncoderConfig

    def as_dict(self) -> dict[str, Any]:
        return {**self.encoder.as_dict(), **super().as_dict()}

    @classmethod
    def _unknown(cls, found: Mapping[str, Any]) -> dict[str, Any]:
        return {k: v for k, v in super()._unknown(found).items() if k not in _ENCODER}


@dataclass(frozen=True)
class LMConfig(_NetworkConfig):
    """The config of a language model, with fingerprints of the texts that it has read."""

    kind: ClassVar[str] = "lm"
    texts: str | None = None  # stage 2: all texts of the data
    withheld: list[str] | None = None  # stage 2: sets of texts that the model has not read
    corpus: str | None = None  # stage 1: the texts

    @classmethod
    def from_dict(cls, found: Mapping[str, Any], where: object) -> "LMConfig":
        """The inverse of `as_dict`; `where` is the model directory.

        Raises UserError if a number is missing or impossible, or a fingerprint is no text.
        """
        encoder = EncoderConfig(**_numbers(found, _ENCODER, where))
        own = {name: found.get(name) for name in cls._own()}
        if isinstance(own["withheld"], str):  # in the first models
            own["withheld"] = [own["withheld"]]
        for name, value in own.items():
            several = value if name == "withheld" and isinstance(value, list) else [value]
            if value is not None and not all(isinstance(each, str) for each in several):
                raise UserError(
                    f"{where}: found {name} {str(value)[:60]} in the manifest's config, expected "
                    "fingerprints of texts; copy or train the model again"
                )
        return cls(encoder, **own, unknown=cls._unknown(found))


@dataclass(frozen=True)
class ClassifierConfig(_NetworkConfig):
    """The config of a classifier: its encoder, its head, and the way from logits to labels."""

    kind: ClassVar[str] = "classifier"
    max_len: int  # tokens that are pooled
    hidden: int  # units of the head's hidden layer
    prior: list[float] | None = None  # training class frequencies
    multi_label: bool = False  # whether a text may have several labels
    temperature: float | None = None  # divides the logits; see `inference.calibration`

    @classmethod
    def from_dict(cls, found: Mapping[str, Any], classes: int, where: object) -> "ClassifierConfig":
        """The inverse of `as_dict`, for a number of classes; `where` is the model directory.

        Raises UserError if a number is missing or impossible, `multi_label` is neither true nor
        false, the prior does not fit the classes, or the temperature is not above 0.
        """
        numbers = _numbers(found, [*_ENCODER, "hidden", "max_len"], where)
        multi_label = multi_label_of(found, where)
        return cls(
            EncoderConfig(**{name: numbers.pop(name) for name in _ENCODER}),
            **numbers,
            prior=_prior(found, classes, multi_label, where),
            multi_label=multi_label,
            temperature=_temperature(found, where),
            unknown=cls._unknown(found),
        )


@dataclass(frozen=True)
class LinearConfig(_Config):
    """The config of a linear classifier: how many n-grams it knows, and what it makes of them."""

    kind: ClassVar[str] = "linear"
    features: str  # a key of `FEATURES`
    ngrams: int  # lines of ngrams.txt
    strength: float  # C, the inverse of the regularisation
    class_weight: str | None = None  # balanced, or none
    prior: list[float] | None = None  # share of the training texts that each class has
    multi_label: bool = False  # whether a text may have several labels
    temperature: float | None = None  # divides the logits; see `inference.calibration`

    @classmethod
    def from_dict(cls, found: Mapping[str, Any], classes: int, where: object) -> "LinearConfig":
        """The inverse of `as_dict`, for a number of classes; `where` is the model directory.

        Raises:
            UserError: the features are unknown or not for several labels, a number is missing or
                out of range, or as `ClassifierConfig.from_dict`.
        """
        multi_label = multi_label_of(found, where)
        features = found.get("features")
        known = [name for name, several in FEATURES.items() if several or not multi_label]
        weight, strength = found.get("class_weight"), found.get("strength")
        problem: tuple[str, str] | None = None
        if features not in known:
            problem = f"features {str(features)[:60]!r}", " or ".join(known)
        elif weight not in (None, "balanced"):
            problem = f"class_weight {str(weight)[:60]!r}", "balanced or none"
        elif (
            type(strength) not in (int, float) or not 0 < float(strength or 0) <= sys.float_info.max
        ):
            problem = f"strength {str(strength)[:60]!r}", "a finite number above 0"
        if problem:
            raise UserError(
                f"{where}: found {problem[0]} in the manifest's config, expected {problem[1]}; "
                "copy or train the model again"
            )
        own: dict[str, Any] = {}
        if features == HASHED:
            cls, own = StudentConfig, _of_student(found, where)
        return cls(
            features=str(features),
            **_numbers(found, ["ngrams"], where),
            **own,
            strength=float(strength or 0),
            class_weight=weight,
            prior=_prior(found, classes, multi_label, where),
            multi_label=multi_label,
            temperature=_temperature(found, where),
            unknown=cls._unknown(found),
        )


@dataclass(frozen=True)
class StudentConfig(LinearConfig):
    """The config of a student: hashed n-grams, taught a classifier's probabilities.

    `ngrams` is the number of buckets, a power of two. `teacher` is the key of the teacher as a
    whole (`inference.student.teacher_key`), `teachers` are the sha256 of its models' manifests. The
    student answers alone if the two likeliest answers are further apart than `threshold`.
    """

    teacher: str = ""
    teachers: list[str] = field(default_factory=list)
    threshold: float = 1.0


Config = LMConfig | ClassifierConfig | LinearConfig


def _of_student(found: Mapping[str, Any], where: object) -> dict[str, Any]:
    teacher, teachers = found.get("teacher"), found.get("teachers")
    threshold, buckets = found.get("threshold", 1.0), found.get("ngrams")
    problem: tuple[str, object, str] | None = None
    if not isinstance(teacher, str) or not teacher:
        problem = "teacher", teacher, "the key of a classifier"
    elif not isinstance(teachers, list) or not all(isinstance(x, str) for x in teachers):
        problem = "teachers", teachers, "hashes of manifests"
    elif type(threshold) not in (int, float) or not 0 <= threshold <= 1:
        problem = "threshold", threshold, "a number from 0 to 1"
    elif type(buckets) is not int or buckets < 4 or buckets & (buckets - 1):
        problem = "ngrams", buckets, "a power of two from 4 on"
    if problem:
        name, value, expected = problem
        raise UserError(
            f"{where}: found {name} {str(value)[:60]} in the manifest's config, expected "
            f"{expected}; copy the student or distill it again"
        )
    return {"teacher": teacher, "teachers": teachers, "threshold": float(threshold)}


def multi_label_of(found: Mapping[str, Any], where: object) -> bool:
    """The value of `multi_label` in a config, false without the key.

    Raises UserError if it is neither true nor false; `where` is the model directory or file.
    """
    value = found.get("multi_label", False)
    if isinstance(value, bool):
        return value
    raise UserError(
        f"{where}: found multi_label {str(value)[:60]!r} in the config, expected true or false; "
        "copy or train the model again"
    )


def _numbers(found: Mapping[str, Any], names: Sequence[str], where: object) -> dict[str, int]:
    for name in names:
        lowest = _LOWEST.get(name, 1)
        if type(found.get(name)) is not int or found[name] < lowest:
            raise UserError(
                f"{where}: found {name} {found.get(name)!r} in the manifest's config, expected a "
                f"whole number above {lowest - 1}; copy or train the model again"
            )
        highest = _HIGHEST.get(name, _HIGHEST_ELSE)
        if found[name] > highest:
            raise UserError(
                f"{where}: found {name} {found[name]} in the manifest's config, expected "
                f"{highest:,} at most; copy or train the model again"
            )
    return {name: found[name] for name in names}


def _prior(
    found: Mapping[str, Any], classes: int, multi_label: bool, where: object
) -> list[float] | None:
    if "prior" not in found and not multi_label:
        return None
    prior = found.get("prior", [])
    shares = isinstance(prior, list) and all(
        type(p) in (int, float) and 0 <= p <= 1 + 1e-6 for p in prior
    )
    sums = multi_label or (shares and math.isclose(sum(prior), 1, rel_tol=1e-6))
    if shares and len(prior) == classes and sums:
        return prior
    expected = "shares from 0 to 1" if multi_label else "shares that sum to 1"
    raise UserError(
        f"{where}: found the prior {str(prior)[:60]} in the manifest's config, "
        f"expected {classes} {expected}; copy or train the model again"
    )


def _temperature(found: Mapping[str, Any], where: object) -> float | None:
    temperature = found.get("temperature", 1.0)
    if type(temperature) in (int, float) and 0 < temperature <= sys.float_info.max:
        return temperature if "temperature" in found else None
    raise UserError(
        f"{where}: found temperature {temperature!r} in the manifest's config, expected a finite "
        "number above 0; give the model a new one: ulmfit calibrate"
    )
