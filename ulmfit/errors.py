"""The one exception that a user can cause."""


class UserError(Exception):
    """Bad input: one line that says what was found, what was expected and what to do.

    Commands print it as ``error: ...`` and exit with status 1; Python callers catch it.
    """

    def __init__(self, message: str) -> None:
        self.line = " ".join(message.split())
        super().__init__(self.line)

    def __str__(self) -> str:
        # fastai puts words of its own into the arguments of what a callback raises.
        return self.line
