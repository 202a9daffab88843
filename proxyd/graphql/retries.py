"""Which GraphQL requests may be sent to the backend again: queries, which change nothing, and never anything else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from proxyd import plugin
from proxyd.graphql.steps import Step

if TYPE_CHECKING:
    from proxyd.exchange import Exchange
    from proxyd.graphql.document import Operation
    from proxyd.graphql.request import Asked


class Retries(plugin.Config):
    """When queries are sent again, as often as the service's ``retries`` say and the upstream's budget allows."""

    queries: bool = True
    """Whether a query whose connection breaks before its answer begins is sent again, whatever its method."""
    statuses: tuple[Annotated[int, Field(ge=500, le=599)], ...] = ()
    """Statuses of the backend after which a query is sent again, such as 502, 503, 504; the last answer goes to the client."""


class Repeating(Step):
    """Vouches for queries, as a step of what operations are held to; a batch is one where nothing else is in it."""

    def __init__(self, config: Retries) -> None:
        self._statuses = frozenset(config.statuses)

    def __repr__(self) -> str:
        return f"<Repeating {sorted(self._statuses)}>"

    def check(self, exchange: Exchange, asked: Asked, operation: Operation) -> None:
        """Note in the exchange whether it may be sent again."""
        del asked
        operated = exchange.graphql
        if operation.type != "query":
            exchange.repeatable = None
        elif operated is not None and operated.count == 1:
            exchange.repeatable = self._statuses
