"""The source of a client some of whose operations are shared."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxyd.exchange import Exchange
    from proxyd.graphql.document import Operation
    from proxyd.graphql.request import Asked
    from proxyd.graphql.subscriptions.feed import Member
    from proxyd.graphql.subscriptions.shared import Shares
    from proxyd.graphql.subscriptions.source import Holder, Listener, Source, Subscription


class SharedSource:
    """A client's source of which some operations are shared: a ``Source``, and the ``Holder`` of another.

    That other one is for the operations that are not, and is opened with the first of them.
    """

    def __init__(
        self, shares: Shares, exchange: Exchange, holder: Holder, opening: Callable[[Holder], Source]
    ) -> None:
        self._shares = shares
        self._exchange = exchange
        self._holder = holder
        self._opening = opening
        self._payload = b""
        self._members: set[Member] = set()
        self._own: Source | None = None
        self._waiting: list[Waiting] | None = []  # for that one to open; None once it has

    def __repr__(self) -> str:
        return f"<SharedSource members={len(self._members)} own={self._own!r}>"

    def open(self, payload: bytes) -> None:
        """Be open; the payload waits for the source of its own."""
        self._payload = payload
        self._holder.opened(b"")

    def subscribe(self, asked: Asked, operation: Operation, listener: Listener) -> Subscription:
        """Begin an operation, with others or alone."""
        if self._shares.shares(operation):
            member = self._shares.join(self._exchange, asked, operation, listener, self._members)
            if member is not None:
                return member
        if self._waiting is None and self._own is not None:
            return self._own.subscribe(asked, operation, listener)
        waiting = Waiting(asked, operation, listener)
        if self._waiting is not None:
            self._waiting.append(waiting)
        if self._own is None:
            self._own = own = self._opening(self)
            own.open(self._payload)
        return waiting

    def close(self) -> None:
        """End them all."""
        for member in tuple(self._members):
            member.stop()
        own, self._own = self._own, None
        if own is not None:
            own.close()

    def opened(self, payload: bytes) -> None:
        """Begin what has waited for the source of its own."""
        del payload
        waiting, self._waiting = self._waiting or [], None
        for one in waiting:
            if self._own is not None:
                one.start(self._own)

    def lost(self, code: int, reason: str) -> None:
        """Pass on that the source of its own is gone, which ends what is shared too."""
        self._own = None
        self.close()
        self._holder.lost(code, reason)

    def backend_writable(self, writable: bool) -> None:
        """Pass on whether it takes more."""
        self._holder.backend_writable(writable)


class Waiting:
    """An operation whose source is being opened; implements ``Subscription``."""

    __slots__ = ("_asked", "_listener", "_operation", "_slow", "_started", "_stopped")

    def __init__(self, asked: Asked, operation: Operation, listener: Listener) -> None:
        self._asked = asked
        self._operation = operation
        self._listener = listener
        self._slow = False
        self._stopped = False
        self._started: Subscription | None = None

    def __repr__(self) -> str:
        return f"<Waiting {self._operation!r} {'started' if self._started else 'ahead'}>"

    def start(self, source: Source) -> None:
        """Begin, unless nobody wants it any more."""
        if not self._stopped:
            self._started = source.subscribe(self._asked, self._operation, self._listener)
            if self._slow:
                self._started.pause()

    def pause(self) -> None:
        """Ask for no more results for now."""
        self._slow = True
        if self._started is not None:
            self._started.pause()

    def resume(self) -> None:
        """Take them again."""
        self._slow = False
        if self._started is not None:
            self._started.resume()

    def stop(self) -> None:
        """End it."""
        self._stopped = True
        if self._started is not None:
            self._started.stop()
