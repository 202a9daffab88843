"""What is counted of GraphQL: per operation, and per route what became of limits, safelists, documents and subscriptions.

Names of operations are what clients write: an instance of the plugin says which of them become labels, and how many may,
and all others are counted under one name.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxyd.exchange import Exchange, Operated
    from proxyd.telemetry.meter import RouteMeter

OTHER: Final = "_OTHER"
ANONYMOUS: Final = ""
TYPES: Final = frozenset({"query", "mutation", "subscription"})
CODES: Final = 64  # error codes that are told apart; backends make them
NAME: Final = 128  # characters of a name that is a label

COST_EDGES: Final = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 100000)
DEPTH_EDGES: Final = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 30, 50)

Events = dict[tuple[str, ...], int]


class Spread:
    """A histogram of whole numbers, by its own edges."""

    __slots__ = ("counts", "edges", "sum")

    def __init__(self, edges: tuple[int, ...]) -> None:
        self.edges = edges
        self.counts = [0] * (len(edges) + 1)
        self.sum = 0

    def __repr__(self) -> str:
        return f"<Spread count={sum(self.counts)} sum={self.sum}>"

    def observe(self, value: int) -> None:
        """Count one value."""
        self.counts[bisect_left(self.edges, value)] += 1
        self.sum += value

    def buckets(self) -> list[tuple[str, float]]:
        """Return ``(le, cumulative count)`` pairs as Prometheus wants them, ``+Inf`` last."""
        labels = (*map(str, self.edges), "+Inf")
        return [(label, float(total)) for label, total in zip(labels, accumulate(self.counts), strict=True)]


class OperationMeter:
    """The counters of one operation of one route: ``errors`` by code. ``kinds`` are those of all of its type."""

    __slots__ = ("cost", "errors", "kinds", "name", "requests", "route", "seconds", "type")

    def __init__(self, route: str, name: str, kind: str, kinds: Kinds) -> None:
        self.kinds = kinds
        self.route = route
        self.name = name
        self.type = kind
        self.requests = 0
        self.seconds = 0.0
        self.cost = 0
        self.errors: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<OperationMeter {self.type} {self.name or 'anonymous'} requests={self.requests}>"


class Kinds:
    """What is counted of all operations of one type of one route."""

    __slots__ = ("cost", "depth", "hits", "misses", "route", "type")

    def __init__(self, route: str, kind: str) -> None:
        self.route = route
        self.type = kind
        self.cost = Spread(COST_EDGES)
        self.depth = Spread(DEPTH_EDGES)
        self.hits = 0  # documents that were known
        self.misses = 0

    def __repr__(self) -> str:
        return f"<Kinds {self.route} {self.type} hits={self.hits} misses={self.misses}>"


class Operations:
    """Everything that is counted of GraphQL in this process; one per process, as the meters of routes are.

    Each of the methods below takes the exchange, whose route is what is counted by.
    """

    def __init__(self) -> None:
        self.meters: dict[tuple[str, str, str], OperationMeter] = {}  # by route, type and name
        self.kinds: dict[tuple[str, str], Kinds] = {}  # by route and type
        self.limits: Events = {}  # by route, limit and mode
        self.safelist: Events = {}  # by route and verdict
        self.persisted: Events = {}  # by route and result
        self.shared: Events = {}  # by route: requests answered by another one's answer
        self.masked: Events = {}  # by route: errors
        self.open: Events = {}  # by route: subscriptions
        self.started: Events = {}  # the same, since the start
        self.messages: Events = {}  # by route
        self._names: dict[str, int] = {}  # by route, how many names are labels
        self._codes: set[str] = set()

    def __repr__(self) -> str:
        return f"<Operations {len(self.meters)}>"

    # --- requests --------------------------------------------------------------------------------------------

    def observe(self, exchange: Exchange, operated: Operated, room: int) -> None:
        """Count a finished exchange; its name becomes a label while there are fewer than ``room``, -1 for always."""
        route = exchange.route
        place = (route.name or route.id) if route is not None else ""
        meter = self.meters.get((place, operated.type, operated.name))
        if meter is None:
            meter = self._meter(place, operated.type, operated.name, room)
        kinds = meter.kinds
        meter.requests += 1
        if exchange.ended:
            meter.seconds += exchange.ended - exchange.started
        if operated.known:
            kinds.hits += 1
        else:
            kinds.misses += 1
        depth = operated.depth
        if depth:
            spread = kinds.depth
            spread.counts[bisect_left(DEPTH_EDGES, depth)] += 1
            spread.sum += depth
        if operated.cost:
            meter.cost += operated.cost
            kinds.cost.observe(operated.cost)
        if operated.exceeded or operated.codes:
            self._unusual(exchange, operated, meter)

    def _unusual(self, exchange: Exchange, operated: Operated, meter: OperationMeter) -> None:
        """Count what few requests have: errors, and limits that they are beyond."""
        for name in operated.exceeded:
            self.limit(exchange, name, enforced=False)
        if operated.refused_by:
            self.limit(exchange, operated.refused_by, enforced=True)
        for code in operated.codes:
            label = self._code(code)
            meter.errors[label] = meter.errors.get(label, 0) + 1

    def _meter(self, route: str, kind: str, name: str, room: int) -> OperationMeter:
        """Return the meter of an operation that has none of its own yet, or never will."""
        kind = kind if kind in TYPES else ""
        if name != ANONYMOUS:
            used = self._names.get(route, 0)
            if len(name) > NAME or 0 <= room <= used:
                name = OTHER
            elif (route, kind, name) not in self.meters:
                self._names[route] = used + 1
        key = (route, kind, name)
        meter = self.meters.get(key)
        if meter is None:
            kinds = self.kinds.get((route, kind))
            if kinds is None:
                kinds = self.kinds[route, kind] = Kinds(route, kind)
            meter = self.meters[key] = OperationMeter(route, name, kind, kinds)
        return meter

    def _code(self, code: str) -> str:
        codes = self._codes
        if code in codes:
            return code
        if len(codes) >= CODES or len(code) > NAME:
            return OTHER
        codes.add(code)
        return code

    # --- events ----------------------------------------------------------------------------------------------

    def limit(self, exchange: Exchange, limit: str, *, enforced: bool) -> None:
        """Count an operation that is over a limit, which was refused, or only measured."""
        _count(self.limits, _route(exchange), limit, "enforce" if enforced else "measure")

    def listed(self, exchange: Exchange, verdict: str) -> None:
        """Count what a safelist has said of an operation: allowed, refused, or logged."""
        _count(self.safelist, _route(exchange), verdict)

    def persist(self, exchange: Exchange, result: str) -> None:
        """Count a request that names a persisted query: hit, miss, or registered."""
        _count(self.persisted, _route(exchange), result)

    def share(self, exchange: Exchange) -> None:
        """Count a request that has had another one's answer."""
        _count(self.shared, _route(exchange))

    def mask(self, exchange: Exchange, count: int) -> None:
        """Count errors that a client was not told."""
        _count(self.masked, _route(exchange), by=count)

    def begin(self, exchange: Exchange) -> None:
        """Count a subscription that has begun; ``end`` is to follow."""
        route = _route(exchange)
        _count(self.started, route)
        _count(self.open, route)

    def end(self, exchange: Exchange) -> None:
        """Count the end of a subscription."""
        _count(self.open, _route(exchange), by=-1)

    def message(self, exchange: Exchange) -> None:
        """Count a result that goes to a subscriber."""
        messages, route = self.messages, (_route(exchange),)
        messages[route] = messages.get(route, 0) + 1

    # --- reloads ---------------------------------------------------------------------------------------------

    def retain(self, live: Iterable[RouteMeter]) -> None:
        """Forget routes that are gone, so that reloads do not pile them up; but for subscriptions that are still open."""
        routes = {meter.route for meter in live}
        self.meters = {key: one for key, one in self.meters.items() if key[0] in routes}
        self.kinds = {key: one for key, one in self.kinds.items() if key[0] in routes}
        self._names = {route: count for route, count in self._names.items() if route in routes}
        for name in ("limits", "safelist", "persisted", "shared", "masked", "started", "messages"):
            setattr(self, name, {key: n for key, n in getattr(self, name).items() if key[0] in routes})
        self.open = {key: count for key, count in self.open.items() if count or key[0] in routes}


def _route(exchange: Exchange) -> str:
    route = exchange.route
    return (route.name or route.id) if route is not None else ""


def _count(events: Events, *key: str, by: int = 1) -> None:
    events[key] = events.get(key, 0) + by
