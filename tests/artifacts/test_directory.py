"""Model directories: what is written, what is refused, and in which words."""

import errno
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ulmfit.artifacts.config import ClassifierConfig
from ulmfit.artifacts.directory import (
    check_pair,
    read_artifact,
    read_metrics,
)
from ulmfit.artifacts.manifest import FORMAT_VERSION, Manifest
from ulmfit.artifacts.writing import check_output, update_metrics, write_artifact
from ulmfit.base.errors import UserError
from ulmfit.base.untrusted import file_sha256
from ulmfit.model.sizes import EncoderConfig

FILES = [
    "README.md",
    "encoder.safetensors",
    "head.safetensors",
    "history.csv",
    "manifest.json",
    "metrics.json",
    "processor.json",
    "vocab.txt",
]
HASHED = [name for name in FILES if name not in ("manifest.json", "metrics.json")]
HISTORY = [
    {"epoch": 0, "train_loss": 0.5, "time": "00:01"},
    {"epoch": 1, "train_loss": float("nan"), "time": "00:02", "accuracy": 0.75},
]
MANIFEST = Manifest(
    format_version=FORMAT_VERSION,
    kind="classifier",
    direction="forward",
    size="small",
    config=ClassifierConfig(EncoderConfig(9, 4, 6), max_len=1440, hidden=5),
    tokenizer={"kind": "word", "lang": "en", "vocab_sha256": "12ab"},
    labels=["neg", "pos"],
    recipe={"lr": 0.004, "epochs": 2},
    seed=42,
    metrics={"accuracy": 0.75},
    versions={"torch": "2.13.0"},
    data_fingerprint="d1",
    parent=None,
    files={},
)


