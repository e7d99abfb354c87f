"""Refuses requests that a browser sends for pages of other sites."""

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_SAFE = ("GET", "HEAD", "OPTIONS")  # they change nothing, and another page cannot read the reply
_FOREIGN = "found a request from a page of another site, expected one from this server's own page"
_HOST = re.compile(r"(\[[^\]]*\]|[^\[\]:@/]*)(:\d*)?")


class OwnPage:
    """Lets through requests of this server's own page and of programs.

    A request must name one of `names` as its host, or any if "*" is among them. Otherwise a web
    page could point a name of its own at this machine. A browser would take it for this server's
    own page and let it read every reply.

    Browsers name the source of a request in Sec-Fetch-Site or, without that (old browsers, and
    addresses that are neither https nor local), in Origin. Programs send neither.
    """

    def __init__(self, app: ASGIApp, names: Sequence[str]) -> None:
        self.app, self.names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        app = self.app
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            if "*" not in self.names and not self._is_named(given := headers.get("host", "")):
                line = (
                    f"found the host name {given[:60]!r}, expected {' or '.join(self.names)}; call "
                    "the server by one of these, or start it with another --host"
                )
                app = JSONResponse({"error": line}, 400)
            elif scope["method"] not in _SAFE and _foreign(headers):
                app = JSONResponse({"error": _FOREIGN}, 403)
        await app(scope, receive, send)

    def _is_named(self, given: str) -> bool:
        found = _HOST.fullmatch(given)
        return found is not None and found[1].lower() in map(str.lower, self.names)


def _foreign(headers: Headers) -> bool:
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return site not in ("same-origin", "none")
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
    except ValueError:  # such as http://[
        return True
