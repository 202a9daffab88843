"""What meters and tallies have counted, as plain rows, and the sum of such rows over processes.

A worker writes rows down, its master reads them, adds what the journal holds behind them, and shows the sum as it would
the meters of one process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from proxyd.telemetry.exemplars import Exemplars
from proxyd.telemetry.histogram import FINE, Histogram
from proxyd.telemetry.journal import (
    ABORTED,
    MADE_GOOD,
    OF_METER_NAME,
    OF_REQUEST,
    OF_TALLY,
    OF_TALLY_NAME,
    OF_UNUSUAL,
    OWN,
    TRIES,
)
from proxyd.telemetry.meter import Meters, RouteMeter
from proxyd.telemetry.tally import Measures, Tallies, Tally

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from proxyd.telemetry.journal_reading import Record

Row = list[Any]

SLICE = 50  # rows taken at once

# Of rows and journals: a process that writes another layout is not understood.
LAYOUT = f"1 {len(FINE)}"


# --- rows ----------------------------------------------------------------------------------------------------


def meter_row(meter: RouteMeter, last: int = 0) -> Row:
    """Return the figures of a meter that is used; they contain its records up to the number ``last``."""
    return [
        meter.mark,
        last,
        meter.route,
        meter.service,
        [[method, code, count] for method, codes in meter.requests.items() for code, count in codes.items()],
        [[kind, source, count] for (kind, source), count in meter.failures.items()],
        [
            meter.bytes_received,
            meter.bytes_sent,
            meter.aborted,
            meter.retries_made_good,
            meter.retries_failed,
        ],
        [[one.sum, one.counts] for one in (meter.whole, meter.upstream, meter.own, meter.connect)],
        meter.exemplars.rows() if meter.exemplars is not None else [],
    ]


def tally_row(tally: Tally, last: int = 0) -> Row:
    """Return the figures of a tally."""
    return [
        tally.mark,
        last,
        list(tally.names()),
        [[code, count] for code, count in tally.codes.items()],
        [tally.bytes_received, tally.bytes_sent],
    ]


def _add_to_meter(meter: RouteMeter, row: Row) -> None:
    meter.begin()
    for method, code, count in row[4]:
        codes = meter.requests.setdefault(method, {})
        codes[code] = codes.get(code, 0) + count
    for kind, source, count in row[5]:
        meter.failures[kind, source] = meter.failures.get((kind, source), 0) + count
    received, sent, aborted, good, failed = row[6]
    meter.bytes_received += received
    meter.bytes_sent += sent
    meter.aborted += aborted
    meter.retries_made_good += good
    meter.retries_failed += failed
    for one, (total, counts) in zip(
        (meter.whole, meter.upstream, meter.own, meter.connect), row[7], strict=True
    ):
        _add_to_histogram(one, total, counts)
    if row[8]:
        meter.exemplars = meter.exemplars or Exemplars()
        meter.exemplars.add(row[8])


def _add_to_histogram(histogram: Histogram, total: float, counts: list[int]) -> None:
    histogram.sum += total
    histogram.counts = [mine + more for mine, more in zip(histogram.counts, counts, strict=True)]


def _add_to_tally(tally: Tally, row: Row) -> None:
    for code, count in row[3]:
        tally.codes[code] = tally.codes.get(code, 0) + count
    tally.bytes_received += row[4][0]
    tally.bytes_sent += row[4][1]


# --- records -------------------------------------------------------------------------------------------------


def _count_request(meter: RouteMeter, record: Record) -> None:
    whole, upstream, own, received, sent = record.values
    meter.begin()
    meter.whole.observe(whole)  # type: ignore[arg-type]  # as the layout has it, like those below
    meter.own.observe(own)  # type: ignore[arg-type]
    if upstream >= 0.0:  # type: ignore[operator]
        meter.upstream.observe(upstream)  # type: ignore[arg-type]
    codes = meter.requests.setdefault(record.method, {})
    codes[record.status] = codes.get(record.status, 0) + 1
    meter.bytes_received += received  # type: ignore[assignment,operator]
    meter.bytes_sent += sent  # type: ignore[assignment,operator]


def _count_unusual(meter: RouteMeter, record: Record) -> None:
    connect, text = record.values
    tries = record.detail & TRIES
    meter.begin()
    if connect >= 0.0:  # type: ignore[operator]
        meter.connect.observe(connect)  # type: ignore[arg-type]
    if record.detail & MADE_GOOD:
        meter.retries_made_good += tries
    else:
        meter.retries_failed += tries
    kind, _, source = text.rstrip(b"\0").decode().partition("/")  # type: ignore[union-attr]
    if kind:
        meter.failures[kind, source] = meter.failures.get((kind, source), 0) + 1
    if record.detail & ABORTED:
        meter.aborted += 1


def _count_tally(tally: Tally, record: Record) -> None:
    status = -record.status if record.detail & OWN else record.status
    tally.codes[status] = tally.codes.get(status, 0) + 1
    tally.bytes_received += record.values[3]  # type: ignore[assignment,operator]
    tally.bytes_sent += record.values[4]  # type: ignore[assignment,operator]


class Behind(NamedTuple):
    """Requests beyond each edge of the budget, in a journal behind what the rest of its figures contain."""

    lower: int = 0
    upper: int = 0


# --- sums ----------------------------------------------------------------------------------------------------


class Figures:
    """The numbers of requests of many processes, in meters and tallies as one process has them."""

    def __init__(self) -> None:
        self.meters = Meters()
        self.tallies = Tallies(self.meters)

    def __repr__(self) -> str:
        return f"<Figures {self.meters!r} {self.tallies!r}>"

    def rows(self) -> tuple[list[Row], list[Row]]:
        """Return everything, of meters and of tallies."""
        return [meter_row(one) for one in self.meters.used()], [tally_row(one) for one in self.tallies.all()]

    def add(
        self, meters: Iterable[Row], tallies: Iterable[Row], counter: RecordCounter | None = None
    ) -> Iterator[None]:
        """Add rows; a turn of the iterator takes some of them."""
        for number, row in enumerate(meters):
            meter = self.meter(row[2], row[3])
            _add_to_meter(meter, row)
            if counter is not None:
                counter.meters[row[0]] = meter, row[1]
            if not number % SLICE:
                yield
        for number, row in enumerate(tallies):
            tally = self.tally(row[2])
            _add_to_tally(tally, row)
            if counter is not None:
                counter.tallies[row[0]] = tally, row[1]
            if not number % SLICE:
                yield

    def meter(self, route: str, service: str) -> RouteMeter:
        """Return the meter of these names; that of no route has none."""
        return self.meters.of(route, service) if route or service else self.meters.unmatched

    def tally(self, names: list[str]) -> Tally:
        """Return the tally of these names."""
        route, service, consumer, of_meter, measures = names
        tally = self.tallies.named(route, service, consumer, self.meter(route, of_meter))
        tally.measures = Measures(*(one == "1" for one in measures))
        return tally

    def retain(self, routes: Collection[tuple[str, str]], consumers: Collection[str]) -> None:
        """Forget what was counted of routes and consumers that are no more."""
        kept = [meter for meter in self.meters.used() if (meter.route, meter.service) in routes]
        self.meters.retain(meter for meter in kept if meter is not self.meters.unmatched)
        self.tallies.retain(kept, consumers)


class RecordCounter:
    """Counts the records of one journal: each in the meter or tally that it names, if a row does not contain it.

    ``last`` is the last record that the rest of the figures contains, ``budget`` has the edges.
    """

    def __init__(self, figures: Figures, last: int, budget: tuple[float, float]) -> None:
        self.meters: dict[int, tuple[RouteMeter, int]] = {}
        self.tallies: dict[int, tuple[Tally, int]] = {}
        self._figures = figures
        self._last = last
        self._budget = budget
        self._name = b""

    def count(self, records: Iterable[Record]) -> Behind:
        """Count them."""
        lower = upper = 0
        for record in records:
            if record.kind in {OF_METER_NAME, OF_TALLY_NAME}:
                self._named(record)
            elif record.kind == OF_TALLY:
                tally, contained = self.tallies.get(record.mark, (None, 0))
                if tally is not None and record.number > contained:
                    _count_tally(tally, record)
            elif record.kind in {OF_REQUEST, OF_UNUSUAL}:
                meter, contained = self.meters.get(record.mark, (None, 0))
                if meter is not None and record.number > contained:
                    (_count_request if record.kind == OF_REQUEST else _count_unusual)(meter, record)
                if record.kind == OF_REQUEST and record.number > self._last:
                    own: float = record.values[2]  # type: ignore[assignment]
                    lower += own > self._budget[0]
                    upper += own > self._budget[1]
        return Behind(lower, upper)

    def _named(self, record: Record) -> None:
        self._name += record.values[0]  # type: ignore[operator]
        if record.detail:  # more pieces of it follow
            return
        names = orjson.loads(self._name.rstrip(b"\0"))
        self._name = b""
        if record.kind == OF_METER_NAME:
            self.meters.setdefault(record.mark, (self._figures.meter(*names), 0))
        else:
            self.tallies.setdefault(record.mark, (self._figures.tally(names), 0))
