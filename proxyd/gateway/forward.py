"""Sending a request to its upstream: choose a target, get a connection, try again where that is safe.

The common case is one pass without waiting: the balancer picks, the pool has a connection, the relay begins.
Only where a name must be resolved or a connection dialled does the exchange become a task.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from proxyd.errors import GatewayError, Kind, Retry
from proxyd.gateway.forwarded import rewrite_forwarded, without_port
from proxyd.gateway.relay import Relay
from proxyd.gateway.reply import failure
from proxyd.http1.message import CHUNKED
from proxyd.telemetry.events import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxyd.exchange import Exchange, Reply
    from proxyd.gateway.marks import Marks
    from proxyd.gateway.route import CompiledRoute, CompiledService
    from proxyd.gateway.sink import ClientSink
    from proxyd.gateway.tasks import Tasks
    from proxyd.upstream.peer import Peer

log: Final = get_logger("gateway")

# These say nothing of a target.
_NOBODYS: Final = frozenset({Kind.NO_TARGET, Kind.CIRCUIT_OPEN, Kind.OVERLOADED})


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
        self._send_request_id = send_request_id

    # --- the way up ------------------------------------------------------------------------------------------

    def start(self, exchange: Exchange, route: CompiledRoute, sink: ClientSink) -> None:
        """Carry an exchange that every phase has let pass."""
        relay = Relay(exchange, route, sink, self)
        sink.attach(relay)
        request = exchange.request
        # As paths.Targets says.
        path = exchange.replaced_path or route.join(exchange.matched_prefix, request.path)
        exchange.upstream_path = path + request.query if request.query else path
        relay.own_lines = self._own_lines(exchange, route)
        if not route.service.balancer.resolved:
            exchange.dialled = self.now()
            relay.task = self._tasks.spawn(self._dial(relay))
            return
        try:
            peer = self._choose(relay)
        except GatewayError as error:
            relay.fail(error, failure(error))
            return
        connection = peer.pool.acquire(exchange.idempotent)
        if connection is not None:
            relay.begin(connection)
        else:
            exchange.dialled = self.now()
            relay.task = self._tasks.spawn(self._dial(relay))

    def _own_lines(self, exchange: Exchange, route: CompiledRoute) -> bytes:
        """Return the lines that the gateway adds to a request's head, and the end of the head."""
        request = exchange.request
        host = request.host
        if ":" in host:
            host = without_port(host)
        lines = f"X-Forwarded-Host: {host}\r\nX-Forwarded-Path: {request.path}\r\n"
        if self._send_request_id:
            lines += f"X-Kong-Request-Id: {exchange.request_id}\r\n"
        if route.strips and len(exchange.matched_prefix) > 1:
            lines += f"X-Forwarded-Prefix: {exchange.matched_prefix}\r\n"
        client = exchange.client
        buffered = exchange.buffered
        if (
            request.headers.raw is not None
            and (buffered is None or len(buffered) == request.framing)  # which is what Content-Length says
            and exchange.client_ip == client.peer
        ):
            return b"%b%b\r\n" % (client.forwarded, lines.encode())  # a plain head: this is all
        return _unusual_lines(exchange, client.forwarded + lines.encode()) + b"\r\n"

    def _choose(self, relay: Relay) -> Peer:
        """Pick a target and write the head for it; raises GatewayError."""
        exchange = relay.exchange
        route = relay.route
        relay.peer = peer = route.service.balancer.pick(exchange, relay.tried)
        exchange.tries += 1
        exchange.peer = peer.label
        exchange.address = peer.address
        request = exchange.request
        host = peer.host_line
        if exchange.replaced_host:
            host = b"Host: %b\r\n" % exchange.replaced_host.encode()
        elif route.preserve_host and request.host:
            host = b"Host: %b\r\n" % request.host.encode()
        line = f"{exchange.replaced_method or request.method} {exchange.upstream_path} HTTP/1.1\r\n".encode()
        relay.head = b"".join(
            (line, host, request.headers.encode(), relay.own_lines, exchange.buffered or b"")
        )
        return peer

    async def _dial(self, relay: Relay) -> None:
        """Resolve, choose and connect, until a connection is at hand or no try is left."""
        service = relay.route.service
        while True:
            try:
                if not service.balancer.resolved:
                    await _resolve(service)
                if relay.peer is None:
                    self._choose(relay)
                connection = await service.balancer.connect(
                    relay.peer,  # type: ignore[arg-type]
                    service.connect_timeout,
                    repeatable=relay.exchange.idempotent,
                )
            except GatewayError as error:
                if not self._may_try_again(relay, error, reused=False):
                    relay.task = None
                    relay.fail(error, failure(error))
                    return
            except Exception as error:  # noqa: BLE001  # whatever it is, the client is not left waiting
                log.crit("connecting failed", request_id=relay.exchange.request_id, exc_info=error)
                relay.task = None
                fault = GatewayError(Kind.INTERNAL, f"could not connect: {error!r}")
                relay.fail(fault, failure(fault))
                return
            else:
                relay.task = None
                relay.begin(connection)
                return

    # --- trying again ----------------------------------------------------------------------------------------

    def retry_or_fail(self, relay: Relay, error: GatewayError, *, reused: bool) -> None:
        """Take a try that failed before its answer began."""
        if not self._may_try_again(relay, error, reused=reused):
            relay.fail(error, failure(error))
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
            if exchange.failed_tries is None:
                exchange.failed_tries = []
            exchange.failed_tries.append((relay.peer.address, error.status))
        self.left(relay)
        # Of a connection that is not reused, a reset may come from the request: that is sent again where a plugin vouches for it.
        stale = exchange.repeatable is not None or (reused and exchange.idempotent)
        safe = error.retry is Retry.SAFE or (error.retry is Retry.IF_REUSED and stale)
        return safe and _is_possible(relay) and service.balancer.may_retry(exchange)

    def answered(self, relay: Relay, status: int, now: float) -> bool:
        """Take the head of an answer; false where a plugin has the request sent again for it, and that is allowed."""
        exchange, peer = relay.exchange, relay.peer
        balancer = relay.route.service.balancer
        balancer.observe(exchange, peer, status, now)  # type: ignore[arg-type]
        if not exchange.repeatable or status not in exchange.repeatable:
            return True
        if peer is None or not _is_possible(relay):
            return True
        self.left(relay)
        if not balancer.may_retry(exchange):
            return True
        relay.tried.append(peer)
        if exchange.failed_tries is None:
            exchange.failed_tries = []
        exchange.failed_tries.append((peer.address, status))
        exchange.dialled = exchange.dialled or exchange.sent
        relay.task = self._tasks.spawn(self._dial(relay))
        return False

    def _observe_failure(self, relay: Relay, error: GatewayError) -> None:
        if relay.peer is not None and error.kind not in _NOBODYS:
            relay.route.service.balancer.observe_failure(relay.exchange, relay.peer, error.kind)

    def failed_midway(self, relay: Relay, error: GatewayError) -> None:
        """Take a failure after the answer began: no try follows."""
        self._observe_failure(relay, error)

    def left(self, relay: Relay) -> None:
        """Let the target go, and whoever was still dialling it."""
        peer, relay.peer = relay.peer, None
        if peer is not None:
            relay.route.service.balancer.end(relay.exchange, peer)
        elif relay.exchange.retrying:
            relay.route.service.balancer.retried(relay.exchange)
        if relay.task is not None and relay.over:
            relay.task.cancel()
            relay.task = None


