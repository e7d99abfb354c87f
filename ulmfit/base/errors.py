"""The exceptions that a user can cause, each of one line."""

from collections.abc import Iterable

from ulmfit.base.printable import visible

_LONGEST = 2000  # characters of a line; what a stranger's file holds may be longer


class _OneLine(Exception):
    def __init__(self, message: str) -> None:
        line = " ".join(visible(message).split())
        half = _LONGEST // 2
        self.line = line if len(line) <= _LONGEST else f"{line[:half]} ... {line[-half:]}"
        super().__init__(self.line)

    def __str__(self) -> str:
        # fastai puts words of its own into the arguments of what a callback raises.
        return self.line


class UserError(_OneLine):
    """Bad input: one line that says what was found, what was expected and what to do.

    Commands print it as ``error: ...`` and exit with status 1; Python callers catch it.
    """


class Stopped(_OneLine):
    """No error: a training ended when its time was up, and the same command goes on with it."""


def listed(names: Iterable[object]) -> str:
    """Names for a line of an error: ten of them, none longer than 40 characters, on one line."""
    shown = [str(name) for name in names]
    short = [f"{name[:40]}..." if len(name) > 40 else name for name in shown[:10]]
    plain = [name if name.isprintable() else repr(name)[1:-1] for name in short]
    return ", ".join([*plain, f"... ({len(shown):,} in all)"] if len(shown) > 10 else plain)
