"""From a documented function to a command: parsing, exit codes and one-line errors.

A command is a function with docments (fastcore's comments beside parameters). The same function
is the Python API.
"""

import inspect
import os
import re
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from typing import Annotated, Any, NoReturn, TypeVar, get_type_hints

from fastcore.docments import docments
from fastcore.script import anno_parser

from ulmfit.base.clock import clock_when_silent
from ulmfit.base.errors import Stopped, UserError
from ulmfit.base.launch import check_alone, local_rank, rank
from ulmfit.base.log import bars_aside, logger, output_for, show_progress
from ulmfit.base.results import to_json

F = TypeVar("F", bound=Callable[..., Any])
_POSITIONAL = "first_argument"  # its name among the parsed arguments
_GRACE = 5.0  # seconds for the first process to say its line; torchrun ends the waiting


def settings_flags(settings: type, default: str = "the recipe's") -> Callable[[F], F]:
    """Show a function's ``**overrides`` as one optional flag for each field of `settings`.

    The default of each flag is None: the recipe decides. (fastcore's `delegates` would use the
    dataclass' defaults and so hide whether a flag was given.) Fields with the metadata
    ``flag=False`` have no flag; only recipes set them.

    Args:
        default: the default in the help; '' if the notes of the fields have it.
    """

    def decorate(func: F) -> F:
        notes, kinds = field_notes(settings), get_type_hints(settings)
        signature = inspect.signature(func)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        flags = [
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=_annotation(kinds[field.name], notes[field.name], default),
            )
            for field in fields(settings)
            if field.metadata.get("flag", True)
        ]
        func.__signature__ = signature.replace(parameters=[*own, *flags])  # type: ignore[attr-defined]
        func.__annotations__.update({flag.name: flag.annotation for flag in flags})
        return func

    return decorate


def _annotation(kind: Any, note: str, default: str) -> Any:
    text = f"{note} (default: {default})" if default else note
    # fastcore adds no default of its own to "help".
    if kind == list[str]:
        return Annotated[str, text, {"help": text, "nargs": "+"}]
    return Annotated[kind, text, {"help": text}]


def field_notes(settings: type) -> dict[str, str]:
    """The note on each field of a dataclass, with inherited fields (`docments` leaves them out)."""
    notes: dict[str, str] = {}
    for base in reversed([base for base in settings.__mro__ if is_dataclass(base)]):
        notes |= {name: note for name, note in docments(base).items() if note}
    return notes


def in_processes(func: F) -> F:
    """Mark a command whose work several launched processes share; `call` refuses others to them."""
    func.in_processes = True  # type: ignore[attr-defined]
    return func


def run_command(func: Callable[..., Any]) -> None:
    """Run `func` with the arguments of the command line, as `end_in_one_line` does."""
    end_in_one_line(lambda: call(func, sys.argv[1:], _program(func)))


def end_in_one_line(command: Callable[[], None]) -> None:
    """Run a command; on an error, say it in one line and exit the process.

    Exit status: 0 on success; 1 after one line ``error: ...`` for a
    `UserError` or an OSError (with ``--debug``, the traceback); 130 on Ctrl-C; 141 without a line
    if nobody reads the output any more, as with ``| head``.
    """
    show_progress()
    logger.propagate = False  # a library's handler on the root logger would print lines twice
    try:
        command()
        sys.stdout.flush()  # reports a full disk like any other error
    except BrokenPipeError:
        _drop_unwritten()
        sys.exit(141)  # what a shell says of a command that SIGPIPE ended
    except (UserError, OSError) as error:
        if "--debug" in sys.argv[1:]:
            raise
        _drop_unwritten()
        _exit(f"error: {_line(error)}", 1)
    except KeyboardInterrupt as interrupt:
        _exit(": ".join(["interrupted", *map(str, interrupt.args)]), 130)


def _line(error: UserError | OSError) -> str:
    if isinstance(error, UserError):
        return str(error)
    reason = error.strerror or " ".join(str(error).split()) or type(error).__name__
    return f"{error.filename}: {reason}" if error.filename else reason


