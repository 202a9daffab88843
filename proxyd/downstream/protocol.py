"""One client connection: bytes to requests, answers to bytes, and what happens between two requests.

A ``Downstream`` lives as long as the connection; exchanges come and go over it, one at a time. Bytes of a
pipelined request wait in the buffer, and beyond ``HIGH_WATER`` in the kernel, until the answer before is out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxyd.downstream.connection import LINGER_LIMIT, Limits
from proxyd.downstream.intake import Intake
from proxyd.downstream.tunnel import Tunnel
from proxyd.errors import ProtocolError
from proxyd.exchange import Exchange
from proxyd.http1 import framing
from proxyd.http1.parser import parse_request

if TYPE_CHECKING:
    import asyncio

    from proxyd.carrier import Pipe
    from proxyd.downstream.listener import Connections
    from proxyd.downstream.proxy_protocol import Source
    from proxyd.gateway.handler import Handler
    from proxyd.http1.message import RequestHead

HIGH_WATER: Final = 64 * 1024  # bytes kept of what the client sends ahead


class Downstream(Intake):
    """The server side of one client connection; implements ``gateway.sink.ClientSink``."""

    __slots__ = (
        "_blank",
        "_handler",
        "_head_begun",
        "_heads",
        "_pumping",
        "_tunnel",
        "requests",
    )

    def __init__(
        self, connections: Connections, handler: Handler, limits: Limits, source: Source | None = None
    ) -> None:
        super().__init__(connections, limits, source)
        self.requests = 0
        self._handler = handler
        self._heads = limits.heads
        self._head_begun = False  # bytes of the next head have come, and its time runs
        self._blank = False  # an empty line before the next head was read over
        self._pumping = False
        self._tunnel: Tunnel | None = None

    def __repr__(self) -> str:
        state = "tunnel" if self._tunnel else "answering" if self._exchange else "idle"
        if self._closing:
            state = "closed"
        elif self._lingering:
            state = "lingering"
        return f"<Downstream {state} requests={self.requests}>"

    @property
    def exchange(self) -> Exchange | None:
        """The exchange under way."""
        return self._exchange

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin life; the set of connections tells who the client is."""
        super().connection_made(transport)
        if self._connections.opened(self, self._transport):
            self._within(self._limits.header_timeout)
        else:
            self._closing = True
            self._transport.abort()

    # --- bytes come in ---------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Take bytes: of a head, of a body, of the next request, or of a tunnel."""
        if self._exchange is None:
            if self._lingering:
                self._read_over(len(data))
                return
            self._buffer = self._buffer + data if self._buffer else data
            if self._writable:
                self._pump()
            elif len(self._buffer) > HIGH_WATER:
                self._pause_reading()
        elif self._tunnel is not None:
            self._exchange.bytes_received += len(data)
            if not self._tunnel.from_client(data):
                self.close()
        elif self._receiver is not None and self._decoder is not None:
            self._body(data)
        else:
            self._buffer += data
            if len(self._buffer) > HIGH_WATER:
                self._pause_reading()

    def _pump(self) -> None:
        """Work off the requests in the buffer, until one has to be waited for, or the client for its answers."""
        if self._pumping:  # called from within: the loop below goes on
            return
        self._pumping = True
        try:
            while (
                self._exchange is None
                and self._buffer
                and self._writable
                and not self._closing
                and not self._lingering
            ):
                if self._blank and self._buffer[:1] == b"\r":  # one empty line, however it comes
                    raise ProtocolError("not HTTP")  # noqa: TRY301
                parsed = parse_request(self._buffer, self._heads)
                if parsed is None:
                    self._incomplete()
                    break
                self._begin(*parsed)
        except ProtocolError as error:
            self._refuse(error)
        finally:
            self._pumping = False

    def _incomplete(self) -> None:
        if self._buffer == b"\r\n":  # RFC 9112 section 2.2: some clients send one behind a body
            self._buffer = b""
            self._blank = True
        elif self.requests and not self._head_begun:
            self._head_begun = True
            self._within(self._limits.header_timeout)

    def _begin(self, request: RequestHead, size: int) -> None:
        """Begin the exchange of the request whose head leads the buffer."""
        buffer = self._buffer
        self._buffer = buffer[size:] if size < len(buffer) else b""
        self._head_begun = self._blank = False
        self.deadline = 0.0
        self.requests += 1
        limits = self._limits
        length = request.framing
        self._decoder = framing.decoder(length) if length else None
        self._keep_alive = request.keep_alive and not 0 < limits.keepalive_requests <= self.requests
        self._exchange = exchange = Exchange(request, self.client, self._wheel.now())
        exchange.head_received = size
        if length > limits.body_size > 0:
            exchange.refusal = "Content-Length over client_max_body_size"
            self._handler.refuse_exchange(exchange, self, 413)
        else:
            self._handler.handle(exchange, self)

    def _refuse(self, error: ProtocolError) -> None:
        self._buffer = b""
        self._keep_alive = False
        self.requests += 1
        self._lingering = LINGER_LIMIT
        self._exchange = self._handler.open_refusal(self.client, error)
        self._handler.refuse_exchange(self._exchange, self, error.status)

    # --- the answer ------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """End the exchange: its answer is complete, and recorded."""
        exchange = self._exchange
        if exchange is None:
            return
        whole = self._decoder is None or self._decoder.done
        self._exchange = None
        self._owner = None
        self._receiver = None
        self._decoder = None
        if self._tunnel is not None or self._closing:
            self._end_tunnel()
        elif not whole or self._lingering or (self._buffer and not self._keep_alive):
            self._buffer = b""
            self._linger()
        elif not self._keep_alive:
            self.close()
        elif self._writable:  # or what it has asked for comes first, and send_timeout runs
            self._await_request(exchange.ended)
            self._resume_reading()
            if self._buffer:
                self._pump()

    def _end_tunnel(self) -> None:
        self._connections.downgraded(self)
        self._tunnel = None
        self.close()

    def abort(self) -> None:
        """End the exchange and the connection: its answer cannot be completed.

        A reset says so even where the end of the stream would be the end of the answer.
        """
        self._forget()
        if not self._closing:
            self._closing = True
            self.deadline = 0.0
            self._reset_on_close()
            self._transport.abort()

    def _forget(self) -> None:
        self._exchange = None
        self._owner = None
        self._receiver = None
        self._tunnel = None

    # --- tunnel ----------------------------------------------------------------------------------------------

    def tunnel(self, other: Pipe) -> Downstream:
        """Turn the connection into a pipe to ``other``; returns this end."""
        self._tunnel = tunnel = Tunnel(other)
        self._connections.upgraded(self)
        buffered, self._buffer = self._buffer, b""
        if buffered:
            tunnel.from_client(buffered)
        self._resume_reading()
        return self

    def go_away(self) -> None:
        """End a tunnel in good order: both ends are sent a close frame, and nothing behind it."""
        tunnel = self._tunnel
        if tunnel is not None and not tunnel.leaving and not self._closing:
            tunnel.go_away(self._transport.write)

    def write(self, data: bytes) -> None:
        """Send bytes of the answer, or of a tunnel."""
        tunnel = self._tunnel
        if tunnel is not None and self._exchange is not None:
            if not tunnel.to_client(data):
                return
            self._exchange.bytes_sent += len(data)
        super().write(data)

    def end(self) -> None:
        """Pass on, in a tunnel, that the upstream will send no more."""
        if self._tunnel is not None:
            self._tunnel.ended = True
        if self._closing:
            return
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:  # TLS, where one direction does not end by itself; a client that closes a WebSocket waits for this
            self.close()

    # --- the connection ends ---------------------------------------------------------------------------------

    def eof_received(self) -> bool:
        """Take the end of the client's bytes.

        A client that has said that this is its last request may close its half and wait for the answer; any
        other one that closes in the middle of an exchange has gone away (nginx, Envoy and Go take it so too).
        """
        exchange = self._exchange
        if (tunnel := self._tunnel) is not None:
            tunnel.other.end()  # which may be the end of the tunnel
            return not tunnel.ended and self._transport.can_write_eof()
        if exchange is None or self._lingering:
            return False
        complete = self._decoder is None or self._decoder.done
        if complete and not exchange.request.keep_alive and self._transport.can_write_eof():
            return True
        if not complete:
            exchange.refusal = "client closed before its request was complete"
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # how it ended is nobody's concern
        """End life; whoever is answering hears of it."""
        self._closing = True
        self.deadline = 0.0
        owner = self._owner
        tunnel = self._tunnel
        self._forget()
        self._connections.closed(self)
        if owner is not None:
            owner.client_gone()
        elif tunnel is not None:
            tunnel.other.end()

    def deadline_passed(self) -> None:
        """Act on a client that is too slow: with its head, its body, taking the answer, or its next request."""
        if self._closing or self._lingering or not self._writable:
            super().deadline_passed()
        elif self._exchange is None:
            if self._buffer:
                self._refuse(ProtocolError("head not complete in time", 408))
            else:
                self._close_idle()
        elif self._receiver is not None:
            self._stop_body(self._receiver, self._exchange, ProtocolError("body not complete in time", 408))

    # --- backpressure ----------------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        """Hear that the client does not take more for now."""
        self._writable = False
        self._within(self._limits.send_timeout)
        if self._owner is not None:
            self._owner.client_writable(False)

    def resume_writing(self) -> None:
        """Hear that it does again."""
        self._writable = True
        if self._closing:
            return
        self.deadline = 0.0
        if self._lingering:
            self._within(self._limits.lingering_timeout)
        elif self._exchange is None:
            self._await_request(self._wheel.now())
            self._resume_reading()
            self._pump()
        else:
            if self._receiver is not None:
                self._within(self._limits.body_timeout)
            if self._owner is not None:
                self._owner.client_writable(True)
