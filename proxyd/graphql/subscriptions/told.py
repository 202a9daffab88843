"""A source whose results are masked and counted on their way to one client, whatever the client speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxyd.carrier import Way
    from proxyd.exchange import Exchange
    from proxyd.graphql.document import Operation
    from proxyd.graphql.request import Asked
    from proxyd.graphql.results import Results
    from proxyd.graphql.subscriptions.source import Holder, Listener, Source, Subscription
    from proxyd.graphql.subscriptions.sse_answer import Opening


def telling(opening: Opening, results: Results) -> Opening:
    """Return what opens sources that have their results masked and counted."""

    def open_source(way: Way, holder: Holder) -> Source:
        told = Told(results, way.exchange, holder)
        told.source = opening(way, told)
        return told

    return open_source


class Told:
    """Stands between a client's side and its ``source``, which is set before it is used: a ``Source`` and a ``Holder``."""

    def __init__(self, results: Results, exchange: Exchange, holder: Holder) -> None:
        self.source: Source
        self.results = results
        self.exchange = exchange
        self._holder = holder
        self._heard: set[Heard] = set()

    def __repr__(self) -> str:
        return f"<Told {len(self._heard)}>"

    # --- for the client's side -------------------------------------------------------------------------------

    def open(self, payload: bytes) -> None:
        """Begin."""
        self.source.open(payload)

    def subscribe(self, asked: Asked, operation: Operation, listener: Listener) -> Subscription:
        """Begin an operation, and count it."""
        heard = Heard(self, operation, listener)
        self._heard.add(heard)
        self.results.begun(self.exchange, operation)
        subscription = self.source.subscribe(asked, operation, heard)
        if not heard.over:
            heard.subscription = subscription
        return heard

    def close(self) -> None:
        """End them all."""
        self._end()
        self.source.close()

    def ended(self, heard: Heard) -> None:
        """Hear that an operation is over."""
        self._heard.discard(heard)
        self.results.ended(self.exchange, heard.operation)

    def _end(self) -> None:
        for heard in list(self._heard):
            heard.end()

    # --- for the source --------------------------------------------------------------------------------------

    def opened(self, payload: bytes) -> None:
        """Pass on that operations are taken."""
        self._holder.opened(payload)

    def lost(self, code: int, reason: str) -> None:
        """Pass on that the source is gone, and all operations with it."""
        self._end()
        self._holder.lost(code, reason)

    def backend_writable(self, writable: bool) -> None:
        """Pass on whether the backend takes more operations."""
        self._holder.backend_writable(writable)


class Heard:
    """One operation: a ``Listener`` for the source, a ``Subscription`` for the client's side."""

    __slots__ = ("_listener", "_told", "operation", "over", "subscription")

    def __init__(self, told: Told, operation: Operation, listener: Listener) -> None:
        self.operation = operation
        self.over = False
        self.subscription: Subscription | None = None
        self._told = told
        self._listener = listener

    def __repr__(self) -> str:
        return f"<Heard {'over' if self.over else 'under way'} {self.operation!r}>"

    def end(self) -> None:
        """Count the end, once."""
        if not self.over:
            self.over = True
            self._told.ended(self)

    # --- what the source says --------------------------------------------------------------------------------

    def next(self, payload: bytes) -> None:
        """Take a result."""
        if not self.over:
            told = self._told
            self._listener.next(told.results.next(told.exchange, self.operation, payload))

    def failed(self, errors: bytes) -> None:
        """Take the errors that it ends with."""
        if not self.over:
            told = self._told
            errors = told.results.failed(told.exchange, errors)
            self.end()
            self._listener.failed(errors)

    def completed(self) -> None:
        """Hear that there are no more."""
        if not self.over:
            self.end()
            self._listener.completed()

    # --- what the client's side does -------------------------------------------------------------------------

    def pause(self) -> None:
        """Ask for no more results for now."""
        if self.subscription is not None:
            self.subscription.pause()

    def resume(self) -> None:
        """Take them again."""
        if self.subscription is not None:
            self.subscription.resume()

    def stop(self) -> None:
        """End it."""
        self.end()
        if self.subscription is not None:
            self.subscription.stop()
