"""One subscription at the backend that many clients hear: a ``Feed`` and its ``Member``s."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from typing import TYPE_CHECKING

from proxyd.graphql.subscriptions.outcomes import log_failure
from proxyd.graphql.subscriptions.sse_backend import errors_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxyd.graphql.document import Operation
    from proxyd.graphql.request import Asked
    from proxyd.graphql.subscriptions.shared import Shares
    from proxyd.graphql.subscriptions.source import Holder, Listener, Source

    Key = tuple[object, ...]

FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0  # seconds before a backend that went away is asked again


class Feed:
    """One subscription at the backend, and who hears its results; the ``Holder`` and the ``Listener`` of its source."""

    def __init__(
        self, shares: Shares, key: Key, make: Callable[[Holder], Source], asked: Asked, operation: Operation
    ) -> None:
        self.config = shares.config
        self._shares = shares
        self._key = key
        self._make = make
        self._asked = asked
        self._operation = operation
        self._members: dict[Member, None] = {}
        self._audience: tuple[Member, ...] | None = None  # the same, made once for many results
        self._source: Source | None = None
        self._failures = 0  # in a row
        self._began = 0.0  # when the backend was asked last
        self._timer: asyncio.TimerHandle | None = None  # to ask again, or to end

    def __repr__(self) -> str:
        return f"<Feed {self._operation!r} members={len(self._members)} failures={self._failures}>"

    # --- members ---------------------------------------------------------------------------------------------

    def join(self, member: Member) -> None:
        """Take a member; it hears what comes from now on. For the first one, the backend is asked."""
        new = self._source is None and self._timer is None
        if not self._members:
            self._cancel()  # the end
        self._members[member] = None
        self._audience = None
        if new:
            self._open()

    def leave(self, member: Member) -> None:
        """Let a member go; behind the last one, the backend is kept for a while."""
        if self._members.pop(member, self) is self:
            return
        self._audience = None
        self.settle()

    def settle(self) -> None:
        """End in a while, where nobody is left."""
        if self._members:
            return
        self._cancel()
        grace = 0.0 if self._shares.stopped or self._source is None else self.config.grace
        if grace:
            self._timer = asyncio.get_running_loop().call_later(grace, self._close)
        else:
            self._close()

    def _close(self) -> None:
        self._cancel()
        self._shares.forget(self._key)
        source, self._source = self._source, None
        if source is not None:
            source.close()

    def _cancel(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    # --- the backend -----------------------------------------------------------------------------------------

    def _open(self) -> None:
        self._timer = None
        self._began = asyncio.get_running_loop().time()
        try:
            self._source = source = self._make(self)
            source.open(b"")
        except Exception as error:  # noqa: BLE001  # whatever it is, nobody is left waiting
            log_failure(None, error)
            self.failed(errors_of("The backend cannot be asked", "UPSTREAM_UNAVAILABLE"))

    def opened(self, payload: bytes) -> None:
        """Ask for the operation."""
        del payload
        if self._source is not None:
            self._source.subscribe(self._asked, self._operation, self)

    def lost(self, code: int, reason: str) -> None:
        """Ask again, in a while; after too many times, tell the members."""
        del code
        self._source = None
        if asyncio.get_running_loop().time() - self._began > LONGEST_WAIT:
            self._failures = 0  # it was there, though it had nothing to tell
        if not self._members:
            self._close()
        elif self._failures >= self.config.reconnects or self._shares.stopped:
            self.failed(errors_of(reason, "UPSTREAM_UNAVAILABLE"))
        else:
            wait = min(FIRST_WAIT * 2**self._failures, LONGEST_WAIT) * random.uniform(0.5, 1.0)  # noqa: S311
            self._failures += 1
            self._timer = asyncio.get_running_loop().call_later(wait, self._open)

    def backend_writable(self, writable: bool) -> None:
        """Never matter: its one operation is asked for already."""

    # --- results ---------------------------------------------------------------------------------------------

    def next(self, payload: bytes) -> None:
        """Pass a result on to everybody."""
        self._failures = 0
        audience = self._audience
        if audience is None:
            audience = self._audience = tuple(self._members)
        for member in audience:
            try:
                member.deliver(payload)
            except Exception as error:  # noqa: BLE001  # one of many, who alone is to suffer from it
                log_failure(None, error)
                member.fail()

    def failed(self, errors: bytes) -> None:
        """Pass the failure on, and end."""
        for member in self._end():
            member.end(errors)

    def completed(self) -> None:
        """Pass the end on, and end."""
        for member in self._end():
            member.end(None)

    def _end(self) -> tuple[Member, ...]:
        members = tuple(self._members)
        self._members.clear()
        self._audience = None
        self._close()
        return members


class Member:
    """One client's part in a feed; implements ``Subscription``."""

    __slots__ = ("_circle", "_feed", "_listener", "_over", "_slow", "_waiting")

    def __init__(self, feed: Feed, listener: Listener, circle: set[Member]) -> None:
        self._circle = circle
        circle.add(self)
        self._feed = feed
        self._listener = listener
        self._slow = False
        self._over = False
        self._waiting: deque[bytes] = deque()

    def __repr__(self) -> str:
        state = "over" if self._over else "slow" if self._slow else "open"
        return f"<Member {state} waiting={len(self._waiting)}>"

    def deliver(self, payload: bytes) -> None:
        """Take a result, or have it wait."""
        if self._over:
            return
        if not self._slow:
            self._listener.next(payload)
            return
        config = self._feed.config
        if len(self._waiting) >= config.buffer:
            if config.overflow == "disconnect":
                self._waiting.clear()
                listener = self._listener
                self.stop()
                listener.failed(errors_of("The client is too slow for this subscription", "CLIENT_TOO_SLOW"))
                return
            self._waiting.popleft()
        self._waiting.append(payload)

    def end(self, errors: bytes | None) -> None:
        """Hear the end: what waits goes out before."""
        while self._waiting and not self._over:
            self._listener.next(self._waiting.popleft())
        if self._over:
            return
        self._leave()
        if errors is None:
            self._listener.completed()
        else:
            self._listener.failed(errors)

    def fail(self) -> None:
        """End for this client alone."""
        if not self._over:
            self._waiting.clear()
            self.stop()
            self._listener.failed(errors_of("Internal server error", "INTERNAL_SERVER_ERROR"))

    def pause(self) -> None:
        """Have results wait."""
        self._slow = True

    def resume(self) -> None:
        """Pass on what has waited, unless the client is slow again."""
        self._slow = False
        while self._waiting and not self._slow and not self._over:
            self._listener.next(self._waiting.popleft())

    def stop(self) -> None:
        """Leave."""
        if not self._over:
            self._leave()
            self._feed.leave(self)

    def _leave(self) -> None:
        self._over = True
        self._circle.discard(self)
