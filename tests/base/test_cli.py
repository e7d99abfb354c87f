"""Commands: exit codes, one line an error, --debug, and help that explains every flag."""

import errno
import inspect
import logging
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from importlib import import_module

import pytest

from ulmfit.base.cli import run_command, settings_flags
from ulmfit.base.clock import bars_shown
from ulmfit.base.errors import Stopped, UserError
from ulmfit.base.log import logger, output_for, show_result

COMMANDS = [
    "ulmfit.__main__",
    *(f"ulmfit.{name}" for name in ("stage1_pretrain", "stage2_lm", "stage3_clf", "generate")),
    *(f"ulmfit.{name}" for name in ("evaluate", "calibrate", "predict", "explain", "tokenize")),
    *(f"ulmfit.{name}.__main__" for name in ("report", "text", "data", "compare", "serve")),
    *(f"ulmfit.{name}" for name in ("push", "pull", "export", "verify")),
]


def run(capsys, monkeypatch, func, *arguments):
    """Exit status, standard output, standard error."""
    monkeypatch.setattr(sys, "argv", ["command", *arguments])
    status = 0
    try:
        run_command(func)
    except SystemExit as stop:
        status = stop.code or 0
    out, err = capsys.readouterr()
    return status, out, err


def command(
    name: str = "x",  # who it is
    loud: bool = False,  # shout
):
    """A command."""
    if name == "bad":
        raise UserError("the name is bad;\nchoose another")
    if name == "stop":
        raise KeyboardInterrupt
    if name == "saved":
        raise KeyboardInterrupt("saved m.checkpoint; the same command goes on from there")
    if name == "full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "m.png")
    if name == "odd":
        raise OSError("not\nnow")
    print(name.upper() if loud else name)


def test_success(capsys, monkeypatch):
    assert run(capsys, monkeypatch, command, "--name", "ada", "--loud") == (0, "ADA\n", "")


def test_bad_input_is_one_line(capsys, monkeypatch):
    expected = (1, "", "error: the name is bad; choose another\n")
    assert run(capsys, monkeypatch, command, "--name", "bad") == expected


def test_what_the_system_refuses_is_one_line(capsys, monkeypatch):
    full = (1, "", f"error: m.png: {os.strerror(errno.ENOSPC)}\n")
    assert run(capsys, monkeypatch, command, "--name", "full") == full
    assert run(capsys, monkeypatch, command, "--name", "odd") == (1, "", "error: not now\n")


PRINTS = """
from ulmfit.base.cli import run_command
def command(
    length: int = 5,  # letters
):
    "A command."
    print("x" * length)
run_command(command)
"""


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path):
    """As with `| head`."""
    script = tmp_path / "script.py"
    script.write_text(
        "from ulmfit.base.cli import run_command\n\ndef main():\n"
        "    for i in range(100_000):\n        print(i)\n\nrun_command(main)\n"
    )
    reader, writer = os.pipe()
    os.close(reader)
    told = [sys.executable, str(script)]
    done = subprocess.run(told, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
@pytest.mark.parametrize("length", ["5", "100000"])
def test_output_on_a_full_disk(length, tmp_path):
    script = tmp_path / "prints.py"  # a file: the flags are read from the source
    script.write_text(PRINTS)
    told = [sys.executable, str(script), "--length", length]
    with open("/dev/full", "w") as full:
        done = subprocess.run(told, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, f"error: {os.strerror(errno.ENOSPC)}\n")


def test_debug_shows_the_traceback(capsys, monkeypatch):
    with pytest.raises(UserError, match="the name is bad"):
        run(capsys, monkeypatch, command, "--name", "bad", "--debug")


def test_interrupt(capsys, monkeypatch):
    assert run(capsys, monkeypatch, command, "--name", "stop") == (130, "", "interrupted\n")
    assert run(capsys, monkeypatch, command, "--name", "saved") == (
        130,
        "",
        "interrupted: saved m.checkpoint; the same command goes on from there\n",
    )


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--nmae", "x"], "unrecognized arguments: --nmae x; did you mean --name?"),
        (["--nmae=--x"], "unrecognized arguments: --nmae=--x; did you mean --name?"),
        (["-name", "x"], "unrecognized arguments: -name x; did you mean --name?"),
        (
            ["--nmae", "x", "--loads"],
            "unrecognized arguments: --nmae x --loads; did you mean --name, --loud?",
        ),
        (["--other", "x"], "unrecognized arguments: --other x"),
        (["--name"], "argument --name: expected one argument"),
        (["--loud", "x"], "unrecognized arguments: x"),
    ],
)
def test_wrong_arguments(capsys, monkeypatch, arguments, line):
    end = "" if line.endswith("?") else ";"
    line = f"error: {line}{end} python -m test_cli --help lists the arguments\n"
    assert run(capsys, monkeypatch, command, *arguments) == (1, "", line)


