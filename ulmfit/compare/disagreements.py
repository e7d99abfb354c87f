"""The texts of test on which the methods disagree most."""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from math import log
from typing import NamedTuple

import numpy as np

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
        entropy = _entropy([of_text[name] for name in of_text if name not in WITHOUT_A_VOTE])
        if entropy > 0:
            found.append(Disputed(text, labels[truth[number]], of_text, entropy))
    return sorted(found, key=lambda one: -round(one.entropy, 9))


def _entropy(votes: list[str]) -> float:
    shares = [count / len(votes) for count in Counter(votes).values()]
    return -sum(share * log(share) for share in shares)


def disputed_csv(found: Sequence[Disputed]) -> str:
    """One line a text: text, label, each method's answer, entropy of the answers."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    methods = list(found[0].answers) if found else []
    writer.writerow(["text", "label", *methods, "entropy"])
    for one in found:
        writer.writerow([one.text, one.label, *one.answers.values(), f"{one.entropy:.4f}"])
    return file.getvalue()
