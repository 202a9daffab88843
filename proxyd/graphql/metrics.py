"""What one instance of the graphql plugin counts: how its operations are named, and where their numbers go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from proxyd import plugin
from proxyd.exchange import Operated

if TYPE_CHECKING:
    from proxyd.exchange import Exchange
    from proxyd.graphql.document import Operation
    from proxyd.telemetry.operations import Operations


class Counted(plugin.Config):
    """Which operations are counted by their names."""

    names: Literal["first", "listed", "none"] = "first"
    """Whose names are labels: the first ``max_names`` of a route, those that the safelist knows, or nobody's; all others are counted as ``_OTHER``."""
    max_names: int = Field(100, ge=0)
    """Names of a route that are labels, with ``first``; of each worker."""
    error_codes: bool = True
    """Whether the codes of errors are counted, for which answers are read."""


class Metrics:
    """Counts what comes of operations; ``operations`` has what else there is to count."""

    def __init__(self, config: Counted, operations: Operations) -> None:
        self.operations = operations
        self._listed = config.names == "listed"
        self._room = config.max_names if config.names == "first" else 0

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
