"""`python -m ulmfit` with the recipe `auto`: rounds of self-training, a budget, a second call."""

import json
from math import inf

import pytest
from tiny_models import refuses
from tiny_stages import stage1, write_general, write_reviews

from ulmfit import __main__ as pipeline
from ulmfit.artifacts.directory import read_artifact
from ulmfit.artifacts.ensemble import model_sha256, read_ensemble
from ulmfit.base.errors import UserError
from ulmfit.inference.ensemble import Classifier
from ulmfit.training.budget import Speeds

pytestmark = pytest.mark.computes


def short(patch):
    """Lengths for tiny models, and self-training from few texts on."""
    for name, value in {
        "_LEAST_UNLABELLED": 20,
        "_LM_TOKENS": 2_000,
        "_MOST_EPOCHS": 3,
        "_LEAST_EPOCHS": 2,
    }.items():
        patch.setattr(f"ulmfit.training.auto.{name}", value)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("auto")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ULMFIT_CACHE", str(folder / "cache"))
        short(patch)
        splits = ("train", "unsup", "unsup", "unsup", "valid", "test")
        data = write_reviews(folder / "reviews.csv", n=180, splits=splits)
        general = write_general(folder / "general.csv")
        for name in ("fwd", "bwd"):
            out = folder / f"wiki-{name}"
            stage1(general, out, backwards=name == "bwd", steps=[{"epochs": 1, "lr": 0.02}])
        given = {"data": data, "pretrained": str(folder / "wiki"), "out": str(folder / "models")}
        summary = pipeline.main(**given)
        yield {"folder": folder, "given": given, "summary": summary}


@pytest.fixture
def again(made, monkeypatch):
    monkeypatch.setenv("ULMFIT_CACHE", str(made["folder"] / "cache"))
    short(monkeypatch)
    return made["given"]


def test_a_round_starts_from_students_of_the_first_ensemble(made):
    models = made["folder"] / "models"
    assert made["summary"]["recipe"] == "auto"
    teacher = models / "round-0" / "clf"
    for name in ("fwd", "bwd"):
        student = read_artifact(models / "round-1" / f"student-{name}")
        assert student.manifest.metrics["teacher"] == model_sha256(teacher)
        assert student.manifest.parent == read_artifact(models / f"lm-{name}").manifest_sha256
        last = read_artifact(models / "round-1" / f"clf-{name}")
        assert last.manifest.parent == student.manifest_sha256


def test_the_best_round_on_valid_is_chosen(made):
    models = made["folder"] / "models"
    losses = {
        place.parent.name: read_ensemble(place).metrics["valid"]["log_loss"]
        for place in models.glob("round-*/clf")
    }
    assert len(losses) >= 2
    chosen = read_ensemble(models / "chosen" / "clf")
    assert chosen.metrics["valid"]["log_loss"] == min(losses.values())


def test_the_chosen_classifiers_learn_the_labels_of_valid(made):
    models = made["folder"] / "models"
    chosen, last = (read_ensemble(models / place) for place in ("chosen/clf", "clf"))
    assert [(m.name, m.weight) for m in last.members] == [
        (m.name, m.weight) for m in chosen.members
    ]
    assert last.temperature == chosen.temperature
    assert [m.manifest_sha256 for m in last.members] != [m.manifest_sha256 for m in chosen.members]
    for member in last.members:
        before, after = (
            read_artifact(folder / member.name).manifest for folder in (chosen.path, last.path)
        )
        assert after.metrics["train_texts"] == before.metrics["train_texts"] + 30
        assert after.parent == before.parent
        assert after.recipe["all_labels"]
        assert "valid" not in after.metrics
    assert made["summary"]["train_texts"] == 60
    assert len(Classifier.load(models / "clf").predict(["A great film."])) == 1


def test_a_second_call_keeps_every_model(again, made, told):
    before = {f: f.stat().st_mtime_ns for f in made["folder"].rglob("encoder.safetensors")}
    pipeline.main(**again)
    assert before == {f: f.stat().st_mtime_ns for f in made["folder"].rglob("encoder.safetensors")}
    assert not any(line.startswith("  step") for line in told)


