"""The bundled language model that fits texts best, or none of them: part of the recipe `auto`."""

import math
from collections.abc import Sequence

from ulmfit.artifacts import bundled
from ulmfit.artifacts.pretrained import NONE, find_pretrained
from ulmfit.base.errors import listed
from ulmfit.base.log import logger, quiet
from ulmfit.inference.language_model import LanguageModel
from ulmfit.text.blocks import Texts, spread
from ulmfit.text.corpus import tokenize_texts
from ulmfit.text.fit import fit_of
from ulmfit.text.ids import hold_ids, is_empty
from ulmfit.text.known import known_tokens

_TEXTS, _WORDS = 200, 120  # that are measured, and how far each
# Nats that an unknown word costs in addition: as if it were one of 60,000 equally likely words.
# Without it, the model that knows the fewest words would win.
_UNKNOWN = math.log(60_000)
_LEAST_WORDS = 500  # fewer say little


def choose_model(texts: Texts, general: str) -> str:
    """The bundled model with the smallest loss on some of `texts`; `NONE` if `general` is no use.

    Ids of texts are cut already: they stay with `general`, as few texts do.
    """
    model = None if hold_ids(texts) else find_pretrained(general, backwards=False)
    if model is None:
        return general
    fit = fit_of(texts, model.processor())
    if not fit.fits:
        logger.info(
            f"{fit.reason(general)}: stage 2 trains on these texts alone, in subwords "
            f"(--pretrained {general} keeps that model)"
        )
        return NONE
    some = [" ".join(text.split()[:_WORDS]) for text in spread(texts, _TEXTS) if not is_empty(text)]
    if sum(len(text.split()) for text in some) < _LEAST_WORDS:
        return general
    if len(names := _candidates(general)) > 1:
        logger.info(f"auto: reading {len(some)} of the texts with {listed(names)}")
    losses = {name: _loss(some, name) for name in names}
    best = min(losses, key=lambda name: losses[name])
    if best != general:
        logger.info(
            f"{best} predicts these texts better than {general}: its loss is {losses[best]:.2f}, "
            f"that of {general} {losses[general]:.2f}"
        )
    return best


def _candidates(general: str) -> list[str]:
    """`general`, and the bundled models that were made from the bundled general one."""
    others = bundled.names(bundled.LANGUAGE_MODEL) if general == bundled.GENERAL else []
    return [general, *(name for name in others if name != general)]


def _loss(texts: Sequence[str], name: str) -> float:
    """Nats a token, with a charge for unknown tokens."""
    with quiet():
        model = LanguageModel.load(name)
        tokenized = tokenize_texts(list(texts), model.processor, workers=1)
        unknown = known_tokens(tokenized, model.processor).unknown()
        return model.measure(texts)["loss"] + unknown * _UNKNOWN
