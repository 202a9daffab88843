"""The record of a request: the last step of its life, taken exactly once.

``Telemetry.finished`` adds the exchange to its route's meter, holds the gateway's own part of it against the
latency budget, and notes it for the access log. None of that formats, waits or writes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from proxyd.telemetry.date import HttpDate
from proxyd.telemetry.histogram import Histogram
from proxyd.telemetry.lag import Lately
from proxyd.telemetry.meter import Meters, RouteMeter
from proxyd.telemetry.operations import Operations
from proxyd.telemetry.outputs import Outputs
from proxyd.telemetry.redact import Redactor
from proxyd.telemetry.schemas import Schemas
from proxyd.telemetry.shipper import Deliveries
from proxyd.telemetry.tally import Tallies

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxyd.clock import Clock
    from proxyd.exchange import Exchange
    from proxyd.model.entities import Route, Service
    from proxyd.telemetry.access_log import AccessLog
    from proxyd.telemetry.journal import Journal
    from proxyd.telemetry.shipping import Shipping
    from proxyd.telemetry.slow_log import SlowLog

__all__ = ["RouteMeter", "Telemetry"]

BUDGET: Final[tuple[float, float]] = (0.02, 0.04)  # seconds of the gateway's own, per request


class Telemetry:
    """What a process knows of the requests that it has served.

    ``budget`` is the lower and the upper edge of the latency budget in seconds; ``over_budget`` counts the
    requests beyond each. ``access_log`` is None where there is none; ``redactor`` is what it shares with plugins, and ``logs`` are these plugins' outputs. ``slow`` is the log of slow
    requests, None where there is none. ``journal`` is where requests are written down that a killed process must not
    forget; None for nowhere.
    """

    __slots__ = (
        "_lower",
        "_note",
        "_slow_above",
        "_unmatched",
        "_upper",
        "access_log",
        "budget",
        "deliveries",
        "http_date",
        "lately",
        "logs",
        "loop_lag",
        "meters",
        "operations",
        "over_budget",
        "redactor",
        "requests",
        "schemas",
        "shipping",
        "slow",
        "started_at",
        "tallies",
    )

    def __init__(
        self,
        clock: Clock,
        access_log: AccessLog | None = None,
        budget: tuple[float, float] = BUDGET,
        redactor: Redactor | None = None,
        slow: SlowLog | None = None,
        journal: Journal | None = None,
    ) -> None:
        self.http_date = HttpDate(clock.time)
        self.meters = Meters(journal)
        self.tallies = Tallies(self.meters)  # for the prometheus plugin
        self.operations = Operations()  # of GraphQL
        self.deliveries = Deliveries()  # of tracing plugins
        self.schemas = Schemas()  # that backends are asked for
        self.access_log = access_log
        self.redactor = redactor or Redactor()
        self.logs = Outputs()
        self.budget = self._lower, self._upper = budget
        self.over_budget = [0, 0]
        self.requests = 0  # exchanges finished
        self.loop_lag = Histogram()
        self.shipping: Shipping | None = None  # of the process that ships logs
        self.lately = Lately()  # how late the loop was
        self.started_at = clock.time()
        self._unmatched = self.meters.unmatched
        self._note: Callable[[Exchange], None] | None = access_log.note if access_log is not None else None
        self.slow = slow
        self._slow_above = slow.above if slow is not None else math.inf

    def __repr__(self) -> str:
        return f"<Telemetry requests={self.requests} over_budget={self.over_budget} {self.access_log!r}>"

    def meter(self, route: Route, service: Service | None) -> RouteMeter:
        """Return the meter of a route; called when a configuration is compiled."""
        return self.meters.for_route(route, service)

    def finished(self, exchange: Exchange, meter: RouteMeter | None) -> None:
        """Record an exchange that is over: ``ended`` and ``status`` are set. No meter: nothing matched."""
        self.requests += 1
        own = (meter or self._unmatched).observe(exchange)
        if own > self._lower:
            self.over_budget[0] += 1
            if own > self._upper:
                self.over_budget[1] += 1
        if own > self._slow_above and self.slow is not None:
            (meter or self._unmatched).slow += 1
            self.slow.note(exchange)
        if self._note is not None:
            self._note(exchange)

    def watch(self, note: Callable[[Exchange], None] | None) -> None:
        """Have finished exchanges noted for whoever watches, too; None for no longer."""
        written = self.access_log.note if self.access_log is not None else None
        if note is None or written is None:
            self._note = note or written
            return
        write, tell = written, note

        def both(exchange: Exchange) -> None:
            write(exchange)
            tell(exchange)

        self._note = both

    @property
    def dropped_lines(self) -> int:
        """Access lines that were never written."""
        return self.access_log.dropped if self.access_log is not None else 0

    def reopen(self) -> None:
        """Go on in new log files, after rotation."""
        if self.access_log is not None:
            self.access_log.reopen()
        self.logs.reopen()

    def close(self) -> bool:
        """Write what is noted; false when some of it could not be."""
        if self.slow is not None:
            self.slow.close()
        return self.access_log is None or self.access_log.close()
