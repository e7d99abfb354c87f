"""The training of a student: a regression on hashed n-grams, taught another's probabilities.

The lesson is soft cross-entropy against a teacher's answers to labelled and unlabelled texts, as in
sparse distillation (Ye et al. 2021, arXiv:2110.08536), here with a linear student.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_expit, log_softmax, softmax

from ulmfit.artifacts.config import HASHED
from ulmfit.data.labels import Labels
from ulmfit.inference.hashing import Hashed, HashedNgrams, hashed
from ulmfit.inference.linear import Candidate, LinearClassifier, link_of
from ulmfit.inference.student import agreeing, sureness

BUCKETS = 1 << 20
_BLOCK = 256  # texts that are hashed at a time
_STRENGTHS = (1.0, 4.0, 16.0, 64.0)
_STEPS = 60  # of L-BFGS


class Taught(NamedTuple):
    """A student, how it agrees with its teacher on texts held out, and its threshold.

    agreement: share of the texts to which both give the same labels. threshold: see
    `threshold_for`. alone: share of the texts that the student answers at this threshold.
    """

    classifier: LinearClassifier
    agreement: float
    threshold: float
    alone: float


def teach(
    texts: Sequence[str],
    answers: np.ndarray,
    held_out: Sequence[str],
    expected: np.ndarray,
    labels: Labels,
    wanted: float,
) -> Taught:
    """A student of the teacher's `answers` to `texts`, float32, shape (texts, classes).

    The regularisation is the one that agrees best with the answers `expected` to the texts
    `held_out`. With the threshold, student and teacher together give the teacher's labels to a
    share of `wanted` of these.
    """
    found = _hashed(texts)
    features = HashedNgrams.fit(found, BUCKETS)
    rows, judged = features.rows(found), features.rows(_hashed(held_out))
    link = link_of(HASHED, labels)
    best: tuple[tuple[float, float], LinearClassifier, np.ndarray] | None = None
    start = None
    for strength in _STRENGTHS:
        fitted = fit_soft(rows, answers, labels, strength, start)
        start = fitted
        kept = [array.astype(np.float16).astype(np.float32) for array in fitted[2:]]
        classifier = LinearClassifier(HASHED, features, link, Candidate(strength, None, *kept))
        said = classifier.of_rows(judged)
        score = float(agreeing(said, expected, labels).mean()), -_distance(said, expected)
        if best is None or score > best[0]:
            best = score, classifier, said
    assert best is not None
    (agreement, _), classifier, said = best
    threshold, alone = threshold_for(said, expected, labels, wanted)
    return Taught(classifier, agreement, threshold, alone)


def fit_soft(
    rows: Any, answers: np.ndarray, labels: Labels, strength: float, start: Candidate | None = None
) -> Candidate:
    """Logistic regression against probabilities, by L-BFGS; `strength` is scikit-learn's C.

    Of two classes there is one output, that of the second. `start`: where it begins.
    """
    single = len(labels.classes) == 2 and not labels.multi
    targets = (answers[:, 1:] if single else answers).astype(np.float64)
    independent, outputs, buckets = single or labels.multi, targets.shape[1], rows.shape[1]
    columns = np.unique(rows.indices)
    small = rows[:, columns].astype(np.float64)
    turned = small.T.tocsr()

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(outputs, -1)
        made = small @ weights[:, :-1].T + weights[:, -1]
        if independent:
            value = -(targets * log_expit(made) + (1 - targets) * log_expit(-made)).sum()
            slope = expit(made) - targets
        else:
            value = -(targets * log_softmax(made, axis=1)).sum()
            slope = softmax(made, axis=1) - targets
        grown = np.empty_like(weights)
        grown[:, :-1] = strength * (turned @ slope).T + weights[:, :-1]
        grown[:, -1] = strength * slope.sum(0)
        return strength * value + (weights[:, :-1] ** 2).sum() / 2, grown.ravel()

    first = np.zeros((outputs, len(columns) + 1))
    if start is not None:
        first[:, :-1], first[:, -1] = start.weights[:, columns], start.biases
    found = minimize(loss, first.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": _STEPS})
    found = found.x.reshape(outputs, -1).astype(np.float32)
    weights = np.zeros((outputs, buckets), np.float32)
    weights[:, columns] = found[:, :-1]
    return Candidate(strength, None, weights, found[:, -1])


def threshold_for(
    said: np.ndarray, expected: np.ndarray, labels: Labels, wanted: float
) -> tuple[float, float]:
    """The lowest threshold with a share of `wanted` equal labels, and the share it leaves alone.

    A text is the student's where its `sureness` is above the threshold, else the teacher's. On new
    texts the share scatters: one standard error of it is kept in hand. `said` and `expected` are
    probabilities, float32, shape (texts, classes).
    """
    count, allowed = len(said), 1 - wanted
    errors = count * allowed - np.sqrt(count * allowed * wanted)
    sure = sureness(said, labels)
    order = np.argsort(-sure, kind="stable")
    wrong = np.cumsum(~agreeing(said, expected, labels)[order])
    passing = int(np.searchsorted(wrong, np.floor(max(errors, 0)), side="right"))
    # Without an error, what is less sure than all that was seen is the teacher's.
    least = float(np.nextafter(sure.min(), -1)) if passing == count else float(sure[order[passing]])
    threshold = max(0.0, least)
    return threshold, float((sure > threshold).mean())


def _distance(said: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(said - expected).mean())


def _hashed(texts: Sequence[str]) -> Hashed:
    parts = [hashed(texts[i : i + _BLOCK], BUCKETS) for i in range(0, len(texts), _BLOCK)]
    counts = np.concatenate([np.diff(part.starts) for part in parts])
    starts = np.zeros(len(texts) + 1, np.int32)
    np.cumsum(counts, out=starts[1:])
    return Hashed(np.concatenate([part.numbers for part in parts]), starts)
