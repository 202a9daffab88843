"""One proxied exchange on its way: both bodies, the answer's head, and who waits for whom.

A ``Relay`` stands between the client's sink and the upstream's connection. It is the owner of both while the
exchange lasts: bytes go through as they arrive, and whichever side is slow pauses the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxyd.errors import GatewayError, Kind, ProtocolError
from proxyd.exchange import Reply
from proxyd.gateway.filtering import Filtering, choose, reframe
from proxyd.gateway.pipeline import log_failure
from proxyd.gateway.reply import message_for
from proxyd.gateway.upload import Upload
from proxyd.http1 import encoder, framing
from proxyd.http1.message import SWITCHING

if TYPE_CHECKING:
    import asyncio

    from proxyd.exchange import Exchange
    from proxyd.gateway.forward import Forwarder
    from proxyd.gateway.route import CompiledRoute
    from proxyd.gateway.sink import ClientSink
    from proxyd.http1.message import ResponseHead
    from proxyd.upstream.connection import UpstreamConnection
    from proxyd.upstream.peer import Peer

CONTINUE: Final = 100
MAX_INTERIM: Final = 64  # 1xx before an answer; a server that shows progress by 102 sends one in 20 seconds
NO_CONTENT: Final = 204


class Relay:
    """The meeting of a client and an upstream for one exchange."""

    __slots__ = (
        "_chunked_down",
        "_filtering",
        "_forwarder",
        "_interim_left",
        "_responding",
        "connection",
        "exchange",
        "head",
        "over",
        "own_lines",
        "peer",
        "route",
        "sink",
        "task",
        "tried",
        "upgrading",
        "upload",
    )

    def __init__(
        self, exchange: Exchange, route: CompiledRoute, sink: ClientSink, forwarder: Forwarder
    ) -> None:
        self.exchange = exchange
        self.route = route
        self.sink = sink
        self.head = b""  # the request's, as sent upstream, with a body that a plugin has read
        self.own_lines = b""  # its last lines, which the gateway writes
        self.tried: list[Peer] = []
        self.peer: Peer | None = None
        self.connection: UpstreamConnection | None = None
        self.task: asyncio.Task[None] | None = None  # dials, while there is nothing else to do
        self.over = False
        self.upgrading = bool(exchange.request.upgrade)
        self._forwarder = forwarder
        self._chunked_down = False
        self._interim_left = MAX_INTERIM
        self._responding = False
        self._filtering: Filtering | None = None  # where a plugin wants the answer's body
        framed = exchange.request.framing and exchange.buffered is None
        self.upload = Upload(self, forwarder.now) if framed else None

    def __repr__(self) -> str:
        state = "over" if self.over else "responding" if self._responding else "waiting"
        return f"<Relay {self.exchange.request.method} {self.exchange.upstream_path} {state}>"

    # --- the request goes up ---------------------------------------------------------------------------------

    def begin(self, connection: UpstreamConnection) -> None:
        """Send the request over a connection that is at hand."""
        exchange = self.exchange
        service = self.route.service
        self.connection = connection
        exchange.connected = exchange.sent = now = self._forwarder.now()
        connection.start(self, exchange.upstream_method, service.read_timeout, service.write_timeout)
        if self.upload is None:
            exchange.asked = now
            connection.write(self.head)
            connection.request_ended(now)
        else:
            self.upload.begin(connection, self.head)

    def may_repeat(self) -> bool:
        """Whether what was sent so far could be sent once more."""
        return not self._responding and (self.upload is None or self.upload.repeatable)

    def request_failed(self, error: ProtocolError) -> None:
        """Give up on a request whose body is malformed, too large or too slow."""
        self._drop_connection()
        if self._responding:
            self._abort_client()
        else:
            self._answer(Reply(error.status, error.message, fault=not error.message))

    def upstream_writable(self, writable: bool) -> None:
        """Pause the client's body while the upstream is slow to take it."""
        (self.sink.resume_body if writable else self.sink.pause_body)()

    # --- the answer comes down -------------------------------------------------------------------------------

    def response_informational(self, head: ResponseHead) -> None:
        """Pass 102, 103 and their like on; 100 was the gateway's to send. Raises ProtocolError for a flood of them."""
        self._interim_left -= 1
        if self._interim_left < 0:
            raise ProtocolError("too many interim answers")
        if head.status != CONTINUE and self.exchange.request.minor:
            head.headers.remove(b"content-length")  # RFC 9110 section 8.6: not in 1xx
            line = encoder.status_line(head.status, head.reason)
            self.sink.write_informational(b"%b%b\r\n" % (line, head.headers.encode()))

    def response_head(self, head: ResponseHead, now: float) -> None:
        """Send the answer's head on, framed anew for this client."""
        exchange = self.exchange
        if not self._forwarder.answered(self, head.status, now):
            self._drop_connection()
            return
        exchange.response = head
        exchange.response_started = now
        exchange.status = status = head.status
        self._responding = True
        if exchange.permit is not None:
            exchange.permit.answered(exchange, status, now)
        if status == SWITCHING:
            self._upgrade(head)
            return
        if exchange.context is not None and "balancer" in exchange.context:
            head.headers.add(b"Set-Cookie", exchange.context["balancer"])
        pipeline = self.route.pipeline
        watched = pipeline.header_filter or pipeline.body_filter or exchange.replaced_method
        if watched and not self._filter_head(head):
            return
        extra = b""
        if head.framing < 0 or (self._filtering is not None and self._filtering.changes):
            extra = reframe(exchange.request, head)
            self._chunked_down = bool(extra)
        elif status == NO_CONTENT:
            head.headers.remove(b"content-length")  # RFC 9110 section 8.6
        self._hold_head(head, extra)

    def _hold_head(self, head: ResponseHead, extra: bytes) -> None:
        """Have the head sent with the first bytes behind it."""
        exchange = self.exchange
        if not self.sink.will_keep_alive():
            extra += b"Connection: close\r\n"
        elif not exchange.request.minor:
            extra += b"Connection: keep-alive\r\n"
        marks = self._forwarder.marks.proxied(exchange)
        answer = b"".join(
            (encoder.status_line(head.status, head.reason), head.headers.encode(), extra, marks, b"\r\n")
        )
        exchange.head_sent = len(answer)
        self.sink.hold(answer)

    def _filter_head(self, head: ResponseHead) -> bool:
        """Show the head to the plugins, and return whether it may go out now."""
        pipeline = self.route.pipeline
        try:
            for phase in pipeline.header_filter:
                reply = phase(self.exchange, head.status, head.headers)
                if reply is not None:
                    self._responding = False
                    self._drop_connection()
                    self._answer(reply)
                    return False
            self._filtering = choose(self.exchange, pipeline, head)
        except Exception as error:  # noqa: BLE001  # what a filter was to take out must not get through
            self._responding = False
            self._crashed(error)
            return False
        # While the head waits, another answer can still be given.
        self._responding = self._filtering is None or self._filtering.head is None
        return self._responding

    def response_data(self, data: bytes) -> None:
        """Send a piece of the answer's body on, as soon as it is clear whether it is the last."""
        exchange = self.exchange
        if self._filtering is not None:
            data = self._filtered(self._filtering, data, last=False)
        if data:
            exchange.bytes_sent += len(data)
            self.sink.hold(framing.chunk(data) if self._chunked_down else data)

    def response_waits(self) -> None:
        """Send what there is of the answer."""
        self.sink.flush()

    def response_end(self, trailers: bytes, now: float) -> None:
        """Complete the answer; the connection has gone back to its pool."""
        exchange = self.exchange
        exchange.response_ended = now
        self.connection = None
        if self._filtering is not None:
            self._flush_filters(self._filtering)
        if self._chunked_down:
            self.sink.hold(framing.last_chunk(trailers))
        if not self.over:
            self._record()  # first: what a client has an answer to is counted, whatever happens next
            self.sink.flush()
            self.sink.finish()

    def _flush_filters(self, filtering: Filtering) -> None:
        data = self._filtered(filtering, b"", last=True)
        if self.over:
            return
        if (head := filtering.head) is not None:
            self._responding = True
            head.headers.set(b"Content-Length", b"%d" % len(data))
            self._hold_head(head, b"")
        if data:
            self.exchange.bytes_sent += len(data)
            self.sink.hold(framing.chunk(data) if self._chunked_down else data)

    def _filtered(self, filtering: Filtering, data: bytes, *, last: bool) -> bytes:
        try:
            return filtering.feed(data, last)
        except Exception as error:  # noqa: BLE001  # the same
            self._crashed(error)
            return b""

    def client_writable(self, writable: bool) -> None:
        """Pause the upstream's answer while the client is slow to take it."""
        if self.connection is not None:
            (self.connection.resume if writable else self.connection.pause)()

    def leave(self) -> None:
        """End a stream of events: its client opens it anew, and finds another process."""
        if self._responding and not self.over and _is_endless(self.exchange.response):
            self._drop_connection()
            self.response_end(b"", self._forwarder.now())

    # --- upgrade ---------------------------------------------------------------------------------------------

    def _upgrade(self, head: ResponseHead) -> None:
        exchange = self.exchange
        if not exchange.request.upgrade or head.upgrade != exchange.request.upgrade:
            self._drop_connection()
            self._responding = False
            self.upstream_failed(GatewayError(Kind.BAD_RESPONSE, f"switched to {head.upgrade!r} unasked"))
            return
        if not self._filter_head(head):
            return
        exchange.upgraded = True
        answer = _switching(head, self._forwarder.marks.proxied(exchange))
        exchange.head_sent = len(answer)
        self.sink.write(answer)
        connection = self.connection
        if connection is not None:
            pipe = self.sink.tunnel(connection)
            connection.tunnel(pipe)

    # --- the end, one way or another -------------------------------------------------------------------------

    def upstream_failed(self, error: GatewayError) -> None:
        """Try again where that is safe, and otherwise tell the client."""
        connection, self.connection = self.connection, None
        if self.over:
            return
        if self._responding:
            self.exchange.error = error
            self._forwarder.failed_midway(self, error)
            self._abort_client()
            return
        # A client whose request is complete is read on, lest its end be missed.
        if self.upload is not None and not self.upload.done:
            self.sink.pause_body()
        self._forwarder.retry_or_fail(self, error, reused=connection is not None and connection.requests > 1)

    def _crashed(self, error: Exception) -> None:
        """Take an exception of a plugin that looked at the answer."""
        if not isinstance(error, GatewayError):
            log_failure(self.exchange, error)
            error = GatewayError(Kind.INTERNAL, f"a plugin failed: {error!r}")
        self._drop_connection()
        self.exchange.error = error
        if self._responding:
            self._abort_client()
        else:
            self._answer(Reply(error.status, message_for(error), fault=True))

    def fail(self, error: GatewayError, reply: Reply) -> None:
        """Answer with the gateway's own reply; no further try follows."""
        self.exchange.error = error
        self._answer(reply)

    def client_gone(self) -> None:
        """Let go of the upstream: nobody waits for the answer any more."""
        if self.over:
            return
        exchange = self.exchange
        self._drop_connection()
        if exchange.upgraded:
            exchange.response_ended = self._forwarder.now()
        else:
            exchange.status = exchange.status if self._responding else 499
            exchange.aborted = True
        self._record()

    def _answer(self, reply: Reply) -> None:
        self.over = True
        self._forwarder.left(self)
        self._forwarder.reply(self.exchange, self.route, self.sink, reply)

    def _abort_client(self) -> None:
        self.exchange.aborted = True
        self.sink.abort()
        self._record()

    def _record(self) -> None:
        self.over = True
        self._forwarder.left(self)
        self._forwarder.finished(self.exchange, self.route)

    def _drop_connection(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.abort()


def _is_endless(head: ResponseHead | None) -> bool:
    """Tell whether an answer is a stream of events that may end anywhere."""
    if head is None or head.framing >= 0:
        return False
    return (head.headers.get(b"content-type") or b"").lower().startswith(b"text/event-stream")


def _switching(head: ResponseHead, marks: bytes) -> bytes:
    """Return the head by which a client learns that it has its tunnel."""
    head.headers.remove(b"content-length")  # RFC 9110 section 8.6: not in 1xx
    return b"%bConnection: Upgrade\r\nUpgrade: websocket\r\n%b%b\r\n" % (
        encoder.STATUS_LINES[SWITCHING],
        head.headers.encode(),
        marks,
    )
