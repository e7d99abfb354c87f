"""The limits of a request, and the middleware that enforces them on its body."""

import asyncio
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ulmfit.base.errors import UserError

KEPT_MINUTES = 10  # after a file was scored


@dataclass(frozen=True)
class Limits:
    """The limits of one request and of all requests together."""

    body_bytes: int = 10_000_000
    texts: int = 256  # of one request to the API
    characters: int = 100_000  # of one text
    rows: int = 100_000  # of a file
    explained: int = 5_000  # characters of a text to highlight its words
    report_values: int = 5_000_000  # probabilities of a file: rows x classes x models
    report_characters: int = 20_000_000  # of a file's texts
    seconds: float = 30.0  # until all of a request has arrived
    # Of all requests together
    waiting: int = 4_096  # texts; their characters are limited like the bytes of one request
    explanations: int = 4  # being computed or waiting for it
    files: int = 4  # being scored
    kept: int = 16  # results of files; the oldest go first
    kept_bytes: int = 200_000_000  # of these results, on disk
    all_bytes: int = 100_000_000  # of bodies, from their arrival to the end of the reply

    @property
    def cells(self) -> int:
        """Of a file: the largest number of rows times columns."""
        return 20 * self.rows

    @property
    def unpacked_bytes(self) -> int:
        """Of a compressed file, after unpacking."""
        return 10 * self.body_bytes

    @property
    def kept_seconds(self) -> float:
        """For which the result of a file is kept."""
        return 60.0 * KEPT_MINUTES

    def check_texts(self, count: int) -> None:
        """Refuse more texts than one request may bring."""
        if count > self.texts:
            raise HTTPException(
                413,
                f"found {count:,} texts, expected at most {self.texts:,}; send several requests",
            )

    def check_text(self, text: str, name: str = "the text") -> None:
        """Refuse a text that is too long: others would wait for it."""
        if len(text) > self.characters:
            raise UserError(
                f"{name} has {len(text):,} characters, expected at most {self.characters:,}; "
                "cut it, or start the server with a higher --max-chars"
            )


def busy(what: str) -> HTTPException:
    """A refusal with 503: the same request may succeed later."""
    return HTTPException(503, f"{what}; try again in a moment", headers={"Retry-After": "1"})


class BodyLimit:
    """Bounds the size of a request's body and the time for it to arrive."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self.app, self.limits = app, limits
        self._held = 0  # bytes of all current requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI; a body above a limit raises an HTTPException in the handler: 408, 413 or 503."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = _declared_bytes(Headers(scope=scope))
        read, whole = 0, False
        deadline = asyncio.get_running_loop().time() + self.limits.seconds

        async def limited() -> Message:
            nonlocal read, whole
            if whole:  # the next message is the disconnect
                return await receive()
            self._check(declared)
            message = await self._in_time(receive, deadline)
            length = len(message.get("body", b""))
            read, self._held = read + length, self._held + length
            whole = not message.get("more_body", False)
            self._check(read)
            return message

        try:
            await self.app(scope, limited, send)
        finally:
            self._held -= read

    async def _in_time(self, receive: Receive, deadline: float) -> Message:
        try:
            async with asyncio.timeout_at(deadline):
                return await receive()
        except TimeoutError:
            raise HTTPException(
                408, f"the request took more than {self.limits.seconds:.0f} seconds to arrive"
            ) from None

    def _check(self, length: int) -> None:
        most = self.limits.body_bytes
        if length > most:
            raise HTTPException(
                413, f"found a request of more than {most:,} bytes, the most that is taken here"
            )
        if self._held > max(most, self.limits.all_bytes):
            raise busy("requests of too many bytes are being answered already")


def _declared_bytes(headers: Headers) -> int:
    length = headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() and len(length) < 20 else 0