def _drop_unwritten() -> None:
    """Drop output that a full disk or a closed pipe refused, so that Python does not retry it."""
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _program(func: Callable[..., Any]) -> str:
    """The command line of `func`; with ``python -m``, its module has the name __main__."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    module = spec.name if func.__module__ == "__main__" and spec else func.__module__
    return f"python -m {module.removesuffix('.__main__')}"


def _exit(line: str, status: int) -> None:
    if not local_rank():  # of several processes, the others on this machine say the same
        with bars_aside():
            print(line, file=sys.stderr)  # noqa: T201
    elif status == 1:
        time.sleep(_GRACE)  # when this one ends, torchrun ends the first one, even before its line
    sys.exit(status)


def call(
    func: Callable[..., Any], given: Sequence[str], program: str, positional: str = ""
) -> None:
    """Call `func` with the arguments `given` to `program`; `positional` as in `command_parser`.

    With ``--json``, what it returns is printed as JSON; ``{"stopped": ...}`` after
    ``--stop-after``.
    """
    if not hasattr(func, "in_processes"):
        check_alone(program)
    parser = command_parser(func, program, positional)
    found, unknown = parser.parse_known_args(given)
    if unknown:
        known = ["--help", *re.findall(r"--[\w-]+", parser.format_usage())]
        flags = [word.partition("=")[0] for word in unknown if word.startswith("-")]
        hint = did_you_mean(flags, known) if flags else _flags_for_values(known)
        raise UserError(
            f"unrecognized arguments: {' '.join(unknown)}; {hint}"
            f"{program} --help lists the arguments"
        )
    arguments = vars(found)
    for internal in ("debug", "pdb", "xtra"):
        arguments.pop(internal)
    if positional:
        _join_positional(parser, arguments, positional)
    several = [
        p.name for p in inspect.signature(func).parameters.values() if p.kind is p.VAR_POSITIONAL
    ]
    quiet, as_json = arguments.pop("quiet"), arguments.pop("json", False)
    ends = inspect.signature(func).return_annotation is not None  # a server is silent for hours
    with output_for(quiet, as_json), clock_when_silent() if ends else nullcontext():
        result = _result(func, arguments.pop(several[0]) if several else (), arguments)
    if as_json and not rank():
        print(to_json(result))  # noqa: T201


def _result(func: Callable[..., Any], several: Sequence[str], arguments: dict[str, Any]) -> Any:
    """What `func` returns; that it was stopped is a result, too."""
    try:
        return func(*several, **arguments)
    except Stopped as stopped:
        logger.info(stopped)
        return {"stopped": str(stopped)}


def command_parser(func: Callable[..., Any], program: str, positional: str = "") -> ArgumentParser:
    """The parser of a command line.

    Args:
        positional: a parameter that may also be given without its flag, as the first argument.
    """
    parser = anno_parser(func, prog=program)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    told = "print results, warnings and errors only"
    parser.add_argument("--quiet", action="store_true", help=told)
    if inspect.signature(func).return_annotation is not None:  # it returns a result
        told = "print the result as JSON; all other lines go to standard error"
        parser.add_argument("--json", action="store_true", help=told)

    def error(message: str) -> NoReturn:
        raise UserError(f"{message}; {program} --help lists the arguments")

    parser.error = error
    # fastcore's default for a missing boolean flag is False, which would override the recipe.
    parameters = inspect.signature(func).parameters.values()
    parser.set_defaults(**{p.name: None for p in parameters if p.default is None})
    if positional:
        parser.add_argument(
            _POSITIONAL, nargs="?", metavar=positional, help=f"the same as --{positional}"
        )
        parser.set_defaults(**{positional: None})  # whether the flag was given
    return parser


def _join_positional(parser: ArgumentParser, arguments: dict[str, Any], name: str) -> None:
    """Give the parameter `name` its value, from the first argument or from its flag."""
    first, flag = arguments.pop(_POSITIONAL), arguments.pop(name)
    if first is not None and flag is not None:
        parser.error(f"found {name} {first} and --{name} {flag}, expected one of them")
    if first is not None or flag is not None:
        arguments[name] = flag if first is None else first


def _flags_for_values(known: Iterable[str]) -> str:
    """Which flags a value without one may belong to, for an error; or ''."""
    usual = [flag for flag in ("--text", "--input", "--clf", "--lm", "--data") if flag in known]
    return f"a value follows its flag, such as {', '.join(usual)}; " if usual else ""


def did_you_mean(wrong: Iterable[str], known: Iterable[str]) -> str:
    """A question for an error: the words of `known` that are spelt like `wrong` ones; or ''."""
    bare = {word.lstrip("-"): word for word in known}  # dashes would make short flags alike
    near = [get_close_matches(word.lstrip("-"), bare, n=1) for word in wrong]
    meant = dict.fromkeys(bare[word] for found in near for word in found)
    return f"did you mean {', '.join(meant)}? " if meant else ""
