"""The way in for a request's body: decoded, limited, timed, and handed to whoever answers the request.

Until somebody asks for it, a body waits in the buffer, and beyond that in the kernel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from proxyd.downstream.body import Collector
from proxyd.downstream.connection import ClientConnection, Limits
from proxyd.errors import ProtocolError

if TYPE_CHECKING:
    from asyncio import Future

    from proxyd.downstream.listener import Connections
    from proxyd.downstream.proxy_protocol import Source
    from proxyd.exchange import Exchange
    from proxyd.gateway.sink import BodyReceiver, ClientOwner
    from proxyd.http1.framing import Decoder

BODY_TOO_LARGE: Final = "Request size limit exceeded"  # Kong's, for request-size-limiting
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Intake(ClientConnection):
    """A client's connection with one request under way at most, and that request's body."""

    __slots__ = ("_buffer", "_decoder", "_exchange", "_keep_alive", "_owner", "_receiver")

    def __init__(self, connections: Connections, limits: Limits, source: Source | None = None) -> None:
        super().__init__(connections, limits, source)
        self._buffer = b""  # received, and not yet looked at
        self._exchange: Exchange | None = None
        self._keep_alive = True
        self._decoder: Decoder | None = None  # of the body of the exchange's request
        self._receiver: BodyReceiver | None = None
        self._owner: ClientOwner | None = None

    @property
    def idle(self) -> bool:
        """Whether the connection could be closed without anybody's harm."""
        return self._exchange is None and not self._buffer

    @property
    def leaving(self) -> bool:
        """Whether streams have been told to end."""
        return self._connections.left

    def attach(self, owner: ClientOwner) -> None:
        """Name who is told of the client's leaving and slowness."""
        self._owner = owner

    def leave(self) -> None:
        """Have a stream end whose client comes back elsewhere; anything else goes on."""
        if self._owner is not None and not self._closing:
            self._owner.leave()
            if self._exchange is None and self.idle:  # so that it does come back elsewhere
                self._close_idle()

    def will_keep_alive(self) -> bool:
        """Whether another request may follow; decided for good with the first call."""
        if self._connections.draining or self._exchange is None or not self._exchange.request.keep_alive:
            self._keep_alive = False
        return self._keep_alive

    def request_body(self, receiver: BodyReceiver) -> None:
        """Begin handing the body over; what has arrived comes before this returns."""
        self._receiver = receiver
        exchange = self._exchange
        if exchange is None:
            return
        if exchange.request.expect_continue and not self._buffer:
            self._transport.write(_CONTINUE)
        self._resume_reading()
        buffered, self._buffer = self._buffer, b""
        if buffered:
            self._body(buffered)
        else:
            self._within(self._limits.body_timeout)

    def _body(self, data: bytes) -> None:
        decoder = self._decoder
        receiver = self._receiver
        exchange = self._exchange
        if decoder is None or receiver is None or exchange is None:
            return
        try:
            payload, rest = decoder.feed(data)
        except ProtocolError as error:
            self._stop_body(receiver, exchange, error)
            return
        exchange.bytes_received += len(payload)
        if exchange.bytes_received > self._limits.body_size > 0:
            self._stop_body(receiver, exchange, ProtocolError("body over client_max_body_size", 413))
            return
        if 0 <= exchange.body_limit < exchange.bytes_received:
            larger = ProtocolError("body over the route's limit", 413, BODY_TOO_LARGE)
            self._stop_body(receiver, exchange, larger)
            return
        if payload:
            receiver.body_data(payload)
        if not decoder.done:
            if not self._paused:
                self._within(self._limits.body_timeout)
            return
        self._receiver = None
        self.deadline = 0.0
        if rest:
            self._buffer = rest
        receiver.body_end(decoder.trailers)

    def _stop_body(self, receiver: BodyReceiver, exchange: Exchange, error: ProtocolError) -> None:
        self._receiver = None
        self._keep_alive = False
        exchange.refusal = error.reason
        receiver.body_failed(error)

    def pause_body(self) -> None:
        """Stop taking bytes from the client."""
        self._pause_reading()
        if self._receiver is not None:
            self.deadline = 0.0

    def resume_body(self) -> None:
        """Go on taking them."""
        self._resume_reading()
        if self._receiver is not None:
            self._within(self._limits.body_timeout)

    def settle_body(self) -> bool:
        """Discard what has come of an unread body, then tell whether another request may follow."""
        decoder = self._decoder
        if decoder is not None and not decoder.done:
            self._receiver = None
            try:
                _, self._buffer = decoder.feed(self._buffer) if self._buffer else (b"", b"")
            except ProtocolError:
                self._keep_alive = False
            if not decoder.done:
                self._keep_alive = False
        return self.will_keep_alive()

    def read(self, limit: int) -> Future[bytes]:
        """Read the whole body for a plugin, at most ``limit`` bytes; raises ProtocolError(413) beyond."""
        collector = Collector(limit, cast("Exchange", self._exchange), self._wheel.now)
        if self._decoder is None or self._decoder.done:
            collector.body_end(b"")
        else:
            self.request_body(collector)
        return collector.future
