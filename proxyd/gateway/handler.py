"""A request, from its head to its answer: match, phases, and then forward or reply.

This is the place to read first. ``handle`` is called by ``downstream`` with every complete request head and
never waits; where a phase has to, the rest of the way becomes a task.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Final, cast

from proxyd.errors import ProtocolError
from proxyd.exchange import Exchange, Reply
from proxyd.gateway.forwarded import without_port
from proxyd.gateway.pipeline import log_failure
from proxyd.gateway.reply import render
from proxyd.gateway.way import Way
from proxyd.http1 import encoder
from proxyd.http1.headers import Headers
from proxyd.http1.message import RequestHead
from proxyd.identity import forget_claimed
from proxyd.telemetry.propagation import FIELDS, keep_trace
from proxyd.telemetry.trace import new_request_id

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from proxyd.clock import Clock
    from proxyd.exchange import Client
    from proxyd.gateway.asking import Asker
    from proxyd.gateway.forward import Forwarder
    from proxyd.gateway.forwarded import RealIP
    from proxyd.gateway.marks import Marks
    from proxyd.gateway.route import CompiledRoute
    from proxyd.gateway.sink import ClientSink
    from proxyd.gateway.snapshot import Snapshot
    from proxyd.gateway.tasks import Tasks
    from proxyd.overload.control import Overload
    from proxyd.telemetry.record import Telemetry

NONCE_SIZE: Final = 16  # bytes of a Sec-WebSocket-Key (RFC 6455 section 4.1)
MAX_REQUEST_ID: Final = 128  # bytes of a request id taken over from a trusted proxy

_REDIRECTS: Final = frozenset({301, 302, 307, 308})


class Handler:
    """Takes every request head; one per gateway. ``snapshot`` is swapped by assignment on reload."""

    def __init__(
        self,
        snapshot: Snapshot,
        clock: Clock,
        tasks: Tasks,
        marks: Marks,
        real_ip: RealIP,
        telemetry: Telemetry,
        default_type: str,
    ) -> None:
        self.snapshot = snapshot
        self.forwarder: Forwarder  # set by whoever assembles the two
        self.asker: Asker  # the same
        self.overload: Overload | None = None  # the same
        self.now = clock.now
        self._tasks = tasks
        self._marks = marks
        self._real_ip = real_ip
        self._telemetry = telemetry
        self._default_type = default_type

    def __repr__(self) -> str:
        return f"<Handler {self.snapshot!r}>"

    # --- a request comes in ----------------------------------------------------------------------------------

    def handle(self, exchange: Exchange, sink: ClientSink) -> None:
        """Take a request whose head is complete."""
        request = exchange.request
        client = exchange.client
        if client.trusted:
            self._real_ip.correct(exchange)
        if self.overload is not None and self.overload.sheds(exchange, sink, self.snapshot):
            return
        if client.trusted:
            exchange.request_id = _incoming_id(request.headers) or new_request_id()
        else:
            exchange.request_id = new_request_id()
        if request.headers.raw is None:  # not a plain head
            forget_claimed(request.headers)
            if not FIELDS.isdisjoint(request.headers.lines):
                keep_trace(exchange)
        match = self.snapshot.router.match(
            exchange.scheme, request.method, request.host, request.path, request.headers, client.sni
        )
        if match is None:
            self.reply(exchange, None, sink, Reply(404, "no Route matched with those values"))
            return
        route = match.payload
        exchange.route = route.route
        exchange.service = route.entity
        exchange.matched_prefix = match.prefix
        exchange.captures = match.captures
        if request.upgrade and (refusal := _check_upgrade(request)) is not None:
            self.reply(exchange, route, sink, refusal)
        elif route.https_only and exchange.scheme != "https":
            self.reply(exchange, route, sink, _to_https(exchange, route))
        else:
            exchange.body = sink
            self._run(exchange, route, sink, route.pipeline.request)

    def _run(
        self,
        exchange: Exchange,
        route: CompiledRoute,
        sink: ClientSink,
        phases: tuple[Callable[..., Any], ...],
    ) -> None:
        for position, phase in enumerate(phases):
            try:
                outcome = phase(exchange)
            except Exception as error:  # noqa: BLE001  # whatever a plugin raises, the request is not let pass
                self._crashed(exchange, route, sink, error)
                return
            if outcome is not None:
                if isinstance(outcome, Reply):
                    self.reply(exchange, route, sink, outcome)
                else:
                    waiting = Waiting(self, exchange, route)
                    sink.attach(waiting)
                    if exchange.carrier is not None:
                        self._meet(exchange, route, sink)
                    rest = phases[position + 1 :]
                    waiting.task = self._tasks.spawn(self._wait(outcome, exchange, route, sink, rest))
                return
        if self.overload is not None:
            refusal = self.overload.admit(exchange, route.service.limit, route.rank)
            if refusal is not None:
                self.reply(exchange, route, sink, refusal)
                return
        if exchange.carrier is None:
            self.forwarder.start(exchange, route, sink)
        else:
            self._carry(exchange, route, sink)

    def _carry(self, exchange: Exchange, route: CompiledRoute, sink: ClientSink) -> None:
        way = self._meet(exchange, route, sink)
        way.attach()
        if (
            exchange.upgraded and exchange.permit is not None
        ):  # it has its WebSocket already, and waits for nothing
            exchange.permit.left(exchange, self.now())
        try:
            exchange.carrier.carry()
        except Exception as error:  # noqa: BLE001  # the same
            log_failure(exchange, error)
            if exchange.status:
                way.abort()
            else:
                way.reply(Reply(500, fault=True))
            exchange.carrier.gone()

    def _meet(self, exchange: Exchange, route: CompiledRoute, sink: ClientSink) -> Way:
        """Return the way of an exchange that a plugin carries; the plugin is handed it once."""
        if exchange.way is None:
            exchange.way = Way(self, exchange, route, sink, exchange.carrier)
            exchange.carrier.meet(exchange.way)
        return cast("Way", exchange.way)

    async def _wait(
        self,
        outcome: Awaitable[Reply | None],
        exchange: Exchange,
        route: CompiledRoute,
        sink: ClientSink,
        rest: tuple[Callable[..., Any], ...],
    ) -> None:
        try:
            reply = await outcome
        except Exception as error:  # noqa: BLE001  # the same
            if not exchange.ended:
                self._crashed(exchange, route, sink, error)
            return
        if exchange.ended:
            return  # its client is gone, or its carrier has ended it, whatever the plugin says
        if reply is not None:
            self.reply(exchange, route, sink, reply)
        else:
            self._run(exchange, route, sink, rest)

    def _crashed(self, exchange: Exchange, route: CompiledRoute, sink: ClientSink, error: Exception) -> None:
        if isinstance(error, ProtocolError):  # of the body that a plugin wanted to read: the client's fault
            refusal = Reply(error.status, error.message, fault=not error.message)
            self.reply(exchange, route, sink, refusal)
            return
        log_failure(exchange, error)
        self.reply(exchange, route, sink, Reply(500, fault=True))

    # --- the gateway's own answers ---------------------------------------------------------------------------

    def reply(self, exchange: Exchange, route: CompiledRoute | None, sink: ClientSink, reply: Reply) -> None:
        """Answer an exchange without the upstream, and end it."""
        if exchange.upgraded:  # a carrier has taken the client's WebSocket before the phases were through
            exchange.way.attach()
            exchange.carrier.refuse(reply)
        else:
            self._answer(exchange, route, sink, reply)

    def _answer(
        self, exchange: Exchange, route: CompiledRoute | None, sink: ClientSink, reply: Reply
    ) -> None:
        request = exchange.request
        exchange.status = status = reply.status
        headers, body = render(reply, exchange, self._default_type)
        if route is not None:
            try:
                for header_phase in route.pipeline.header_filter:
                    header_phase(exchange, status, headers)
                if route.pipeline.body_filter:
                    for body_phase in route.pipeline.filters(exchange, status, headers)[0]:
                        body = body_phase(exchange, body, True)
            except Exception as error:  # noqa: BLE001  # this is the last answer that there is
                log_failure(exchange, error)
        exchange.own_headers = headers
        lines = headers.encode()
        if status in {204, 304}:
            body = b""
        else:
            lines += b"Content-Length: %d\r\n" % len(body)
        if not sink.settle_body():
            lines += b"Connection: close\r\n"
        elif not request.minor:
            lines += b"Connection: keep-alive\r\n"
        if request.method == "HEAD":
            body = b""
        exchange.bytes_sent = len(body)
        head = self.own_head(exchange, encoder.status_line(status), lines)
        exchange.head_sent = len(head)
        self.finished(
            exchange, route
        )  # first: what a client has an answer to is counted, whatever happens next
        sink.write(head + body)
        sink.finish()

    def own_head(self, exchange: Exchange, line: bytes, lines: bytes) -> bytes:
        """Return the head of an answer of the gateway's own: its status line, and the lines of its fields."""
        date = self._telemetry.http_date()
        return b"%bDate: %b\r\n%b%b\r\n" % (line, date, lines, self._marks.own(exchange))

    def open_refusal(self, client: Client, error: ProtocolError) -> Exchange:
        """Make the exchange of bytes that are not a request, so that their refusal is answered and logged."""
        head = RequestHead("-", "-", "-", "", 1, "", Headers(), 0, keep_alive=False)
        exchange = Exchange(head, client, self.now())
        exchange.refusal = error.reason
        return exchange

    def refuse_exchange(self, exchange: Exchange, sink: ClientSink, status: int) -> None:
        """Answer a request that is not even matched."""
        exchange.request_id = new_request_id()
        self.reply(exchange, None, sink, Reply(status, fault=True))

    # --- the end ---------------------------------------------------------------------------------------------

    def finished(self, exchange: Exchange, route: CompiledRoute | None) -> None:
        """Record an exchange that is over; called exactly once for each."""
        exchange.ended = self.now()
        if exchange.permit is not None:
            exchange.permit.left(exchange, exchange.ended)
        if route is not None:
            for phase in route.pipeline.log:
                try:
                    phase(exchange)
                except Exception as error:  # noqa: BLE001  # the record and the connection go on
                    log_failure(exchange, error)
            self._telemetry.finished(exchange, route.meter)
        else:
            self._telemetry.finished(exchange, None)
        exchange.buffered = None  # its record may have to wait, and the body is in none


