"""The numbers that define an encoder, and the named sizes."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from ulmfit.base.errors import UserError

# Upper bounds for the numbers of a manifest's config, before any closer check.
_HIGHEST = {"n_layers": 64, "max_len": 2**31 - 1}


_HIGHEST_ELSE = 2**24


@dataclass(frozen=True)
class EncoderConfig:
    """The numbers that define an encoder. `emb_sz`, `n_hid`, `n_layers` are fastai's names."""

    vocab_sz: int
    emb_sz: int
    n_hid: int
    n_layers: int = 3

    @classmethod
    def from_dict(cls, config: Mapping[str, Any], where: object) -> "EncoderConfig":
        """The inverse of `as_dict`; other keys are ignored."""
        return cls(**config_numbers(config, [f.name for f in fields(cls)], where))

    def as_dict(self) -> dict[str, int]:
        """The form in a manifest."""
        return asdict(self)


def config_numbers(
    config: Mapping[str, Any], names: Sequence[str], where: object
) -> dict[str, int]:
    """The numbers of a manifest's config under `names`; `where` is the model directory.

    Raises:
        UserError: a number is missing, not a whole number above 0, or larger than any model's.
    """
    bad = [name for name in names if type(config.get(name)) is not int or config[name] < 1]
    if bad:
        raise UserError(
            f"{where}: found {bad[0]} {config.get(bad[0])!r} in the manifest's config, expected a "
            "whole number above 0; copy or train the model again"
        )
    for name in names:
        highest = _HIGHEST.get(name, _HIGHEST_ELSE)
        if config[name] > highest:
            raise UserError(
                f"{where}: found {name} {config[name]} in the manifest's config, expected "
                f"{highest:,} at most; copy or train the model again"
            )
    return {name: config[name] for name in names}


# size -> embedding, hidden units, layers. "base" is the paper's (section 4.1) and fastai's;
# "small" has 12 million parameters with 20,000 words; "tiny" is for tests and trials.
SIZES = {"tiny": (24, 32, 2), "small": (256, 640, 3), "base": (400, 1152, 3)}


def encoder_config(size: str, vocab_size: int) -> EncoderConfig:
    """The encoder of a named size over a vocabulary."""
    if size not in SIZES:
        raise UserError(f"unknown size {size!r}; choose one of {', '.join(SIZES)}")
    return EncoderConfig(vocab_size, *SIZES[size])


EMBEDDING_RANGE = 0.5  # from scratch, fastai's 0.1 gets stuck (see `build.build_lm`)
