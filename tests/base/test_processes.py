"""What processes of one training tell each other, and how they end."""

import pytest
import torch
from tiny_groups import in_all
from tiny_models import refuses

from ulmfit.base import launch
from ulmfit.base.errors import UserError
from ulmfit.base.joining import TIMEOUT, joined
from ulmfit.base.processes import ALONE, Lost, current
from ulmfit.training.together import check_same

TORCHRUN = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "LOCAL_RANK", "LOCAL_WORLD_SIZE")


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    for name in TORCHRUN:
        monkeypatch.delenv(name, raising=False)


def test_a_process_by_itself():
    with joined() as group:
        assert group is current() is ALONE
    assert (group.first, group.sums(1, 2.5), group.exchange({"a": 1})) == (
        True,
        [1, 2.5],
        [{"a": 1}],
    )
    tensor = torch.arange(3.0)
    group.add([tensor])
    assert group.gathered(tensor) is tensor
    assert group.of_first("bytes", lambda: b"made") == b"made"
    with group.after_first("x"):
        group.say("nobody hears it")


def test_a_process_alone_under_torchrun_is_by_itself(monkeypatch):
    for name, value in zip(TORCHRUN, ("0", "1", "here", "29500", "0", "1"), strict=True):
        monkeypatch.setenv(name, value)
    assert not launch.launched()
    with joined() as group:
        assert group is ALONE


def test_what_torchrun_says(monkeypatch):
    for name, value in zip(TORCHRUN, ("3", "4", "there", "29500", "1", "2"), strict=True):
        monkeypatch.setenv(name, value)
    assert launch.launched()
    assert (launch.rank(), launch.world_size()) == (3, 4)
    assert (launch.local_rank(), launch.local_world_size()) == (1, 2)


@pytest.mark.parametrize("seconds", ["soon", "0", "-1", "inf"])
def test_bad_timeout(monkeypatch, seconds):
    for name, value in zip(TORCHRUN, ("1", "2", "127.0.0.1", "1", "1", "2"), strict=True):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(TIMEOUT, seconds)
    with (
        refuses(f"found ULMFIT_TIMEOUT={seconds}, expected seconds to wait for another process"),
        joined(),
    ):
        pass


def test_an_address_that_does_not_answer(monkeypatch):
    for name, value in zip(TORCHRUN, ("1", "2", "127.0.0.1", "1", "1", "2"), strict=True):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(TIMEOUT, "0.5")
    with pytest.raises(UserError) as caught, joined():
        pass
    line = str(caught.value)
    assert line.startswith(
        "rank 1 of 2 processes cannot reach the others at 127.0.0.1:1 within 0.5 s ("
    )


def test_processes_exchange_facts():
    found = in_all(3, lambda rank: (current().exchange(rank), current().exchange([rank, "b"])))
    assert found == [([0, 1, 2], [[0, "b"], [1, "b"], [2, "b"]])] * 3


def test_the_first_one_makes_it_once():
    made = []

    def work(rank):
        with current().after_first("tokens/1"):
            if not made:
                made.append(rank)
        return current().of_first("pieces", lambda: b"%d" % rank)

    assert in_all(3, work) == [b"0"] * 3
    assert made == [0]


def test_one_with_another_name_does_not_wait_for_ever():
    def work(rank):
        with current().after_first(f"tokens/{rank}"):
            pass
        return current().exchange(rank)

    assert in_all(2, work) == [[0, 1]] * 2


def test_the_first_one_speaks_to_all():
    def work(rank):
        if rank:
            return [current().heard(), current().heard()]
        current().say(["lm", {"a": 1}])
        current().say(None)
        return None

    assert in_all(2, work)[1] == [["lm", {"a": 1}], None]


def test_a_process_with_another_command_is_named():
    def work(rank):
        settings = {"lr": 0.1 if rank < 2 else 0.2}
        check_same({"settings": settings, "data": f"d{rank // 2}"})

    for error in in_all(3, work):
        assert str(error) == (
            "rank 2 of 3 processes has other data, setting lr than rank 0; give every process the "
            "same command, data and version"
        )


def test_a_process_that_fails_is_named_with_its_error():
    def work(rank):
        group = current()
        if rank:
            return group.leave("found no text")
        with pytest.raises(Lost) as caught:
            group.exchange("facts")
        return group.error_of(caught.value)

    assert str(in_all(2, work)[0]) == "rank 1 of 2 processes: found no text"


def test_processes_that_are_silent_are_named(monkeypatch):
    monkeypatch.setattr("ulmfit.base.processes._GRACE", 0.2)

    def work(rank):
        if rank == 2:
            return current().leave("")
        return rank or current().error_of(Lost("the connection failed"))

    assert str(in_all(4, work)[0]) == (
        "ranks 1, 3 of 4 processes have ended or do not answer; the connection failed"
    )