def tensors(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {"encoder.weight": torch.randn(9, 4, generator=generator)}


def write(out, manifest=MANIFEST, **changes):
    arguments = {
        "encoder": tensors(),
        "head": {"0.weight": torch.ones(2, 4), "0.num_batches_tracked": torch.tensor(3)},
        "processor_files": {"vocab.txt": b"xxunk\n", "processor.json": b"{}\n"},
        "history": HISTORY,
        "card": "# Card\n",
    }
    return write_artifact(out, manifest=manifest, **(arguments | changes))


def change_manifest(path, **changes):
    found = json.loads((path / "manifest.json").read_text()) | changes
    (path / "manifest.json").write_text(json.dumps(found))


def names(directory):
    return sorted(entry.name for entry in directory.iterdir())


def error_of(function, *arguments, **keywords):
    with pytest.raises(UserError) as caught:
        function(*arguments, **keywords)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Writing and reading


def test_round_trip(tmp_path):
    out = write(tmp_path / "demo" / "clf-fwd")
    assert out == tmp_path / "demo" / "clf-fwd"
    assert names(out) == FILES
    assert names(out.parent) == ["clf-fwd"]
    artifact = read_artifact(out, "classifier")
    assert artifact.path == out
    assert artifact.manifest_sha256 == file_sha256(out / "manifest.json")
    assert artifact.manifest == replace(MANIFEST, files=artifact.manifest.files)
    assert artifact.manifest.files == {name: file_sha256(out / name) for name in HASHED}
    assert torch.equal(artifact.encoder()["encoder.weight"], tensors()["encoder.weight"])
    assert artifact.head()["0.num_batches_tracked"].dtype == torch.int64
    assert artifact.processor_files() == {"vocab.txt": b"xxunk\n", "processor.json": b"{}\n"}
    assert json.loads((out / "metrics.json").read_text()) == {"accuracy": 0.75}
    assert (out / "README.md").read_text() == "# Card\n"


def test_history_round_trip(tmp_path):
    out = write(tmp_path / "m")
    assert (out / "history.csv").read_bytes() == (
        b"epoch,train_loss,time,accuracy\n0,0.5,00:01,\n1,,00:02,0.75\n"
    )
    assert read_artifact(out).history() == [
        {"epoch": 0, "train_loss": 0.5, "time": "00:01", "accuracy": None},
        {"epoch": 1, "train_loss": None, "time": "00:02", "accuracy": 0.75},
    ]


def test_empty_history(tmp_path):
    assert read_artifact(write(tmp_path / "m", history=[])).history() == []


def test_same_inputs_give_the_same_bytes(tmp_path):
    shuffled = replace(MANIFEST, recipe=dict(reversed(MANIFEST.recipe.items())))
    a = write(tmp_path / "a")
    b = write(
        tmp_path / "b",
        shuffled,
        processor_files={"processor.json": b"{}\n", "vocab.txt": b"xxunk\n"},
    )
    assert [(a / name).read_bytes() for name in FILES] == [(b / n).read_bytes() for n in FILES]


def test_metrics_are_there_as_soon_as_the_directory_is(tmp_path):
    out = write(tmp_path / "m", metrics={"seconds": 2.5})
    assert read_metrics(out) == {"seconds": 2.5}
    assert read_metrics(write(tmp_path / "n")) == read_artifact(out).manifest.metrics


@pytest.mark.parametrize("name", ["encoder.safetensors", "manifest.json"])
def test_full_disk_leaves_nothing(tmp_path, monkeypatch, name):
    write_bytes = Path.write_bytes

    def refuse(path, data):
        if path.name == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write_bytes(path, data)

    monkeypatch.setattr(Path, "write_bytes", refuse)
    out = tmp_path / "m"
    assert error_of(write, out) == f"cannot write {out}: {os.strerror(errno.ENOSPC)}"
    assert list(tmp_path.iterdir()) == []


def test_manifest_is_sorted_indented_and_ends_with_a_newline(tmp_path):
    text = (write(tmp_path / "m") / "manifest.json").read_text()
    assert text == json.dumps(json.loads(text), sort_keys=True, indent=2) + "\n"


def test_half_is_stored_in_half_and_read_as_float32(tmp_path):
    head = {"w": torch.tensor([0.5, 1e5]), "bias": torch.tensor([0.1]), "n": torch.tensor(7)}
    out = write(tmp_path / "m", head=head, half=True)
    stored = load_file(out / "head.safetensors")
    # 1e5 does not fit: that tensor stays as it was.
    assert {k: t.dtype for k, t in stored.items()} == {
        "w": torch.float32,
        "bias": torch.float16,
        "n": torch.int64,
    }
    artifact = read_artifact(out)
    assert load_file(out / "encoder.safetensors")["encoder.weight"].dtype == torch.float16
    weight = artifact.encoder()["encoder.weight"]
    assert weight.dtype == torch.float32
    assert torch.equal(weight, tensors()["encoder.weight"].half().float())
    assert torch.equal(artifact.head()["w"], head["w"])
    assert artifact.head()["n"] == 7


def test_bfloat16_is_read_as_float32(tmp_path):
    out = write(tmp_path / "m", encoder={"w": torch.ones(2, dtype=torch.bfloat16)})
    assert read_artifact(out).encoder()["w"].dtype == torch.float32


def test_tied_transposed_and_trained_tensors_are_stored(tmp_path):
    weight = torch.nn.Parameter(torch.arange(6.0).reshape(2, 3))
    out = write(tmp_path / "m", encoder={"a": weight, "b": weight, "c": weight.T})
    encoder = read_artifact(out).encoder()
    assert torch.equal(encoder["a"], encoder["b"])
    assert torch.equal(encoder["c"], encoder["a"].T)


def test_numpy_and_nan_metrics_become_json(tmp_path):
    metrics = {"f1": np.float32(0.5), "loss": float("inf"), "n": np.int64(3), "per": (1, 2)}
    found = read_artifact(write(tmp_path / "m", replace(MANIFEST, metrics=metrics)))
    assert found.manifest.metrics == {"f1": 0.5, "loss": None, "n": 3, "per": [1, 2]}


def test_interrupted_writing_leaves_nothing(tmp_path, monkeypatch):
    calls = []

    def interrupt(descriptor):
        assert not (tmp_path / "m").exists()
        calls.append(descriptor)
        if len(calls) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "m")
    assert names(tmp_path) == []


def test_processor_may_not_write_the_models_files(tmp_path):
    for name in ("README.md", "metrics.json"):
        with pytest.raises(ValueError, match=re.escape(f"may not write ['{name}']")):
            write(tmp_path / "m", processor_files={name: b""})


def test_what_cannot_be_read_is_not_written(tmp_path):
    message = error_of(write, tmp_path / "m", processor_files={"../vocab.txt": b""})
    assert message.endswith('"files" names "../vocab.txt", a plain file name was expected')
    assert error_of(write, tmp_path / "m", replace(MANIFEST, labels=[0, 1])).endswith(
        '"labels" is [0, 1], a list of texts was expected'
    )
    assert names(tmp_path) == []


# Where a model may be written


