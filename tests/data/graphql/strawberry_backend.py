"""A strawberry server under aiohttp, by HTTP and both WebSocket protocols; ends when its standard input does."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import AsyncGenerator  # noqa: TC003 - strawberry reads annotations
from typing import Annotated, Any

import strawberry
from aiohttp import web
from strawberry.aiohttp.views import GraphQLView
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL, GRAPHQL_WS_PROTOCOL
from strawberry.types import Info  # noqa: TC002 - strawberry reads annotations


@strawberry.type
class Product:
    """The only thing that there is."""

    id: strawberry.ID
    name: str
    price: int

    @strawberry.field
    def related(self, first: int = 3) -> list[Product]:
        return [product(str(int(self.id) + at + 1)) for at in range(first)]


def product(number: str) -> Product:
    return Product(id=strawberry.ID(number), name=f"Product {number}", price=100 + int(number))


@strawberry.type
class Query:
    """What can be asked."""

    @strawberry.field
    def hello(self, name: str = "world") -> str:
        return f"Hello {name}"

    @strawberry.field
    def product(self, id: strawberry.ID) -> Product | None:  # noqa: A002 - the schema's name
        return product(id)

    @strawberry.field
    def header(self, info: Info[Any, Any], name: str) -> str | None:
        value: str | None = info.context["request"].headers.get(name)
        return value

    @strawberry.field
    def initial(self, info: Info[Any, Any]) -> str | None:
        return json.dumps(info.context.get("connection_params"))

    @strawberry.field
    def broken(self) -> str | None:
        raise RuntimeError("no route to db-7.internal as user orders")


@strawberry.type
class Mutation:
    """What can be changed."""

    @strawberry.mutation
    def rename(self, id: strawberry.ID, name: str) -> Product | None:  # noqa: A002 - the schema's name
        return Product(id=id, name=name, price=100)


@strawberry.type
class Subscription:
    """What can be listened to."""

    @strawberry.subscription
    async def countdown(
        self, start: Annotated[int, strawberry.argument(name="from")]
    ) -> AsyncGenerator[int, None]:
        for value in range(start, -1, -1):
            yield value

    @strawberry.subscription
    async def failing(self) -> AsyncGenerator[int | None, None]:
        yield 1
        raise RuntimeError("no route to db-7.internal as user orders")


async def main() -> None:
    """Serve until standard input ends."""
    logging.getLogger("strawberry.execution").setLevel(logging.CRITICAL)
    schema = strawberry.Schema(Query, Mutation, Subscription)
    protocols = [GRAPHQL_TRANSPORT_WS_PROTOCOL, GRAPHQL_WS_PROTOCOL]
    app = web.Application()
    app.router.add_route(
        "*", "/graphql", GraphQLView(schema=schema, subscription_protocols=protocols, keep_alive=False)
    )
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(json.dumps({"port": runner.addresses[0][1]}) + "\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
