"""The next word of a text: a language model's probabilities of the likeliest ones."""

import re
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ulmfit.base.printable import is_blank
from ulmfit.inference.language_model import LanguageModel
from ulmfit.inference.sampling import last_logits
from ulmfit.text.processor import reading_order
from ulmfit.text.rules import BOS, SPECIAL_TOKENS, TK_MAJ, TK_UP
from ulmfit.text.tokenizers import WORD_BOUNDARY

MOST_TOKENS = 1_000  # that are read, the ones nearest to the next word
_CLOSES = re.compile(r"[.,;:!?)\]}%…]|n't$|['’]\w{0,2}$")  # stands at the end of a word


class NextWord(NamedTuple):
    """A word, its probability, and the text with the word; '' stands for the end of the text."""

    word: str
    probability: float
    text: str


def next_words(model: LanguageModel, text: str, top: int = 12) -> list[NextWord]:
    """The `top` likeliest words after `text`, or before it for a backward model.

    A word, its form with a capital and its form in capitals are different words. Their
    probabilities are those of the model for the mark of the form, times those for the word after
    the mark. A backward model reads the mark last, so its words have no form. The words that
    are left out, white space and unknown words have the rest of the probability.

    Raises:
        UserError: the model computes nan or infinity.
    """
    ids = reading_order(model.processor.encode([text])[0], model.backwards).astype(np.int64)
    found = _by_form(model, ids[-MOST_TOKENS:])
    vocab = model.processor.vocab
    end = vocab.index(BOS)
    hidden = [i for i, word in enumerate(vocab) if word in SPECIAL_TOKENS or is_blank(word)]
    ends = found[0, end].item()
    found[:, hidden] = 0
    found[0, end] = ends
    best = found.flatten().topk(min(top, found.numel()))
    marks = [[], *([vocab.index(mark)] for mark in (TK_MAJ, TK_UP))]
    made = []
    for place, probability in zip(best.indices.tolist(), best.values.tolist(), strict=True):
        form, number = divmod(place, len(vocab))
        if probability == 0:
            break
        if number == end:
            made.append(NextWord("", probability, text))
            continue
        word = model.processor.decode([*marks[form], number])
        apart = model.processor.kind == "word" or vocab[number].startswith(WORD_BOUNDARY)
        made.append(NextWord(word, probability, _joined(text, word, apart, model.backwards)))
    return made


@torch.no_grad()
def _by_form(model: LanguageModel, ids: np.ndarray) -> Tensor:
    """Probabilities of the words as they are, capitalised, in capitals: (forms, vocabulary)."""
    network, vocab = model.model.eval(), model.processor.vocab
    network.reset()
    if model.backwards:
        read = last_logits(network, torch.from_numpy(ids[None]).to(model.device))
        found = read.double().softmax(-1)[0]
    else:
        marks = torch.tensor([vocab.index(TK_MAJ), vocab.index(TK_UP)])
        rows = np.stack([np.append(ids, mark) for mark in marks.numpy()])
        read = last_logits(network, torch.from_numpy(rows).to(model.device), 2).cpu()
        read = read.double().softmax(-1)
        plain = read[:1, 0]
        found = torch.cat([plain, plain[0, marks, None] * read[:, 1]])
    network.reset()
    return found.cpu()


def _joined(text: str, word: str, apart: bool, backwards: bool) -> str:
    """`word` at the open end of `text`, with a space where one belongs."""
    if backwards:
        text = text.lstrip()
        return f"{word}{' ' if text and apart and not _CLOSES.match(text) else ''}{text}"
    text = text.rstrip()
    return f"{text}{' ' if text and apart and not _CLOSES.match(word) else ''}{word}"
