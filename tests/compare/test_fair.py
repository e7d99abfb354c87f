"""The comparison is fair: the same labels, nothing of test, all seconds, nothing that is stale."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from tiny_comparison import failures, made, needs_extra, no_processes, run, settings  # noqa: F401
from tiny_models import refuses
from tiny_stages import reviews, stage2, write_csv

from ulmfit.artifacts.directory import read_artifact, read_metrics
from ulmfit.compare.identity import contents, identity
from ulmfit.compare.judge import Judge
from ulmfit.compare.plan import Job
from ulmfit.compare.stages import LEFT_OUT, NOT_KNOWN
from ulmfit.compare.trials import Trials
from ulmfit.training.settings import LMSettings, recipe_table

LM = Job("lm-fwd")
HEADER = ["text", "label", "split"]
SPLITS = ("train", "train", "valid", "valid", "valid", "test")  # more of valid than of train


def test_valid_has_no_more_labels_than_train_with_all_of_them_either(tmp_path):
    data = write_csv(tmp_path / "d.csv", ["text", "label", "split"], reviews(splits=SPLITS))
    judge = Judge.of(settings(tmp_path, data=data))
    assert judge.labelled == 40
    for labels in (0, 40):
        splits = judge.task(labels, 1)["split"].value_counts()
        assert (splits["train"], splits["valid"], splits["unsup"]) == (40, 40, 20)
    assert judge.task(None, None)["split"].value_counts()["valid"] == 60


def test_labels_are_looked_at_as_in_stage_3(tmp_path, told):
    rows = reviews(splits=SPLITS)
    rows[0][1] = "N/A"
    data = write_csv(tmp_path / "d.csv", HEADER, rows)
    Judge.of(settings(tmp_path, data=data))
    assert any("'N/A' looks like 'no label'" in line for line in told)


def test_labels_of_test_may_be_written_in_another_way(tmp_path, told):
    rows = reviews(splits=SPLITS)
    expected = Judge.of(settings(tmp_path, data=write_csv(tmp_path / "a.csv", HEADER, rows)))
    other = [[t, label.upper() if split == "test" else label, split] for t, label, split in rows]
    found = Judge.of(settings(tmp_path, data=write_csv(tmp_path / "b.csv", HEADER, other)))
    assert found.truth.tolist() == expected.truth.tolist()
    assert "are read as the classifier's classes: 'BAD' as 'bad', 'GOOD' as 'good'" in told[-1]


def test_several_labels_a_text_are_refused(tmp_path):
    data = write_csv(tmp_path / "d.csv", HEADER, reviews(splits=SPLITS))
    with refuses(
        "found --label-cols, which gives several labels a text, expected one label a text: a "
        "comparison is of those alone"
    ):
        Judge.of(settings(tmp_path, data=data, label_cols=["good", "bad"]))


def prepared(given, out):
    """The language model's result, made alone."""
    every = Trials(out, given, Judge.of(given))
    every.make([LM])
    return every.found[LM]


@pytest.mark.usefixtures("no_processes")
def test_language_models_leave_test_unread_whatever_the_recipe_says(tmp_path):
    assert recipe_table(LMSettings, "imdb")["lm_text"] == "all"
    given, out = settings(tmp_path, stage2_recipe="imdb"), tmp_path / "out"
    assert prepared(given, out)["status"] == "done"
    made_there = out / "work" / "lm-fwd" / "made" / "model"
    assert read_artifact(made_there).manifest.recipe["lm_text"] == "train"


@pytest.mark.usefixtures("no_processes")
@pytest.mark.parametrize(("lm_text", "told"), [("train", LEFT_OUT), ("all", NOT_KNOWN)])
def test_whether_a_model_that_is_given_has_read_test(tmp_path, lm_text, told):
    given = settings(tmp_path)
    lm = stage2(given.data, tmp_path / "wiki-fwd", tmp_path / "own-fwd", lm_text=lm_text).path
    for test_texts in (0, 7):
        some = replace(given, lm=str(lm), test_texts=test_texts)
        result = prepared(some, tmp_path / f"out-{test_texts}")
        assert result["facts"]["texts of test"] == told
    (row,) = run(some, tmp_path / "out-7", ["ulmfit-fwd"])
    assert row.failures == []
    page = (tmp_path / "out-7" / "compare.md").read_text()
    assert f"given ready-made; the texts of test are {told} by it." in page


