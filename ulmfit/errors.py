"""The one exception that a user can cause."""

from ulmfit.visible import visible

_LONGEST = 2000  # characters of a line; what a stranger's file holds may be longer


class UserError(Exception):
    """Bad input: one line that says what was found, what was expected and what to do.

    Commands print it as ``error: ...`` and exit with status 1; Python callers catch it. What the
    line quotes cannot steer a terminal.
    """

    def __init__(self, message: str) -> None:
        line = " ".join(visible(message).split())
        half = _LONGEST // 2
        self.line = line if len(line) <= _LONGEST else f"{line[:half]} ... {line[-half:]}"
        super().__init__(self.line)

    def __str__(self) -> str:
        # fastai puts words of its own into the arguments of what a callback raises.
        return self.line
