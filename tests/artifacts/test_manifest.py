"""The manifest: what it holds, what is refused, and in which words."""

import json
import sys
from dataclasses import replace

import pytest
import torch

from ulmfit.artifacts.config import ClassifierConfig
from ulmfit.artifacts.manifest import FORMAT_VERSION, Manifest, library_versions
from ulmfit.base.errors import UserError
from ulmfit.model.sizes import EncoderConfig

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
AS_JSON = json.loads(MANIFEST.to_json())


def error_of(function, *arguments, **keywords):
    with pytest.raises(UserError) as caught:
        function(*arguments, **keywords)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def manifest_error(**changes):
    found = {key: value for key, value in (AS_JSON | changes).items() if value != "drop"}
    return error_of(Manifest.from_json, json.dumps(found), "m.json")


def test_manifest_round_trip():
    manifest = replace(MANIFEST, labels=["schön", "😀"], parent="ab", files={"vocab.txt": "cd"})
    assert Manifest.from_json(manifest.to_json(), "m.json") == manifest


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": "drop"}, 'm.json: "seed" is missing'),
        ({"sead": 1}, 'm.json: "sead" is unknown'),
        ({"seed": "1"}, 'm.json: "seed" is "1", a whole number was expected'),
        ({"seed": True}, 'm.json: "seed" is true, a whole number was expected'),
        ({"format_version": "1"}, 'm.json: "format_version" is "1", a whole number was expected'),
        ({"kind": "lmm"}, 'm.json: "kind" is "lmm", lm or classifier or linear was expected'),
        ({"kind": []}, 'm.json: "kind" is [], lm or classifier or linear was expected'),
        ({"direction": "up"}, 'm.json: "direction" is "up", forward or backward was expected'),
        ({"size": 1}, 'm.json: "size" is 1, a text was expected'),
        ({"config": []}, 'm.json: "config" is [], an object was expected'),
        ({"labels": ["a", 1]}, 'm.json: "labels" is ["a", 1], a list of texts was expected'),
        ({"versions": {"a": 1}}, 'm.json: "versions" is {"a": 1}, an object of texts was expected'),
        ({"parent": 1}, 'm.json: "parent" is 1, a text or null was expected'),
        ({"files": {"a": 1}}, 'm.json: "files" is {"a": 1}, an object of texts was expected'),
        (
            {"seed": "drop", "sead": 1, "size": None},
            'm.json: "seed" is missing; "sead" is unknown; "size" is null, a text was expected',
        ),
    ],
)
def test_manifest_is_strict(changes, message):
    assert manifest_error(**changes) == message


def test_long_values_are_cut():
    assert manifest_error(seed="x" * 99) == (
        f'm.json: "seed" is "{"x" * 56}..., a whole number was expected'
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "m.json is not valid JSON: Expecting value: line 1 column 1 (char 0)"),
        (b"\xff", "m.json is not valid JSON: "),
        ("[" * 100_000, "m.json is not valid JSON: "),
        ("[1]", "m.json holds [1], a JSON object was expected"),
    ],
)
def test_manifest_that_is_none(text, message):
    assert error_of(Manifest.from_json, text, "m.json").startswith(message)


def test_library_versions():
    versions = library_versions()
    assert versions["python"] == ".".join(map(str, sys.version_info[:3]))
    assert versions["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert sorted(versions) == [
        "fastai",
        "numpy",
        "python",
        "safetensors",
        "sentencepiece",
        "spacy",
        "torch",
        "ulmfit",
    ]
    assert all(isinstance(version, str) for version in versions.values())


def test_library_that_is_absent(monkeypatch):
    monkeypatch.setattr("ulmfit.artifacts.manifest.LIBRARIES", ("no-such-library",))
    assert library_versions()["no-such-library"] == "not installed"
