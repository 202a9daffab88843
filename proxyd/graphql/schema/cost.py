"""What operations cost: told to who counts, held to a limit, and told to clients that ask for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from proxyd.graphql.refusal import Refused, beyond
from proxyd.graphql.schema.estimate import TOO_MUCH, Estimate, Work
from proxyd.graphql.schema.price import MOST
from proxyd.graphql.schema.weights import Table, Weights
from proxyd.graphql.steps import Step

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from proxyd.exchange import Exchange
    from proxyd.graphql.document import Document, Operation
    from proxyd.graphql.request import Asked
    from proxyd.graphql.schema.known import Known
    from proxyd.graphql.schema.price import Price
    from proxyd.graphql.schema.source import Schema

_NOTE = "price"


class Config(Weights):
    """The cost of operations, computed before they are sent."""

    max: int | None = Field(None, gt=0)
    """What an operation may cost; without, costs are only computed."""
    mode: Literal["enforce", "measure"] = "enforce"
    """Whether what costs more is refused, or only counted as such."""
    report: bool = False
    """Whether clients that send ``GraphQL-Cost: report`` are told what a request costs, by header and in the response."""


class Cost(Step):
    """The step that computes what operations cost, and refuses those over the limit."""

    def __init__(self, config: Config, schema: Schema) -> None:
        self._config = config
        self._schema = schema
        self._max = config.max or MOST
        self._enforced = config.mode == "enforce"
        self._table: tuple[Known, Table] | None = None
        if schema.now is not None:
            self._table = schema.now, Table(schema.now.graph, config)

    def __repr__(self) -> str:
        return f"<Cost max={self._config.max} {self._config.mode}>"

    def learn(self, document: Document) -> None:
        """Make the price of each operation."""
        known = self._schema.known()
        if self._table is None or self._table[0] is not known:
            self._table = known, Table(known.graph, self._config)
        work = Work()
        for operation in document.operations.values():
            try:
                price = Estimate(self._table[1], operation, work).price()
            except Refused as refused:
                operation.verdict = operation.verdict or refused.again()
            except RecursionError:
                operation.verdict = operation.verdict or TOO_MUCH
            else:
                operation.notes[_NOTE] = price
                document.size += price.size

    def check(self, exchange: Exchange, asked: Asked, operation: Operation) -> None:
        """Note what an operation costs with its variables; raises Refused where that is too much."""
        price: Price = operation.notes[_NOTE]
        cost = price.of(asked.variables)
        operated = exchange.graphql
        if operated is not None:
            operated.cost += cost
        if cost > self._max:
            if self._enforced:
                raise beyond("cost", self._max, cost)
            if operated is not None:
                operated.exceed("cost")


def cost_of(operation: Operation, variables: Mapping[str, Any], table: Table) -> int:
    """Return what an operation of a valid document costs, while its tree is there; raises Refused where that is not clear."""
    return Estimate(table, operation).price().of(variables)