def telling(
    end: str = "",  # how it ends
) -> dict:
    """A command."""
    logger.info("reading")
    logger.warning("warning: odd")
    show_result("42 of 50")
    print("a library's line")
    if end == "bad":
        raise UserError("it is bad")
    if end == "stopped":
        raise Stopped("saved m.checkpoint")
    return {"right": 42, "share": float("nan")}


def test_quiet_leaves_results_and_warnings(capsys, monkeypatch):
    assert run(capsys, monkeypatch, telling)[1].startswith("reading\nwarning: odd\n42 of 50\n")
    status, out, err = run(capsys, monkeypatch, telling, "--quiet")
    assert (status, out, err) == (0, "warning: odd\n42 of 50\na library's line\n", "")
    assert logger.level == logging.INFO
    assert run(capsys, monkeypatch, telling, "--quiet", "--end", "bad")[2] == "error: it is bad\n"
    assert "saved" not in run(capsys, monkeypatch, telling, "--quiet", "--end", "stopped")[1]


def test_quiet_shows_no_bars(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with output_for(quiet=False, as_json=False):
        assert bars_shown()
    with output_for(quiet=True, as_json=False):
        assert not bars_shown()


def test_json_has_standard_output_to_itself(capsys, monkeypatch):
    expected = '{"right": 42, "share": null}\n'
    lines = "reading\nwarning: odd\na library's line\n"
    assert run(capsys, monkeypatch, telling, "--json") == (0, expected, lines)
    lines = lines.removeprefix("reading\n")
    assert run(capsys, monkeypatch, telling, "--json", "--quiet") == (0, expected, lines)
    assert run(capsys, monkeypatch, telling)[1].count("42 of 50") == 1  # the next call has both
    status, out, err = run(capsys, monkeypatch, telling, "--json", "--end", "bad")
    assert (status, out, err.splitlines()[-1]) == (1, "", "error: it is bad")
    status, out, err = run(capsys, monkeypatch, telling, "--json", "--end", "stopped")
    assert (status, out) == (0, '{"stopped": "saved m.checkpoint"}\n')


def test_json_is_for_commands_with_a_result(capsys, monkeypatch):
    def endless() -> None:
        """A command."""

    assert run(capsys, monkeypatch, endless, "--quiet")[0] == 0
    assert "unrecognized arguments: --json" in run(capsys, monkeypatch, endless, "--json")[2]
    annotations = {name: inspect.signature(import_module(name).main) for name in COMMANDS}
    without = [name for name, found in annotations.items() if found.return_annotation is None]
    assert without == ["ulmfit.serve.__main__"]


@pytest.mark.parametrize("name", COMMANDS)
def test_unknown_flag_of_every_command(capsys, monkeypatch, name):
    called = name.removesuffix(".__main__")
    line = f"unrecognized arguments: --nope; python -m {called} --help lists the arguments"
    main = import_module(name).main
    assert run(capsys, monkeypatch, main, "--nope") == (1, "", f"error: {line}\n")


@pytest.mark.parametrize(
    ("name", "wrong", "meant"),
    [
        ("ulmfit.__main__", "--recpie", "--recipe"),
        ("ulmfit.stage2_lm", "--backward_", "--backwards"),
        ("ulmfit.data.__main__", "--text_col", "--text-col"),
        ("ulmfit.serve.__main__", "--prot", "--port"),
        ("ulmfit.predict", "--hlep", "--help"),
    ],
)
def test_misspelt_flag_of_a_command(capsys, monkeypatch, name, wrong, meant):
    called = f"python -m {name.removesuffix('.__main__')}"
    hint = f"did you mean {meant}? {called} --help lists the arguments"
    line = f"error: unrecognized arguments: {wrong}; {hint}\n"
    main = import_module(name).main
    assert run(capsys, monkeypatch, main, wrong) == (1, "", line)


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("ulmfit.predict", "--text, --input, --clf"),
        ("ulmfit.evaluate", "--clf, --data"),
        ("ulmfit.generate", "--lm"),
    ],
)
def test_a_value_without_its_flag(capsys, monkeypatch, name, flags):
    line = (
        f"error: unrecognized arguments: a value; a value follows its flag, such as {flags}; "
        f"python -m {name} --help lists the arguments\n"
    )
    assert run(capsys, monkeypatch, import_module(name).main, "a value") == (1, "", line)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_explains_every_flag(capsys, monkeypatch, name):
    monkeypatch.setenv("COLUMNS", "200")
    main = import_module(name).main
    status, out, err = run(capsys, monkeypatch, main, "--help")
    assert (status, err) == (0, "")
    assert inspect.getdoc(main).splitlines()[0] in out
    # "  --flag (type)   note": what stands behind two blanks or more, here or on the next line
    option = r"^  (?:-h, )?(--[a-z0-9-]+|text|model)\b.*?(?:\s{2,}|$)(.*)$"
    options = dict(re.findall(option, out, re.M))
    flags = [
        parameter
        for parameter in inspect.signature(main).parameters.values()
        if parameter.kind is not parameter.VAR_KEYWORD
    ]
    for flag in flags:
        positional = flag.kind is flag.VAR_POSITIONAL
        option = flag.name if positional else f"--{flag.name.replace('_', '-')}"
        note = options[option].strip()
        assert len(note) > 10, (option, note)
        assert not note.startswith(("None", "(default")), (option, note)
    assert {"--debug", "--quiet"} <= set(options)