def test_existing_model_is_kept_unless_overwritten(tmp_path):
    out = write(tmp_path / "m")
    expected = f"{out} already holds a model; choose another --out or pass --overwrite"
    assert error_of(check_output, out, False) == expected
    assert error_of(write, out) == expected
    check_output(out, True)
    write(out, replace(MANIFEST, seed=7), processor_files={"spm.model": b"1"}, overwrite=True)
    assert read_artifact(out).manifest.seed == 7
    assert names(out) == sorted({*FILES, "spm.model"} - {"vocab.txt", "processor.json"})
    assert names(tmp_path) == ["m"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_folder_that_is_no_model_is_never_deleted(tmp_path, overwrite):
    (tmp_path / "thesis.txt").write_text("years of work")
    expected = (
        f"{tmp_path} contains files that are not part of a model (thesis.txt); choose another --out"
    )
    assert error_of(check_output, tmp_path, overwrite) == expected
    assert error_of(write, tmp_path, overwrite=overwrite) == expected
    assert names(tmp_path) == ["thesis.txt"]


def test_model_with_something_beside_it_is_left_alone(tmp_path):
    out = write(tmp_path / "m")
    for name in ("a.txt", "b.txt", "c.txt"):
        (out / name).write_text("")
    (out / "sub").mkdir()
    found = error_of(check_output, out, True)
    assert "not part of a model (a.txt, b.txt, c.txt, ...); choose" in found


@pytest.mark.parametrize("manifest", ["{}", "[]", "no json", '{"kind": [], "format_version": 1}'])
def test_manifest_of_another_program_makes_no_model(tmp_path, manifest):
    (tmp_path / "manifest.json").write_text(manifest)
    assert "not part of a model (manifest.json); choose" in error_of(check_output, tmp_path, True)


def test_model_of_another_version_may_be_overwritten(tmp_path):
    out = write(tmp_path / "m")
    change_manifest(out, format_version=9, new_key=1)
    check_output(out, True)


def test_empty_or_missing_directory_is_fine(tmp_path):
    check_output(tmp_path, False)
    check_output(tmp_path / "a" / "b", False)
    assert names(write(tmp_path)) == FILES


def test_out_is_a_file(tmp_path):
    file = tmp_path / "model"
    file.write_text("")
    assert error_of(check_output, file, True) == (
        f"{file} is a file, --out takes a directory; choose another --out"
    )
    assert error_of(check_output, file / "x", True) == (
        f"cannot write {file / 'x'}: {file} is no directory"
    )


# What is refused when reading


def test_missing_directory_names_the_command(tmp_path):
    path = tmp_path / "none"
    assert error_of(read_artifact, path, "lm") == (
        f"{path} does not exist; ulmfit lm writes language models"
    )
    assert error_of(read_artifact, path, "classifier") == (
        f"{path} does not exist; ulmfit train writes classifiers"
    )
    path.write_text("")
    assert error_of(read_artifact, path) == (
        f"{path} is a file, a model directory was expected;"
        " ulmfit lm writes language models;"
        " ulmfit train writes classifiers"
    )


@pytest.mark.parametrize("name", ["manifest.json", *HASHED])
def test_incomplete_directory(tmp_path, name):
    out = write(tmp_path / "m")
    (out / name).unlink()
    assert error_of(read_artifact, out) == (
        f"{out} is incomplete: {name} is missing; copy or train the model again"
    )


@pytest.mark.parametrize("name", HASHED)
def test_altered_file(tmp_path, name):
    out = write(tmp_path / "m")
    data = (out / name).read_bytes()
    (out / name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert error_of(read_artifact, out) == (
        f"{out / name} was altered: its sha256 is not the one in manifest.json;"
        " copy or train the model again"
    )


def test_wrong_kind(tmp_path):
    clf = write(tmp_path / "clf")
    lm = write(tmp_path / "lm", replace(MANIFEST, kind="lm", labels=[]))
    assert error_of(read_artifact, clf, "lm") == (
        f"{clf} holds a classifier, a language model was expected; ulmfit lm writes language models"
    )
    assert error_of(read_artifact, lm, "classifier") == (
        f"{lm} holds a language model, a classifier was expected; ulmfit train writes classifiers"
    )
    assert read_artifact(lm, "lm").manifest.kind == "lm"


@pytest.mark.parametrize(
    ("version", "remedy"), [(2, "update ulmfit"), (0, "train the model again")]
)
def test_other_format_version(tmp_path, version, remedy):
    out = write(tmp_path / "m")
    change_manifest(out, format_version=version, unknown_key=1)
    assert error_of(read_artifact, out) == (
        f"{out / 'manifest.json'}: format version {version}, this program reads version 1; {remedy}"
    )


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "a/b", "..", ".hidden", "", "a\\b", "C:x", "x\n"]
)
def test_names_that_lead_elsewhere(tmp_path, name):
    out = write(tmp_path / "m")
    files = read_artifact(out).manifest.files | {name: "0" * 64}
    change_manifest(out, files=files)
    assert error_of(read_artifact, out) == (
        f'{out / "manifest.json"}: "files" names {json.dumps(name)}, a plain file name was expected'
    )


