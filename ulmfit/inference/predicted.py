"""Predictions as JSON has them: the server's API and ``ulmfit predict --json``."""

from typing import Any

from ulmfit.data.labels import Labels
from ulmfit.inference.scoring import Answers, prediction_columns


class Prediction(dict[str, float]):
    """The probability of each class of a text; `as_json` adds label, its probability and a note."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__(answer["probabilities"])
        self._answer = answer

    def as_json(self) -> dict[str, Any]:
        """An answer of `predictions_of`."""
        return self._answer


def predictions_of(labels: Labels, answers: Answers) -> list[dict[str, Any]]:
    """The answer for each text: label, its probability, each class's, and a `note` if one is due.

    The label of several labels is as `prediction_columns` joins them.
    """
    probabilities = answers.mean
    columns = prediction_columns(probabilities, labels)
    made = []
    for i, note in enumerate(answers.notes):
        each = zip(labels.classes, probabilities[i].tolist(), strict=True)
        prediction = {
            "label": columns["label"][i],
            "probability": float(columns["probability"][i]),
            "probabilities": dict(each),
        }
        made.append({**prediction, "note": note} if note else prediction)
    return made
