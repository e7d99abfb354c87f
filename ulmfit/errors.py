"""The exceptions that a user can cause, each of one line."""


class _OneLine(Exception):
    def __init__(self, message: str) -> None:
        self.line = " ".join(message.split())
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
