"""From a documented function to a command: parsing, exit codes and one-line errors.

A command is a function with docments (fastcore's comments beside parameters). The same function
is the Python API.
"""

import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, TypeVar, get_type_hints

from fastcore.docments import docments
from fastcore.script import anno_parser

from ulmfit.base.errors import Stopped, UserError
from ulmfit.base.log import logger, show_progress

F = TypeVar("F", bound=Callable[..., Any])


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


def run_command(func: Callable[..., Any]) -> None:
    """Run `func` with the arguments of the command line, then exit the process.

    Exit status: 0 on success and after ``--stop-after``; 1 after one line ``error: ...`` for a
    `UserError` or an OSError (with ``--debug``, the traceback); 130 on Ctrl-C.
    """
    show_progress()
    logger.propagate = False  # a library's handler on the root logger would print lines twice
    try:
        _call(func)
        sys.stdout.flush()  # reports a full disk like any other error
    except (UserError, OSError) as error:
        if "--debug" in sys.argv[1:]:
            raise
        _drop_unwritten()
        _exit(f"error: {_line(error)}", 1)
    except Stopped as stopped:
        logger.info(stopped)
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
    print(line, file=sys.stderr)  # noqa: T201
    sys.exit(status)


def _call(func: Callable[..., Any]) -> None:
    """Call `func` with the arguments of the command line."""
    parser = anno_parser(func, prog=_program(func))
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")

    def error(message: str) -> None:
        raise UserError(f"{message}; {parser.prog} --help lists the arguments")

    parser.error = error
    # fastcore's default for a missing boolean flag is False, which would override the recipe.
    parameters = inspect.signature(func).parameters.values()
    parser.set_defaults(**{p.name: None for p in parameters if p.default is None})
    arguments = vars(parser.parse_args())
    for internal in ("debug", "pdb", "xtra"):
        arguments.pop(internal)
    several = [p.name for p in parameters if p.kind is p.VAR_POSITIONAL]
    func(*(arguments.pop(several[0]) if several else ()), **arguments)
