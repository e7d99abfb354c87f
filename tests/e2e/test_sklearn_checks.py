"""scikit-learn's own checks of estimators, as far as they can apply to texts; tiny models.

Of an estimator that takes no matrix, `check_estimator` runs one check. To run all, `OnNumbers`
writes each row of the numbers that the checks pass as a text, one word a number.
"""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.exceptions import SkipTestWarning
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import check_estimator, estimator_checks_generator
from tiny_estimators import quick, tiny, write_general
from tiny_stages import reviews

from ulmfit import ULMFiTClassifier

NO_FEATURES = "A text has no features, and a fit takes texts of any length."
CANNOT_APPLY = {
    "check_n_features_in": NO_FEATURES,
    "check_n_features_in_after_fitting": NO_FEATURES,
    "check_estimators_empty_data_messages": NO_FEATURES,
    "check_classifiers_train": NO_FEATURES,
    "check_fit2d_predict1d": "X has one dimension, so there is nothing to reshape.",
    "check_complex_data": "Numbers of any kind are refused, with another line than for matrices.",
}
# Without any training, or with less than a second of it.
QUICK = {
    "check_estimator_cloneable",
    "check_estimator_tags_renamed",
    "check_valid_tag_types",
    "check_estimator_repr",
    "check_no_attributes_set_in_init",
    "check_estimators_unfitted",
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_mixin_order",
    "check_complex_data",
    "check_estimators_empty_data_messages",
    "check_estimator_sparse_tag",
    "check_estimator_sparse_array",
    "check_estimator_sparse_matrix",
    "check_classifiers_one_label",
    "check_classifiers_one_label_sample_weights",
    "check_estimators_partial_fit_n_features",
    "check_classifiers_regression_target",
    "check_supervised_y_no_nan",
    "check_non_transformer_estimators_n_iter",
    "check_decision_proba_consistency",
    "check_parameters_default_constructible",
    "check_fit2d_1sample",
    "check_get_params_invariance",
    "check_set_params",
    "check_fit1d",
    "check_requires_y_none",
}
DOCS = Path(__file__).parents[2] / "docs" / "python.md"


class OnNumbers(ULMFiTClassifier):
    """Takes the checks' numbers; what is no matrix of them is passed on as it is."""

    def fit(self, X, y=None):
        return super().fit(_as_texts(X), y)

    def predict(self, X):
        return super().predict(_as_texts(X))

    def predict_proba(self, X):
        return super().predict_proba(_as_texts(X))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.one_d_array = True, False
        return tags


def _as_texts(data):
    if type(data).__name__ == "_NotAnArray":
        return type(data)(np.array(_as_texts(data.data), dtype=object))
    rows = data.to_numpy() if hasattr(data, "iloc") else data
    rows = np.array(rows) if isinstance(rows, list) else rows
    usual = isinstance(rows, np.ndarray) and rows.ndim == 2 and rows.dtype.kind in "fiuO"
    if not usual or not rows.size:
        return data
    return [" ".join(_word(place, value) for place, value in enumerate(row)) for row in rows]


def _word(place, value):
    name = "abcdefghij"[place % 10]
    if not isinstance(value, (int, float, np.number)) or np.isnan(value):
        return f"{name}none"
    return f"{name}{'low' if value < 0 else 'high'}{min(9, int(abs(value) * 2))}"


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    return write_general(tmp_path_factory.mktemp("general"))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ULMFIT_CACHE", str(tmp_path / "cache"))


def on_numbers(pretrained):
    model = quick(str(pretrained))
    return OnNumbers(**model.get_params())


def checks(model):
    """The checks that scikit-learn has for `model`, by name."""
    for estimator, check in estimator_checks_generator(model, legacy=True):
        yield check.func.__name__, estimator, check  # a partial of the check and the name


def test_what_scikit_learn_runs_by_itself(pretrained):
    """Its tags say that it takes texts, so one check is run."""
    with pytest.warns(SkipTestWarning, match="which requires input  of type"):
        found = check_estimator(quick(pretrained), expected_failed_checks=CANNOT_APPLY)
    assert [(result["check_name"], result["status"]) for result in found] == [
        ("check_estimator_cloneable", "passed")
    ]


def run_checks(model, wanted):
    """The names of the checks that fail, with their errors."""
    failed, ran = {}, set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, estimator, check in checks(model):
            if name in wanted:
                ran.add(name)
                try:
                    check(estimator)
                except Exception as error:  # whatever a check finds
                    failed[name] = f"{type(error).__name__}: {error}"
    assert ran == set(wanted)
    return failed


def test_checks_without_training(pretrained):
    failed = run_checks(on_numbers(pretrained), QUICK)
    assert set(failed) == set(CANNOT_APPLY) & QUICK, failed


@pytest.mark.slow
def test_all_checks(pretrained):
    """Those of `CANNOT_APPLY` fail, all others pass; one is skipped without the array API."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = check_estimator(
            on_numbers(pretrained), expected_failed_checks=CANNOT_APPLY, on_fail=None, on_skip=None
        )
    states = {}
    for result in found:
        states.setdefault(result["status"], set()).add(result["check_name"])
    assert "failed" not in states, [r for r in found if r["status"] == "failed"]
    assert states["xfail"] == set(CANNOT_APPLY)
    assert states.get("skipped", set()) <= {"check_array_api_input"}


def test_the_page_has_every_check(pretrained):
    names = {name for name, _, _ in checks(on_numbers(pretrained))}
    rows = dict(re.findall(r"^\| `(check_\w+)` \| (\w+)", DOCS.read_text("utf-8"), re.MULTILINE))
    assert set(rows) == names
    assert {name for name, state in rows.items() if state == "no"} == set(CANNOT_APPLY)
    page = " ".join(DOCS.read_text("utf-8").split())
    assert all(reason.rstrip(".") in page for reason in CANNOT_APPLY.values())


@pytest.mark.slow
def test_cross_validation_on_200_texts(pretrained):
    rows = reviews(200, splits=("train",))
    scores = cross_val_score(tiny(pretrained), [r[0] for r in rows], [r[1] for r in rows], cv=5)
    assert scores.shape == (5,)
    assert scores.min() > 0.7, scores
