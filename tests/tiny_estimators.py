"""Estimators of scikit-learn that train in a second or a few."""

from tiny_models import write_lm
from tiny_stages import SETTINGS_2, SETTINGS_3

from ulmfit import ULMFiTClassifier

QUICK = [{"epochs": 1, "lr": 0.02}]
# Enough for sure: the scores must not depend on a processor's rounding.
ENOUGH = {**SETTINGS_3, "steps": [{"epochs": 20, "lr": 0.02}]}


def write_general(folder):
    """Language models of both directions; returns what `pretrained` is."""
    write_lm(folder / "lm-fwd")
    write_lm(folder / "lm-bwd", backwards=True)
    return folder / "lm"


def tiny(pretrained, **more):
    """An estimator that learns in seconds."""
    lm = {**SETTINGS_2, "steps": QUICK, "samples": 0}
    given = {"pretrained": pretrained, "lm_settings": lm, "classifier_settings": ENOUGH}
    return ULMFiTClassifier(**{"precision": "float32", **given, **more})


def quick(pretrained, **more):
    """An estimator that learns nothing, in a second."""
    return tiny(pretrained, classifier_settings={**SETTINGS_3, "steps": QUICK}, **more)
