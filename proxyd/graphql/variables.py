"""The limits of variables, which every request has its own of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from proxyd.graphql.limits import MOST_BYTES, MOST_NESTING
from proxyd.graphql.refusal import beyond
from proxyd.graphql.steps import Step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxyd.exchange import Exchange
    from proxyd.graphql.document import Operation
    from proxyd.graphql.limits import Limits
    from proxyd.graphql.request import Asked


class Variables(Step):
    """The limits of variables, for each request."""

    def __init__(self, limits: Limits) -> None:
        self._size = limits.max_variables_size
        self._max_size = limits.enforced("variables_size", MOST_BYTES)
        self._nesting = limits.max_variables_nesting
        self._max_nesting = limits.enforced("variables_nesting", MOST_NESTING)

    def check(self, exchange: Exchange, asked: Asked, operation: Operation) -> None:
        """Look at how much came, and only where that may be too much at what it is."""
        del operation
        variables = asked.variables
        if not variables:
            return
        for value in variables.values():
            if isinstance(value, (dict, list)):
                self._check_nesting(exchange, variables)
                break
        if asked.size > self._size:
            self._check_size(exchange, variables)

    def _check_nesting(self, exchange: Exchange, variables: Mapping[str, Any]) -> None:
        found = nesting(variables, self._max_nesting)
        if found > self._max_nesting:
            raise beyond("variables_nesting", self._max_nesting, found)
        if found > self._nesting:
            _note(exchange, "variables_nesting")

    def _check_size(self, exchange: Exchange, variables: Mapping[str, Any]) -> None:
        found = len(orjson.dumps(variables))
        if found > self._max_size:
            raise beyond("variables_size", self._max_size, found)
        if found > self._size:
            _note(exchange, "variables_size")


def nesting(value: Any, maximum: int) -> int:
    """Return how many lists and objects stand within one another, without recursion; at most one more than the maximum."""
    level = [value]
    depth = 0
    while level and depth <= maximum:
        depth += 1
        below: list[Any] = []
        for one in level:
            below += [
                inner
                for inner in (one.values() if isinstance(one, dict) else one)
                if isinstance(inner, (dict, list))
            ]
        level = below
    return depth


def _note(exchange: Exchange, name: str) -> None:
    if exchange.graphql is not None:
        exchange.graphql.exceed(name)
