"""The way of an exchange that a plugin carries: its client on one side, its route's upstream on the other."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from proxyd.exchange import Reply
from proxyd.gateway.pipeline import log_failure
from proxyd.http1 import encoder, framing
from proxyd.http1.message import SWITCHING

if TYPE_CHECKING:
    from proxyd.carrier import Call, Carrier, Pipe, Receiver
    from proxyd.clock import Watched
    from proxyd.exchange import Exchange
    from proxyd.gateway.handler import Handler
    from proxyd.gateway.route import CompiledRoute
    from proxyd.gateway.sink import ClientSink
    from proxyd.http1.headers import Headers
    from proxyd.http1.message import RequestHead


class Way:
    """Implements ``carrier.Way``, and owns the exchange towards its client from ``attach`` on."""

    __slots__ = ("_carrier", "_chunked", "_handler", "_over", "_route", "_sink", "exchange")

    def __init__(
        self, handler: Handler, exchange: Exchange, route: CompiledRoute, sink: ClientSink, carrier: Carrier
    ) -> None:
        self.exchange = exchange
        self._handler = handler
        self._route = route
        self._sink = sink
        self._carrier = carrier
        self._chunked = False
        self._over = False

    def __repr__(self) -> str:
        return f"<Way {'over' if self._over else 'open'} {self.exchange!r}>"

    def attach(self) -> None:
        """Be told from now on of the client's leaving and slowness."""
        self._sink.attach(self)

    def ask(self, request: RequestHead, body: bytes | None, receiver: Receiver) -> Call:
        """Ask the route's upstream."""
        exchange = self.exchange
        exchange.sent = exchange.sent or self._handler.now()
        return self._handler.asker.ask_for(exchange, self._route, request, body, receiver)

    # --- answers ---------------------------------------------------------------------------------------------

    def reply(self, reply: Reply) -> None:
        """Answer in one piece."""
        if not self._over:
            self._over = True
            self._handler.reply(self.exchange, self._route, self._sink, reply)

    def forward(self) -> None:
        """Have the request forwarded as if nobody carried it."""
        if not self._over:
            self._over = True
            exchange = self.exchange
            exchange.carrier = None
            exchange.sent = 0.0
            self._handler.forwarder.start(exchange, self._route, self._sink)

    def begin(self, status: int, headers: Headers) -> bool:
        """Begin a stream."""
        if self._over or not self._filter(status, headers):
            return False
        exchange = self.exchange
        request = exchange.request
        headers.remove(b"content-length")
        self._chunked = bool(request.minor)
        lines = b"Transfer-Encoding: chunked\r\n" if self._chunked else b""
        if not self._chunked:
            request.keep_alive = False  # HTTP/1.0 knows no other end than the connection's
        if not self._sink.settle_body():
            lines += b"Connection: close\r\n"
        self._head(encoder.status_line(status), headers, lines)
        self._see_leaving()
        return True

    def send(self, data: bytes) -> None:
        """Send a piece of the stream."""
        if self._over or not data:
            return
        self.exchange.bytes_sent += len(data)
        self._sink.hold(framing.chunk(data) if self._chunked else data)
        self._sink.flush()

    def end(self) -> None:
        """End the stream."""
        if self._over:
            return
        if self._chunked:
            self._sink.hold(framing.last_chunk(b""))
        self._record()
        self._sink.flush()
        self._sink.finish()

    def abort(self) -> None:
        """Cut it."""
        if not self._over:
            self.exchange.aborted = True
            self._sink.abort()
            self._record()

    # --- a WebSocket -----------------------------------------------------------------------------------------

    def switch(self, headers: Headers, pipe: Pipe) -> Pipe | None:
        """Take the client's offer of a WebSocket."""
        if self._over or not self._filter(SWITCHING, headers):
            return None
        exchange = self.exchange
        exchange.upgraded = True
        self._head(encoder.STATUS_LINES[SWITCHING], headers, b"Connection: Upgrade\r\nUpgrade: websocket\r\n")
        self._see_leaving()
        return self._sink.tunnel(pipe)

    def close(self) -> None:
        """End the tunnel."""
        if not self._over:
            self.exchange.response_ended = self._handler.now()
            self._record()
            self._sink.finish()

    def pause(self) -> None:
        """Take nothing more from the client."""
        if not self._over:
            self._sink.pause_body()

    def resume(self) -> None:
        """Take it again."""
        if not self._over:
            self._sink.resume_body()

    # --- time ------------------------------------------------------------------------------------------------

    def now(self) -> float:
        """Return the monotonic time."""
        return self._handler.now()

    def watch(self, thing: Watched, deadline: float) -> None:
        """Have something called at a time."""
        self._sink.watch(thing, deadline)

    # --- the client's side -----------------------------------------------------------------------------------

    def client_gone(self) -> None:
        """Hear that nobody waits any more."""
        if self._over:
            return
        exchange = self.exchange
        if exchange.upgraded:
            exchange.response_ended = self._handler.now()
        else:
            exchange.status = exchange.status or 499
            exchange.aborted = True
        self._record()
        self._carrier.gone()

    def client_writable(self, writable: bool) -> None:
        """Hear whether the client takes more."""
        if not self._over:
            self._carrier.writable(writable)

    def leave(self) -> None:
        """Hear that the process is about to end."""
        if not self._over:
            self._carrier.leave()

    def _see_leaving(self) -> None:
        """Tell a carrier whose stream begins after those under way have been told."""
        if self._sink.leaving:
            asyncio.get_running_loop().call_soon(self.leave)

    # --- both ------------------------------------------------------------------------------------------------

    def _filter(self, status: int, headers: Headers) -> bool:
        """Show the head to the plugins, and return whether it may go out."""
        exchange = self.exchange
        try:
            for phase in self._route.pipeline.header_filter:
                reply = phase(exchange, status, headers)
                if reply is not None:
                    self.reply(reply)
                    return False
        except Exception as error:  # noqa: BLE001  # what a filter was to take out must not get through
            log_failure(exchange, error)
            self.reply(Reply(500, fault=True))
            return False
        exchange.status = status
        exchange.own_headers = headers
        return True

    def _head(self, line: bytes, headers: Headers, lines: bytes) -> None:
        exchange = self.exchange
        exchange.response_started = exchange.response_started or self._handler.now()
        if exchange.permit is not None:  # a stream is no request that waits
            exchange.permit.left(exchange, exchange.response_started)
        head = self._handler.own_head(exchange, line, headers.encode() + lines)
        exchange.head_sent = len(head)
        self._sink.write(head)

    def _record(self) -> None:
        self._over = True
        self._handler.finished(self.exchange, self._route)
