"""Shell completion for the command `ulmfit`, by shtab."""

from argparse import ArgumentParser
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated

from ulmfit.base.cli import command_parser
from ulmfit.base.errors import UserError
from ulmfit.base.log import show_result
from ulmfit.command import VERBS

SHELLS = ("bash", "zsh", "fish")


def main(
    shell: Annotated[str, {"choices": SHELLS}],  # the shell that reads the script
) -> str:
    """Print the script that completes verbs, flags and files of `ulmfit` in a shell.

    bash reads ~/.local/share/bash-completion/completions/ulmfit, fish reads
    ~/.config/fish/completions/ulmfit.fish, and zsh a file _ulmfit in a folder of its fpath. Returns
    the script.
    """
    if find_spec("shtab") is None:
        raise UserError("completion needs shtab; pip install 'ulmfit[completion]' installs it")
    import shtab

    script = shtab.complete(_parser(shtab.FILE), shell)
    show_result(script)
    return script


def _parser(file: dict[str, str]) -> ArgumentParser:
    """A parser of all verbs; every text argument is completed as a `file`."""
    parser = ArgumentParser("ulmfit", description="text classification on a laptop")
    parser.add_argument("--version", action="version", help="print the version")
    verbs = parser.add_subparsers()
    for name, verb in VERBS.items():
        func = import_module(f"ulmfit.{verb.module}").main
        own = command_parser(func, f"ulmfit {name}", verb.positional)
        for action in own._actions:
            if action.type in (str, None) and action.nargs != 0 and not action.choices:
                action.complete = file  # type: ignore[attr-defined]
        verbs.add_parser(name, parents=[own], add_help=False, help=verb.about)
    return parser
