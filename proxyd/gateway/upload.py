"""A request's body on its way up: framed anew, held back by a slow upstream, kept for a second try while small."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxyd.http1 import framing
from proxyd.http1.message import CHUNKED

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxyd.errors import ProtocolError
    from proxyd.gateway.relay import Relay
    from proxyd.http1.headers import Headers
    from proxyd.upstream.connection import UpstreamConnection

REPLAY_LIMIT: Final = 16 * 1024  # bytes of a body kept for a second try of an idempotent request


class Upload:
    """The body of a relay's request; made only where there is one. ``done`` turns true with its end."""

    __slots__ = ("_begun", "_chunked", "_held", "_now", "_relay", "_sent", "_size", "done")

    def __init__(self, relay: Relay, now: Callable[[], float]) -> None:
        self.done = False
        self._now = now
        self._relay = relay
        self._chunked = relay.exchange.request.framing == CHUNKED
        self._begun = False
        self._held = b""  # the head, while it waits for the first piece
        self._sent: list[bytes] | None = []  # all that was sent, while it is small
        self._size = 0

    def __repr__(self) -> str:
        return f"<Upload sent={self._size} {'done' if self.done else 'under way'}>"

    @property
    def repeatable(self) -> bool:
        """Whether what was sent so far could be sent once more."""
        return self._sent is not None

    def begin(self, connection: UpstreamConnection, head: bytes) -> None:
        """Send the head with the first piece; for a further try, with all that was sent before."""
        exchange = self._relay.exchange
        exchange.asked = 0.0
        if self._begun:
            self._relay.sink.resume_body()
            connection.write(b"".join((head, *(self._sent or ()))))
            if self.done:
                self._asked()
            return
        self._begun = True
        self._held = head
        self._relay.sink.request_body(self)
        if self._held:
            held, self._held = self._held, b""
            connection.write(held)
        if not self.done and exchange.permit is not None:
            exchange.permit.put_off(exchange)

    def body_data(self, data: bytes) -> None:
        """Pass a piece on."""
        self._send(framing.chunk(data) if self._chunked else data)

    def body_end(self, trailers: bytes) -> None:
        """Pass the end on; from here on, the answer is waited for."""
        self.done = True
        if self._chunked:
            if trailers:
                trailers = _not_said_before(trailers, self._relay.exchange.request.headers)
            self._send(framing.last_chunk(trailers))
        elif self._held:
            self._send(b"")
        self._asked()

    def _asked(self) -> None:
        """From here on, it is the upstream that takes the time."""
        relay = self._relay
        exchange = relay.exchange
        exchange.asked = now = self._now()
        if exchange.deferred is not None and not (relay.over or exchange.response_started):
            exchange.deferred.resume(exchange, now)
        if relay.connection is not None:
            relay.connection.request_ended(now)

    def body_failed(self, error: ProtocolError) -> None:
        """Give up on a body that is malformed, too large or too slow."""
        self._relay.request_failed(error)

    def _send(self, data: bytes) -> None:
        if self._sent is not None:
            self._sent.append(data)
            self._size += len(data)
            if self._size > REPLAY_LIMIT:
                self._sent = None
        if self._held:
            data = self._held + data
            self._held = b""
        connection = self._relay.connection
        if connection is not None:
            connection.write(data)


def _not_said_before(trailers: bytes, headers: Headers) -> bytes:
    """Leave out what the header section says too: merged into it, a trailer would overtake the gateway's word."""
    said = headers.lines
    return b"".join(
        line
        for line in trailers.splitlines(keepends=True)
        if line[: line.index(b":")].lower().replace(b"_", b"-") not in said
    )
