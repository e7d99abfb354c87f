"""The lineage of a model, from the classifier back to the root: what is printed and refused."""

import os
import shutil
import sys

import pytest
from tiny_models import refuses, write_classifier, write_lm

from ulmfit.artifacts.directory import read_artifact
from ulmfit.base.cli import run_command
from ulmfit.base.untrusted import file_sha256
from ulmfit.verify import main


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    lm = write_lm(folder / "lm")
    clf = write_classifier(folder / "clf", parent=read_artifact(lm))
    metrics = {"valid": {"accuracy": 0.75, "f1": 0.5, "log_loss": 1.0}}
    many = [f"class {i}" for i in range(7)]
    write_classifier(folder / "alone", labels=many, metrics=metrics)
    return folder, lm, clf


@pytest.fixture
def models(written, tmp_path, monkeypatch):
    """A copy that may be altered; the working directory."""
    for name in ("lm", "clf", "alone"):
        shutil.copytree(written[0] / name, tmp_path / "models" / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "models"


def size(path):
    files = read_artifact(path).manifest.files
    return f"{len(files)} files, {sum((path / n).stat().st_size for n in files) / 1e6:,.1f} MB"


def test_tree_from_the_classifier_to_the_root(models, capsys):
    clf, lm = models / "clf", models / "lm"
    assert main(str(clf)) == [clf, lm]
    assert capsys.readouterr().out == (
        f"{clf}: {size(clf)}, verified\n"
        "  classifier, forward, tiny (stage 3)\n"
        f"  manifest {file_sha256(clf / 'manifest.json')}\n"
        "  data d1\n"
        "  labels neg, pos\n"
        f"  parent {lm}: {size(lm)}, verified\n"
        "    lm, forward, tiny (stage 2)\n"
        f"    manifest {file_sha256(lm / 'manifest.json')}\n"
        "    data d1\n"
        "    root: wiki-en-small, weights without a manifest\n"
    )


def test_figures_and_many_labels(models, capsys):
    assert main(str(models / "alone")) == [models / "alone"]
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3:] == [
        "  labels class 0, class 1, class 2, class 3, class 4 and 2 more",
        "  valid: accuracy 0.75, f1 0.5",
        "  root: random weights",
    ]


def test_parent_that_is_elsewhere(models, tmp_path, capsys):
    lm = models / "lm"
    parent = file_sha256(lm / "manifest.json")
    moved = lm.rename(tmp_path / "moved")
    assert main(str(models / "clf")) == [models / "clf"]
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"  parent with manifest {parent}: not found; --among DIR names a place to look for it"
    )
    # The directory itself, or the one that it lies in.
    assert main(str(models / "clf"), among=str(moved)) == [models / "clf", moved]
    assert main(str(models / "clf"), among=[str(models), str(tmp_path)]) == [models / "clf", moved]


@pytest.mark.parametrize("name", ["lm", "clf"])
def test_what_was_altered_is_an_error(models, name, capsys):
    with (models / name / "head.safetensors").open("ab") as file:
        file.write(b"x")
    with refuses(
        f"{models / name / 'head.safetensors'} was altered: its sha256 is not the one in "
        "manifest.json; copy or train the model again"
    ):
        main(str(models / "clf"))
    assert ("classifier" in capsys.readouterr().out) == (name == "lm")


def test_what_is_no_model_is_passed_over(models):
    os.mkfifo(models / "pipe")
    (models / "a").mkdir()
    os.mkfifo(models / "a" / "manifest.json")
    (models / "b").mkdir()
    (models / "b" / "manifest.json").mkdir()
    assert main(str(models / "clf")) == [models / "clf", models / "lm"]


def test_bad_arguments(models):
    with refuses("found 0 model directories, expected one; name one to check"):
        main()
    with refuses("found 2 model directories, expected one; name one to check"):
        main("a", "b")
    with refuses("--among names nowhere, which is no directory"):
        main(str(models / "clf"), among="nowhere")


def test_command(models, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["verify", "models/clf", "--among", "models"])
    run_command(main)
    assert capsys.readouterr().out.startswith("models/clf: ")
    (models / "clf" / "README.md").write_text("another card")
    with pytest.raises(SystemExit) as stop:
        run_command(main)
    assert stop.value.code == 1
    assert capsys.readouterr().err == (
        "error: models/clf/README.md was altered: its sha256 is not the one in manifest.json; copy "
        "or train the model again\n"
    )
