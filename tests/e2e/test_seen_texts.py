"""Stage 3's classifiers know their texts: a file that grew, was copied or renamed leaks none."""

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny_stages import review, stage3

from ulmfit import calibrate, evaluate
from ulmfit.artifacts.directory import read_artifact
from ulmfit.artifacts.seen import which_seen
from ulmfit.data.load import load_data
from ulmfit.report.__main__ import main as report

STEPS = [{"epochs": 1, "lr": 0.02}]
CASES = Path(os.environ.get("ULMFIT_CASES", Path(__file__).parents[3] / "shared" / "cases"))


def train(data, out):
    """A classifier with random weights at first, in a second or two."""
    given = {"size": "tiny", "min_freq": 1, "steps": STEPS, "max_vocab": 500}
    return str(stage3(str(data), "none", out, **given).path)


def own_texts(folder):
    """base.csv, and grown.csv with six more rows, as somebody's own data."""
    rng = random.Random(0)
    rows = [(review(mood, rng), mood) for mood in ["good", "bad"] * 63]
    frame = pd.DataFrame(rows, columns=["text", "label"])
    frame[:120].to_csv(folder / "base.csv", index=False)
    frame.to_csv(folder / "grown.csv", index=False)


def cases(folder):
    """The same of people's files."""
    if not (CASES / "c32_grow.csv").exists():
        pytest.skip("no folder of cases: set ULMFIT_CASES to it")
    shutil.copy(CASES / "base.csv", folder / "base.csv")
    shutil.copy(CASES / "c32_grow.csv", folder / "grown.csv")


@pytest.fixture(scope="module", params=[own_texts, cases])
def place(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("guard")
    request.param(folder)
    train(folder / "base.csv", folder / "clf")
    return folder


def leaked(folder, data):
    """How many texts test has, and how many of them the classifier was trained or validated on."""
    before = load_data(folder / "base.csv")
    known = set(before.loc[before["split"].isin(["train", "valid"]), "text"])
    after = load_data(data)
    test = after.loc[after["split"] == "test", "text"]
    return len(test), int(test.isin(known).sum())


def test_the_hashes_are_those_of_train_and_valid(place):
    frame = load_data(place / "base.csv")
    seen = read_artifact(place / "clf").seen()
    trained, validated = which_seen(frame["text"].tolist(), seen)
    assert (trained == (frame["split"] == "train")).all()
    assert (validated == (frame["split"] == "valid")).all()


@pytest.mark.parametrize("name", ["copy.csv", "renamed.tsv", "other.parquet", "other.jsonl"])
def test_evaluate(place, tmp_path, name, told):
    path, frame = tmp_path / name, pd.read_csv(place / "grown.csv")
    {
        ".csv": lambda: frame.to_csv(path, index=False),
        ".tsv": lambda: frame.to_csv(path, index=False, sep="\t"),
        ".parquet": lambda: frame.to_parquet(path),
        ".jsonl": lambda: frame.to_json(path, orient="records", lines=True),
    }[path.suffix]()
    folder = str(place / "clf")
    count, known = leaked(place, path)
    assert 0 < known < count
    figures = evaluate.main(clf=folder, data=str(path))[folder]
    assert (figures["documents"], figures["left_out"]) == (count - known, known)
    line = f"left out {known} of {count} test texts: the model was "
    assert [found for found in told if found.startswith(line)]


def test_the_file_of_the_training_grew(place, tmp_path):
    """Through the commands, in processes of their own."""
    shutil.copy(place / "base.csv", tmp_path / "base.csv")
    train(tmp_path / "base.csv", tmp_path / "clf")
    count, known = leaked(place, place / "grown.csv")
    shutil.copy(place / "grown.csv", tmp_path / "base.csv")
    command = [sys.executable, "-m", "ulmfit.evaluate", "--clf", str(tmp_path / "clf")]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"left out {known} of {count} test texts: the model was trained" in found.stdout
    assert f"{count - known} texts, split test" in found.stdout


def test_report_and_calibrate(place, tmp_path, told, monkeypatch):
    monkeypatch.setattr("ulmfit.inference.calibration.fit_temperature", lambda *given: 2.0)
    folder, data = shutil.copytree(place / "clf", tmp_path / "clf"), str(place / "grown.csv")
    _, known = leaked(place, data)
    page = report(clf=str(folder), data=data, out=str(tmp_path / "r.html"), texts=0)
    assert f"{known} more texts of split test are left out" in page.read_text(encoding="utf-8")
    frame, seen = load_data(data), read_artifact(folder).seen()
    valid = frame.loc[frame["split"] == "valid", "text"].tolist()
    trained = int(np.sum(which_seen(valid, seen)[0]))
    assert 0 < trained < len(valid)
    calibrate.main(clf=str(folder), data=data)
    line = f"left out {trained} of {len(valid)} valid texts: the model was trained on them"
    assert line in told
    assert [x for x in told if x.endswith(f"fitted to {len(valid) - trained} texts")]
