"""The log of slow requests: one event for each that took the gateway too long, with where the time went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from proxyd.telemetry.access_line import milliseconds
from proxyd.telemetry.events import get_logger
from proxyd.telemetry.noted import Noted
from proxyd.telemetry.operated import told
from proxyd.telemetry.spent import by_plugin, queued
from proxyd.telemetry.timing import NO_UPSTREAM, connect_seconds, split

if TYPE_CHECKING:
    import asyncio

    from proxyd.clock import Clock
    from proxyd.exchange import Exchange
    from proxyd.telemetry.redact import Redactor

LINES = 10  # events in a second; a gateway that is slow with everything must not write about it all the time
PLUGINS = 20  # of a request, the slowest first

log = get_logger("slow")


class SlowLog:
    """Takes exchanges whose own part was beyond ``above`` seconds. ``left_out`` counts those without an event."""

    __slots__ = ("_noted", "_redactor", "_room", "_second", "_untold", "above", "left_out")

    def __init__(
        self, above: float, clock: Clock, loop: asyncio.AbstractEventLoop, redactor: Redactor
    ) -> None:
        self.above = above
        self.left_out = 0
        self._redactor = redactor
        self._noted = Noted(self._write, loop)
        self._second = clock.now()
        self._room = LINES
        self._untold = 0

    def __repr__(self) -> str:
        return f"<SlowLog above={self.above:g} left_out={self.left_out}>"

    def note(self, exchange: Exchange) -> None:
        """Take an exchange that is over; its event is written a little later."""
        if exchange.ended - self._second >= 1.0:
            self._second = exchange.ended
            self._room = LINES
        if self._room:
            self._room -= 1
            self._noted.note(exchange)
        else:
            self.left_out += 1
            self._untold += 1

    def _write(self, batch: list[Exchange]) -> None:
        for exchange in batch:
            untold, self._untold = self._untold, 0
            more = {"left_out": untold} if untold else {}
            log.warning("slow request", **_fields(exchange, self._redactor), **more)

    def close(self) -> None:
        """Write what is noted, and how many events there were not."""
        self._noted.close()
        if self._untold:
            log.warning("slow requests were left out", left_out=self._untold)
            self._untold = 0


def _fields(exchange: Exchange, redactor: Redactor) -> dict[str, Any]:
    request = exchange.request
    route, service = exchange.route, exchange.service
    whole, upstream, own = split(exchange)
    connect = connect_seconds(exchange) if exchange.connected else 0.0
    read = exchange.response_ended  # the upstream's answer; 0.0 where there was none, or not all of it
    slowest = sorted(by_plugin(exchange, exchange.ended).items(), key=lambda item: -item[1])
    return {
        "request_id": exchange.request_id,
        "trace_id": exchange.traceparent[3:35] or None,
        "client_ip": exchange.client_ip,
        "method": request.method,
        "host": request.host,
        "path": request.path,
        "query": redactor.query(request.query[1:]) if request.query else None,
        "status": exchange.status,
        "route": route and (route.name or route.id),
        "service": service and (service.name or service.id),
        "consumer": exchange.consumer and exchange.consumer.label,
        "upstream": exchange.peer or None,
        "graphql": exchange.graphql and told(exchange.graphql),
        "total_ms": milliseconds(whole),
        "gateway_ms": milliseconds(own),
        "queue_ms": milliseconds(queued(exchange)),
        "body_ms": milliseconds(exchange.body_waited),
        "connect_ms": milliseconds(connect),
        "upstream_ms": None if upstream == NO_UPSTREAM else milliseconds(upstream),
        "write_ms": milliseconds(exchange.ended - read) if read else None,
        "plugins": [
            {"plugin": plugin, "phase": phase, "ms": milliseconds(seconds)}
            for (plugin, phase), seconds in slowest[:PLUGINS]
        ],
    }
