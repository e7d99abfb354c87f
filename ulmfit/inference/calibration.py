"""Temperature scaling: probabilities that mean what they say (Guo et al. 2017, arXiv:1706.04599).

One number T, fitted on texts that the model was not trained on, divides the logits: above 1 it
makes a model less sure of itself, below 1 surer. No label changes. The logarithm of a probability
is its logit but for a constant that softmax takes out again, so probabilities will do.

A multi-label classifier has one logit a class, and its sigmoid: that is the softmax over "no" and
"yes" (`MultiLabels.decisions`), and T is fitted to all decisions at once.
"""

import math

import numpy as np

from ulmfit.base.errors import UserError
from ulmfit.data.labels import SINGLE, Labels, as_logits

LOWEST, HIGHEST = 0.01, 100.0  # the range in which a temperature is looked for


def fit_temperature(probabilities: np.ndarray, truth: np.ndarray, labels: Labels = SINGLE) -> float:
    """The temperature with the lowest log loss (Guo et al. 2017, section 4.2).

    Args:
        probabilities: shape (texts, classes), of texts that the model was not trained on.
        truth: class numbers, shape (texts,), or an indicator matrix, shape (texts, classes).

    Raises:
        UserError: no temperature within the range is best. Where every text is classified
            rightly, the log loss falls for ever as the model is made surer; where the model is
            worse than chance, as it is made less sure.
    """
    from scipy.optimize import minimize_scalar  # takes half a second to import
    from scipy.special import log_softmax

    probabilities, truth = labels.decisions(probabilities, truth)
    logits = as_logits(probabilities)

    def log_loss(log_temperature: float) -> float:
        log_probabilities = log_softmax(logits / math.exp(log_temperature), 1)
        return -float(log_probabilities[np.arange(len(truth)), truth].mean())

    # Convex in 1 / T, hence with one minimum over log T, on whose scale halving and doubling are
    # steps of one size.
    bounds = (math.log(LOWEST), math.log(HIGHEST))
    found = minimize_scalar(log_loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    if min(map(log_loss, bounds)) < found.fun + 1e-9:  # not asked of x: there are plateaus
        right = int((probabilities.argmax(1) == truth).sum())
        raise UserError(
            f"no temperature from {LOWEST} to {HIGHEST:g} fits best, with {right:,} of "
            f"{len(truth):,} {labels.unit} classified correctly; calibration needs some errors and "
            "better-than-chance accuracy: give more texts, or train a better model"
        )
    return math.exp(found.x)
