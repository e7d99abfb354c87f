"""An ensemble's directory: what it holds, and which ones are refused, each in one line."""

import json
import re
import shutil

import pytest
from tiny_ensembles import change_ensemble, write_members, write_tiny_ensemble, write_tiny_linear
from tiny_models import refuses

from ulmfit.artifacts.directory import read_artifact
from ulmfit.artifacts.ensemble import (
    check_ensemble_output,
    read_ensemble,
    store_ensemble_temperature,
    write_ensemble,
)
from ulmfit.base.errors import UserError
from ulmfit.inference.ensemble import Classifier


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_tiny_ensemble(tmp_path_factory.mktemp("ensemble") / "clf")


@pytest.fixture
def path(written, tmp_path):
    return shutil.copytree(written, tmp_path / "clf")


def test_it_holds_all_that_it_names(path):
    found = read_ensemble(path)
    assert [member.name for member in found.members] == ["fwd", "bwd", "nb", "tfidf"]
    assert [member.weight for member in found.members] == pytest.approx([0.4, 0.3, 0.2, 0.1])
    assert (found.temperature, found.labels) == (1.5, ["neg", "pos"])
    expected = {"README.md", "bwd", "ensemble.json", "fwd", "metrics.json", "nb", "tfidf"}
    assert {entry.name for entry in path.iterdir()} == expected
    store_ensemble_temperature(found, 2.0)
    assert read_ensemble(path).temperature == 2.0


def member(path, n=0, **changes):
    """The members of ``ensemble.json`` with changes to one."""
    members = json.loads((path / "ensemble.json").read_text())["members"]
    members[n] |= changes
    return members


@pytest.mark.parametrize("name", ["../../etc", "/etc", "..", ".", "", "a/b", "a\\b", "\n", 1])
def test_members_that_lead_elsewhere(path, name):
    change_ensemble(path, members=member(path, name=name))
    with refuses(
        f'{path / "ensemble.json"}: "members" names {json.dumps(name)}, a sub-directory\'s plain '
        "name was expected; copy the ensemble or train it again"
    ):
        Classifier.load(path)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"members": []}, '"members" is 0 members, a list of 1 to 16 was expected'),
        ({"members": "fwd"}, '"members" is "fwd", a list of 1 to 16 was expected'),
        ({"members": [{}] * 10_000}, '"members" is 10,000 members, a list of 1 to 16 was'),
        ({"members": [1]}, '"members" has 1, name, manifest_sha256, weight were expected'),
        ({"members": [{"name": "fwd"}]}, '"members" has {"name": "fwd"}, name, manifest_sha256'),
        ({"labels": [1]}, '"labels" is [1], a list of texts was expected'),
        ({"temperature": 0}, '"temperature" is 0, a finite number above 0 was expected'),
        ({"temperature": "1"}, '"temperature" is "1", a finite number above 0 was expected'),
        ({"metrics": 1}, '"metrics" is 1, an object was expected'),
        ({"format_version": 2}, "format version 2, this program reads version 1; update"),
        ({"format_version": None}, "format version null, this program reads version 1"),
    ],
)
def test_odd_files(path, changes, line):
    change_ensemble(path, **changes)
    with pytest.raises(UserError, match=re.escape(f"{path / 'ensemble.json'}: {line}")):
        read_ensemble(path)


@pytest.mark.parametrize(
    ("weight", "line"),
    [
        (-0.1, "the weight of fwd is -0.1, a number above 0 was expected"),
        (True, "the weight of fwd is true, a number above 0 was expected"),
        (1.5, "the weight of fwd is 1.5, a number above 0 was expected"),
        (0.9, "the weights sum to 1.5, not to 1"),
    ],
)
def test_odd_weights(path, weight, line):
    change_ensemble(path, members=member(path, weight=weight))
    with refuses(f"{path / 'ensemble.json'}: {line}; copy the ensemble or train it again"):
        read_ensemble(path)


