"""What the package logs: printed by commands, silent from Python, there for anybody's handlers."""

import io
import logging
import os
import subprocess
import sys
from pathlib import Path

import ulmfit
from ulmfit.base.clock import bars_shown
from ulmfit.base.log import logger, quiet, show_progress


def test_nothing_is_printed_unless_it_is_asked_for(as_imported, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    logger.info("a line")
    logger.warning("warning: a line")
    assert not bars_shown()
    assert capsys.readouterr() == ("", "")


def test_show_progress_prints_plain_lines_once(as_imported, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    ulmfit.show_progress()
    show_progress()
    assert bars_shown()
    logger.info("100 % {of} it")
    logger.warning("warning: a line")
    assert capsys.readouterr() == ("100 % {of} it\nwarning: a line\n", "")


def test_lines_go_to_the_standard_output_of_the_moment_and_at_once(monkeypatch):
    flushed = []

    class Output(io.StringIO):
        def flush(self):
            flushed.append(self.getvalue())

    monkeypatch.setattr(sys, "stdout", Output())
    logger.info("a")
    logger.info("b")
    assert flushed == ["a\n", "a\nb\n"]


def test_handlers_of_the_caller_get_the_lines(as_imported, caplog, capsys):
    with caplog.at_level(logging.INFO):
        logger.info("a line")
        assert bars_shown() == sys.stderr.isatty()
    assert caplog.record_tuples == [("ulmfit", logging.INFO, "a line")]
    assert capsys.readouterr().out == ""


def test_quiet_drops_lines_and_ends(told, capsys):
    with quiet():
        with quiet():
            logger.info("a")
        logger.warning("b")
    logger.info("c")
    assert told == ["c"]
    assert capsys.readouterr().out == "c\n"


ONCE = """
import logging
from ulmfit.base.cli import run_command
from ulmfit.base.errors import Stopped
from ulmfit.base.log import logger
def command():
    "A command."
    logging.basicConfig(level=logging.INFO)  # as libraries do
    logger.info("a line")
    raise Stopped("time is up")
run_command(command)
"""


def test_a_command_prints_each_line_once(tmp_path):
    script = tmp_path / "once.py"
    script.write_text(ONCE)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env=environment
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "a line\ntime is up\n", "")
