"""The texts of test on which the methods disagree most."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import entropy

# A constant answer says nothing about a text.
WITHOUT_A_VOTE = ("majority",)


class Disputed(NamedTuple):
    """A text of test with its label, each method's answer, and the spread of the answers.

    entropy: of the answers, in nats; 0 if all agree.
    """

    text: str
    label: str
    answers: dict[str, str]
    entropy: float


def disputed(
    texts: Sequence[str], truth: np.ndarray, answers: Mapping[str, np.ndarray], labels: list[str]
) -> list[Disputed]:
    """Texts on which methods disagree, the most even votes first, then in the data's order.

    `answers`: class numbers by method, shape (texts,).
    """
    found = []
    for number, text in enumerate(texts):
        of_text = {method: labels[classes[number]] for method, classes in answers.items()}
        votes = Counter(of_text[name] for name in of_text if name not in WITHOUT_A_VOTE)
        if len(votes) > 1:
            spread = float(entropy(list(votes.values())))
            found.append(Disputed(text, labels[truth[number]], of_text, spread))
    return sorted(found, key=lambda one: -round(one.entropy, 9))


def disputed_csv(found: Sequence[Disputed]) -> str:
    """One line a text: text, label, each method's answer, entropy of the answers."""
    methods = list(found[0].answers) if found else []
    rows = [[one.text, one.label, *one.answers.values(), f"{one.entropy:.4f}"] for one in found]
    frame = pd.DataFrame(rows, columns=["text", "label", *methods, "entropy"])
    return frame.to_csv(index=False, lineterminator="\n")
