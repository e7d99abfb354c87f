"""Stage 3 with a teacher, then from the student; and with the labels of valid; tiny models."""

import csv

import numpy as np
import pytest
from tiny_models import refuses
from tiny_stages import stage1, stage2, stage3, write_general, write_reviews

from ulmfit import distill, evaluate
from ulmfit.artifacts.directory import read_artifact
from ulmfit.artifacts.seen import which_seen
from ulmfit.base.errors import UserError
from ulmfit.data.load import load_data
from ulmfit.data.spec import DataSpec
from ulmfit.inference.ensemble import Classifier
from ulmfit.inference.guard import of_training

pytestmark = pytest.mark.computes
ONCE = {"steps": [{"epochs": 2, "lr": 0.01}]}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("taught")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ULMFIT_CACHE", str(folder / "cache"))
        data = write_reviews(folder / "reviews.csv")
        wiki = stage1(write_general(folder / "general.csv"), folder / "wiki", **ONCE)
        lm = stage2(data, wiki.path, folder / "lm", **ONCE)
        teacher = stage3(data, lm.path, folder / "teacher")
        student = stage3(data, lm.path, folder / "student", teacher=str(teacher.path), **ONCE)
        last = stage3(data, student.path, folder / "last", **ONCE)
        every = stage3(data, lm.path, folder / "every", all_labels=True, **ONCE)
        yield {
            "every": every,
            "folder": folder,
            "data": data,
            "lm": lm,
            "teacher": teacher,
            "student": student,
            "last": last,
        }


def rows_of(data, split):
    with open(data, encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["split"] == split]


def test_student_learns_the_unlabelled_texts(made):
    assert made["student"].metrics["train_texts"] == len(rows_of(made["data"], "unsup"))
    assert made["teacher"].metrics["train_texts"] == len(rows_of(made["data"], "train"))
    manifest = read_artifact(made["student"].path).manifest
    assert manifest.recipe["teacher"] == str(made["teacher"].path)
    assert manifest.labels == read_artifact(made["teacher"].path).manifest.labels


def test_all_labels_are_learnt_and_none_is_measured_on(made):
    learnt, valid = (rows_of(made["data"], split) for split in ("train", "valid"))
    every = made["every"]
    assert every.metrics["train_texts"] == len(learnt) + len(valid)
    assert "valid" not in every.metrics
    assert [set(row) & {"valid_loss", "accuracy"} for row in every.metrics["epochs"]] == [set()] * 2
    assert {"train_loss", "lr"} <= set(every.metrics["epochs"][0])
    seen = read_artifact(every.path).seen()
    trained, validated = which_seen([row["text"] for row in valid], seen)
    assert trained.all()
    assert not validated.any()


def test_nothing_is_measured_on_labels_of_valid_that_were_learnt(made):
    artifact = read_artifact(made["every"].path)
    with refuses(
        f"the model was trained on all {len(rows_of(made['data'], 'valid'))} valid texts of "
        f"{made['data']}, so that none is left to measure on; give texts that are new, or choose "
        "another --split"
    ):
        evaluate.main(clf=str(artifact.path), split="valid")
    assert of_training(load_data(DataSpec(made["data"])), artifact.manifest)
    (figures,) = evaluate.main(clf=str(artifact.path)).values()
    assert figures["documents"] == len(rows_of(made["data"], "test"))


def test_a_student_of_a_teacher_of_all_labels_is_judged_by_other_texts(made, monkeypatch):
    monkeypatch.setattr("ulmfit.training.distilling._FEWEST", 2)
    metrics = distill.main(clf=str(made["every"].path), out=str(made["folder"] / "hashed"))
    train, valid, spare = (
        len(rows_of(made["data"], split)) for split in ("train", "valid", "unsup")
    )
    assert metrics["valid_texts"] == spare // 10 >= 2
    assert metrics["taught_texts"] == train + valid + spare - spare // 10


def test_all_labels_leave_no_text_to_stop_early_by(made):
    with refuses(
        "found --all-labels with --patience 2, expected one of them: with all labels in the "
        "training, no text is left to measure an epoch on"
    ):
        stage3(made["data"], made["lm"].path, made["folder"] / "x", all_labels=True, patience=2)


def test_last_stage_starts_from_the_student(made):
    manifest = read_artifact(made["last"].path).manifest
    assert manifest.parent == read_artifact(made["student"].path).manifest_sha256
    texts = ["The film was great.", "A dull story."]
    student, last = (
        Classifier.load(made[name].path, precision="float32").probabilities(texts)
        for name in ("student", "last")
    )
    assert np.abs(student - last).max() > 1e-4  # it was trained further


def test_zero_rate_keeps_the_student(made, tmp_path):
    still = {"steps": [{"epochs": 1, "lr": 1e-12, "weight_decay": 0.0}]}
    same = stage3(made["data"], made["student"].path, tmp_path / "same", **still)
    for name, weight in read_artifact(made["student"].path).encoder().items():
        assert (read_artifact(same.path).encoder()[name] - weight).abs().max() < 1e-6


def test_same_teacher_gives_the_same_student(made, tmp_path):
    again = stage3(
        made["data"],
        made["lm"].path,
        tmp_path / "again",
        teacher=str(made["teacher"].path),
        **ONCE,
    )
    for name in ("encoder.safetensors", "head.safetensors"):
        assert (again.path / name).read_bytes() == (made["student"].path / name).read_bytes()


def test_start_with_another_head_is_refused(made, tmp_path):
    with pytest.raises(UserError, match=r"is a classifier of .* with 8 hidden units, expected"):
        stage3(made["data"], made["student"].path, tmp_path / "wide", hidden=20, **ONCE)
