"""The estimator in scikit-learn's tools, with tiny models."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from tiny_estimators import quick, tiny, write_general
from tiny_models import refuses
from tiny_stages import reviews

from ulmfit import Classifier, ULMFiTClassifier, UserError
from ulmfit.artifacts.directory import read_artifact

ROWS = reviews(60, splits=("train",))
TEXTS, LABELS = [row[0] for row in ROWS], [row[1] for row in ROWS]


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    return write_general(tmp_path_factory.mktemp("general"))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ULMFIT_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def fitted(pretrained, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ULMFIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        return tiny(pretrained, directions=("fwd", "bwd")).fit(TEXTS, LABELS)


def test_it_does_not_learn_in_several_processes(monkeypatch):
    launched = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for name, value in launched.items():
        monkeypatch.setenv(name, value)
    with refuses(
        "found 2 processes, expected one: each would do all the work of ULMFiTClassifier.fit; "
        "start it without torchrun, or without WORLD_SIZE in its environment"
    ):
        ULMFiTClassifier().fit(TEXTS, LABELS)


def test_it_learns(fitted):
    texts = [row[0] for row in reviews(20, seed=5)]
    found = fitted.predict_proba(texts)
    assert fitted.classes_.tolist() == ["bad", "good"]
    assert (found.shape, found.dtype) == ((20, 2), np.float32)
    assert found.sum(1) == pytest.approx(np.ones(20))
    assert fitted.predict(texts).tolist() == fitted.classes_[found.argmax(1)].tolist()
    assert fitted.score(TEXTS, LABELS) > 0.9
    assert fitted.score(pd.Series(TEXTS), np.array(LABELS)) == fitted.score(TEXTS, LABELS)
    assert fitted.predict_proba([]).shape == (0, 2)


def test_nothing_is_printed(pretrained, as_imported, capfd):
    quick(pretrained).fit(TEXTS, LABELS).predict(TEXTS)
    assert capfd.readouterr() == ("", "")


def test_whole_numbers_stay_whole_numbers(pretrained):
    """Of which 10 comes before 9 in the alphabet."""
    y = np.array([9 if label == "bad" else 10 for label in LABELS])
    model = tiny(pretrained, seed=np.int64(3)).fit(np.array(TEXTS, dtype=object), y)
    assert model.classes_.tolist() == [9, 10]
    assert model.model_.labels == ["10", "9"]
    assert model.predict(TEXTS).dtype == y.dtype
    assert model.score(TEXTS, y) > 0.9
    bad = model.predict_proba(TEXTS)[y == 9]
    assert (bad[:, 0] > bad[:, 1]).mean() > 0.9


def test_unlabelled_texts_are_for_the_language_model(pretrained, tmp_path):
    texts = [f"{text} zebra" for text in TEXTS[:20]]
    model = quick(pretrained, folder=tmp_path / "out")
    model.fit(TEXTS[20:], LABELS[20:], unlabelled=pd.Series(texts))
    assert "zebra" in read_artifact(tmp_path / "out/lm-fwd", "lm").processor().vocab
    manifest = read_artifact(tmp_path / "out/clf-fwd").manifest
    assert manifest.metrics["train_texts"] == 36  # and 4 to validate
    line = (
        f"folder={str(tmp_path / 'out')!r} is not empty, expected a new folder for each fit; name "
        "another, or give None for a temporary one"
    )
    with refuses(line):
        model.fit(TEXTS, LABELS)


def test_the_seed_is_all_that_a_fit_depends_on(pretrained):
    first, again, other = (
        quick(pretrained, seed=seed).fit(TEXTS, LABELS).predict_proba(TEXTS) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_parameters(pretrained):
    model = tiny(pretrained, seed=7)
    assert clone(model).get_params() == model.get_params()
    assert ULMFiTClassifier().get_params()["recipe"] is None
    assert model.set_params(recipe="few").recipe == "few"
    with pytest.raises(NotFittedError):
        model.predict(TEXTS)


def test_texts_of_another_language_get_a_model_of_their_own(monkeypatch, told):
    """As the commands do, if nobody has chosen recipe or model."""
    given = []

    def until_it_would_train(stage, options, target):
        given.append((options.recipe, stage.settings.pretrained))
        raise UserError("enough")

    monkeypatch.setattr("ulmfit.training.stage.run_stage", until_it_would_train)
    for texts, more in (
        (["这部电影非常好看", "故事很无聊"] * 4, {}),
        (["这部电影非常好看", "故事很无聊"] * 4, {"recipe": "demo"}),
        (["This film is very good.", "The story is dull."] * 4, {}),
    ):
        with refuses("enough"):
            ULMFiTClassifier(**more).fit(texts, [0, 1] * 4)
    assert given == [("auto", "none"), ("demo", "wiki-en-small"), ("auto", "wiki-en-small")]
    assert sum("stage 2 trains on these texts alone" in line for line in told) == 1


# --- scikit-learn's tools -----------------------------------------------------------------------


def test_a_pipeline_and_cross_validation(pretrained):
    steps = [("lower", FunctionTransformer(_lower)), ("ulmfit", tiny(pretrained))]
    scores = cross_val_score(Pipeline(steps), TEXTS, LABELS, cv=2)
    assert scores.shape == (2,)
    assert scores.mean() > 0.7


def _lower(texts):
    return [text.lower() for text in texts]


def test_grid_search(pretrained):
    search = GridSearchCV(quick(pretrained), {"seed": [1, 2]}, cv=2, refit=True)
    search.fit(TEXTS, LABELS)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_estimator_.seed == search.best_params_["seed"]
    assert search.predict(TEXTS[:3]).shape == (3,)


# --- on disk ------------------------------------------------------------------------------------


def test_save_and_load(fitted, tmp_path):
    expected = fitted.predict_proba(TEXTS)
    folder = fitted.save(tmp_path / "saved")
    loaded = ULMFiTClassifier.load(str(folder))
    assert np.array_equal(loaded.predict_proba(TEXTS), expected)
    assert loaded.predict(TEXTS).tolist() == fitted.predict(TEXTS).tolist()
    same = {**fitted.get_params(), "pretrained": str(fitted.pretrained)}
    assert loaded.get_params() == same
    parts = Classifier.load(folder / "clf-fwd", folder / "clf-bwd", precision="float32")
    assert np.array_equal(parts.probabilities(TEXTS), expected)
    with refuses(f"{folder} exists and is not empty"):
        fitted.save(folder)
    loaded.save(folder, overwrite=True)
    assert np.array_equal(ULMFiTClassifier.load(folder).predict_proba(TEXTS), expected)


def test_a_damaged_folder(fitted, tmp_path):
    folder = fitted.save(tmp_path / "saved")
    file = folder / "estimator.json"
    written = file.read_text()
    file.write_text(written.replace('"bad"', '"evil"'))
    with refuses(f"{file} is damaged: its classes are not those of the models; save it again"):
        ULMFiTClassifier.load(folder)
    for change in (('"clf-fwd"', '"../clf-fwd"'), ('"seed"', '"seeds"'), ('"recipe": "', '"r": "')):
        file.write_text(written.replace(*change))
        with refuses(f"{file} is damaged; save the estimator again"):
            ULMFiTClassifier.load(folder)
    file.write_text(written.replace('"format": 1', '"format": 2'))
    with refuses(f"{file} has another format than 1; save the estimator again"):
        ULMFiTClassifier.load(folder)
    file.unlink()
    with refuses(
        f"cannot read {file}, which ULMFiTClassifier.save writes: No such file or directory"
    ):
        ULMFiTClassifier.load(folder)


def test_a_pickle_holds_the_models(fitted):
    again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(again.predict_proba(TEXTS), fitted.predict_proba(TEXTS))
    assert pickle.loads(pickle.dumps(clone(fitted))).get_params() == fitted.get_params()


# --- bad input ----------------------------------------------------------------------------------

NAMES = "expected names that differ by more than white space and can be shown; rename them"
TYPES = "expected strings, whole numbers or booleans, all of one type"


@pytest.mark.parametrize(
    ("x", "y", "line"),
    [
        ("a", ["b"], "found one text, expected a list of texts; call fit([text])"),
        (
            np.array([["a", "b"]]),
            [0],
            "found an array of shape (1, 2), expected one dimension; pass one column, e.g. "
            "texts[:, 0]",
        ),
        (
            ["a", 3],
            [0, 1],
            "texts[1] is an int, expected a string; pass it as a text, e.g. str(number)",
        ),
        (
            ["a", "b"],
            [0],
            "found 2 texts in X and 1 classes in y, expected one for each text; correct y",
        ),
        (["a"], None, "this estimator requires y to be passed, but the target y is None"),
        (
            ["a", "b"],
            [0, np.nan],
            "y[1] is missing (NaN or None), expected a class; pass such texts as unlabelled",
        ),
        ([], [], "found no text, expected texts of two classes at least; add some"),
        (
            ["a", "b"],
            [1, 1],
            "found one class (1), expected texts of two classes at least; add some",
        ),
        (
            ["a", "b"],
            [0, 1],
            "found one text of each class (2 texts), expected two of a class at least: one is "
            "held out to validate; add some",
        ),
        (["a", "b", "c"], ["x", "x ", "x"], f"found the classes 'x', 'x ', {NAMES}"),
        (["a", "b", "c"], ["x", "", "x"], f"found the classes '', 'x', {NAMES}"),
        (
            ["a", "b", "c"],
            np.array(["x", 1, 1], dtype=object),
            f"found classes of several types in y, {TYPES}",
        ),
        (
            ["a", "b", "\ud83d"],
            [0, 1, 1],
            "texts[2] has half a surrogate pair, expected valid Unicode; decode it again, or "
            "replace it: text.encode('utf-8', 'replace').decode()",
        ),
    ],
)
def test_bad_texts_and_classes(x, y, line):
    with refuses(line) as raised:
        ULMFiTClassifier().fit(x, y)
    assert isinstance(raised.value, ValueError)


@pytest.mark.parametrize("y", [[0.5, 1.5, 0.5], [[0, 1], [1, 0], [1, 1]]])
def test_targets_that_are_no_classes(y):
    with pytest.raises(ValueError, match=r"continuous|1d array"):
        ULMFiTClassifier().fit(["a", "b", "c"], y)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            {"directions": "fwd"},
            "found directions='fwd', expected ('fwd',), ('bwd',) or ('fwd', 'bwd')",
        ),
        (
            {"lm_settings": ["epochs"]},
            "found lm_settings=['epochs'], expected a dict of settings, or None",
        ),
        (
            {"classifier_settings": {"out": "x", "seed": 3}},
            "found out, seed in classifier_settings, expected some of all_labels, alpha, "
            "batch_size, beta, bptt, class_weights, drop_mult, epochs, hidden, label_smoothing, "
            "labels, lr, max_len, max_vocab, min_freq, patience, rates, schedule, size, steps, "
            "teacher, teacher_texts, unfreeze",
        ),
        ({"seed": -1}, "settings given: seed is -1, expected 0 or more"),
    ],
)
def test_bad_parameters(given, line):
    with refuses(line):
        ULMFiTClassifier(**given).fit(["a", "b", "c"], [0, 1, 1])
    with pytest.raises(ValueError, match="no recipe 'dem'"):
        ULMFiTClassifier("dem").fit(["a", "b", "c"], [0, 1, 1])
