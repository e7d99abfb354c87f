"""How the probabilities of several classifiers become one: weights, then a temperature."""

from dataclasses import dataclass

import numpy as np

from ulmfit.data.labels import SINGLE, Labels

_SMALLEST = 1e-12  # below it a probability has no slope that numbers could hold


@dataclass(frozen=True)
class Mixture:
    """Weights of the members, which sum to 1, and the temperature of what they make together.

    weights: None for equal ones.
    """

    weights: tuple[float, ...] | None = None
    temperature: float = 1.0
    labels: Labels = SINGLE

    def shares(self, members: int) -> np.ndarray:
        """The weight of each of so many members, float64."""
        return np.full(members, 1 / members) if self.weights is None else np.array(self.weights)

    def pooled(self, by_model: np.ndarray) -> np.ndarray:
        """The weighted mean over the first axis, before the temperature; the type is kept."""
        if self.weights is None:
            return np.mean(by_model, axis=0)
        return np.tensordot(self.weights, by_model, 1).astype(by_model.dtype)

    def of(self, by_model: np.ndarray, empty: np.ndarray | None = None) -> np.ndarray:
        """Probabilities, shape (texts, classes), from those of shape (models, texts, classes).

        `empty`: texts without words, which get shares of classes and no temperature.
        """
        pooled = self.pooled(by_model)
        if self.temperature == 1 or not len(pooled):
            return pooled
        scaled = self.labels.rescaled(pooled, self.temperature)
        return scaled if empty is None else np.where(empty[:, None], pooled, scaled)

    def slopes(self, pooled: np.ndarray, target: int) -> np.ndarray:
        """How the probability of class `target` changes with each of the pooled probabilities.

        `pooled`, and what is returned: float64, shape (points, classes).
        """
        own = np.zeros_like(pooled)
        own[:, target] = 1
        if self.temperature == 1:
            return own
        scaled = self.labels.rescaled(pooled, self.temperature)
        of_target = scaled[:, [target]]
        bounded = np.maximum(pooled, _SMALLEST)
        if self.labels.multi:
            against = np.maximum(1 - pooled, _SMALLEST)
            return own * scaled * (1 - scaled) / (self.temperature * bounded * against)
        return of_target * (own - scaled) / (self.temperature * bounded)


EQUAL = Mixture()
