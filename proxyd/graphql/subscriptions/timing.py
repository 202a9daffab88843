"""The times of a client's WebSocket: when it has to begin, whether it is still there, and when its credentials end."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Protocol

from proxyd.graphql.subscriptions.outcomes import EXPIRED

if TYPE_CHECKING:
    from proxyd.carrier import Way
    from proxyd.exchange import Exchange
    from proxyd.graphql.subscriptions.settings import Subscriptions

FAREWELL = 2.0  # seconds for the client to answer our close frame


class Timed(Protocol):
    """Whose times they are."""

    def out_of_time(self) -> None:
        """Act on what has not come: connection_init, or the answer to a close frame."""

    def ask_whether_alive(self, *, ping: bool = False) -> None:
        """Tell the client that the gateway is there, and with ``ping`` ask whether it is."""

    def close(self, code: int, reason: str) -> None:
        """Close."""

    def cut(self, why: str) -> None:
        """Cut."""


class Timing:
    """What a wheel watches for a session; each of its times is monotonic seconds, inf for none."""

    __slots__ = (
        "_expected",
        "_expires",
        "_heard",
        "_interval",
        "_patience",
        "_pinged",
        "_slow",
        "_timed",
        "_wait",
        "_way",
        "deadline",
        "deaf",
        "slot",
    )

    def __init__(self, way: Way, timed: Timed, settings: Subscriptions) -> None:
        self.deadline = 0.0
        self.slot = 0
        self.deaf = False  # its client is not read from, and so not heard
        self._way = way
        self._timed = timed
        self._interval = settings.ping_interval
        self._wait = settings.init_timeout
        self._patience = settings.slow_timeout or inf
        self._expected = inf  # something of the client
        self._expires = inf  # the credentials
        self._slow = inf  # the client's patience with us
        self._heard = way.now()
        self._pinged = False

    def __repr__(self) -> str:
        return f"<Timing deadline={self.deadline:.1f}>"

    def begin(self) -> None:
        """Expect connection_init."""
        self._heard = self._way.now()
        self._expected = self._heard + self._wait
        self._watch()

    def expire_at(self, exchange: Exchange, time: float) -> None:
        """Note when the token or the key ends that the client has shown; ``time`` is the wall's, now."""
        ends = [inf]
        if exchange.claims is not None:
            ends.append(exchange.claims.get("exp", inf))
        ends.append(getattr(exchange.credential, "expires_at", None) or inf)
        end = min(one for one in ends if isinstance(one, int | float))
        if end < inf:
            self._expires = self._way.now() + max(end - time, 0.0)
            self._watch()

    def initialised(self) -> None:
        """Expect nothing in particular any more."""
        self._expected = inf

    def heard(self) -> None:
        """Hear from the client, whatever it is."""
        self._heard = self._way.now()
        self._pinged = False

    def slow(self, slow: bool) -> None:
        """Begin to be impatient with a client that takes nothing, or end to be."""
        self._slow = self._way.now() + self._patience if slow else inf
        if slow:
            self._watch()

    def closing(self) -> None:
        """Expect the answer to a close frame, and nothing else."""
        self._expected = self._way.now() + FAREWELL
        self._expires = self._slow = inf
        self._watch()

    def end(self) -> None:
        """Expect nothing."""
        self.deadline = 0.0
        self._expected = self._expires = self._slow = inf

    def _watch(self) -> None:
        ping = self._heard + self._interval * (2 if self._pinged else 1)
        self._way.watch(self, max(min(self._expected, self._expires, self._slow, ping), self._way.now()))

    def deadline_passed(self) -> None:
        """Act on whichever time has come."""
        now = self._way.now()
        if now >= self._slow:
            self._timed.cut("the client takes nothing")
        elif now >= self._expected:
            self._expected = inf
            self._timed.out_of_time()
        elif now >= self._expires:
            self._timed.close(*EXPIRED)
        else:
            self._look(now)

    def _look(self, now: float) -> None:
        """Ping a silent client, and cut one that has not answered."""
        if self.deaf:
            self._heard = now
        elif now >= self._heard + self._interval:
            if self._pinged and now >= self._heard + 2 * self._interval:
                self._timed.cut("the client answers no ping")
                return
            if not self._pinged:
                self._pinged = True
                self._timed.ask_whether_alive(ping=True)
        self._watch()
