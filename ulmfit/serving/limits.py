"""What a request may ask for, and the part of the server that reads no more than that."""

import asyncio
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ulmfit.errors import UserError


@dataclass(frozen=True)
class Limits:
    """Of one request, but for `waiting`."""

    body_bytes: int = 10_000_000
    texts: int = 256  # of one request to the API
    characters: int = 100_000  # of one text
    explained: int = 5_000  # characters of a text whose words are still highlighted
    waiting: int = 4_096  # texts of all requests together
    seconds: float = 30.0  # until all of a request has arrived

    def check_texts(self, count: int) -> None:
        """Refuse more texts than one request may bring."""
        if count > self.texts:
            raise HTTPException(
                413,
                f"found {count:,} texts, expected at most {self.texts:,}; send several requests",
            )

    def check_text(self, text: str, name: str = "the text") -> None:
        """Refuse a text that would keep everybody waiting."""
        if len(text) > self.characters:
            raise UserError(
                f"{name} has {len(text):,} characters, expected at most {self.characters:,}; "
                "cut it, or start the server with a higher --max-chars"
            )


class BodyLimit:
    """Reads no more of a request's body than `limits` allow, and waits no longer for it."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self.app, self.limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI; what is too much reaches the handler as an HTTPException, 413 or 408."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        most, read = self.limits.body_bytes, 0
        deadline = asyncio.get_running_loop().time() + self.limits.seconds
        whole = False

        async def limited() -> Message:
            nonlocal read, whole
            if whole:  # what comes now is that the client has gone
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(
                    408, f"the request took more than {self.limits.seconds:.0f} seconds to arrive"
                ) from None
            read += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if read > most:
                raise HTTPException(
                    413, f"found a request of more than {most:,} bytes, the most that is taken here"
                )
            return message

        await self.app(scope, limited, send)
