"""The interface at which other machines find this one."""

import os
import socket

import pytest

from ulmfit.base import interfaces
from ulmfit.base.interfaces import interface_to
from ulmfit.base.joining import INTERFACE, _choose_interface


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "nowhere.invalid", "", "x..y"])
def test_the_loopback_and_unknown_hosts_have_none(host):
    assert interface_to(host, 1) == ""


def test_an_own_address_is_found_at_its_interface():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        own = {name: interfaces._address(probe, name) for _, name in socket.if_nameindex()}
    assert own["lo"] == "127.0.0.1"
    for name, address in own.items():
        if address and name != "lo":
            assert interface_to(address, 1) == name


def test_other_systems_choose_by_themselves(monkeypatch):
    monkeypatch.setattr("sys.platform", "darwin")
    assert interface_to("10.0.0.1", 1) == ""


@pytest.mark.parametrize(
    ("given", "found", "chosen"),
    [
        ("", "eth7", "eth7"),
        ("ib0", "eth7", "ib0"),  # a user's choice stays
        ("", "", ""),  # one machine
    ],
)
def test_it_is_set_unless_a_user_has_set_it(given, found, chosen, monkeypatch):
    asked = []

    def interface(host, port):
        asked.append((host, port))
        return found

    monkeypatch.setattr("ulmfit.base.joining.interface_to", interface)
    for name, value in {"MASTER_ADDR": "10.1.2.3", "MASTER_PORT": "29500"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(INTERFACE, given)  # also what it is set to is undone
    _choose_interface()
    assert os.environ[INTERFACE] == chosen
    assert asked in ([], [("10.1.2.3", 29500)])
