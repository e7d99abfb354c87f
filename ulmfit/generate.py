"""Text from a language model, or the word in a blank from two."""

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from ulmfit.base.cli import run_command
from ulmfit.base.errors import UserError
from ulmfit.base.imports import importing
from ulmfit.base.log import logger, show_result
from ulmfit.base.printable import visible

if TYPE_CHECKING:
    from ulmfit.inference.filling import Filled

# The flags of one task alone, which the other refuses.
_OF_GENERATE = ("prompt", "n", "words", "temperature", "top_k", "top_p", "seed")
_OF_FILL = ("top",)


def main(
    # a model directory of a language model, or a bundled one's name; --fill takes both directions
    lm: Annotated[str, {"nargs": "+"}] = "",
    prompt: str = "",  # text to continue; a backward model leads up to it
    n: int = 3,  # how many texts
    words: int = 60,  # words (tokens) to write for each
    temperature: float = 0.75,  # below 1 plays safe, above 1 surprises, 0 takes the likeliest
    top_k: int = 0,  # draw from the k likeliest words; 0 for all
    top_p: float = 1.0,  # draw from the likeliest words with this probability together
    seed: int = 42,  # the same seed writes the same texts
    fill: str | None = None,  # a text with the blank xxmask; shows the likeliest words for it
    top: int = 10,  # how many words to show for the blank
) -> list[str] | tuple[list[str], list[float], str]:
    """Generate texts with a language model, or fill a blank in a text with two.

    Returns the texts; with --fill, the words, their probabilities and the filled text.
    """
    if not lm:
        raise UserError("no model given; --lm DIR names a language model, as ulmfit lm writes it")
    named = [lm] if isinstance(lm, (str, Path)) else list(lm)
    given = locals()
    if fill is not None:
        _refuse(given, _OF_GENERATE, "--fill does not use it")
        return _fill(fill, named, top)
    _refuse(given, _OF_FILL, "it works with --fill alone")
    if len(named) > 1:
        raise UserError(
            f"--lm names {len(named)} models, expected one to generate texts; only --fill reads "
            "in both directions"
        )
    with importing():
        from ulmfit.inference.language_model import LanguageModel
        from ulmfit.inference.sampling import Sampling, check_amounts

    check_amounts(n, words)
    sampling = Sampling(temperature, top_k, top_p)
    texts = LanguageModel.load(named[0]).generate(prompt, n, words, sampling, seed)
    for text in texts:
        show_result(f"{visible(text)}\n")
    return texts


def _refuse(given: dict[str, Any], names: tuple[str, ...], reason: str) -> None:
    """Raise a UserError if one of `names` was given a value that is not its default."""
    defaults = inspect.signature(main).parameters
    for name in names:
        if given[name] != defaults[name].default:
            flag = name.replace("_", "-")
            raise UserError(f"--{flag} is {given[name]}, but {reason}; leave it out")


def _fill(text: str, named: list[str], top: int) -> "Filled":
    """Show the words for the blank in `text`, and the text with the best one."""
    from ulmfit.inference.filling import fill, load_directions

    forward, backward = load_directions(named)
    found = fill(text, forward, backward, top)
    if not (forward and backward):
        has, lacks, side = (
            ("forward", "backward", "after") if forward else ("backward", "forward", "before")
        )
        logger.info(
            f"only a {has} model was given: the text {side} the blank has no effect; name the "
            f"{lacks} one, too, for both sides"
        )
    words = [visible(word) for word in found.words]
    width = max(map(len, ["word", *words]))
    show_result(f"{'word':{width}}  probability")
    for word, probability in zip(words, found.probabilities, strict=True):
        show_result(f"{word:{width}}  {probability:11.4f}")
    show_result(f"\n{visible(found.text)}")
    return found


if __name__ == "__main__":
    run_command(main)
