"""Untrusted files: what is refused before anything is allocated, and in which words."""

import json
import os
import struct

import pytest
from tiny_models import refuses, write_classifier, write_lm

from ulmfit.artifacts.directory import read_artifact, read_metrics
from ulmfit.artifacts.trained import load_network
from ulmfit.artifacts.weights import read_headers, read_tensors
from ulmfit.base.errors import UserError
from ulmfit.base.printable import visible
from ulmfit.base.untrusted import file_sha256, parse_json, read_bounded

COPY = "copy or train the model again"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[1, NaN]", "NaN is no number"),
        ('{"a": -Infinity}', "-Infinity is no number"),
        ("1e999", "a number is beyond what 64 bits hold"),
        (str(2**63), "a number is beyond what 64 bits hold"),
        ('{"a": {"b": 1, "c": 2, "b": 3}}', 'the key "b" stands twice in one object'),
        ("[" * 33 + "]" * 33, "it is nested deeper than 32 levels"),
        ("[" * 100_000, "it is nested too deeply"),
        (r'["\ud800"]', "a text has half a surrogate pair"),
        (r'{"\udfff": 1}', "a text has half a surrogate pair"),
        ("", "Expecting value: line 1 column 1 (char 0)"),
    ],
)
def test_json_that_is_odd(text, reason):
    with refuses(f"x.json is not valid JSON: {reason}"):
        parse_json(text.encode(), "x.json")


def test_json_that_is_not():
    text = '{"a": [1, -2.5, true, null, "\U0001f600"], "b": {"a": 9223372036854775807}}'
    assert parse_json(text, "x") == json.loads(text)
    assert parse_json("[" * 32 + "]" * 32, "x")


def test_what_is_no_file_or_too_large(tmp_path):
    pipe, large = tmp_path / "pipe", tmp_path / "large"
    os.mkfifo(pipe)
    for odd in (pipe, tmp_path, "/dev/zero"):
        with refuses(f"{odd} is no regular file; {COPY}"):
            read_bounded(tmp_path / odd, 10)
    with large.open("wb") as file:
        file.truncate(1 << 40)  # takes no room on the disk
    with refuses(f"{large} has 1,099,511,627,776 bytes, expected 10 at most; {COPY}"):
        read_bounded(large, 10)


@pytest.mark.parametrize(
    ("header", "data", "reason"),
    [
        (1 << 40, b"", "its header would have 1,099,511,627,776 bytes"),
        ([], b"", "its header is no JSON object"),
        ({"w": 1}, b"", "weight w has type None, expected F64, F32, F16, BF16, I64"),
        ({"w": {"dtype": "I8", "shape": [1]}}, b"x", "weight w has type I8, expected F64, F32,"),
        ({"w": {"dtype": "F32", "shape": [-1]}}, b"", "weight w has no shape"),
        ({"w": {"dtype": "F32", "shape": [1] * 9}}, b"1234", "weight w has no shape"),
        ({"w": {"dtype": "F32", "shape": [2]}}, b"1234", "4 bytes of tensors, its header says 8"),
        ({"w": {"dtype": "F16", "shape": [2**40, 2**20]}}, b"", "0 bytes of tensors, its header"),
    ],
)
def test_headers_that_are_odd(tmp_path, header, data, reason):
    file = tmp_path / "x.safetensors"
    text = b"" if isinstance(header, int) else json.dumps(header).encode()
    length = header if isinstance(header, int) else len(text)
    file.write_bytes(struct.pack("<Q", length) + text + data)
    with pytest.raises(UserError) as caught:
        read_headers(file)
    assert str(caught.value).startswith(f"{file} holds no safetensors: {reason}")


def test_weights_that_are_no_numbers(tmp_path):
    file = tmp_path / "x.safetensors"
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    text = json.dumps({"w": entry}).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + struct.pack("<2f", 1, float("nan")))
    with refuses(f"{file}: weight w has numbers that are not finite; {COPY}"):
        read_tensors(file)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return write_lm(folder / "lm"), write_classifier(folder / "clf")


