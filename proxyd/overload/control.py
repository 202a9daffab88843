"""Overload control of one process: what requests ask on their way, and what status and metrics tell of it.

A request meets it three times. ``sheds`` comes before routing and plugins, and looks at how long the event
loop has been at the line that the request stands in. ``admit`` comes when its identity is known, and looks at how many wait for its service
already. And whoever was admitted is told of again, through ``Exchange.permit``, with the first byte of the answer or
the end of the exchange, whichever comes first.

Identity is known only behind authentication, and who sends a wrong key is nobody. So before routing, a request counts
as authenticated where one from its address has been, in the last minutes.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Protocol

from proxyd.exchange import Reply
from proxyd.http1.headers import Headers
from proxyd.identity import is_known
from proxyd.overload.episodes import Episode
from proxyd.overload.limit import ConcurrencyLimit
from proxyd.overload.line import Line
from proxyd.overload.ranks import ANONYMOUS, COUNT, CRITICAL, KNOWN, NAMES
from proxyd.overload.refusal import RETRY_AFTER, STATUS, refuse
from proxyd.telemetry.histogram import FINE, Histogram
from proxyd.telemetry.source import OverloadState, ServiceLoad

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from proxyd.clock import Clock
    from proxyd.exchange import Exchange
    from proxyd.overload.refusal import Refused

REMEMBERED = 10_000  # addresses that authenticated requests came from
FRESH, KEPT = 60.0, 600.0  # seconds after which an address is noted anew, and forgotten
NEWCOMERS = 16  # connections accepted between two batches while a line stands, lest they wait for its end


class Router(Protocol):
    """What finds the route of a request."""

    def match(self, *request: Any) -> Any:
        """Return the match, or None."""


class Ranked(Protocol):
    """What is needed of a snapshot. ``ranked`` tells whether any of its routes has a rank of its own."""

    @property
    def router(self) -> Router:
        """Finds routes."""

    @property
    def ranked(self) -> bool:
        """Whether it matters which one."""


class Overload:
    """The overload control of a process. ``target`` is the wait in the loop's line that is aimed at, in seconds.

    ``floor`` and ``ceiling`` bound the requests that may wait for one service.
    """

    def __init__(self, target: float, floor: int, ceiling: int, clock: Clock) -> None:
        self.line = Line(target)
        self.queue = Histogram()
        self._floor = floor
        self._ceiling = ceiling
        self._now = clock.now
        self._worked = clock.worked
        self._shed = {reason: [0] * COUNT for reason in ("gateway", "backend")}
        self._turn = 0
        self._arrived = 0
        self._addresses: dict[str, float] = {}
        self._limits: dict[str, ConcurrencyLimit] = {}
        self.let_in: Callable[[int], None] | None = None  # accepts so many connections
        self._episode = Episode("gateway", "", clock.now)
        self._episodes: dict[str, Episode] = {}
        self.line.looked, self.line.worked = clock.now(), clock.worked()

    def __repr__(self) -> str:
        return f"<Overload {self.line!r} services={len(self._limits)}>"

    # --- before routing --------------------------------------------------------------------------------------

    def sheds(self, exchange: Exchange, sink: Refused, snapshot: Ranked) -> bool:
        """Whether the loop has worked too long to take up such a request as well; it is answered then."""
        self._arrived += 1
        line = self.line
        if not line.standing or exchange.started - line.looked <= line.soonest:
            return False
        worked = self._worked() - line.worked  # which takes longer to ask for, and is never more
        if worked <= line.soonest:
            return False
        if not line.before:
            line.before = worked
        rank = self._rank(exchange, snapshot)
        # What was let in before may keep the loop busy until reading begins: that is no reason to refuse the best.
        if worked - (line.before if rank == CRITICAL else 0.0) <= line.allowed[rank]:
            return False
        line.refused[rank] += 1
        self._shed["gateway"][rank] += 1
        self._episode.shed(queue_seconds=round(line.delay, 3))
        self._turn += 1
        refuse(exchange, sink, self._turn)
        return True

    def _rank(self, exchange: Exchange, snapshot: Ranked) -> int:
        if snapshot.ranked:
            request = exchange.request
            match = snapshot.router.match(
                exchange.scheme,
                request.method,
                request.host,
                request.path,
                request.headers,
                exchange.client.sni,
            )
            if match is not None and match.payload.rank != ANONYMOUS:
                return match.payload.rank  # type: ignore[no-any-return]
        noted = self._addresses.get(exchange.client_ip)
        return KNOWN if noted is not None and exchange.started - noted < KEPT else ANONYMOUS

    def look(self, late: float) -> None:
        """Take how late the event loop is; called many times a second, between two batches of requests."""
        now = self._now()
        self.line.look(late, now, self._worked())
        if self.line.standing and self.let_in is not None:
            self.let_in(NEWCOMERS)
        arrived, self._arrived = self._arrived, 0
        if arrived:
            self.queue.counts[bisect_left(FINE, late)] += arrived
            self.queue.sum += late * arrived
        if self._episode.on:
            self._episode.look()
        if self._episodes:
            self._look_at_services()

    # --- when it is known who asks ---------------------------------------------------------------------------

    def admit(self, exchange: Exchange, limit: ConcurrencyLimit | None, rank: int) -> Reply | None:
        """Let a request go to its service, or return the refusal; without a limit, who asks is only noted."""
        now = self._now()
        if rank == ANONYMOUS and is_known(exchange):
            rank = KNOWN
            self._note(exchange.client_ip, now)
        if limit is None or limit.admit(exchange, rank, now):
            return None
        self._shed["backend"][rank] += 1
        episode = self._episodes.get(limit.name)
        if episode is None:
            episode = self._episodes[limit.name] = Episode("backend", limit.name, self._now)
        episode.shed(limit=int(limit.limit))
        self._turn += 1
        after = RETRY_AFTER[self._turn % len(RETRY_AFTER)]
        headers = Headers.of([(b"Retry-After", b"%d" % after)])
        return Reply(STATUS, "The service is overloaded", headers=headers)

    def _note(self, address: str, now: float) -> None:
        addresses = self._addresses
        noted = addresses.get(address)
        if noted is not None and now - noted < FRESH:
            return
        addresses.pop(address, None)
        if len(addresses) >= REMEMBERED:
            del addresses[next(iter(addresses))]
        addresses[address] = now

    def _look_at_services(self) -> None:
        for name, episode in list(self._episodes.items()):
            episode.look()
            if not episode.on:
                del self._episodes[name]

    # --- configurations --------------------------------------------------------------------------------------

    def limit(self, service: str) -> ConcurrencyLimit:
        """Return the limit of a service, the same one every time; called when a configuration is compiled."""
        limit = self._limits.get(service)
        if limit is None:
            limit = self._limits[service] = ConcurrencyLimit(service, self._floor, self._ceiling, self.line)
        return limit

    def retain(self, live: Iterable[ConcurrencyLimit]) -> None:
        """Forget the limits of services that are gone; what is under way to them is let go of all the same."""
        self._limits = {limit.name: limit for limit in live}

    # --- what status and metrics ask -------------------------------------------------------------------------

    def state(self) -> OverloadState:
        """Tell how it goes."""
        return OverloadState(
            self._episode.on,
            self.line.delay,
            self.queue,
            {
                (reason, NAMES[rank]): count
                for reason, counts in self._shed.items()
                for rank, count in enumerate(counts)
            },
            [ServiceLoad(one.name, int(one.limit), one.in_flight) for one in self._limits.values()],
        )
