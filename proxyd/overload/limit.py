"""How many requests may wait for one service, found out from how long it takes to answer.

A backend at its capacity makes a queue, and then even its quickest answers come late. So the lowest latency of a short
window is held against the lowest that has been seen while there was no queue; where it is far above that, the limit
shrinks by their ratio; it grows by its square root, the queue that bursts may make, while it is made use of. That is the gradient of
Netflix and Envoy over a minimum, which slow endpoints and long answers beside quick ones do not move.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from proxyd.overload.ranks import COUNT

if TYPE_CHECKING:
    from proxyd.exchange import Exchange
    from proxyd.overload.line import Line

WINDOW = 0.1  # seconds of a window, at least; two latencies where that is longer
SAMPLES = 10  # answers in a window, at least
TOLERANCE = 2.0  # times the lowest latency that are no queue yet
HEADROOM = 0.01  # seconds on top of that: what a scheduler or a network may take of a quick backend's time
STEEPEST = 0.5  # the least share of the limit that one window leaves
EPOCH = 30.0  # seconds for which a lowest latency is believed; the one before counts too
SHARES: Final = (
    1.5,
    1.25,
    1.0,
    0.7,
)  # of the limit, by rank: the room above is kept for those who come first
FAILED = 500  # statuses from here on say nothing of a queue


class ConcurrencyLimit:
    """The requests of one service that wait for its answer to begin; one per service and process.

    ``floor`` and ``ceiling`` bound ``limit``, and up to ``floor`` nothing is ever refused for want of room below it.
    What has got its first byte counts no longer, so that streams and WebSockets take no room, nor does what the
    client has not sent in full.
    """

    __slots__ = (
        "_allowed",
        "_base",
        "_before",
        "_busiest",
        "_eased",
        "_epoch_ends",
        "_kept",
        "_line",
        "_low",
        "_lowest",
        "_samples",
        "_window_ends",
        "ceiling",
        "floor",
        "in_flight",
        "limit",
        "name",
    )

    def __init__(self, name: str, floor: int, ceiling: int, line: Line) -> None:
        self.name = name
        self.floor = floor
        self.ceiling = max(floor, ceiling)
        self.limit = float(self.ceiling)  # a backend is trusted until it is slow
        self.in_flight = 0
        self._line = line
        self._allowed = [0] * COUNT
        self._base = self._lowest = self._before = self._low = math.inf
        self._samples = 0
        self._busiest = 0
        self._window_ends = 0.0
        self._epoch_ends = 0.0
        self._eased = False  # in this epoch there was a window without a crowd
        self._kept = 0.0  # the limit to go back to, while the lowest latency is measured anew
        self._share_out()

    def __repr__(self) -> str:
        return f"<ConcurrencyLimit {self.name} {self.in_flight}/{self.limit:.0f} base={self._base:.4f}>"

    # --- asked and told by requests --------------------------------------------------------------------------

    def admit(self, exchange: Exchange, rank: int, now: float) -> bool:
        """Let a request of this rank in, if there is room; who is let in is told of here again, once."""
        if self.in_flight >= self._allowed[rank]:
            return False
        self.in_flight += 1
        exchange.permit = self
        exchange.admitted = now
        return True

    def answered(self, exchange: Exchange, status: int, now: float) -> None:
        """Hear of the first byte of an answer."""
        exchange.permit = None
        busy = self.in_flight
        self.in_flight = busy - 1
        if status < FAILED:
            self.sample(now - exchange.admitted, busy, now)

    def left(self, exchange: Exchange, now: float) -> None:
        """Hear that a request is over without an answer. One that was given up late was late."""
        exchange.permit = None
        busy = self.in_flight
        self.in_flight = busy - 1
        waited = now - exchange.admitted
        if waited > self.target:
            self.sample(waited, busy, now)

    def put_off(self, exchange: Exchange) -> None:
        """Count a request out whose body is still to come: who is slow to send one must not take others' room."""
        exchange.permit = None
        exchange.deferred = self
        self.in_flight -= 1

    def resume(self, exchange: Exchange, now: float) -> None:
        """Count it again: it is there, and the service has the word."""
        exchange.deferred = None
        exchange.permit = self
        exchange.admitted = now
        self.in_flight += 1

    # --- the algorithm ---------------------------------------------------------------------------------------

    @property
    def target(self) -> float:
        """The lowest latency from which on there is a queue, in seconds."""
        return self._base * TOLERANCE + HEADROOM + self._line.delay

    def sample(self, seconds: float, busy: int, now: float) -> None:
        """Take a latency, seen while ``busy`` requests were waiting."""
        self._low = min(self._low, seconds)
        self._busiest = max(self._busiest, busy)
        self._samples += 1
        if now >= self._window_ends and self._samples >= SAMPLES:
            self._close_window(now)

    def _close_window(self, now: float) -> None:
        low, busiest = self._low, self._busiest
        if self._kept:
            self._measured(low, busiest)
        else:
            self._adjust(low, busiest)
            if now >= self._epoch_ends:
                self._close_epoch(now)
        self._share_out()
        self._low = math.inf
        self._samples = self._busiest = 0
        self._window_ends = now + max(WINDOW, 2.0 * low)

    def _adjust(self, low: float, busiest: int) -> None:
        self._lowest = min(self._lowest, low)
        self._base = min(self._base, low)
        limit = self.limit
        if low > self.target:
            if limit <= self.floor:  # no crowd is to blame: this is what it takes now
                self._base = self._lowest = low
                self._before = math.inf
            else:
                crowd = min(limit, busiest)
                less = crowd * max(STEEPEST, self.target / low) + math.sqrt(crowd)
                self.limit = max(float(self.floor), min(limit, less))
            return
        if 2 * busiest >= limit:
            self.limit = min(float(self.ceiling), limit + math.sqrt(limit))
        if busiest <= self.floor or 2 * busiest < limit:
            self._eased = True

    def _close_epoch(self, now: float) -> None:
        """Forget old latencies; where there has been a crowd all the time, have it go and look."""
        if self._eased or self.limit >= self.ceiling:
            self._base = min(self._before, self._lowest)
        elif math.isfinite(self._before):
            self._kept = self.limit
            self.limit = float(self.floor)
        self._before, self._lowest = self._lowest, math.inf
        self._eased = False
        self._epoch_ends = now + EPOCH

    def _measured(self, low: float, busiest: int) -> None:
        if busiest <= self._allowed[0]:  # those that were there before have gone
            self._base = self._lowest = low
            self._before = math.inf
            self.limit, self._kept = self._kept, 0.0

    def _share_out(self) -> None:
        # At the ceiling too there is room for those who come first.
        most = min(self.limit, self.ceiling / SHARES[0])
        self._allowed = [max(1, int(most * share + 1e-9)) for share in SHARES]
