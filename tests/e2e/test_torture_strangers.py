"""A short form of torture/strangers.py: every attack some times, and proof that it can fail."""

import pytest
import torch

from torture import strangers
from torture.hostile.attacks import ATTACKS
from ulmfit.artifacts import config, trained
from ulmfit.artifacts import directory as artifacts
from ulmfit.text import processor as text

BY_NAME = {attack.what: attack for attack in ATTACKS}
TRIES = 4


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    torch.set_num_threads(1)
    folder = strangers.write_models(tmp_path_factory.mktemp("strangers") / "base")
    for kind in folder.iterdir():
        assert strangers.outcome(kind) == ("valid", "")
    return folder


def attacked(base, what, tries=TRIES):
    return strangers.attacked(BY_NAME[what], tries, 0, base, base.parent)


@pytest.mark.parametrize("what", BY_NAME)
def test_is_refused_or_harmless(base, what):
    row = attacked(base, what)
    assert row.clean, row.told
    assert row.tried == TRIES


def failed(row):
    return row.crashed + row.let_in > 0


def test_without_the_hashes_it_fails(base, monkeypatch):
    monkeypatch.setattr(artifacts, "_verify", lambda path, manifest: None)
    assert failed(attacked(base, "files changed under their hashes", 12))


def test_without_a_check_of_links_it_fails(base, monkeypatch):
    monkeypatch.setattr(artifacts, "check_present", lambda path, name: None)
    assert failed(attacked(base, "links, pipes, devices, endless files", 12))


def test_without_a_check_of_sizes_it_fails(base, monkeypatch):
    def unchecked(artifact):
        return artifact.manifest.config.encoder

    monkeypatch.setattr(trained, "trained_config", unchecked)
    monkeypatch.setattr(
        config, "_numbers", lambda found, names, where: {n: found[n] for n in names}
    )
    assert failed(attacked(base, "manifest.json: sizes that are not the weights'", 12))


def test_without_a_check_of_the_vocabulary_it_fails(base, monkeypatch):
    monkeypatch.setattr(text, "has_control", lambda token: False)
    assert failed(attacked(base, "vocab.txt: doubles, control characters", 12))


def test_what_hangs_or_dies_is_counted(base, monkeypatch):
    def hangs(path):
        while True:
            pass

    monkeypatch.setattr(strangers, "SECONDS", 0.2)
    monkeypatch.setattr(strangers, "problem", hangs)
    row = attacked(base, "history.csv: odd cells", 2)
    assert (row.crashed, row.lost, row.let_in) == (2, 0, 0)
    assert row.told[0].endswith("SIGPROF")
