"""--json and --quiet of the commands whose result a program reads."""

import json
import sys

import pandas as pd
import pytest
from tiny_models import write_classifier, write_lm

from ulmfit.command import main
from ulmfit.inference.ensemble import Classifier
from ulmfit.inference.language_model import LanguageModel


@pytest.fixture
def ulmfit(capsys, monkeypatch):
    """Runs `ulmfit` with arguments; returns standard output and standard error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["/bin/ulmfit", *map(str, arguments)])
        capsys.readouterr()
        main()
        return capsys.readouterr()

    return run


@pytest.fixture
def clf(tmp_path):
    return write_classifier(tmp_path / "clf")


@pytest.fixture
def labelled(tmp_path):
    rows = [("a good film about the sea", "pos"), ("never again the worst story", "neg")] * 6
    frame = pd.DataFrame(rows, columns=["text", "label"])
    frame["text"] = [f"{text} {i}" for i, text in enumerate(frame["text"])]
    frame["split"] = ["train", "train", "valid", "valid", "test", "test"] * 2
    frame.to_csv(tmp_path / "reviews.csv", index=False)
    return tmp_path / "reviews.csv"


def test_predict(ulmfit, clf):
    asked = ("predict", "--clf", clf, "--text", "a great film")
    out, err = ulmfit(*asked, "--json")
    found = json.loads(out)
    assert (out.count("\n"), err) == (1, "")
    (expected,) = Classifier.load(clf).predict(["a great film"]).to_dict("records")
    assert found["label"] == expected["label"]
    assert found["probability"] == pytest.approx(expected["probability"])
    assert found["probabilities"] == {c: pytest.approx(expected[c]) for c in ("neg", "pos")}
    assert ulmfit(*asked, "--quiet").out == ulmfit(*asked).out


def test_predict_notes_what_it_does_not_know(ulmfit, clf):
    found = json.loads(ulmfit("predict", "--clf", clf, "--text", "", "--json").out)
    assert found["note"]


def test_predict_a_file(ulmfit, clf, labelled, tmp_path):
    files = ("--input", labelled, "--output", tmp_path / "scored.csv", "--overwrite")
    out, err = ulmfit("predict", "--clf", clf, *files, "--json")
    assert json.loads(out) == str(tmp_path / "scored.csv")
    assert "wrote 12 rows" in err
    assert ulmfit("predict", "--clf", clf, *files, "--quiet") == ("", "")


def test_evaluate(ulmfit, clf, labelled):
    asked = ("evaluate", "--clf", clf, "--data", labelled)
    out, err = ulmfit(*asked, "--json")
    figures = json.loads(out)[str(clf)]
    assert figures["documents"] == 4
    assert 0 <= figures["accuracy"] <= 1
    assert "accuracy" not in err
    shown = ulmfit(*asked, "--quiet").out.splitlines()
    assert shown[0] == "4 texts, split test"
    assert f"{figures['accuracy']:.4f}" in shown[2]


def test_check(ulmfit, labelled):
    out, err = ulmfit("check", labelled, "--json")
    assert json.loads(out)["rows"] == 12
    assert err == ""
    assert str(labelled) in ulmfit("check", labelled, "--quiet").out


def test_explain(ulmfit, clf):
    asked = ("explain", "--clf", clf, "--text", "a great film", "--steps", 2)
    found = json.loads(ulmfit(*asked, "--json").out)
    assert found["words"] == ["a", "great", "film"]
    assert len(found["scores"]) == 3
    assert f"label {found['label']}, " in ulmfit(*asked, "--quiet").out


def test_tokens(ulmfit):
    asked = ("tokens", "GREAT film", "--tokenizer", "word")
    assert json.loads(ulmfit(*asked, "--json").out) == [["xxbos", "xxup", "great", "film"]]
    assert ulmfit(*asked, "--quiet").out == "xxbos xxup great film\n"


def test_generate(ulmfit, tmp_path):
    lm = write_lm(tmp_path / "lm-fwd")
    asked = ("generate", "--lm", lm, "--prompt", "a", "--n", 2, "--words", 3)
    found = json.loads(ulmfit(*asked, "--json").out)
    assert found == LanguageModel.load(lm).generate("a", 2, 3)
    assert ulmfit(*asked, "--quiet").out.split("\n\n")[0] == found[0]
    filled = json.loads(ulmfit("generate", "--lm", lm, "--fill", "a xxmask film", "--json").out)
    assert list(filled) == ["words", "probabilities", "text"]


def test_verify(ulmfit, clf):
    assert json.loads(ulmfit("verify", clf, "--json").out) == [str(clf)]
    assert "verified" in ulmfit("verify", clf, "--quiet").out
