"""What is counted of the operations of WebSockets, and what their clients are told of the backend's errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxyd.exchange import Operated
from proxyd.graphql.subscriptions.outcomes import without_reason

if TYPE_CHECKING:
    from proxyd.exchange import Exchange
    from proxyd.graphql.counting import Metrics
    from proxyd.graphql.document import Operation
    from proxyd.graphql.errors import Masker


class Watching:
    """One for each plugin instance."""

    __slots__ = ("_counts", "_masker", "_metrics")

    def __init__(self, masker: Masker, metrics: Metrics) -> None:
        self._masker = masker if masker.looks else None
        self._metrics = metrics
        self._counts = metrics.operations

    def __repr__(self) -> str:
        return f"<Watching {self._masker!r}>"

    def begun(self, exchange: Exchange, operation: Operation) -> None:
        """Count an operation that goes to the backend; ``ended`` is to follow."""
        if operation.type == "subscription":
            self._counts.begin(exchange)
            self._metrics.asked(exchange, operation)

    def ended(self, exchange: Exchange, operation: Operation) -> None:
        """Count its end."""
        if operation.type == "subscription":
            self._counts.end(exchange)
        else:
            self._metrics.asked(exchange, operation)

    def refused(self, exchange: Exchange, code: str) -> None:
        """Count one that goes nowhere."""
        self._counts.observe(exchange, Operated(codes=(code,)), 0)

    def result(self, exchange: Exchange, payload: bytes) -> bytes:
        """Count a result, and return what its client is told of it."""
        self._counts.message(exchange)
        return payload if self._masker is None else self._masker.mask(exchange, payload)

    def reason(self, code: int, reason: str) -> str:
        """Return the reason that the client is told by a close frame, where the backend may have given it."""
        return reason if self._masker is None or not self._masker.masks else without_reason(code)

    def errors(self, exchange: Exchange, errors: bytes) -> bytes:
        """Return what the client is told of the errors that an operation ends with."""
        return errors if self._masker is None else self._masker.mask_errors(exchange, errors)
