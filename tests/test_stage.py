"""The frame of the stages: what names data, and where a model goes."""

from dataclasses import asdict

import numpy as np
from tiny_stages import stage1, write_general

from ulmfit.artifacts import read_artifact
from ulmfit.settings import LMSettings, Step
from ulmfit.stage import fingerprint, identity


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


def test_identity_names_what_is_not_at_its_default():
    step = Step(1, 0.01)
    run = identity(LMSettings(seed=7, steps=[step]), True, "d1", None)
    assert run["settings"] == {"seed": 7, "steps": [asdict(step)]}
    assert (run["direction"], run["data"], run["parent"]) == ("backward", "d1", None)