def changed(path, **config):
    manifest = json.loads((path / "manifest.json").read_text())
    before = dict(manifest["config"])
    manifest["config"] |= config
    (path / "manifest.json").write_text(json.dumps(manifest))
    try:
        return read_artifact(path)
    finally:
        manifest["config"] = before
        (path / "manifest.json").write_text(json.dumps(manifest))


def test_sizes_that_are_not_the_weights(written):
    lm, clf = written
    with refuses(
        f"{lm}: found n_hid 1000000000000 in the manifest's config, expected 16,777,216 at most; "
        f"{COPY}"
    ):
        load_network(changed(lm, n_hid=10**12))
    with refuses(f"{lm}: found n_layers 65 in the manifest's config, expected 64 at most; {COPY}"):
        load_network(changed(lm, n_layers=65))
    words = len(read_artifact(clf).processor().vocab)
    with refuses(
        f"{clf}: weight embedding.weight has shape ({words}, 24), expected ({words}, 10000000): "
        f"size or vocabulary differ; {COPY}"
    ):
        load_network(changed(clf, emb_sz=10**7))


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (["a", "a"], '"labels" has "a" more than once'),
        (["a", " "], '"labels" has " ", a line that can be shown was expected'),
        (["a", "b\n"], '"labels" has "b\\n", a line that can be shown was expected'),
        (["\u202ea", "b"], '"labels" has "\ufffda", a line that can be shown was expected'),
        (["\x1b[1m", "b"], '"labels" has "\\u001b[1m", a line that can be shown was expected'),
        ([], '"labels" is [], those of a classifier were expected'),
    ],
)
def test_labels(written, tmp_path, labels, found):
    manifest = json.loads((written[1] / "manifest.json").read_text()) | {"labels": labels}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with refuses(f"{tmp_path / 'manifest.json'}: {found}"):
        read_artifact(tmp_path)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"seed": -1}, '"seed" is -1, a number from 0 on was expected'),
        ({"recipe": {"data": 1}}, 'the recipe\'s "data" is 1, a text was expected'),
        (
            {"recipe": {"labels": -2}},
            'the recipe\'s "labels" is -2, a number from 0 on was expected',
        ),
    ],
)
def test_what_commands_read_out_of_a_manifest(written, tmp_path, changes, found):
    manifest = json.loads((written[1] / "manifest.json").read_text()) | changes
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with refuses(f"{tmp_path / 'manifest.json'}: {found}"):
        read_artifact(tmp_path)


def test_files_that_no_model_has(written):
    lm = written[0]
    manifest = json.loads((lm / "manifest.json").read_text())
    (lm / "run.py").write_text("print()")
    more = {**manifest["files"], "run.py": file_sha256(lm / "run.py")}
    (lm / "manifest.json").write_text(json.dumps(manifest | {"files": more}))
    with refuses(
        f'{lm / "manifest.json"}: "files" names run.py, expected none but README.md, '
        "encoder.safetensors, head.safetensors, history.csv, history.png, processor.json, "
        "seen.bin, spm.model, vocab.txt"
    ):
        read_artifact(lm)
    (lm / "manifest.json").write_text(json.dumps(manifest))


def test_metrics_that_lie_elsewhere(written, tmp_path):
    clf = written[1]
    (tmp_path / "secret.json").write_text("{}")
    kept = (clf / "metrics.json").rename(tmp_path / "metrics.json")
    (clf / "metrics.json").symlink_to(tmp_path / "secret.json")
    with refuses(f"{clf / 'metrics.json'} is a link that leads out of the model directory"):
        read_metrics(clf)
    kept.replace(clf / "metrics.json")


def test_nothing_that_is_shown_steers_a_terminal():
    assert (
        visible("a\tb\nc \x1b[2J\x9b\r\u202e\ud800") == "a\tb\nc \ufffd[2J\ufffd\ufffd\ufffd\ufffd"
    )
    assert visible("שלום 👩‍👩‍👧 e\u0301") == "שלום 👩‍👩‍👧 e\u0301"
    error = UserError("found \x1b]0;x\x07 " + "y" * 5000 + "; do this")
    assert str(error).startswith("found \ufffd]0;x\ufffd y")
    assert str(error).endswith("y; do this")
    assert len(str(error)) < 2100
