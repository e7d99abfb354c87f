"""How well the general language model fits the texts of a data set."""

from typing import Any

from ulmfit.text.blocks import Texts
from ulmfit.text.fit import MUCH, WAY_OUT, fit_of, unknown_line
from ulmfit.text.processor import TextProcessor


def with_vocabulary(
    figures: dict[str, Any], texts: Texts, processor: TextProcessor, model: str
) -> dict[str, Any]:
    """The figures of `preflight`, and what the language model `model` knows of `texts`.

    `unknown`: its name (`model`), the `share` of the tokens that it does not know, and whether it
    `fits`. A warning is due from a share of `MUCH` on.
    """
    fit = fit_of(texts, processor)
    found = {"model": model, "share": fit.unknown, "fits": fit.fits}
    due = []
    if not fit.fits:
        due.append(
            f"{fit.reason(model)}: ulmfit train and ulmfit lm train on these texts alone, in "
            "subwords"
        )
    elif fit.unknown >= MUCH:
        due.append(f"{unknown_line(fit.unknown, model)}; {WAY_OUT}")
    return {**figures, "unknown": found, "warnings": [*figures["warnings"], *due]}


def vocabulary_lines(figures: dict[str, Any]) -> list[str]:
    """The share of unknown tokens for the report, where no warning has it."""
    found = figures.get("unknown")
    if not found or not found["fits"] or found["share"] >= MUCH:
        return []
    line = unknown_line(found["share"], found["model"])
    return [f"{line}; from {100 * MUCH:.0f} % on, this is a warning"]