@pytest.mark.parametrize("name", ["manifest.json", "vocab.txt"])
def test_link_out_of_the_directory(tmp_path, name):
    out = write(tmp_path / "m")
    (out / name).rename(tmp_path / "elsewhere")
    (out / name).symlink_to(tmp_path / "elsewhere")
    assert error_of(read_artifact, out) == (
        f"{out / name} is a link that leads out of the model directory"
    )


def test_links_within_and_to_the_directory_are_followed(tmp_path):
    out = write(tmp_path / "m")
    (out / "vocab.txt").rename(out / "words")
    (out / "vocab.txt").symlink_to("words")
    (tmp_path / "link").symlink_to(out)
    assert read_artifact(tmp_path / "link").processor_files()["vocab.txt"] == b"xxunk\n"


@pytest.mark.parametrize("name", ["encoder.safetensors", "README.md"])
def test_manifest_without_a_files_hash(tmp_path, name):
    out = write(tmp_path / "m")
    files = dict(read_artifact(out).manifest.files)
    del files[name]
    change_manifest(out, files=files)
    assert error_of(read_artifact, out) == f'{out / "manifest.json"}: "files" lacks {name}'


def test_pickle_in_place_of_safetensors(tmp_path):
    out = write(tmp_path / "m")
    torch.save({"w": torch.ones(1)}, out / "encoder.safetensors")
    files = dict(read_artifact(write(tmp_path / "n")).manifest.files)
    change_manifest(
        out, files=files | {"encoder.safetensors": file_sha256(out / "encoder.safetensors")}
    )
    message = error_of(read_artifact(out).encoder)
    assert message.startswith(f"{out / 'encoder.safetensors'} holds no safetensors: ")


# Metrics, ensembles


def test_update_metrics_changes_nothing_else(tmp_path):
    out = write(tmp_path / "m")
    before = {name: (out / name).read_bytes() for name in FILES if name != "metrics.json"}
    update_metrics(out, {"test": {"f1": 0.5}})
    assert json.loads((out / "metrics.json").read_text()) == {"test": {"f1": 0.5}}
    assert before == {name: (out / name).read_bytes() for name in before}
    assert names(out) == FILES
    read_artifact(out)


def test_update_metrics_of_no_model(tmp_path):
    assert error_of(update_metrics, tmp_path / "x", {}) == f"{tmp_path / 'x'} does not exist"
    assert error_of(update_metrics, tmp_path, {}) == (
        f"{tmp_path} is incomplete: manifest.json is missing; copy or train the model again"
    )
    assert names(tmp_path) == []


def pair(tmp_path, **changes):
    a = read_artifact(write(tmp_path / "a"))
    return [a, read_artifact(write(tmp_path / "b", replace(MANIFEST, **changes)))]


def test_forward_and_backward_make_a_pair(tmp_path):
    check_pair(pair(tmp_path, direction="backward", tokenizer={"kind": "subword"}))


def test_two_seeds_make_a_pair(tmp_path):
    a = read_artifact(write(tmp_path / "a"))
    check_pair([a, read_artifact(write(tmp_path / "b", encoder=tensors(seed=1)))])


def test_one_model_is_no_ensemble_but_fine(tmp_path):
    check_pair([read_artifact(write(tmp_path / "a"))])


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"labels": ["pos", "neg"]}, "labels neg, pos against pos, neg"),
        ({"data_fingerprint": "d2"}, "data d1 against d2"),
        ({"seed": 7}, "they are the same model twice"),
    ],
)
def test_models_that_make_no_ensemble(tmp_path, changes, found):
    artifacts = pair(tmp_path, **changes)
    expected = f"{tmp_path / 'a'} and {tmp_path / 'b'} make no ensemble: {found}"
    assert error_of(check_pair, artifacts) == expected


def test_every_two_of_three_are_compared(tmp_path):
    forward, same = pair(tmp_path)
    backward = read_artifact(write(tmp_path / "c", replace(MANIFEST, direction="backward")))
    assert "same model twice" in error_of(check_pair, [forward, backward, same])


def test_checking_the_output_does_not_import_torch():
    modules = "ulmfit.artifacts.writing, ulmfit.artifacts.card"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0
