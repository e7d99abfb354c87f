"""Connections with bounds: every step of a client has a limit of time and size."""

import asyncio
from typing import Any, ClassVar

from starlette.responses import JSONResponse
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

_HEAD_BYTES = 1 << 16  # for a request's first line and headers; browsers send some hundred bytes
_HEAD_SECONDS = 10.0
_GRACE = 5.0  # seconds for the application to answer a slow request before we close
_IDLE = 1.0  # seconds after which a connection without a request may be closed for another one


class Connection(HttpToolsProtocol):
    """uvicorn's connection with further bounds.

    A request must arrive, and its reply must be taken, in time. The head of a request has a
    largest size. Above `most` connections, those without a request are closed, the oldest first.
    If all have a request, the newest are refused with 503.
    """

    seconds: ClassVar[float] = 30.0  # for a request to arrive, and for a reply's next part to go
    most: ClassVar[int] = 1_000

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Part of asyncio.Protocol, as the methods below: a client has connected."""
        super().connection_made(transport)
        self._arrival: asyncio.TimerHandle | None = None
        self._sending: asyncio.TimerHandle | None = None
        self._in_head = True
        self._head_bytes = 0
        self._waits_since: float | None = None  # since when the current request is incomplete
        self._await_request()
        self._make_room()

    def _await_request(self) -> None:
        self._waits_since = self.loop.time()
        self._arrival = self.loop.call_later(min(_HEAD_SECONDS, self.seconds), self._late)

    def _make_room(self) -> None:
        if len(self.connections) <= self.most:
            return
        others = [c for c in self.connections if isinstance(c, Connection)]
        waiting = [(c._waits_since, id(c), c) for c in others if c._waits_since is not None]
        since, _, oldest = min(waiting)  # has at least this connection
        if self.loop.time() - since > _IDLE:
            oldest._waits_since = None
            oldest.transport.abort()
        elif len(self.connections) > 2 * self.most:
            self.transport.abort()

    def _late(self) -> None:
        self._arrival = None
        if self.flow.read_paused:  # the server is slow, not the client
            self._arrival = self.loop.call_later(_GRACE, self._late)
        elif self._in_head and self._head_bytes:
            self._refuse(408, "the request took too long to arrive")
        else:
            self.transport.close()
            self._watch_sending()

    def connection_lost(self, exc: Exception | None) -> None:
        self._waits_since = None
        for timer in (self._arrival, self._sending):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._arrival is None:
            self._await_request()
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > _HEAD_BYTES and not self.transport.is_closing():
                self._refuse(431, f"found headers of more than {_HEAD_BYTES:,} bytes")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0
        if self._arrival is None:
            self._await_request()

    def on_headers_complete(self) -> None:
        self._in_head = False
        full = max(len(self.connections), len(self.tasks)) > self.most
        self.app = _full if full else self.config.loaded_app
        super().on_headers_complete()
        if self._arrival is not None:
            self._arrival.cancel()
        self._arrival = self.loop.call_later(self.seconds + _GRACE, self._late)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._waits_since = None
        if self._arrival is not None:
            self._arrival.cancel()
            self._arrival = None

    def on_response_complete(self) -> None:
        idle = not self.pipeline
        super().on_response_complete()
        if idle and self._waits_since is None:
            self._waits_since = self.loop.time()
        self._watch_sending()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_sending()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None

    def _watch_sending(self) -> None:
        """End the connection unless the client takes the waiting reply in time."""
        if self._sending is None and self.transport.get_write_buffer_size():
            self._sending = self.loop.call_later(self.seconds, self._not_taken)

    def _not_taken(self) -> None:
        self._sending = None
        if self.transport.get_write_buffer_size():
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """uvicorn's answer to malformed HTTP."""
        self._refuse(400, "this is not an HTTP/1.1 request")

    def _refuse(self, status: int, line: str) -> None:
        """Answer without the application and close; during another answer, only close."""
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            reply = JSONResponse({"error": line}, status)
            head = [b"%s: %s\r\n" % header for header in reply.raw_headers]
            parts = [STATUS_LINE[status], *head, b"connection: close\r\n\r\n", bytes(reply.body)]
            self.transport.write(b"".join(parts))
        self.transport.close()
        self._watch_sending()


async def _full(scope: Any, receive: Any, send: Any) -> None:
    reply = JSONResponse(
        {"error": "too many connections are open already; try again in a moment"},
        503,
        {"Retry-After": "1", "Connection": "close"},
    )
    await reply(scope, receive, send)
