"""What one instance of the graphql plugin counts: how its operations are named, and where their numbers go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxyd.exchange import Operated

if TYPE_CHECKING:
    from proxyd.exchange import Exchange
    from proxyd.graphql.document import Operation
    from proxyd.telemetry.operations import Operations


class Metrics:
    """Counts what comes of operations, by the ``names`` that settings say; ``operations`` has what else there is to count."""

    def __init__(self, names: str, max_names: int, operations: Operations) -> None:
        self.operations = operations
        self._listed = names == "listed"
        self._room = max_names if names == "first" else 0

    def __repr__(self) -> str:
        return f"<Metrics room={self._room} {self.operations!r}>"

    def finished(self, exchange: Exchange) -> None:
        """Count an exchange that is over; a WebSocket's operations have been counted one by one."""
        operated = exchange.graphql
        if operated is not None and not exchange.upgraded:
            self._observe(exchange, operated)

    def asked(self, exchange: Exchange, operation: Operation) -> None:
        """Count an operation of a WebSocket, when it goes to the source."""
        told = exchange.graphql
        operated = Operated(operation.name, operation.type, operation.document.digest)
        operated.depth = operation.facts.depth
        if told is not None:
            operated.listed, operated.known = told.listed, told.known
        self._observe(exchange, operated)

    def _observe(self, exchange: Exchange, operated: Operated) -> None:
        room = self._room
        if self._listed and operated.listed:
            room = -1
        self.operations.observe(exchange, operated, room)