def test_a_student_of_another_teacher_is_refused(again, made):
    file = made["folder"] / "models" / "round-1" / "student-fwd" / "manifest.json"
    text = file.read_text()
    manifest = json.loads(text)
    manifest["metrics"]["teacher"] = "0" * 64
    file.write_text(json.dumps(manifest))
    models = made["folder"] / "models"
    try:
        with refuses(
            f"{models / 'round-1' / 'student-fwd'} had another teacher than "
            f"{models / 'round-0' / 'clf'} holds now; pass --overwrite to train again"
        ):
            pipeline.main(**again)
    finally:
        file.write_text(text)


def test_a_budget_that_is_too_small_leaves_the_linear_classifiers(again, told, tmp_path):
    out = tmp_path / "few"
    summary = pipeline.main(**{**again, "out": str(out)}, minutes=0.0001)
    assert set(summary["accuracy"]) == {"nb", "tfidf", "ensemble"}
    assert not (out / "lm-fwd").exists()
    assert any("minutes are too few for a language model of these texts" in line for line in told)


def test_a_plan_for_a_budget_is_kept(again, monkeypatch, tmp_path, told):
    given = {**again, "out": str(tmp_path / "kept"), "minutes": 1.0, "members": "fwd"}
    monkeypatch.setattr("ulmfit.pipeline.plan.measured_speeds", lambda *given: Speeds(inf, inf))
    pipeline.main(**given)

    def slow(*given):
        raise UserError("measured again")

    monkeypatch.setattr("ulmfit.pipeline.plan.measured_speeds", slow)
    pipeline.main(**given)
    assert sum("is finished already and kept" in line for line in told) >= 2


def test_a_language_model_of_these_texts_stands_for_stage_2(again, made, told, tmp_path):
    folder, out = made["folder"], tmp_path / "ready"
    given = {**again, "pretrained": None, "out": str(out), "lm": folder / "models" / "lm"}
    summary = pipeline.main(**given)
    assert not list(out.glob("lm-*"))
    for name in ("fwd", "bwd"):
        parent = read_artifact(folder / "models" / f"lm-{name}")
        assert read_artifact(out / f"clf-{name}").manifest.parent == parent.manifest_sha256
        assert summary["models"][f"lm_{name}"] == str(parent.path)
    assert summary["perplexity"] == {}
    assert not any(name.startswith("stage2") for name in summary["seconds"])
    assert sum("is taken as it is" in line for line in told) == 2
    [chosen] = [line for line in told if line.startswith("auto: ")]
    assert "stage 2" not in chosen
    assert "self-training" in chosen


def test_a_language_model_that_does_not_fit_is_refused_at_once(again, made, tmp_path, monkeypatch):
    def begun(*given):
        raise AssertionError("speeds were measured first")

    monkeypatch.setattr("ulmfit.pipeline.plan.measured_speeds", begun)
    lm = made["folder"] / "models" / "lm"
    given = {**again, "pretrained": None, "out": str(tmp_path / "ready")}
    with refuses(
        f"{lm}-fwd is a forward language model, and a backward one is needed as well; give --lm "
        "the name of both, without -fwd or -bwd, or add --members fwd"
    ):
        pipeline.main(**given, lm=f"{lm}-fwd")
    with refuses("found --pretrained and --lm, expected one of them"):
        pipeline.main(**again, lm=lm)
    with refuses(
        "no forward language model nowhere: found neither a folder nowhere nor nowhere-fwd, and no "
        "bundled one; give --lm the name of one that has read these texts, or leave it out for "
        "stage 2"
    ):
        pipeline.main(**given, lm="nowhere")
    with refuses(
        "found --lm with --members nb, which read no language model; leave --lm out, or add fwd or "
        "bwd to --members"
    ):
        pipeline.main(**given, lm=lm, members="nb")
    assert not (tmp_path / "ready").exists()


def test_a_kept_classifier_of_another_language_model_is_refused_first(again, made, tmp_path):
    lm = made["folder"] / "models" / "lm"
    given = {**again, "out": str(tmp_path / "ready"), "members": "fwd"}
    pipeline.main(**{**given, "pretrained": None}, lm=lm)
    kept = tmp_path / "ready" / "clf-fwd"
    with refuses(
        f"{kept} was trained on another language model than {tmp_path / 'ready' / 'lm-fwd'}, which "
        "is not there; give the same --lm as before, pass --overwrite to train again, or choose "
        "another --out"
    ):
        pipeline.main(**given)
    assert not (tmp_path / "ready" / "lm-fwd").exists()
