"""The frame of the stages: what names data, and where a model goes."""

from dataclasses import asdict

import numpy as np
import pytest
from tiny_models import refuses
from tiny_stages import stage1, write_general

from ulmfit.artifacts.directory import read_artifact
from ulmfit.data.fingerprints import fingerprint
from ulmfit.training import stage
from ulmfit.training.settings import LMSettings, Step
from ulmfit.training.stage import identity


def ctrl_c(*arguments):
    raise KeyboardInterrupt


def test_fingerprint_tells_arrays_and_plain_values_apart():
    ids = np.arange(6, dtype=np.uint16)
    parts = [
        [ids],
        [ids, ids],
        [ids[::-1]],
        [ids[:3], ids[3:]],
        [ids[:2], ids[2:]],
        [ids.astype(np.uint32)],
        [ids.reshape(2, 3)],
        [ids[:0]],
        [ids.tolist()],
        ["a", 1, None],
        [],
    ]
    assert len({fingerprint(part) for part in parts}) == len(parts)


def test_fingerprint_depends_on_values_alone(tmp_path):
    ids = np.arange(6, dtype=np.uint16)
    np.save(tmp_path / "ids.npy", ids)
    strided = np.repeat(ids, 2)[::2]
    for same in (ids.copy(), strided, np.load(tmp_path / "ids.npy", mmap_mode="r")):
        assert fingerprint([same]) == fingerprint([ids])


def test_model_takes_the_place_of_the_current_folder(tmp_path, monkeypatch):
    corpus = write_general(tmp_path / "general.csv")
    (tmp_path / "m").mkdir()
    monkeypatch.setenv("ULMFIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path / "m")
    stage1(corpus, ".")
    assert read_artifact(tmp_path / "m").manifest.kind == "lm"
    assert '"seconds"' in (tmp_path / "m" / "metrics.json").read_text()
    assert not (tmp_path / "m.checkpoint").exists()


@pytest.mark.parametrize("minutes", [-1, float("nan")])
def test_minutes_between_checkpoints(tmp_path, minutes):
    with refuses(f"found --checkpoint-minutes {minutes}, expected 0 or more"):
        stage1(tmp_path / "no.csv", tmp_path / "m", checkpoint_minutes=minutes)
    assert list(tmp_path.iterdir()) == []


def test_more_checkpoints_are_the_same_run(tmp_path, monkeypatch):
    """Another --checkpoint-minutes goes on with the checkpoint, and gives the same weights."""
    corpus = write_general(tmp_path / "general.csv")
    monkeypatch.setenv("ULMFIT_CACHE", str(tmp_path / "cache"))
    steps = [{"epochs": 1, "lr": 0.02}]
    whole = stage1(corpus, tmp_path / "whole", steps=steps)
    with monkeypatch.context() as patch:
        patch.setattr(stage, "save", ctrl_c)
        with pytest.raises(KeyboardInterrupt, match=r"^the same command goes on from "):
            stage1(corpus, tmp_path / "m", steps=steps, checkpoint_minutes=0)
    again = stage1(corpus, tmp_path / "m", steps=steps, checkpoint_minutes=90)
    ours, theirs = (read_artifact(made.path).manifest for made in (again, whole))
    assert ours == theirs


def test_identity_names_what_is_not_at_its_default():
    step = Step(1, 0.01)
    run = identity(LMSettings(seed=7, steps=[step]), True, "d1", None)
    assert run["settings"] == {"seed": 7, "steps": [asdict(step)]}
    assert (run["direction"], run["data"], run["parent"]) == ("backward", "d1", None)
