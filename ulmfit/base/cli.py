"""From a documented function to a command: parsing, exit codes and one-line errors.

A command is a plain function whose parameters carry docments (fastcore's comments beside
arguments), so that it is the Python API and the command line at once.
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
    """Let a function's ``**overrides`` appear as one optional flag for each field of `settings`.

    The flags default to None, "not given": the recipe decides (fastcore's `delegates` would put
    the dataclass' defaults there, and a flag could no longer be told from its absence). Fields
    whose metadata says ``flag=False`` have no flag; they are set in recipes only.

    Args:
        default: what stands for a flag that is not given, for the help; '' if the notes say it.
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
    # As "help", too: to that fastcore adds no default of its own, which a flag without a value has.
    return Annotated[kind, text, {"help": text}]


def field_notes(settings: type) -> dict[str, str]:
    """The note on each field of a dataclass, inherited ones included (`docments` has its own)."""
    notes: dict[str, str] = {}
    for base in reversed([base for base in settings.__mro__ if is_dataclass(base)]):
        notes |= {name: note for name, note in docments(base).items() if note}
    return notes


def run_command(func: Callable[..., Any]) -> None:
    """Run `func` with the arguments of the command line, then exit the process.

    Exit status 0 on success, and where ``--stop-after`` ended a training; 1 after one line
    ``error: ...`` on a `UserError` or what the system refuses (with the traceback if ``--debug``
    was given); 130 on Ctrl-C.
    """
    show_progress()
    logger.propagate = False  # libraries give the root logger handlers: lines would be twice there
    debug = "--debug" in sys.argv[1:]
    try:
        _call(func)
        sys.stdout.flush()  # so that a full disk is reported like any other error
    except (UserError, OSError) as error:
        if debug:
            raise
        _drop_unwritten()
        sys.exit(_fail(f"error: {_line(error)}", 1))
    except Stopped as stopped:
        logger.info(stopped)
    except KeyboardInterrupt as interrupt:
        sys.exit(_fail(f"interrupted{': ' + str(interrupt) if str(interrupt) else ''}", 130))


def _line(error: UserError | OSError) -> str:
    if isinstance(error, UserError):
        return str(error)
    reason = error.strerror or " ".join(str(error).split()) or type(error).__name__
    return f"{error.filename}: {reason}" if error.filename else reason


def _drop_unwritten() -> None:
    """What the output did not take, a full disk or a closed pipe, is not tried again at the end."""
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _call(func: Callable[..., Any]) -> None:
    arguments = _arguments(func)
    parameters = inspect.signature(func).parameters.values()
    several = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), None)
    positional = arguments.pop(several) if several else ()
    func(*positional, **arguments)


def _program(func: Callable[..., Any]) -> str:
    """How the command is called; run with -m, its module goes by the name __main__."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    module = spec.name if func.__module__ == "__main__" and spec else func.__module__
    return f"python -m {module.removesuffix('.__main__')}"


def _fail(line: str, status: int) -> int:
    print(line, file=sys.stderr)  # noqa: T201
    return status


def _arguments(func: Callable[..., Any]) -> dict[str, Any]:
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
    return arguments
