"""The command `ulmfit`: its verbs, help, errors and completion."""

import re
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.metadata import EntryPoint

import pandas as pd
import pytest
from test_help import COMMANDS, PACKAGE, SLOW

from ulmfit.base.version import __version__
from ulmfit.command import VERBS, main

VERB_NAMES = list(VERBS)


@pytest.fixture
def ulmfit(capsys, monkeypatch):
    """Runs `ulmfit` with arguments; returns exit status, standard output, standard error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["/bin/ulmfit", *arguments])
        status = 0
        try:
            main()
        except SystemExit as stop:
            status = stop.code or 0
        return status, *capsys.readouterr()

    return run


def test_the_installed_command():
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    scripts = project["project"]["scripts"]
    assert list(scripts) == ["ulmfit"]
    assert EntryPoint("ulmfit", scripts["ulmfit"], "console_scripts").load() is main


def test_every_command_has_a_verb():
    modules = {f"ulmfit.{v.module}".removesuffix(".__main__") for v in VERBS.values()}
    assert modules - {"ulmfit.completion"} == set(COMMANDS)


def test_alone_it_says_what_it_is(ulmfit):
    status, out, err = ulmfit()
    assert (status, err) == (0, "")
    assert len(out.splitlines()) == 10
    assert out.startswith(f"ulmfit {__version__}: text classification")
    shown = re.findall(r"^  ulmfit (\w+)", out, re.MULTILINE)
    assert shown == ["check", "train", "predict"]
    assert "docs/tutorial.md" in out
    assert max(map(len, out.splitlines())) < 100


@pytest.mark.parametrize("verb", VERBS)
def test_several_processes_share_the_work_of_a_training_alone(verb, ulmfit, monkeypatch):
    launched = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for name, value in launched.items():
        monkeypatch.setenv(name, value)
    status, out, err = ulmfit(verb, "--no-such-flag")
    assert (status, out) == (1, "")
    if verb in ("train", "pretrain", "lm", "clf"):
        assert err.startswith("error: unrecognized arguments: --no-such-flag; ")
    else:
        assert err == (
            f"error: found 2 processes, expected one: each would do all the work of ulmfit {verb}; "
            "start it without torchrun, or without WORLD_SIZE in its environment\n"
        )


def test_version(ulmfit):
    assert ulmfit("--version") == (0, f"ulmfit {__version__}\n", "")


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_lists_the_verbs(ulmfit, flag):
    status, out, err = ulmfit(flag)
    assert (status, err) == (0, "")
    assert re.findall(r"^  (\w+)  +\w", out, re.MULTILINE) == VERB_NAMES


@pytest.mark.parametrize("verb", VERB_NAMES)
def test_help_of_a_verb(ulmfit, verb):
    status, out, err = ulmfit(verb, "--help")
    assert (status, err) == (0, "")
    assert out.startswith(f"usage: ulmfit {verb} [-h]")
    main = import_module(f"ulmfit.{VERBS[verb].module}").main
    assert main.__doc__.splitlines()[0][:40] in out


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("predcit", "did you mean predict? "),
        ("tokenise", "did you mean tokenize? "),
        ("data", "did you mean check? "),
        ("stage3_clf", "did you mean clf? "),
        ("--versoin", "did you mean --version? "),
        ("reviews.csv", ""),
        ("", ""),
    ],
)
def test_unknown_verb(ulmfit, word, hint):
    line = f"error: no verb {word!r}; {hint}ulmfit --help lists the verbs\n"
    assert ulmfit(word, "--text", "x") == (1, "", line)


def test_unknown_flag(ulmfit):
    line = (
        "error: unrecognized arguments: --txet good; did you mean --text? "
        "ulmfit predict --help lists the arguments\n"
    )
    assert ulmfit("predict", "--txet", "good") == (1, "", line)


@pytest.fixture
def reviews(tmp_path):
    rows = [("a good film", "pos"), ("a bad film", "neg")] * 6
    path = tmp_path / "reviews.csv"
    frame = pd.DataFrame(rows, columns=["text", "label"])
    frame.assign(text=[f"{text} {i}" for i, text in enumerate(frame["text"])]).to_csv(path)
    return str(path)


@pytest.mark.parametrize(
    "given", [["FILE", "--rows", "0"], ["--rows", "0", "FILE"], ["--data", "FILE"]]
)
def test_the_first_argument_is_the_data(ulmfit, reviews, given):
    status, out, err = ulmfit("check", *[reviews if word == "FILE" else word for word in given])
    assert (status, err) == (0, "")
    assert reviews in out


@pytest.mark.parametrize("verb", ["check", "train"])
def test_data_twice(ulmfit, verb):
    line = (
        "error: found data a.csv and --data b.csv, expected one of them; "
        f"ulmfit {verb} --help lists the arguments\n"
    )
    assert ulmfit(verb, "a.csv", "--data", "b.csv") == (1, "", line)


def test_train_reads_the_data(ulmfit):
    status, _, err = ulmfit("train", "--half", "nowhere.csv", "--seed", "3")
    assert status == 1
    assert err.startswith("error: no file or folder nowhere.csv, and no data set of that name")


def test_a_default_stays_without_the_argument(ulmfit, monkeypatch):
    seen = {}
    check = import_module("ulmfit.data.__main__")
    monkeypatch.setattr(
        check.DataFlags, "spec", lambda self, data, *_: seen.update(data=data) or 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        ulmfit("check")
    assert seen == {"data": "imdb-sample"}


def test_tokens(ulmfit):
    assert ulmfit("tokens", "GREAT film") == (0, "xxbos xxup great film\n", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(ulmfit, shell):
    pytest.importorskip("shtab")
    status, out, err = ulmfit("completion", shell)
    assert (status, err) == (0, "")
    assert all(re.search(rf"\b{verb}\b", out) for verb in VERB_NAMES)
    assert "text-col" in out


def test_bash_completes(ulmfit, tmp_path):
    pytest.importorskip("shtab")
    script = tmp_path / "ulmfit.bash"
    script.write_text(ulmfit("completion", "bash")[1])
    asked = (
        f'. {script}; complete_of() {{ COMP_WORDS=(ulmfit "$@"); COMP_CWORD=$#; '
        "_shtab_ulmfit 2>/dev/null; echo ${COMPREPLY[@]}; }; "
        "complete_of pre; complete_of predict --tex"
    )
    found = subprocess.run(["bash", "-c", asked], capture_output=True, text=True)
    assert found.stdout.splitlines() == ["pretrain predict", "--text --text-col"]


def test_completion_without_shtab(ulmfit, monkeypatch):
    monkeypatch.setattr("ulmfit.completion.find_spec", lambda name: None)
    line = "error: completion needs shtab; pip install 'ulmfit[completion]' installs it\n"
    assert ulmfit("completion", "bash") == (1, "", line)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["predict", "--help"], ["predcit"]])
def test_it_answers_without_slow_imports(arguments):
    code = "import sys; from ulmfit.command import main; main()"
    found = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code, *arguments],
        capture_output=True,
        text=True,
        cwd=PACKAGE.parent,
    )
    imported = {line.rpartition("|")[2].strip() for line in found.stderr.splitlines()}
    assert "ulmfit.command" in imported
    assert imported & SLOW == set()
    assert found.returncode == (arguments == ["predcit"])
