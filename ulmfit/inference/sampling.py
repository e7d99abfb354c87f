"""Text from a language model: several samples at once; each word takes one step of the LSTM.

(fastai's `LMLearner.predict` reads the whole text again for every word.)
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ulmfit.base.errors import UserError
from ulmfit.base.progress import progress
from ulmfit.text.processor import TextProcessor, reading_order
from ulmfit.text.rules import BOS, EOS, FLD, PAD, UNK


@dataclass(frozen=True)
class Sampling:
    """How the next word is drawn.

    temperature: divides the logits; 0 always takes the likeliest word.
    top_k: only the k likeliest words; 0 for all.
    top_p: only the likeliest words with this total probability; 1 for all.
    """

    temperature: float = 0.75
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf:  # nan is neither
            raise UserError(f"--temperature is {self.temperature}, expected 0 or more")
        if self.top_k < 0:
            raise UserError(f"--top-k is {self.top_k}, expected 0 (all words) or more")
        if not 0 < self.top_p <= 1:
            raise UserError(f"--top-p is {self.top_p}, expected more than 0 and at most 1")

    def draw(self, logits: Tensor, generator: torch.Generator) -> Tensor:
        """One id a row of `logits`, shape (samples, vocabulary)."""
        if self.temperature == 0:
            return logits.argmax(1)
        kept = self._kept(logits)
        # The largest logit becomes 0, which no temperature makes infinite.
        shares = ((kept - kept.amax(1, keepdim=True)) / self.temperature).softmax(1)
        # torch.multinomial draws a number for each word, which takes longer than the network.
        sums = shares.cpu().cumsum(1, dtype=torch.float64)
        place = torch.rand(len(sums), 1, generator=generator, dtype=torch.float64) * sums[:, -1:]
        drawn = torch.searchsorted(sums, place, right=True)[:, 0].clamp(max=sums.shape[1] - 1)
        return drawn.to(logits.device)

    def _kept(self, logits: Tensor) -> Tensor:
        if 0 < self.top_k < logits.shape[1]:
            least = logits.topk(self.top_k, dim=1).values[:, -1:]
            logits = logits.masked_fill(logits < least, -torch.inf)
        if self.top_p < 1:
            sorted_logits, order = logits.sort(dim=1, descending=True)
            before = sorted_logits.softmax(1).cumsum(1) - sorted_logits.softmax(1)
            dropped = (before >= self.top_p).scatter(1, order, before >= self.top_p)
            logits = logits.masked_fill(dropped, -torch.inf)
        return logits


def check_amounts(n: int, words: int) -> None:
    """Raise a UserError unless both numbers are 1 or more."""
    if n < 1 or words < 1:
        raise UserError(f"--n is {n} and --words is {words}, expected at least 1 each")


@torch.no_grad()
def generate(
    model: Any,
    processor: TextProcessor,
    prompt: str = "",
    n: int = 3,
    words: int = 60,
    sampling: Sampling | None = None,
    seed: int = 42,
    backwards: bool = False,
) -> list[str]:
    """`n` texts that continue `prompt` by `words` tokens; a backward model's end with the prompt.

    Raises UserError if there is nothing to write, or the model computes nan or infinity.
    """
    check_amounts(n, words)
    sampling = sampling or Sampling()
    generator = torch.Generator().manual_seed(seed)
    device = next(model.parameters()).device
    # Without a prompt no tokenizer is needed; a machine with only ids has none.
    ids = processor.encode([prompt])[0] if prompt else np.array([processor.vocab.index(BOS)])
    start = reading_order(ids, backwards).tolist()
    never = torch.tensor([processor.vocab.index(t) for t in (UNK, PAD, BOS, EOS, FLD)])
    model.eval()
    model.reset()
    step = torch.tensor([start] * n, device=device)
    written: list[Tensor] = []
    for _ in progress(range(words), words, "writing"):
        logits = last_logits(model, step)[:, 0]
        logits[:, never.to(device)] = -torch.inf
        drawn = sampling.draw(logits, generator)
        written.append(drawn)
        step = drawn[:, None]
    model.reset()
    texts = [start[1:] + [int(ids[i]) for ids in written] for i in range(n)]
    return [processor.decode(reversed(text) if backwards else text) for text in texts]


def last_logits(model: Any, ids: Tensor, last: int = 1) -> Tensor:
    """Logits after the `last` tokens of `ids` (samples, tokens): (samples, last, vocabulary).

    Raises UserError if the model computes nan or infinity.
    """
    read = model(ids)[0]
    # Only these tokens' logits: those of a long prompt would fill the memory.
    logits: Tensor = replace(read, hidden=read.hidden[:, -last:]).logits()
    if not logits.isfinite().all():
        raise UserError(
            "the language model computes nan or infinity instead of probabilities; train or "
            "copy it again"
        )
    return logits