def _is_possible(relay: Relay) -> bool:
    """Whether what was sent could be sent once more, and the service has it tried as often."""
    return relay.may_repeat() and 0 < relay.exchange.tries <= relay.route.service.retries


async def _resolve(service: CompiledService) -> None:
    """Wait for a name that was never resolved, no longer than for a connection; raises GatewayError."""
    try:
        async with asyncio.timeout(service.connect_timeout):
            await service.balancer.resolve()
    except TimeoutError:
        raise GatewayError(Kind.NAME_RESOLUTION, "the name servers have not answered in time") from None


def _unusual_lines(exchange: Exchange, lines: bytes) -> bytes:
    """Add what requests need that are not plain: other proxies' fields, trailers, a body without a length."""
    request = exchange.request
    written = rewrite_forwarded(exchange)
    if written is not None:
        own = {line.partition(b":")[0].lower(): line for line in lines.splitlines(keepends=True)}
        lines = b"".join((own | written).values())
    if request.trailers:
        lines += b"Connection: TE\r\nTE: trailers\r\n"
    if request.upgrade:
        lines += b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    if exchange.buffered is not None:
        request.headers.set(b"Content-Length", b"%d" % len(exchange.buffered))
    elif request.framing == CHUNKED:
        lines += b"Transfer-Encoding: chunked\r\n"
    return lines