def test_settings_become_flags_that_are_none_unless_given(capsys, monkeypatch):
    @dataclass
    class Base:
        seed: int = 42  # where chance begins

    @dataclass
    class Settings(Base):
        rate: float = 0.5  # how fast
        steps: list = field(default_factory=list, metadata={"flag": False})  # not a flag

    seen = {}

    @settings_flags(Settings)
    def main(
        recipe: str = "demo",  # a table
        **overrides,
    ):
        """A stage."""
        seen.update(overrides, recipe=recipe)

    assert run(capsys, monkeypatch, main, "--rate", "2")[0] == 0
    assert seen == {"recipe": "demo", "rate": 2.0, "seed": None}
    _, out, _ = run(capsys, monkeypatch, main, "--help")
    assert "where chance begins (default: the recipe's)" in out
    assert "--steps" not in out
    line = "argument --seed: invalid int value: 'x'"
    assert line in run(capsys, monkeypatch, main, "--seed", "x")[2]


def test_as_a_process():
    """The real thing once: module, exit status and error line."""
    found = subprocess.run(
        [sys.executable, "-m", "ulmfit.data", "--data", "nowhere.csv"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 1
    assert found.stdout == ""
    assert found.stderr == (
        "error: no file or folder nowhere.csv, and no data set of that name; "
        "names: imdb, imdb-sample, emotion, spanish-reviews\n"
    )
    found = subprocess.run(
        [sys.executable, "-m", "ulmfit.text", "--nope"], capture_output=True, text=True, check=False
    )
    assert found.stderr == (
        "error: unrecognized arguments: --nope; python -m ulmfit.text --help lists the arguments\n"
    )
