"""Text from a language model."""

from ulmfit.base.cli import run_command
from ulmfit.base.errors import UserError
from ulmfit.base.log import logger
from ulmfit.base.printable import visible


def main(
    lm: str | None = None,  # model directory of a language model, or a bundled one's name
    prompt: str = "",  # text to continue; a backward model leads up to it
    n: int = 3,  # how many texts
    words: int = 60,  # words (tokens) to write for each
    temperature: float = 0.75,  # below 1 plays safe, above 1 surprises, 0 takes the likeliest
    top_k: int = 0,  # draw from the k likeliest words; 0 for all
    top_p: float = 1.0,  # draw from the likeliest words with this probability together
    seed: int = 42,  # the same seed writes the same texts
) -> list[str]:
    """Generate texts with a language model."""
    if lm is None:
        raise UserError("no model given; --lm DIR names a language model, as stage 2 writes it")
    from ulmfit.inference.language_model import LanguageModel
    from ulmfit.inference.sampling import Sampling, check_amounts

    check_amounts(n, words)
    sampling = Sampling(temperature, top_k, top_p)
    texts = LanguageModel.load(lm).generate(prompt, n, words, sampling, seed)
    for text in texts:
        logger.info(f"{visible(text)}\n")
    return texts


if __name__ == "__main__":
    run_command(main)
