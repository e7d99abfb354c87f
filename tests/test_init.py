"""What `import ulmfit` gives, and what it costs."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import ulmfit
from ulmfit import stage1_pretrain, stage2_lm, stage3_clf
from ulmfit.base.errors import UserError
from ulmfit.base.log import show_progress
from ulmfit.bulk.predictor import BatchPredictor
from ulmfit.estimator import ULMFiTClassifier
from ulmfit.inference.ensemble import Classifier
from ulmfit.inference.language_model import LanguageModel
from ulmfit.inference.student import FastClassifier
from ulmfit.text.processor import TextProcessor


def test_what_a_user_imports():
    found = {name: getattr(ulmfit, name) for name in ulmfit.__all__}
    assert found == {
        "BatchPredictor": BatchPredictor,
        "Classifier": Classifier,
        "FastClassifier": FastClassifier,
        "LanguageModel": LanguageModel,
        "TextProcessor": TextProcessor,
        "ULMFiTClassifier": ULMFiTClassifier,
        "UserError": UserError,
        "__version__": version("ulmfit"),
        "fine_tune_lm": stage2_lm.main,
        "pretrain": stage1_pretrain.main,
        "show_progress": show_progress,
        "train_classifier": stage3_clf.main,
    }


def test_a_name_that_is_none():
    with pytest.raises(AttributeError, match=r"^module 'ulmfit' has no attribute 'classifier'$"):
        _ = ulmfit.classifier


def test_importing_costs_next_to_nothing():
    """Names and nothing else: no library, and the variable that torch's OpenMP reads."""
    code = (
        "import os, sys; before = set(sys.modules); import ulmfit; "
        "new = {name for name in set(sys.modules) - before if 'ulmfit' in name}; "
        "slow = {'numpy', 'fastcore', 'pandas', 'sklearn', 'torch'} & set(sys.modules); "
        "print(*sorted(new | slow), os.environ['GOMP_SPINCOUNT'])"
    )
    clean = {"PYTHONPATH": str(Path(ulmfit.__file__).parents[1])}
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=clean
    )
    assert found.stdout.split() == ["ulmfit", "ulmfit.base", "ulmfit.base.lazy", "2000"]