@pytest.mark.usefixtures("no_processes")
def test_seconds_of_a_stage_have_its_tokenising_in_them(tmp_path, monkeypatch):
    clock = iter(range(0, 100_000, 1_000))  # a call of the clock is later by 1,000 seconds
    own_time = SimpleNamespace(perf_counter=lambda: next(clock))
    monkeypatch.setattr("ulmfit.compare.stages.time", own_time)
    found = made(settings(tmp_path), tmp_path / "out", ["ulmfit-fwd"])
    for name in ("lm-fwd", "ulmfit-fwd-20-1"):
        own = read_metrics(tmp_path / "out" / "work" / name / "made" / "model")["seconds"]
        assert found[name]["seconds"] == pytest.approx(own + 1_000, rel=1e-3)


@pytest.mark.usefixtures("no_processes")
def test_results_of_another_machine_are_told_of(tmp_path):
    given, out = settings(tmp_path), tmp_path / "out"
    run(given, out, ["majority", "nb-lr"])
    told = "The machines or versions differ between results"
    assert told not in (out / "compare.md").read_text()
    file = out / "trials" / "nb-lr-20-1.json"
    result = json.loads(file.read_text())
    file.write_text(json.dumps({**result, "hardware": "a faster one"}))
    run(given, out, ["majority"])
    page = (out / "compare.md").read_text()
    assert told in page
    assert "Hardware: a faster one." in page
    assert f"Hardware: {result['hardware']}." in page
    del result["hardware"], result["versions"]  # as before they were kept
    file.write_text(json.dumps(result))
    run(given, out, ["majority"])
    assert "Hardware: unknown. Versions: unknown." in (out / "compare.md").read_text()


# Nothing that is stale


def test_a_file_is_what_is_in_it(tmp_path):
    file, folder = tmp_path / "vectors.txt", tmp_path / "transformer"
    folder.mkdir()
    file.write_text("a 1\n")
    (folder / "config.json").write_text("{}")
    before = contents(file), contents(folder)
    assert before == (contents(file), contents(folder))
    file.write_text("a 2\n")
    (folder / "weights").write_text("1")
    assert contents(file) != before[0] != contents(folder) != before[1]


@needs_extra
@pytest.mark.usefixtures("no_processes")
def test_other_word_vectors_under_the_same_name(tmp_path):
    file, out = tmp_path / "vectors.txt", tmp_path / "out"
    file.write_text("good 1 2\nbad 3 4\n")
    given = settings(tmp_path, vectors=str(file))
    made(given, out, ["vectors-gru"])
    file.write_text("good 1 2\nbad 3 5\n")
    with refuses(
        f"{out / 'trials' / 'vectors-gru-20-1.json'} was measured with other contents of {file} "
        "(--vectors); give the same, choose another --out, or pass --overwrite to repeat such "
        "trials"
    ):
        made(given, out, ["vectors-gru"])


def test_a_model_of_the_hub_is_its_name(tmp_path):
    given = settings(tmp_path, transformer="somebody/bert")
    assert identity(Job("finetune", 20, 1), given, "x")["settings"]["transformer"] == (
        "somebody/bert"
    )


@pytest.mark.usefixtures("no_processes")
def test_what_is_gone_with_the_folder_work_is_made_again_where_it_is_needed(tmp_path):
    given, out = settings(tmp_path), tmp_path / "out"
    made(given, out, ["ulmfit-fwd"])
    before = (out / "trials" / "ulmfit-fwd-20-1.json").read_bytes()
    shutil.rmtree(out / "work")
    made(given, out, ["ulmfit-fwd"])
    assert not (out / "work").exists()
    # Both classifiers, and what they begin with: one is done, and its files are gone.
    found = made(given, out, ["ulmfit"])
    assert failures(found) == {}
    assert (out / "work" / "lm-fwd").exists()
    again = json.loads((out / "trials" / "ulmfit-fwd-20-1.json").read_text())
    assert again["figures"] == json.loads(before)["figures"]
    one, other = (np.load(out / "trials" / f"ulmfit-{end}-20-1.npy") for end in ("fwd", "bwd"))
    both = np.load(out / "trials" / "ulmfit-20-1.npy")
    np.testing.assert_allclose(both, (one + other) / 2, atol=1e-6)


@needs_extra
@pytest.mark.usefixtures("no_processes")
def test_without_the_features_there_is_a_page_without_their_map(tmp_path):
    given, out = settings(tmp_path), tmp_path / "out"
    run(given, out, ["features-lr"])
    assert (out / "features.png").exists()
    shutil.rmtree(out / "work")
    (row,) = run(given, out, ["features-lr"])
    assert row.failures == []
    page = (out / "compare.md").read_text()
    assert "Not drawn: the features are gone with the folder `work`." in page
