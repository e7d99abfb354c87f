"""Texts that the usual language model does not fit: a model is trained on them alone."""

import pandas as pd

from ulmfit.artifacts.pretrained import find_pretrained
from ulmfit.base.log import logger
from ulmfit.text.fit import OWN_TEXT, fit_of
from ulmfit.text.ids import hold_ids


def needs_own_text(texts: pd.Series, pretrained: str, backwards: bool = False) -> bool:
    """Whether `pretrained`, which nobody has named, is of no use for `texts`; says so in a line.

    Ids of texts are cut already: they stay with their tokenizer.
    """
    model = None if hold_ids(texts) else find_pretrained(pretrained, backwards)
    if model is None:
        return False
    fit = fit_of(texts, model.processor())
    if not fit.fits:
        logger.info(
            f"{fit.reason(pretrained)}: the recipe is {OWN_TEXT}, which trains on these texts "
            f"alone, in subwords (--pretrained {pretrained} keeps that model)"
        )
    return not fit.fits
