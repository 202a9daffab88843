"""Sending a request to its upstream: choose a target, get a connection, try again where that is safe.

The common case is one pass without waiting: the balancer picks, the pool has a connection, the relay begins.
Only where a name must be resolved or a connection dialled does the exchange become a task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxyd.errors import GatewayError, Kind, Retry
from proxyd.exchange import Reply
from proxyd.gateway.forwarded import rewrite_forwarded, without_port
from proxyd.gateway.relay import Relay
from proxyd.gateway.reply import message_for
from proxyd.http1.message import CHUNKED

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxyd.exchange import Exchange
    from proxyd.gateway.marks import Marks
    from proxyd.gateway.sink import ClientSink
    from proxyd.gateway.snapshot import CompiledRoute
    from proxyd.gateway.tasks import Tasks

# RFC 9110 section 9.2.2
IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"})


class Forwarder:
    """Carries exchanges to upstreams; one per gateway.

    ``reply`` answers an exchange by the gateway itself, ``finished`` records one that is over.
    """

    def __init__(
        self,
        now: Callable[[], float],
        tasks: Tasks,
        marks: Marks,
        reply: Callable[[Exchange, CompiledRoute | None, ClientSink, Reply], None],
        finished: Callable[[Exchange, CompiledRoute | None], None],
        *,
        send_request_id: bool = True,
    ) -> None:
        self.now = now
        self.marks = marks
        self.reply = reply
        self.finished = finished
        self._tasks = tasks
        self._format = b"%bX-Forwarded-Host: %b\r\nX-Forwarded-Path: %b\r\n"
        self._format += b"X-Kong-Request-Id: %b\r\n" if send_request_id else b"%.0b"

    # --- the way up ------------------------------------------------------------------------------------------

    def start(self, exchange: Exchange, route: CompiledRoute, sink: ClientSink) -> None:
        """Carry an exchange that every phase has let pass."""
        relay = Relay(exchange, route, sink, self)
        sink.attach(relay)
        self._prepare(relay)
        if not route.service.balancer.resolved:
            exchange.dialled = self.now()
            relay.task = self._tasks.spawn(self._dial(relay))
            return
        try:
            self._choose(relay)
        except GatewayError as error:
            relay.fail(error, Reply(error.status, message_for(error), fault=True))
            return
        connection = relay.peer.pool.acquire(repeatable=exchange.request.method in IDEMPOTENT)  # type: ignore[union-attr]
        if connection is not None:
            relay.begin(connection)
        else:
            exchange.dialled = exchange.dialled or self.now()
            relay.task = self._tasks.spawn(self._dial(relay))

    def _choose(self, relay: Relay) -> None:
        """Pick a target and write the head for it; raises GatewayError."""
        exchange = relay.exchange
        relay.peer = peer = relay.route.service.balancer.pick(exchange, relay.tried)
        exchange.tries += 1
        exchange.peer = peer.label
        request = exchange.request
        host = peer.host_line
        if relay.route.preserve_host and request.host:
            host = b"Host: %b\r\n" % request.host.encode()
        relay.head = b"%b %b HTTP/1.1\r\n%b%b%b\r\n" % (
            request.method.encode(),
            exchange.upstream_path.encode(),
            host,
            request.headers.encode(),
            relay.forwarded,
        )

    async def _dial(self, relay: Relay) -> None:
        """Resolve, choose and connect, until a connection is at hand or no try is left."""
        service = relay.route.service
        while True:
            try:
                if not service.balancer.resolved:
                    await service.balancer.resolve()
                if relay.peer is None:
                    self._choose(relay)
                connection = await relay.peer.pool.connect(service.connect_timeout)  # type: ignore[union-attr]
            except GatewayError as error:
                if not self._may_try_again(relay, error, reused=False):
                    relay.task = None
                    relay.fail(error, Reply(error.status, message_for(error), fault=True))
                    return
            else:
                relay.task = None
                relay.begin(connection)
                return

    # --- trying again ----------------------------------------------------------------------------------------

    def retry_or_fail(self, relay: Relay, error: GatewayError, *, reused: bool) -> None:
        """Take a try that failed before its answer began."""
        if not self._may_try_again(relay, error, reused=reused):
            relay.fail(error, Reply(error.status, message_for(error), fault=True))
            return
        relay.exchange.dialled = relay.exchange.dialled or relay.exchange.sent
        relay.task = self._tasks.spawn(self._dial(relay))

    def _may_try_again(self, relay: Relay, error: GatewayError, *, reused: bool) -> bool:
        """Whether a further try is safe and allowed; the failed target is noted and let go."""
        exchange = relay.exchange
        service = relay.route.service
        if not (
            reused and error.kind is Kind.RESET
        ):  # a connection that went stale says nothing of its target
            self._observe_failure(relay, error)
        if relay.peer is not None:
            relay.tried.append(relay.peer)
        self.left(relay)
        stale = reused and exchange.request.method in IDEMPOTENT
        safe = error.retry is Retry.SAFE or (error.retry is Retry.IF_REUSED and stale)
        return safe and relay.may_repeat() and 0 < exchange.tries <= service.retries

    def _observe_failure(self, relay: Relay, error: GatewayError) -> None:
        if relay.peer is not None and error.kind is not Kind.NO_TARGET:
            relay.route.service.balancer.observe_failure(relay.peer, error.kind)

    def failed_midway(self, relay: Relay, error: GatewayError) -> None:
        """Take a failure after the answer began: no try follows."""
        self._observe_failure(relay, error)

    def left(self, relay: Relay) -> None:
        """Let the target go, and whoever was still dialling it."""
        peer, relay.peer = relay.peer, None
        if peer is not None:
            relay.route.service.balancer.end(peer)
        if relay.task is not None and relay.over:
            relay.task.cancel()
            relay.task = None

    # --- the request's head ----------------------------------------------------------------------------------

    def _prepare(self, relay: Relay) -> None:
        """Decide what goes upstream but for the Host, which is the chosen target's."""
        exchange = relay.exchange
        route = relay.route
        request = exchange.request
        path = route.join(exchange.matched_prefix, request.path)
        exchange.upstream_path = path + request.query if request.query else path
        host = request.host
        written = rewrite_forwarded(exchange)
        relay.forwarded = self._format % (
            exchange.client.forwarded,
            (without_port(host) if ":" in host else host).encode(),
            request.path.encode(),
            exchange.request_id.encode(),
        )
        if written is not None:
            relay.forwarded = _merge(relay.forwarded, written)
        if route.strips and len(exchange.matched_prefix) > 1:
            relay.forwarded += _prefix(exchange.matched_prefix, written)
        if request.trailers:
            relay.forwarded += b"Connection: TE\r\nTE: trailers\r\n"
        if request.framing == CHUNKED and exchange.buffered is None:
            relay.forwarded += b"Transfer-Encoding: chunked\r\n"
        elif exchange.buffered is not None:
            request.headers.set(b"Content-Length", b"%d" % len(exchange.buffered))
        if request.upgrade:
            relay.forwarded += b"Connection: Upgrade\r\nUpgrade: websocket\r\n"


def _merge(forwarded: bytes, written: dict[bytes, bytes]) -> bytes:
    """Put lines that others wrote, where they are believed, in the place of ours of the same name."""
    lines = {line.partition(b":")[0].lower(): line for line in forwarded.splitlines(keepends=True)}
    return b"".join((lines | written).values())


def _prefix(prefix: str, written: dict[bytes, bytes] | None) -> bytes:
    if written is not None and b"x-forwarded-prefix" in written:
        return b""
    return b"X-Forwarded-Prefix: %b\r\n" % prefix.encode()
