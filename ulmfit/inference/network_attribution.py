"""What each word of a text adds to a probability of a network: `attribution` by words."""

from collections.abc import Sequence

import numpy as np
import torch

from ulmfit.inference.attribution import Tell, Way
from ulmfit.inference.loaded import LoadedModel
from ulmfit.text.processor import reading_order
from ulmfit.text.word_cut import Cut


class NetworkWay:
    """The way of one text through one classifier, with scores by the words of `cut`."""

    def __init__(self, loaded: LoadedModel, tokens: Sequence[str], cut: Cut, tell: Tell) -> None:
        ids = loaded.processor.ids(tokens).astype(np.int64)
        ordered = torch.from_numpy(reading_order(ids, loaded.backwards))
        self.way = Way(loaded.model, ordered, tell, loaded.temperature, loaded.labels)
        self.backwards, self.cut = loaded.backwards, cut

    def at(self, points: np.ndarray) -> np.ndarray:
        """Probabilities at shares of the way, float64, shape (points, classes)."""
        return self.way.at(torch.from_numpy(points))

    def scores(self, slopes: np.ndarray, points: np.ndarray) -> np.ndarray:
        """What each word adds, shape (words,); `slopes`, shape (points, classes), weigh classes."""
        found = self.way.scores(torch.from_numpy(slopes), torch.from_numpy(points))
        scores = reading_order(found, self.backwards)
        return np.array([scores[tokens].sum(dtype=np.float64) for tokens in self.cut.tokens])
