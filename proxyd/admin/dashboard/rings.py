"""Figures over time, in three rings of fixed size: seconds of five minutes, ten seconds of an hour, minutes of a day."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from proxyd.admin.dashboard.counts import Counts, quantile

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator, Mapping

SHARES: Final = (0.5, 0.95, 0.99)
LATE: Final = 3  # places that may be missing at the end, before that is told
SPREAD: Final = 10  # places that one sample may stand for, where taking it took long


class Scale(NamedTuple):
    """A ring's size: seconds in a place, places, and of how many routes and consumers each keeps counts: the busiest."""

    step: int
    places: int
    busiest: int


SCALES: Final = {"5m": Scale(1, 300, 40), "1h": Scale(10, 360, 40), "24h": Scale(60, 1440, 20)}


@dataclass(slots=True)
class Moment:
    """What is kept of a time: ``seconds`` long; gauges are the highest that were seen."""

    seconds: float = 0.0
    total: Counts = field(default_factory=Counts)
    routes: dict[str, Counts] = field(default_factory=dict)
    consumers: dict[str, tuple[int, int]] = field(default_factory=dict)  # requests, of them failed
    failures: dict[str, int] = field(default_factory=dict)
    websockets: int = 0
    connections: int = 0
    in_flight: int = 0
    cpu: dict[str, float] = field(default_factory=dict)  # seconds, by process
    lag: dict[str, float] = field(default_factory=dict)  # the latest timer, in seconds
    memory: dict[str, int] = field(default_factory=dict)

    def add_route(self, name: str, counts: Counts, failures: dict[str, int]) -> None:
        """Add what a route counted in this time."""
        self.total.add(counts)
        self.routes.setdefault(name, Counts()).add(counts)
        _sum(self.failures, failures)

    def add_named(self, consumers: Mapping[str, tuple[int, int]], failures: dict[str, int]) -> None:
        """Add what is counted by consumer, and by kind of failure."""
        for name, (requests, failed) in consumers.items():
            before = self.consumers.get(name, (0, 0))
            self.consumers[name] = (before[0] + requests, before[1] + failed)
        _sum(self.failures, failures)

    def add(self, other: Moment) -> None:
        """Add the time that follows."""
        self.seconds += other.seconds
        self.total.add(other.total)
        for name, counts in other.routes.items():
            self.routes.setdefault(name, Counts()).add(counts)
        self.add_named(other.consumers, other.failures)
        self.websockets = max(self.websockets, other.websockets)
        self.connections = max(self.connections, other.connections)
        self.in_flight = max(self.in_flight, other.in_flight)
        for name, spent in other.cpu.items():
            self.cpu[name] = self.cpu.get(name, 0.0) + spent
        for name, late in other.lag.items():
            self.lag[name] = max(self.lag.get(name, 0.0), late)
        self.memory.update(other.memory)


def _sum(counts: dict[str, int], others: dict[str, int]) -> None:
    for name, count in others.items():
        counts[name] = counts.get(name, 0) + count


class Kept:
    """A moment that is over, in little memory, with what charts are drawn of worked out: ``row`` is as COLUMNS has it."""

    __slots__ = ("consumers", "failures", "routes", "row", "seconds", "total", "workers")

    def __init__(self, moment: Moment, busiest: int) -> None:
        self.seconds = moment.seconds
        self.total = moment.total.packed()
        routes = sorted(moment.routes.items(), key=lambda one: -one[1].requests)[:busiest]
        self.routes: dict[str, array[int]] = {name: counts.packed() for name, counts in routes}
        consumers = sorted(moment.consumers.items(), key=lambda one: -one[1][0])[:busiest]
        self.consumers = dict(consumers)
        self.failures = moment.failures
        self.row = (
            *row_of(moment.total, moment.seconds),
            moment.websockets,
            moment.connections,
            moment.in_flight,
        )
        self.workers = {
            name: (round(spent / moment.seconds, 4), moment.lag.get(name), moment.memory.get(name))
            for name, spent in moment.cpu.items()
        }


# The columns of a row: rates per second, percentiles in seconds, and numbers at that time.
COLUMNS: Final = (
    *("requests", "limited", "client_errors", "server_errors"),
    *("own_p50", "own_p95", "own_p99", "whole_p50", "whole_p95", "whole_p99"),
    *("websockets", "connections", "in_flight"),
)


def row_of(counts: Counts, seconds: float) -> tuple[float | None, ...]:
    """Return rates and percentiles, in the order of COLUMNS."""
    _, limited, client, server = counts.classes
    rates = (round(count / seconds, 3) for count in (counts.requests, limited, client, server))
    return (*rates, *percentiles(counts.own), *percentiles(counts.whole))


def percentiles(counts: dict[int, int]) -> tuple[float | None, ...]:
    """Return those of SHARES."""
    found = (quantile(counts, share) for share in SHARES)
    return tuple(None if value is None else round(value, 6) for value in found)


class Ring:
    """One of them. ``last`` is the place behind the latest one that is kept, in steps since the epoch."""

    def __init__(self, scale: Scale) -> None:
        self.scale = scale
        self.last = 0
        self.open = Moment()
        self._index = 0  # the place of what is open
        self._places: list[tuple[int, Kept] | None] = [None] * scale.places

    def __repr__(self) -> str:
        return f"<Ring {self.scale.step} s x {self.scale.places} last={self.last}>"

    def take(self, second: int, moment: Moment) -> None:
        """Add a moment that ended with the beginning of a second."""
        step = self.scale.step
        index = (second - 1) // step
        if step == 1:
            self._keep(index, moment)
            return
        if index != self._index and self.open.seconds:
            self._close()
        self._index = index
        self.open.add(moment)
        if second % step == 0:
            self._close()

    def _close(self) -> None:
        moment, self.open = self.open, Moment()
        self._keep(self._index, moment)

    def _keep(self, index: int, moment: Moment) -> None:
        """Keep it in its place, and in those before that it stands for as well."""
        kept = Kept(moment, self.scale.busiest)
        covered = min(max(math.ceil(moment.seconds / self.scale.step), 1), SPREAD)
        for one in range(max(index + 1 - covered, self.last), index + 1):
            self._places[one % self.scale.places] = (one, kept)
        self.last = index + 1

    def end(self, now: float) -> int:
        """Return the place behind the last one that is shown: where nothing has been kept for a while, that shows."""
        present = int(now) // self.scale.step
        return self.last if present - self.last <= LATE else present

    def window(self, end: int, places: int | None = None) -> Iterator[Kept | None]:
        """Yield what is kept of some places before ``end``, the oldest first, None where there is nothing."""
        for one in range(end - min(places or self.scale.places, self.scale.places), end):
            found = self._places[one % self.scale.places]
            yield found[1] if found is not None and found[0] == one else None
