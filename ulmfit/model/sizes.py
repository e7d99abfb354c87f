"""The numbers that define an encoder, and the named sizes."""

from dataclasses import asdict, dataclass

from ulmfit.base.errors import UserError


@dataclass(frozen=True)
class EncoderConfig:
    """The numbers that define an encoder. `emb_sz`, `n_hid`, `n_layers` are fastai's names."""

    vocab_sz: int
    emb_sz: int
    n_hid: int
    n_layers: int = 3

    def as_dict(self) -> dict[str, int]:
        """The numbers by name, as in a manifest."""
        return asdict(self)


# size -> embedding, hidden units, layers. "base" is the paper's (section 4.1) and fastai's;
# "small" has 12 million parameters with 20,000 words; "tiny" is for tests and trials.
SIZES = {
    "tiny": (24, 32, 2),
    "small": (256, 640, 3),
    "base": (400, 1152, 3),
}


def encoder_config(size: str, vocab_size: int) -> EncoderConfig:
    """The encoder of a named size over a vocabulary."""
    if size not in SIZES:
        raise UserError(f"unknown size {size!r}; choose one of {', '.join(SIZES)}")
    return EncoderConfig(vocab_size, *SIZES[size])


EMBEDDING_RANGE = 0.5  # see `build.random_embedding`
