"""The demo backend's GraphQL schema over the orders, executed by graphql-core."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphql import (
    ExecutionResult,
    GraphQLError,
    OperationType,
    build_schema,
    execute,
    get_operation_ast,
    parse,
    subscribe,
    validate,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from graphql import DocumentNode

    from proxyd.apps.demo.orders import Order, Orders

SCHEMA = build_schema("""
    type Order { id: ID!, item: String!, quantity: Int!, status: String! }

    type Query {
        orders(status: String): [Order!]!
        order(id: ID!): Order
    }

    type Mutation {
        createOrder(item: String!, quantity: Int = 1): Order!
        setStatus(id: ID!, status: String!): Order!
    }

    type Subscription {
        "Each order that is made or changed."
        orderChanged: Order!
        "Counts from 1 to count, interval seconds apart."
        ticks(count: Int = 3, interval: Float = 1): Int!
    }
""")
MAX_TOKENS = 2000  # of a query


@dataclass(frozen=True, slots=True)
class Operation:
    """One GraphQL request, parsed and valid."""

    document: DocumentNode
    variables: dict[str, Any]
    name: str | None
    type: OperationType

    @classmethod
    def of(cls, payload: Any) -> Operation:
        """Check a request ``{query, variables?, operationName?}``; raises ``InvalidOperation``."""
        if not isinstance(payload, dict) or not isinstance(payload.get("query"), str):
            raise InvalidOperation([GraphQLError("query must be a string")])
        variables, name = payload.get("variables") or {}, payload.get("operationName")
        if not isinstance(variables, dict) or not isinstance(name, str | None):
            raise InvalidOperation([GraphQLError("variables must be an object, operationName a string")])
        try:
            document = parse(payload["query"], max_tokens=MAX_TOKENS)
        except GraphQLError as error:
            raise InvalidOperation([error]) from None
        if errors := validate(SCHEMA, document):
            raise InvalidOperation(errors)
        operation = get_operation_ast(document, name)
        if operation is None:
            raise InvalidOperation([GraphQLError("operationName must name one of the operations")])
        return cls(document, variables, name, operation.operation)


class InvalidOperation(Exception):  # noqa: N818 -- the request is at fault, nothing broke
    """A GraphQL request that cannot be executed, with the reasons."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__("; ".join(error.message for error in errors))
        self.errors = errors


async def run(operation: Operation, orders: Orders) -> ExecutionResult | AsyncIterator[ExecutionResult]:
    """Execute an operation: a result, or an iterator of results for a subscription."""
    perform = subscribe if operation.type is OperationType.SUBSCRIPTION else execute
    outcome: Any = perform(
        SCHEMA,
        operation.document,
        root_value=_root(orders),
        variable_values=operation.variables,
        operation_name=operation.name,
    )
    if asyncio.iscoroutine(outcome):
        outcome = await outcome
    return outcome  # type: ignore[no-any-return]


def _root(orders: Orders) -> dict[str, Any]:
    """Return the resolvers of the root fields; graphql-core calls them with their arguments."""

    def order(_info: Any, id: str) -> Order | None:  # noqa: A002 -- the schema's name
        try:
            return orders.get(int(id))
        except (KeyError, ValueError):
            return None

    def set_status(_info: Any, id: str, status: str) -> Order:  # noqa: A002 -- the schema's name
        try:
            return orders.update(int(id), {"status": status})
        except KeyError:
            raise GraphQLError("no such order") from None

    async def order_changed(_info: Any) -> AsyncIterator[dict[str, Any]]:
        async for changed in orders.changes():
            yield {"orderChanged": changed}

    async def ticks(_info: Any, count: int, interval: float) -> AsyncIterator[dict[str, Any]]:
        for index in range(1, count + 1):
            yield {"ticks": index}
            if index < count:
                await asyncio.sleep(interval)

    return {
        "orders": lambda _info, status=None: orders.all(status),
        "order": order,
        "createOrder": lambda _info, **fields: orders.create(fields),
        "setStatus": set_status,
        "orderChanged": order_changed,
        "ticks": ticks,
    }
