"""What is counted per route: one meter each, bound when a configuration is compiled.

``observe`` is the last thing that happens to a request, and all that metrics cost it; the numbers become
Prometheus families in ``families``, when somebody asks.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final

from proxyd.telemetry.exemplars import Exemplars
from proxyd.telemetry.histogram import FINE, Histogram
from proxyd.telemetry.journal import ABORTED, MADE_GOOD, OF_METER_NAME
from proxyd.telemetry.timing import connect_seconds, split

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from proxyd.exchange import Exchange
    from proxyd.model.entities import Route, Service
    from proxyd.telemetry.journal import Journal

# RFC 9110 section 9.3 and RFC 5789. Any other token is counted as OTHER: a client must not be able to make
# new time series.
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})
OTHER: Final = "_OTHER"


class RouteMeter:
    """The counters of one route and service; both names are empty where nothing matched.

    ``requests`` is method -> status -> count. The histograms are made with the first request, so that ten
    thousand quiet routes cost little. Bytes are of bodies. Where there is a ``journal``, what is counted is written down
    there under the ``mark``.
    """

    __slots__ = (
        "aborted",
        "bytes_received",
        "bytes_sent",
        "connect",
        "exemplars",
        "failures",
        "journal",
        "mark",
        "own",
        "requests",
        "retries_failed",
        "retries_made_good",
        "route",
        "service",
        "slow",
        "upstream",
        "used",
        "whole",
    )

    whole: Histogram
    upstream: Histogram
    own: Histogram
    connect: Histogram

    def __init__(self, route: str = "", service: str = "", journal: Journal | None = None) -> None:
        self.route = route
        self.service = service
        self.journal = journal
        self.mark = 0
        self.used = False
        self.requests: dict[str, dict[int, int]] = {}
        self.failures: dict[tuple[str, str], int] = {}  # (kind, source) -> count
        self.bytes_received = 0
        self.bytes_sent = 0
        self.aborted = 0
        self.retries_made_good = 0
        self.retries_failed = 0
        self.slow = 0  # beyond the edge of the log of slow requests
        self.exemplars: Exemplars | None = None  # of the whole, once a request was traced

    def __repr__(self) -> str:
        return f"<RouteMeter route={self.route!r} service={self.service!r} requests={self.total()}>"

    def total(self) -> int:
        """Return the number of exchanges observed."""
        return sum(sum(codes.values()) for codes in self.requests.values())

    def observe(self, exchange: Exchange) -> float:
        """Count a finished exchange; returns the gateway's own part of it in seconds."""
        if not self.used:
            self.begin()
        whole, upstream, own = split(exchange)
        histogram = self.whole
        place = bisect_left  # once: compiled code looks it up by its name
        histogram.counts[place(FINE, whole)] += 1
        histogram.sum += whole
        histogram = self.own
        histogram.counts[place(FINE, own)] += 1
        histogram.sum += own
        if upstream >= 0.0:
            histogram = self.upstream
            histogram.counts[place(FINE, upstream)] += 1
            histogram.sum += upstream
        codes = self.requests.get(exchange.request.method)
        if codes is None:
            codes = self._codes(exchange.request.method)
        status = exchange.status
        codes[status] = codes.get(status, 0) + 1
        self.bytes_received += exchange.bytes_received
        self.bytes_sent += exchange.bytes_sent
        journal = self.journal
        if journal is not None:
            journal.request(
                self.mark,
                exchange.request.method,
                status,
                whole,
                upstream,
                own,
                exchange.bytes_received,
                exchange.bytes_sent,
            )
        if exchange.dialled or exchange.error is not None or exchange.aborted:
            self._observe_unusual(exchange)
        return own

    def exemplify(self, exchange: Exchange, time: float) -> None:
        """Keep a traced exchange that is over, at ``time`` since the epoch, as what its bucket holds."""
        if self.exemplars is None:
            self.exemplars = Exemplars()
        self.exemplars.note(split(exchange)[0], exchange.traceparent, time)

    def begin(self) -> None:
        """Make what the first request needs; nothing where that has been."""
        if self.used:
            return
        self.whole = Histogram()
        self.upstream = Histogram()
        self.own = Histogram()
        self.connect = Histogram()
        self.used = True
        if self.journal is not None:
            self.mark = self.journal.name(OF_METER_NAME, self.route, self.service)

    def _codes(self, method: str) -> dict[int, int]:
        return self.requests.setdefault(method if method in METHODS else OTHER, {})

    def _observe_unusual(self, exchange: Exchange) -> None:
        error = exchange.error
        connect: float | None = None
        if exchange.dialled and exchange.connected:
            connect = connect_seconds(exchange)
            self.connect.observe(connect)
        if exchange.tries > 1:
            if error is None:
                self.retries_made_good += exchange.tries - 1
            else:
                self.retries_failed += exchange.tries - 1
        key: tuple[str, str] | None = None
        if error is not None:
            key = (error.kind.value, error.source.value)
            self.failures[key] = self.failures.get(key, 0) + 1
        if exchange.aborted:
            self.aborted += 1
        if self.journal is not None:
            flags = (ABORTED if exchange.aborted else 0) | (MADE_GOOD if error is None else 0)
            self.journal.unusual(self.mark, flags, max(exchange.tries - 1, 0), connect, key)


class Meters:
    """Every meter, by the names of its route and service: counters go on where a reload finds them."""

    __slots__ = ("_journal", "_meters", "unmatched")

    def __init__(self, journal: Journal | None = None) -> None:
        self._journal = journal
        self.unmatched = RouteMeter("", "", journal)
        self._meters: dict[tuple[str, str], RouteMeter] = {}

    def __repr__(self) -> str:
        return f"<Meters {len(self._meters)}>"

    def of(self, route: str, service: str) -> RouteMeter:
        """Return the meter of this route and service, the same one every time."""
        key = (route, service)
        meter = self._meters.get(key)
        if meter is None:
            meter = self._meters[key] = RouteMeter(route, service, self._journal)
        return meter

    def for_route(self, route: Route, service: Service | None) -> RouteMeter:
        """Return the meter of a route and its service, by the names or else the ids that they have."""
        return self.of(route.name or route.id, (service.name or service.id) if service is not None else "")

    def retain(self, live: Iterable[RouteMeter]) -> None:
        """Forget the meters of routes that are gone, so that reloads do not pile them up."""
        self._meters = {(meter.route, meter.service): meter for meter in live}

    def names(self) -> list[tuple[str, str]]:
        """List the routes and services that there is a meter for."""
        return list(self._meters)

    def used(self) -> Iterator[RouteMeter]:
        """Iterate over the meters that have counted anything."""
        if self.unmatched.used:
            yield self.unmatched
        for meter in list(self._meters.values()):  # a reload adds some from its thread
            if meter.used:
                yield meter