def test_what_is_no_json(path):
    file = path / "ensemble.json"
    text = file.read_text()
    file.write_text(text.replace("0.4", "NaN", 1))
    with refuses(f"{file} is not valid JSON: NaN is no number"):
        read_ensemble(path)
    file.write_text("[]")
    with refuses(f"{file} holds no JSON object; copy the ensemble or train it again"):
        read_ensemble(path)
    file.write_text(" " * (2 << 20))
    with pytest.raises(UserError, match="has 2,097,152 bytes, expected 1,048,576 at most"):
        read_ensemble(path)


def test_members_that_are_not_those_that_were_named(path, tmp_path):
    again = "copy the ensemble or train it again"
    change_ensemble(path, members=member(path, name="bwd"))
    with refuses(f'{path / "ensemble.json"}: "members" names bwd twice; {again}'):
        read_ensemble(path)
    change_ensemble(path, members=member(path, name="gone"))
    with pytest.raises(UserError, match="gone does not exist; ulmfit train writes classifiers"):
        read_ensemble(path)
    change_ensemble(path, members=member(path, name="fwd", manifest_sha256="00"))
    with refuses(
        f"{path / 'fwd'} is not the member that ensemble.json names: its manifest.json was "
        f"altered; {again}"
    ):
        read_ensemble(path)


def test_labels_of_its_own(path):
    change_ensemble(path, labels=["pos", "neg"])
    with refuses(
        f"{path / 'fwd'} has the labels neg, pos, ensemble.json has pos, neg; copy the ensemble or "
        "train it again"
    ):
        read_ensemble(path)


def test_a_member_within_a_member(path):
    """An ensemble is no member, so that none can hold itself."""
    shutil.copytree(path, path / "deeper")
    change_ensemble(path, members=member(path, name="deeper"))
    with refuses(
        f"{path / 'deeper'} is incomplete: manifest.json is missing; copy or train the model again"
    ):
        read_ensemble(path)


def test_links(path, tmp_path):
    shutil.move(path / "fwd", tmp_path / "elsewhere")
    (path / "fwd").symlink_to(tmp_path / "elsewhere")
    with refuses(
        f"{path / 'fwd'} is a link, a member's directory was expected; copy the ensemble or train "
        "it again"
    ):
        read_ensemble(path)
    shutil.move(path / "ensemble.json", tmp_path / "ensemble.json")
    (path / "ensemble.json").symlink_to(tmp_path / "ensemble.json")
    with refuses(f"{path / 'ensemble.json'} is a link that leads out of the model directory"):
        read_ensemble(path)


def test_what_is_altered_is_found(path):
    file = path / "nb" / "ngrams.txt"
    file.write_text(file.read_text() + "more\n")
    with refuses(
        f"{file} was altered: its sha256 is not the one in manifest.json; copy or train the model "
        "again"
    ):
        Classifier.load(path)


def test_given_alone(path, written):
    with refuses(
        f"{path} is an ensemble, and 2 directories were given; give an ensemble alone, or its "
        "members' directories"
    ):
        Classifier.load(path, path / "fwd")


def test_members_of_other_data_make_none(tmp_path):
    members = write_members(tmp_path)
    members["nb"] = read_artifact(write_tiny_linear(tmp_path / "other", data_fingerprint="d2"))
    with pytest.raises(UserError, match="make no ensemble: data d1 against d2"):
        write_ensemble(tmp_path / "clf", members, [0.25] * 4)
    assert not (tmp_path / "clf").exists()


def test_output(path, tmp_path):
    check_ensemble_output(tmp_path / "new", False)
    check_ensemble_output(path, True)
    with refuses(f"{path} already holds an ensemble; choose another --out"):
        check_ensemble_output(path, False)
    (path / "notes.txt").write_text("mine")
    with refuses(
        f"{path} holds what is no part of an ensemble (notes.txt) and is left alone; choose "
        "another --out"
    ):
        check_ensemble_output(path, True)