class Waiting:
    """The owner of an exchange while one of its phases waits."""

    __slots__ = ("_exchange", "_handler", "_route", "task")

    def __init__(self, handler: Handler, exchange: Exchange, route: CompiledRoute) -> None:
        self._handler = handler
        self._exchange = exchange
        self._route = route
        self.task: asyncio.Task[None] | None = None

    def client_gone(self) -> None:
        """Stop waiting: nobody does any more."""
        if self.task is not None and not self.task.done():
            self.task.cancel()
            exchange = self._exchange
            if exchange.upgraded:  # a carrier has taken its WebSocket already, and hears of it too
                exchange.way.client_gone()
                return
            exchange.status = 499
            exchange.aborted = True
            self._handler.finished(exchange, self._route)

    def client_writable(self, writable: bool) -> None:
        """Hear of a slow client: only to one that has its WebSocket already is anything written yet."""
        if self._exchange.upgraded:
            self._exchange.way.client_writable(writable)

    def leave(self) -> None:
        """Hear that the process is about to end: a request it still answers, a WebSocket is told to come back."""
        if self._exchange.upgraded:
            self._exchange.way.leave()


def _incoming_id(headers: Headers) -> str:
    value = headers.get(b"x-kong-request-id")
    if value is None or len(value) > MAX_REQUEST_ID:
        return ""
    text = value.decode("latin-1")
    return text if text.isascii() and text.replace("-", "").replace("_", "").isalnum() else ""


