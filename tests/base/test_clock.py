"""Whoever waits in front of a terminal sees that a silent command still computes."""

import io
import sys
import time

import pytest
from tqdm import tqdm

from ulmfit.base import clock
from ulmfit.base.cli import call
from ulmfit.base.clock import clock_when_silent
from ulmfit.base.log import logger, show_progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def terminal_of(monkeypatch):
    """Standard error as a terminal, with a clock that comes after a fifth of a second.

    No fixture: pytest sets standard error anew between the fixtures and the test.
    """
    show_progress()
    monkeypatch.setattr(clock, "_SILENCE", 0.2)
    monkeypatch.setattr(clock, "_TICK", 0.02)
    monkeypatch.setattr(sys, "stderr", made := Terminal())
    return made


def wait(found, seconds=10.0):
    """Wait until `found()` is true; false if it never is."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not found():
        time.sleep(0.02)
    return found()


def test_a_silent_command_shows_a_clock_that_goes_at_its_end(monkeypatch):
    terminal = terminal_of(monkeypatch)
    with clock_when_silent():
        assert wait(lambda: "working, " in terminal.getvalue())
    assert not terminal.getvalue().endswith(" s")
    assert not tqdm._instances


def test_a_line_takes_the_clock_away(monkeypatch, capsys):
    terminal_of(monkeypatch)
    with clock_when_silent():
        assert wait(lambda: tqdm._instances)
        logger.info("a line")
        assert wait(lambda: not tqdm._instances)
        assert wait(lambda: tqdm._instances), "it is silent again"
    assert capsys.readouterr().out == "a line\n"


def test_a_bar_that_is_shown_needs_no_clock(monkeypatch):
    terminal = terminal_of(monkeypatch)
    with clock_when_silent(), tqdm(total=2):
        time.sleep(0.6)
    assert "working" not in terminal.getvalue()


def test_a_bar_that_waits_for_its_first_part_does(monkeypatch):
    terminal = terminal_of(monkeypatch)
    with clock_when_silent(), tqdm(total=2, delay=60.0):
        assert wait(lambda: "working, " in terminal.getvalue())


@pytest.mark.parametrize("why", ["no terminal", "quiet"])
def test_no_clock_elsewhere(monkeypatch, why):
    terminal = terminal_of(monkeypatch)
    if why == "quiet":
        monkeypatch.setattr(clock, "logger", Off())
    else:
        monkeypatch.setattr(sys, "stderr", io.StringIO())
    with clock_when_silent():
        time.sleep(0.6)
    assert terminal.getvalue() == ""
    assert not tqdm._instances


class Off:
    """A logger that has been turned down."""

    def isEnabledFor(self, level):
        return False


def test_commands_have_the_clock_and_a_server_has_not(monkeypatch):
    terminal = terminal_of(monkeypatch)
    shown = []

    def computes() -> int:
        """A command."""
        shown.append(wait(lambda: "working, " in terminal.getvalue()))
        return 1

    def serves() -> None:
        """A server."""
        time.sleep(0.6)
        shown.append("working" in terminal.getvalue())

    call(serves, [], "serves")
    call(computes, [], "computes")
    assert shown == [False, True]
