"""Text from a language model: several samples at once, one step a word, the state carried on.

fastai's `LMLearner.predict` reads the whole text again for every word.
"""

from pathlib import Path

from ulmfit.artifacts import bundled
from ulmfit.artifacts.directory import read_artifact
from ulmfit.base.cli import run_command
from ulmfit.base.errors import UserError
from ulmfit.base.log import logger
from ulmfit.base.precision import default_device
from ulmfit.base.visible import visible
from ulmfit.inference.sampling import Sampling, generate, load_lm


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
    """Let a language model write."""
    if lm is None:
        raise UserError("no model given; --lm DIR names a language model, as stage 2 writes it")
    if n < 1 or words < 1:
        raise UserError(f"--n is {n} and --words is {words}, expected at least 1 each")
    sampling = Sampling(temperature, top_k, top_p)
    artifact = read_artifact(Path(bundled.model_folders(lm)[0]), "lm")  # of two, the forward one
    model, processor = load_lm(artifact)
    backwards = artifact.manifest.direction == "backward"
    texts = generate(
        model.to(default_device()), processor, prompt, n, words, sampling, seed, backwards
    )
    for text in texts:
        logger.info(f"{visible(text)}\n")
    return texts


if __name__ == "__main__":
    run_command(main)
