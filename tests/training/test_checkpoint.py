"""Checkpoints: what comes back, what is refused, and in which words."""

import json
from pathlib import Path

import pytest
import torch
from fastai.optimizer import Adam
from safetensors import safe_open
from safetensors.torch import save
from tiny_models import refuses

from ulmfit.base.atomic import atomic_write
from ulmfit.base.errors import UserError
from ulmfit.training.checkpoint import (
    checkpoint_path,
    discard_checkpoint,
    optimizer_state,
    random_state,
    read_checkpoint,
    restore_optimizer,
    restore_random_state,
    write_checkpoint,
)

RUN = {"settings": {"lr": 0.1, "steps": [{"epochs": 1}]}, "data": "d1", "parent": None}
FACTS = {"run": RUN, "epoch": 2, "pct_train": 1 / 3, "loss": float("nan")}


def written(tmp_path, **changes):
    path = tmp_path / "m.checkpoint"
    tensors = {"w": torch.arange(6.0).view(2, 3).t(), "half": torch.ones(2, dtype=torch.bfloat16)}
    write_checkpoint(path, tensors | {"tied": tensors["w"]}, FACTS | changes)
    return path


def test_lies_beside_the_model(tmp_path):
    assert checkpoint_path(tmp_path / "lm-fwd") == tmp_path / "lm-fwd.checkpoint"
    assert checkpoint_path(tmp_path / "v1.5") == tmp_path / "v1.5.checkpoint"


@pytest.mark.parametrize("out", [".", "", "new/..", "../m", "../m/"])
def test_lies_beside_a_model_that_is_named_by_its_place(tmp_path, monkeypatch, out):
    (tmp_path / "m" / "new").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "m")
    assert checkpoint_path(Path(out)).resolve() == tmp_path / "m.checkpoint"


def test_tied_weights_are_written_once(tmp_path):
    weight = torch.nn.Parameter(torch.arange(6.0))
    tensors = {"a": weight, "b": weight.data, "c": weight[:3], "d": weight.detach().clone()}
    tensors |= {"e": weight.view(2, 3), "f": torch.empty(0), "g": torch.empty(0)}
    write_checkpoint(tmp_path / "c", tensors, {"run": {}})
    with safe_open(str(tmp_path / "c"), framework="pt") as file:
        assert sorted(file.keys()) == ["a", "c", "d", "e", "f"]
    read, _ = read_checkpoint(tmp_path / "c", {})
    assert read.keys() == tensors.keys()
    assert all(torch.equal(read[name], tensor) for name, tensor in tensors.items())


def test_checkpoint_of_an_earlier_version(tmp_path):
    atomic_write(tmp_path / "c", save({"w": torch.ones(2)}, {"facts": json.dumps({"run": {}})}))
    tensors, facts = read_checkpoint(tmp_path / "c", {})
    assert (tensors["w"].tolist(), facts) == ([1.0, 1.0], {"run": {}})


def test_round_trip(tmp_path):
    path = written(tmp_path)
    tensors, facts = read_checkpoint(path, RUN)
    assert torch.equal(tensors["w"], torch.arange(6.0).view(2, 3).t())
    assert torch.equal(tensors["tied"], tensors["w"])
    assert tensors["half"].dtype == torch.bfloat16
    assert facts["pct_train"] == 1 / 3
    assert facts["loss"] != facts["loss"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.checkpoint"]


def test_holds_no_pickle(tmp_path):
    with safe_open(str(written(tmp_path)), framework="pt") as file:
        assert json.loads(file.metadata()["facts"])["run"] == RUN


def test_none_yet_and_none_any_more(tmp_path):
    assert read_checkpoint(tmp_path / "m.checkpoint", RUN) is None
    path = written(tmp_path)
    discard_checkpoint(path)
    discard_checkpoint(path)
    assert list(tmp_path.iterdir()) == []


def test_one_that_cannot_be_removed(tmp_path):
    (tmp_path / "m.checkpoint").mkdir()
    with pytest.raises(UserError) as caught:
        discard_checkpoint(tmp_path / "m.checkpoint")
    assert str(caught.value).startswith(f"cannot remove {tmp_path / 'm.checkpoint'}: ")


def test_settings_are_compared_as_json(tmp_path):
    path = written(tmp_path)
    assert read_checkpoint(path, {**RUN, "settings": {"lr": 0.1, "steps": ({"epochs": 1},)}})


@pytest.mark.parametrize(
    ("changes", "different"),
    [
        ({"data": "d2"}, "data"),
        ({"parent": "p", "direction": "backward"}, "direction, parent"),
        ({"settings": {"lr": 0.2, "steps": []}}, "setting lr, setting steps"),
    ],
)
def test_other_run_is_refused(tmp_path, changes, different):
    path = written(tmp_path)
    with refuses(
        f"the checkpoint {path} is of another run (other {different}); give the same command to "
        "go on with it, or --overwrite to start afresh"
    ):
        read_checkpoint(path, RUN | changes)
    assert read_checkpoint(path, RUN | changes, afresh=True) is None
    assert path.exists()


@pytest.mark.parametrize("damage", ["empty", "cut", "text", "facts", "folder"])
def test_damaged(tmp_path, damage):
    path = written(tmp_path)
    content = path.read_bytes()
    if damage == "folder":
        path.unlink()
        path.mkdir()
    elif damage == "facts":
        write_checkpoint(path, {}, {"step": 1})
    else:
        path.write_bytes({"empty": b"", "cut": content[:-9], "text": b"x" * 99}[damage])
    with pytest.raises(UserError) as caught:
        read_checkpoint(path, RUN)
    line = str(caught.value)
    assert line.startswith(f"the checkpoint {path} cannot be read (")
    assert line.endswith("); delete it to start afresh")
    assert "\n" not in line
    assert read_checkpoint(path, RUN, afresh=True) is None


def small_model():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 1))


def trained(model, opt, times):
    for _ in range(times):
        model(torch.ones(4, 3)).sum().backward()
        opt.step()
        opt.zero_grad()


def optimizer(model):
    return Adam([list(model[0].parameters()), list(model[1].parameters())], lr=[0.1, 0.2])


def test_optimizer_round_trip(tmp_path):
    model = small_model()
    opt = optimizer(model)
    trained(model, opt, 3)
    tensors, facts = optimizer_state(opt)
    write_checkpoint(tmp_path / "c", tensors | model.state_dict(), {"run": {}, "opt": facts})
    trained(model, opt, 2)
    tensors, facts = read_checkpoint(tmp_path / "c", {})
    again = small_model()
    again.load_state_dict({k: v for k, v in tensors.items() if not k.startswith("opt.")})
    other = optimizer(again)
    other.set_hypers(lr=9.0)
    restore_optimizer(other, tensors, facts["opt"])
    assert [h["lr"] for h in other.hypers] == [0.1, 0.2]
    trained(again, other, 2)
    assert all(
        torch.equal(a, b)
        for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True)
    )


def test_random_state_round_trip(tmp_path):
    write_checkpoint(tmp_path / "c", random_state(), {"run": {}})
    expected = torch.rand(5)
    torch.rand(3)
    restore_random_state(read_checkpoint(tmp_path / "c", {})[0])
    assert torch.equal(torch.rand(5), expected)
