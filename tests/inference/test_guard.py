"""Texts of the training are no test: whatever file they come back in, they are left out."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny_models import WORDS, refuses, write_classifier

from ulmfit import calibrate, evaluate
from ulmfit.artifacts.directory import read_artifact
from ulmfit.artifacts.seen import seen_file
from ulmfit.data.duplicates import normalise
from ulmfit.data.fingerprints import labelled_fingerprint
from ulmfit.data.load import load_data
from ulmfit.data.spec import DataSpec
from ulmfit.data.splits import keep_labels
from ulmfit.inference.ensemble import Classifier
from ulmfit.report.__main__ import main as report
from ulmfit.report.collect import collect

ALL = "to measure on; give texts that are new, or choose another --split"


def rows(count, seed=0):
    """Texts, no two equal, and labels."""
    rng = np.random.default_rng(seed)
    texts = [
        f"{seed} {place} " + " ".join(rng.choice(WORDS.split(), rng.integers(1, 20)))
        for place in range(count)
    ]
    return pd.DataFrame({"text": texts, "label": rng.choice(["neg", "pos"], count)})


def write(path, frame):
    ways = {".csv": frame.to_csv, ".parquet": frame.to_parquet}
    if path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        ways[path.suffix](path, index=False)
    return path


def trained_on(path, out, seed=42, labels=0, **more):
    """A classifier as stage 3 writes one for `path`, and what it trained and validated on."""
    frame = keep_labels(load_data(DataSpec(path, seed=seed)), labels, seed)
    write_classifier(
        out,
        recipe={"data": str(path), "seed": seed, "labels": labels},
        data_fingerprint=labelled_fingerprint(frame),
        seen=seen_file(frame),
        **more,
    )
    return str(out), frame


@pytest.fixture
def base(tmp_path):
    """A file without splits, a classifier of it, and its split texts."""
    path = write(tmp_path / "base.csv", rows(120))
    return path, *trained_on(path, tmp_path / "clf")


def texts_of(frame, *splits):
    return set(frame.loc[frame["split"].isin(splits), "text"].map(normalise))


def expected(path, frame, split="test", seed=42):
    """How many texts a split of `path` has, and how many of them the model has not seen."""
    drawn = load_data(DataSpec(path, seed=seed))
    asked = drawn.loc[drawn["split"] == split, "text"].map(normalise)
    seen = texts_of(frame, "train") if split == "valid" else texts_of(frame, "train", "valid")
    return len(asked), int((~asked.isin(seen)).sum())


# Whatever way the texts come back


@pytest.mark.parametrize("name", ["base.csv", "copy.csv", "grown.parquet", "grown.jsonl"])
def test_more_rows_than_the_training_had(base, tmp_path, name, told):
    _, folder, frame = base
    grown = write(tmp_path / name, pd.concat([rows(120), rows(12, seed=1)]))
    count, new = expected(grown, frame)
    assert 0 < new < count  # else this shows nothing
    named = evaluate.main(clf=folder, data=str(grown))
    line = f"left out {count - new} of {count} test texts: the model was trained or validated on"
    assert line in "\n".join(told)
    assert named[folder]["documents"] == new
    assert named[folder]["left_out"] == count - new


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".jsonl"])
def test_the_same_rows_in_another_file_have_the_same_test(base, tmp_path, ending, told):
    path, folder, frame = base
    other = write(tmp_path / f"renamed{ending}", pd.read_csv(path))
    before = evaluate.main(clf=folder, precision="float32")
    assert evaluate.main(clf=folder, data=str(other), precision="float32") == before
    assert before[folder]["documents"] == (frame["split"] == "test").sum()
    assert not [line for line in told if "left out" in line or "does not say" in line]


def test_other_order_case_and_white_space(base, tmp_path, told):
    _, folder, frame = base
    shuffled = rows(120).sample(frac=1, random_state=1)
    shuffled["text"] = "  " + shuffled["text"].str.upper()
    other = write(tmp_path / "other.csv", shuffled)
    count, new = expected(other, frame)
    assert new < count
    assert evaluate.main(clf=folder, data=str(other))[folder]["documents"] == new
    assert f"left out {count - new} of {count} test texts" in "\n".join(told)


def test_nothing_is_left(base, tmp_path):
    _, folder, frame = base
    train = frame.loc[frame["split"] == "train", ["text", "label"]]
    other = write(tmp_path / "train.csv", train)
    count, _ = expected(other, frame)
    with refuses(
        f"the model was trained on all {count} test texts of {other}, so that none is left {ALL}"
    ):
        evaluate.main(clf=folder, data=str(other))
    with refuses(
        f"the model was trained on all {count} test texts of {other}, so that none is left {ALL}"
    ):
        report(clf=folder, data=str(other), out=str(tmp_path / "r.html"))


def test_texts_of_other_data_all_count(base, tmp_path, told):
    other = write(tmp_path / "new.csv", rows(40, seed=2))
    assert evaluate.main(clf=base[1], data=str(other))[base[1]]["documents"] == 4
    assert not [line for line in told if "left out" in line or "does not say" in line]


def test_an_ensemble_has_seen_what_its_models_have(base, tmp_path, told):
    path, folder, frame = base
    second = write_classifier(
        tmp_path / "bwd",
        backwards=True,
        seed=1,
        recipe={"data": str(path)},
        data_fingerprint=read_artifact(Path(folder)).manifest.data_fingerprint,
    )
    grown = write(tmp_path / "grown.csv", pd.concat([rows(120), rows(12, seed=1)]))
    count, new = expected(grown, frame)
    named = evaluate.main(clf=[str(second), folder], data=str(grown))
    assert {figures["documents"] for figures in named.values()} == {new}
    line = f"left out {count - new} of {count} test texts: the models were trained"
    assert line in "\n".join(told)


# What stays whole


def test_a_split_of_its_own_stays_whole(tmp_path, told):
    """As published ones: a text of test that is in train, too, is reported and counts."""
    frame = rows(40).assign(split=["train"] * 20 + ["valid"] * 8 + ["test"] * 12)
    frame.loc[30:32, "text"] = frame["text"][:3].tolist()
    folder, _ = trained_on(write(tmp_path / "own.csv", frame), tmp_path / "clf")
    for data in (None, str(write(tmp_path / "copy.parquet", frame))):
        figures = evaluate.main(clf=folder, data=data)[folder]
        assert figures["documents"] == 12
        assert figures["without_repeated"]["documents"] == 9
        assert "left_out" not in figures
    assert not [line for line in told if line.startswith("left out")]
    test = frame[frame["split"] == "test"]
    figures = evaluate.main(clf=folder, data=str(write(tmp_path / "test.csv", test)))[folder]
    assert (figures["documents"], figures["left_out"]) == (9, 3)
    assert "left out 3 of 12 test texts: the model was trained on them" in told


def test_rows_that_moved_from_train_to_test_are_left_out(tmp_path, told):
    frame = rows(40).assign(split=["train"] * 20 + ["valid"] * 8 + ["test"] * 12)
    path = write(tmp_path / "own.csv", frame)
    folder, _ = trained_on(path, tmp_path / "clf")
    frame.loc[:4, "split"] = "test"
    frame.loc[20:21, "split"] = "test"
    write(path, frame)
    assert evaluate.main(clf=folder)[folder]["documents"] == 12
    assert "left out 7 of 19 test texts: the model was trained or validated on them" in told


def test_the_other_splits_of_the_training_stay_whole(base):
    _, folder, frame = base
    for split in ("train", "valid"):
        figures = evaluate.main(clf=folder, split=split)[folder]
        assert figures["documents"] == (frame["split"] == split).sum()


def test_few_labels(tmp_path, told):
    path = write(tmp_path / "base.csv", rows(120))
    folder, frame = trained_on(path, tmp_path / "clf", labels=20)
    assert (frame["split"] == "train").sum() == 20
    assert evaluate.main(clf=folder)[folder]["documents"] == 12
    assert not [line for line in told if "left out" in line]
    grown = write(tmp_path / "grown.csv", pd.concat([rows(120), rows(12, seed=1)]))
    _, new = expected(grown, frame)
    assert evaluate.main(clf=folder, data=str(grown))[folder]["documents"] == new


# Report and calibrate


def test_the_report_says_what_is_left_out(base, tmp_path, told):
    _, folder, frame = base
    grown = write(tmp_path / "grown.csv", pd.concat([rows(120), rows(12, seed=1)]))
    count, new = expected(grown, frame)
    page = report(clf=folder, data=str(grown), out=str(tmp_path / "r.html"), texts=0)
    line = f"{count - new} more texts of split test are left out: the models were trained or "
    assert line in page.read_text(encoding="utf-8")
    before, kept = expected(grown, frame, "valid")
    line = f"left out {before - kept} of {before} valid texts: the model was trained on them"
    assert line in told


def test_no_baselines_of_other_texts_than_those_of_the_training(base, tmp_path, monkeypatch):
    path, folder, _ = base
    monkeypatch.setattr("ulmfit.report.collect.text_map", lambda *given: None)
    classifier = Classifier.load(folder)
    frame = load_data(path).assign(label=pd.read_csv(path)["label"])
    assert len(collect(classifier, frame, str(path)).peers) == 2
    write(path, pd.concat([rows(120), rows(12, seed=1)]))
    frame = load_data(path).assign(label=pd.read_csv(path)["label"])
    assert collect(classifier, frame, str(path)).peers == []


def test_calibrate_keeps_the_texts_of_valid_and_leaves_out_those_of_train(
    base, tmp_path, told, monkeypatch
):
    # Too few texts for a real fit.
    monkeypatch.setattr("ulmfit.inference.calibration.fit_temperature", lambda *given: 2.0)
    _, folder, frame = base
    grown = write(tmp_path / "grown.csv", pd.concat([rows(120), rows(12, seed=1)]))
    count, new = expected(grown, frame, "valid")
    assert 0 < new < count
    seen = (Path(folder) / "seen.bin").read_bytes()
    calibrate.main(clf=folder, data=str(grown))
    assert f"left out {count - new} of {count} valid texts: the model was trained on them" in told
    assert [line for line in told if line.endswith(f"fitted to {new} texts")]
    artifact = read_artifact(Path(folder))  # a new manifest, and all else as it was
    assert artifact.seen_file() == seen
    calibrate.main(clf=folder)
    whole = (frame["split"] == "valid").sum()
    assert [line for line in told if line.endswith(f"fitted to {whole} texts")]


# Models that do not know


def test_a_model_without_the_file_says_so_and_refuses_what_it_refused_before(base, tmp_path, told):
    path, folder, _ = base
    (Path(folder) / "seen.bin").unlink()
    other = write(tmp_path / "other.csv", pd.concat([rows(120), rows(12, seed=1)]))
    assert evaluate.main(clf=folder, data=str(other))[folder]["documents"] == 14
    assert (
        f"{folder} does not say what texts it was trained on; some may be in split test of {other}"
    ) in told
    write(path, pd.read_csv(other))
    with refuses(
        f"{path} has changed since {folder} was trained on it, so split test would contain "
        "texts of the training; train again, or give the data with a split column"
    ):
        evaluate.main(clf=folder)
