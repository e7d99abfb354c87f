"""The exceptions that a user can cause, each with a message of one line."""

from collections.abc import Iterable

from ulmfit.base.printable import visible

_LONGEST = 2000  # characters of a line; text from an untrusted file may be longer


class _OneLine(Exception):
    def __init__(self, message: str) -> None:
        line = " ".join(visible(message).split())
        half = _LONGEST // 2
        self.line = line if len(line) <= _LONGEST else f"{line[:half]} ... {line[-half:]}"
        super().__init__(self.line)

    def __str__(self) -> str:
        # fastai adds words to the arguments of an exception from a callback.
        return self.line


class UserError(_OneLine):
    """Bad input; the message says what was found, what was expected and what to do.

    Commands print it as ``error: ...`` and exit with status 1.
    """


class BadValue(UserError, ValueError):
    """A UserError that is a ValueError as well, which scikit-learn expects of an estimator."""


class Stopped(_OneLine):
    """A training has used up its time; the same command continues it. This is no error."""


def listed(names: Iterable[object]) -> str:
    """The first ten names for an error message, each with at most 40 characters."""
    shown = [str(name) for name in names]
    short = [f"{name[:40]}..." if len(name) > 40 else name for name in shown[:10]]
    plain = [name if name.isprintable() else repr(name)[1:-1] for name in short]
    return ", ".join([*plain, f"... ({len(shown):,} in all)"] if len(shown) > 10 else plain)
