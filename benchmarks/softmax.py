"""Gain and cost of a sampled softmax: stage 2 on IMDb, size small, 20,000 words.

The same 1.5 million tokens, with all words in the softmax of a training step, and with fewer.
Perplexity is always measured with all words. The figures are written to softmax.json.

    python -m benchmarks.softmax
"""

import shutil
from functools import partial

from benchmarks.common import FIGURES, WORK
from benchmarks.trials import Figures, Trials
from ulmfit import stage2_lm

RESULTS = FIGURES / "softmax.json"
WORDS = (0, 8192, 4096, 2048)  # 0: all
STEPS = [{"epochs": 1, "share": 0.07, "lr": 6e-3}]


def measure(words: int) -> Figures:
    """Perplexity and speed of one training."""
    out = WORK / "softmax"
    result = stage2_lm.main(
        recipe="imdb-small",
        out=str(out),
        steps=STEPS,
        sampled_softmax=words,
        samples=0,
        overwrite=True,
    )
    shutil.rmtree(out)
    (epoch,) = result.metrics["epochs"]
    return {
        "perplexity": result.metrics["after"]["perplexity"],
        "tokens_per_second": epoch["tokens_per_second"],
    }


def table(found: dict[str, Figures]) -> str:
    """Markdown, one line a number of words."""
    lines = [
        "| words in the softmax | tokens/s | perplexity after 1.5 million tokens |",
        "|---|---:|---:|",
    ]
    lines += [
        f"| {name} | {f['tokens_per_second']:,.0f} | {f['perplexity']:.1f} |"
        for name, f in found.items()
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure what is missing and print the table."""
    trials = Trials(RESULTS)
    names = {words: f"{words:,}" if words else "all 20,000" for words in WORDS}
    print(table({name: trials.get(name, partial(measure, w)) for w, name in names.items()}))


if __name__ == "__main__":
    main()
