"""What the prometheus plugin counts where it stands: the numbers behind Kong's metrics, which no meter has.

One tally per route, and per consumer where those are told apart. Latencies are not counted again: ``families`` and
``kong`` read the same histograms of the route's meter. The names of Kong's metrics are in ``kong``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from proxyd.telemetry.journal import OF_TALLY_NAME
from proxyd.telemetry.meter import OTHER, Meters, RouteMeter

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from proxyd.exchange import Exchange
    from proxyd.model.entities import Route, Service
    from proxyd.telemetry.journal import Journal

LIMIT: Final = 10_000  # tallies of consumers, of all routes together


class Measures(NamedTuple):
    """What an instance of the plugin asks for."""

    status: bool = False
    latency: bool = False
    bandwidth: bool = False
    health: bool = False


class Tally:
    """The counters of one route and, where ``consumer`` is not empty, of one of its consumers.

    ``codes`` counts by status, negative for an answer that was the gateway's own. Bytes are of heads and bodies.
    ``measures`` is what the instance that counts here asks for, the last one after a reload. Where there is a
    ``journal``, what is counted is written down there under the ``mark``.
    """

    __slots__ = (
        "bytes_received",
        "bytes_sent",
        "codes",
        "consumer",
        "journal",
        "mark",
        "measures",
        "meter",
        "route",
        "service",
    )

    def __init__(self, route: str, service: str, consumer: str, meter: RouteMeter) -> None:
        self.route = route
        self.service = service
        self.consumer = consumer
        self.meter = meter
        self.journal: Journal | None = meter.journal
        self.mark = 0
        self.measures = Measures()
        self.codes: dict[int, int] = {}
        self.bytes_received = 0
        self.bytes_sent = 0

    def __repr__(self) -> str:
        return f"<Tally route={self.route!r} consumer={self.consumer!r} requests={sum(self.codes.values())}>"

    def observe(self, exchange: Exchange) -> None:
        """Count a finished exchange."""
        status = exchange.status
        response = exchange.response
        if response is None or response.status != status:
            status = -status
        codes = self.codes
        codes[status] = codes.get(status, 0) + 1
        received = exchange.head_received + exchange.bytes_received
        sent = exchange.head_sent + exchange.bytes_sent
        self.bytes_received += received
        self.bytes_sent += sent
        journal = self.journal
        if journal is not None:
            if not self.mark:
                self.mark = journal.name(OF_TALLY_NAME, *self.names())
            journal.tally(self.mark, status, received, sent)

    def names(self) -> tuple[str, str, str, str, str]:
        """Return what it is known by, what its meter's service is called, and what is asked for, as digits."""
        asked = "".join("01"[one] for one in self.measures)
        return self.route, self.service, self.consumer, self.meter.service, asked


class Tallies:
    """Every tally, by the names of its route and consumer: counters go on where a reload finds them.

    ``running`` is what each instance that runs asks for. ``lost`` counts requests of consumers beyond the limit,
    which share one tally per route.
    """

    __slots__ = ("_consumers", "_limit", "_meters", "_tallies", "lost", "running")

    def __init__(self, meters: Meters | None = None, limit: int = LIMIT) -> None:
        self._meters = Meters() if meters is None else meters
        self._limit = limit
        self._tallies: dict[tuple[RouteMeter, str], Tally] = {}
        self._consumers = 0
        self.running: list[Measures] = []
        self.lost = 0

    def __repr__(self) -> str:
        return f"<Tallies {len(self._tallies)} running={len(self.running)}>"

    def of(self, route: Route, service: Service | None, consumer: str) -> Tally:
        """Return the tally of this route and consumer, the same one every time, or the one of all others."""
        name = (service.name or service.host) if service is not None else ""
        key = (self._meters.for_route(route, service), consumer)
        tally = self._tallies.get(key)
        if tally is None:
            if consumer and consumer != OTHER:
                if self._consumers >= self._limit:
                    self.lost += 1
                    return self.of(route, service, OTHER)
                self._consumers += 1
            tally = self._tallies[key] = Tally(route.name or route.id, name, consumer, key[0])
        return tally

    def named(self, route: str, service: str, consumer: str, meter: RouteMeter) -> Tally:
        """Return the tally of these names, beyond the limit the one of all others; for sums over processes."""
        tally = self._tallies.get((meter, consumer))
        if tally is None:
            if consumer not in {"", OTHER}:
                if self._consumers >= self._limit:
                    return self.named(route, service, OTHER, meter)
                self._consumers += 1
            tally = self._tallies[meter, consumer] = Tally(route, service, consumer, meter)
        return tally

    def retain(self, live: Iterable[RouteMeter], consumers: Collection[str]) -> None:
        """Forget routes and consumers that are gone, so that reloads do not pile them up."""
        meters = set(live)
        kept = {*consumers, "", OTHER}
        self._tallies = {
            key: tally for key, tally in self._tallies.items() if key[0] in meters and key[1] in kept
        }
        self._consumers = sum(consumer not in {"", OTHER} for _, consumer in self._tallies)

    def all(self) -> list[Tally]:
        """List what has been counted."""
        return list(self._tallies.values())


class Counted:
    """Adds exchanges to the tallies of their routes, and of their consumers where it is ``per_consumer``."""

    def __init__(self, tallies: Tallies, measures: Measures, *, per_consumer: bool) -> None:
        self._tallies = tallies
        self._measures = measures
        self._per_consumer = per_consumer
        self._known: dict[str, Tally] = {}

    def __repr__(self) -> str:
        return f"<Counted {len(self._known)}>"

    def log(self, exchange: Exchange) -> None:
        """Count an exchange, unless it had no route."""
        route = exchange.route
        if route is None:
            return
        key = route.id
        if self._per_consumer and exchange.consumer is not None:
            key += exchange.consumer.id
        tally = self._known.get(key)
        if tally is None:
            tally = self._begin(exchange, route, key)
        tally.observe(exchange)

    def _begin(self, exchange: Exchange, route: Route, key: str) -> Tally:
        consumer = exchange.consumer.label if self._per_consumer and exchange.consumer is not None else ""
        tally = self._tallies.of(route, exchange.service, consumer)
        tally.measures = self._measures
        if tally.consumer == consumer:
            self._known[key] = tally
        return tally