def _to_https(exchange: Exchange, route: CompiledRoute) -> Reply:
    status = route.route.https_redirect_status_code
    if status in _REDIRECTS and exchange.request.host:  # which HTTP/1.0 need not send
        location = (
            f"https://{without_port(exchange.request.host)}{exchange.request.path}{exchange.request.query}"
        )
        return Reply(status, body=b"", headers=Headers.of([(b"Location", location.encode())]))
    upgrade = [(b"Connection", b"Upgrade"), (b"Upgrade", b"TLS/1.2, HTTP/1.1")]
    return Reply(426, "Please use HTTPS protocol", headers=Headers.of(upgrade))


def _check_upgrade(request: RequestHead) -> Reply | None:
    """Validate a WebSocket handshake (RFC 6455 section 4.2.1); other protocols are not offered."""
    if request.upgrade != "websocket":
        request.upgrade = ""  # RFC 9110 section 7.8: an upgrade that is not known is ignored
        return None
    headers = request.headers
    if request.method != "GET":
        return Reply(400, "A WebSocket handshake is a GET request")
    if headers.get(b"sec-websocket-version") != b"13":
        return Reply(
            426,
            "WebSocket version 13 is required",
            headers=Headers.of([(b"Sec-WebSocket-Version", b"13")]),
        )
    try:
        nonce = base64.b64decode(headers.get(b"sec-websocket-key") or b"", validate=True)
    except binascii.Error:
        nonce = b""
    return None if len(nonce) == NONCE_SIZE else Reply(400, "Sec-WebSocket-Key is not 16 bytes in base64")
