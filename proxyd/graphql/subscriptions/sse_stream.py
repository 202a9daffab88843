"""The answer of the gateway's own that is a stream of events."""

from __future__ import annotations

from collections.abc import Callable  # noqa: TC003  # a field's type
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from proxyd.exchange import Reply
from proxyd.graphql.subscriptions.sse import COMMENT, MEDIA_TYPE
from proxyd.http1.headers import Headers

if TYPE_CHECKING:
    from proxyd.carrier import Way
    from proxyd.exchange import Exchange

# The backend knows nobody of that name, has nothing for them, or is too busy.
_STATUSES = {4401: 401, 4403: 403, 1013: 503}


def stream_headers() -> Headers:
    """Return the fields of an answer by a stream of events."""
    return Headers.of([(b"Content-Type", MEDIA_TYPE + b"; charset=utf-8"), (b"Cache-Control", b"no-cache")])


class Pace(NamedTuple):
    """How often a quiet stream is sent a comment, in seconds, and what tells the wall's time."""

    interval: float
    time: Callable[[], float]


class Stream:
    """The way of a stream of events: begun, kept alive by comments, and ended once.

    ``expired`` is called when the credentials end that its client has shown.
    """

    __slots__ = (
        "_expired",
        "_interval",
        "_quiet_since",
        "_time",
        "_until",
        "begun",
        "deadline",
        "over",
        "slot",
        "way",
    )

    def __init__(self, pace: Pace, expired: Callable[[], None]) -> None:
        self.way: Way
        self.begun = False
        self.over = False
        self.deadline = 0.0
        self.slot = 0
        self._interval, self._time = pace
        self._expired = expired
        self._until = inf  # of the credentials
        self._quiet_since = 0.0

    def __repr__(self) -> str:
        return f"<Stream {'over' if self.over else 'open' if self.begun else 'ahead'}>"

    def begin(self) -> bool:
        """Begin to answer; false where a filter of the route has answered instead."""
        if self.over or not self.way.begin(200, stream_headers()):
            self.over = True
            return False
        self.begun = True
        self.send(COMMENT)
        self._until = self.way.now() + end_of(self.way.exchange) - self._time()
        self._watch()
        return True

    def _watch(self) -> None:
        self.way.watch(self, min(self._quiet_since + self._interval, max(self._until, self.way.now())))

    def send(self, data: bytes) -> None:
        """Send an event, or a comment."""
        if not self.over:
            self._quiet_since = self.way.now()
            self.way.send(data)

    def end(self) -> None:
        """End the stream; without a ``complete`` before it, clients come back."""
        if not self.over:
            self.over = True
            self.deadline = 0.0
            self.way.end()

    def lose(self, code: int) -> None:
        """End the stream, or tell by a status why there is none; ``code`` is what a WebSocket would be closed with."""
        if self.begun:
            self.end()
        elif not self.over:
            self.over = True
            self.way.reply(Reply(_STATUSES.get(code, 502), fault=True))

    def gone(self) -> None:
        """Hear that the client is."""
        self.over = True
        self.deadline = 0.0

    def deadline_passed(self) -> None:
        """Keep the connection alive, or end it with the credentials."""
        if self.over:
            return
        now = self.way.now()
        if now >= self._until:
            self._expired()
            return
        if now >= self._quiet_since + self._interval:
            self.send(COMMENT)
        self._watch()


def end_of(exchange: Exchange) -> float:
    """Return when the token or the key ends that a client has shown, in the wall's time; inf for never."""
    ends = [inf]
    if exchange.claims is not None:
        ends.append(exchange.claims.get("exp", inf))
    ends.append(getattr(exchange.credential, "expires_at", None) or inf)
    return min(one for one in ends if isinstance(one, int | float))
