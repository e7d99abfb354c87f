"""Whether texts fit the vocabulary of a model, and the line that says so."""

from typing import NamedTuple

from ulmfit.text.blocks import Texts, spread
from ulmfit.text.corpus import tokenize_texts
from ulmfit.text.known import known_tokens
from ulmfit.text.processor import TextProcessor
from ulmfit.text.scripts import without_spaces

MUCH = 0.2  # share of unknown tokens from which on a warning is due
MOST = 0.5  # share from which on a model does not fit
OWN_TEXT = "own-text"  # the recipe for texts that no model fits
_TEXTS = 500  # that tell whether a model fits

WAY_OUT = (
    f"ulmfit train --recipe {OWN_TEXT} starts from no other model and trains on these texts "
    "alone, in subwords"
)


class Fit(NamedTuple):
    """How well a model fits texts.

    unknown: share of the tokens that the model does not know. sentences: whether its tokenizer
    takes sentences for words, for the language has no spaces.
    """

    unknown: float
    sentences: bool

    @property
    def fits(self) -> bool:
        """Whether the model is of use for the texts."""
        return self.unknown < MOST and not self.sentences

    def reason(self, model: str) -> str:
        """What speaks against `model`."""
        line = unknown_line(self.unknown, model)
        return f"the texts have no spaces between words, and {line}" if self.sentences else line


def fit_of(texts: Texts, processor: TextProcessor) -> Fit:
    """The fit of the model with `processor`, from some of `texts`."""
    some = spread(texts, _TEXTS)
    tokenized = tokenize_texts(some, processor, workers=1)
    unknown = known_tokens(tokenized, processor).unknown()
    return Fit(unknown, processor.kind == "word" and without_spaces(some))


def unknown_line(unknown: float, model: str) -> str:
    """The share of unknown tokens in words."""
    return f"{100 * unknown:.1f} % of the tokens are unknown to {model}"


def unknown_or_warning(unknown: float, model: str, way_out: str = WAY_OUT) -> str:
    """`unknown_line`; from `MUCH` on it is a warning that ends with the way out."""
    line = unknown_line(unknown, model)
    return line if unknown < MUCH else f"warning: {line}; {way_out}"
