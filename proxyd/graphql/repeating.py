"""Queries that may be sent to the backend again are marked so, as they pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxyd.graphql.steps import Step

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxyd.exchange import Exchange
    from proxyd.graphql.document import Operation
    from proxyd.graphql.request import Asked


class Repeating(Step):
    """Vouches for queries, as a step of what operations are held to; a batch is one where nothing else is in it."""

    def __init__(self, statuses: Iterable[int]) -> None:
        self._statuses = frozenset(statuses)

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
