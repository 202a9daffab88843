"""A gateway that knows the schema: out of a file, or asked of a real backend, kept fresh, and what it holds requests to."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest
from e2e_gateway import config_for
from graphql import build_schema, introspection_from_schema

PATIENCE = 10.0
SDL = "type Query { orders(status: String): [Order!]! order(id: ID!): Order } type Order { id: ID! item: String! }"


def edge(port, plugins=(), route=None, **config):
    config.setdefault("schema_from", {"introspection": {"interval": 100}})
    return config_for(
        f"http://127.0.0.1:{port}/graphql",
        route=route,
        plugins=[*plugins],
        service={"plugins": [{"name": "graphql", "config": config}]},
    )


async def ask(proxy, query, *, headers=None, **variables):
    accept = {"Accept": "application/graphql-response+json", **(headers or {})}
    async with httpx.AsyncClient() as client:
        return await client.post(proxy.url, json={"query": query, "variables": variables}, headers=accept)


async def status(proxy):
    async with httpx.AsyncClient() as client:
        answer = (await client.get(f"{proxy.status_url}/status")).json()["graphql_schemas"]
        return answer, (await client.get(f"{proxy.status_url}/metrics")).text


async def until(found):
    async with asyncio.timeout(PATIENCE):
        while not (value := await found()):  # noqa: ASYNC110 - another task's state
            await asyncio.sleep(0.02)
        return value


async def test_the_backend_is_asked_for_its_schema(gateway, backend):
    """Before the first request passes; what is not valid never reaches the backend."""
    proxy = await gateway(edge(backend.port, introspection={"allow": "never"}))
    assert len((await ask(proxy, "{orders{id item}}")).json()["data"]["orders"]) == 2
    wrong = await ask(proxy, "{orders{itm}}")
    assert (wrong.status_code, wrong.json()["errors"][0]["message"]) == (400, "There is no field 'itm' here")
    assert (await ask(proxy, "{__schema{types{name}}}")).status_code == 403
    (state,), metrics = await status(proxy)
    assert (state["service"], state["failing"]) == ("backend", None)
    assert 'proxyd_graphql_schema_known{service="backend"} 1.0' in metrics


class Scripted:
    """A backend that answers introspection with what it is told to, and everything else with ok."""

    def __init__(self):
        self.schema = SDL
        self.status = 200
        self.asked = []
        self.headers = []

    async def __call__(self, wire):
        while True:
            message = await wire.message()
            asked = json.loads(message.body)
            if asked.get("operationName") == "IntrospectionQuery":
                self.asked.append(asked["query"])
                self.headers.append(dict(message.fields))
                body = self.answer(asked["query"])
            else:
                body = b'{"data":{}}'
            start = b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\n" % (
                self.status if asked.get("operationName") else 200
            )
            await wire.send(start + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))

    def answer(self, query):
        del query
        return json.dumps({"data": introspection_from_schema(build_schema(self.schema))}).encode()


@pytest.fixture
async def scripted(origin):
    one = Scripted()
    one.port = (await origin(one)).port
    return one


async def test_a_schema_that_changes_is_taken_over(gateway, scripted, events):
    """What was known of documents is forgotten; a failure keeps what there is, and is told of."""
    proxy = await gateway(edge(scripted.port, permissions={"Order.note": {"allow": ["staff"]}}))
    assert (await ask(proxy, "{orders{note}}")).status_code == 400
    assert (await ask(proxy, "{orders{item}}")).status_code == 200
    scripted.schema = SDL.replace("item: String!", "note: String")

    async def changed():
        return (await ask(proxy, "{orders{item}}")).status_code == 400

    await until(changed)
    assert (await ask(proxy, "{orders{note}}")).status_code == 403
    scripted.status = 500

    async def failing():
        return (await status(proxy))[0][0]["failing"]

    assert await until(failing) == "it answers 500"
    assert (await ask(proxy, "{orders{note}}")).status_code == 403
    assert (await ask(proxy, "{orders{id}}")).status_code == 200
    assert 'result="failure"' in (await status(proxy))[1]
    assert any("the schema that is known stays" in str(event) for event in events)


async def test_until_the_schema_is_known_nothing_passes(gateway, scripted):
    """Requests wait for it, and are refused with 503 in the end."""
    scripted.status = 503
    config = {"introspection": {"interval": 60_000, "wait": 50}}
    proxy = await gateway(edge(scripted.port, schema_from=config))
    refused = await ask(proxy, "{orders{id}}")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert refused.json()["errors"][0]["extensions"]["code"] == "SCHEMA_UNAVAILABLE"
    scripted.status = 200

    async def passes():
        return (await ask(proxy, "{orders{id}}")).status_code == 200

    await until(passes)


async def test_a_reload_goes_on_with_the_schema_that_was_known(gateway, scripted):
    """Though the backend does not answer just then."""
    proxy = await gateway(edge(scripted.port))
    assert (await ask(proxy, "{orders{id}}")).status_code == 200
    scripted.status = 500
    proxy.write(
        edge(
            scripted.port,
            limits={"max_tokens": 100},
            schema_from={"introspection": {"interval": 100, "wait": 0}},
        )
    )
    await proxy.worker.reload()
    assert (await ask(proxy, "{orders{id}}")).status_code == 200
    assert (await ask(proxy, "{orders{nope}}")).status_code == 400


async def test_an_older_server_is_asked_what_it_understands(gateway, scripted):
    """Headers of the configuration go with it, and nothing that a client sent."""
    modern = scripted.answer

    def answer(query):
        if "isOneOf" in query or "includeDeprecated: true) {\n              ...InputValue" in query:
            return b'{"errors":[{"message":"what?"}]}'
        return modern(query)

    scripted.answer = answer
    config = {"introspection": {"interval": 100, "headers": {"Authorization": "Bearer x"}}}
    proxy = await gateway(edge(scripted.port, schema_from=config))
    assert (await ask(proxy, "{orders{id}}", headers={"X-Mine": "1"})).status_code == 200
    assert "isOneOf" in scripted.asked[0]
    assert "isOneOf" not in scripted.asked[-1]
    names = {name.lower(): value for name, value in scripted.headers[-1].items()}
    assert names["authorization"] == "Bearer x"
    assert "x-mine" not in names


async def test_costs_are_what_a_rate_limit_counts(gateway, backend, tmp_path):
    """The schema is a file; a list of ten objects is ten of the limit."""
    file = tmp_path / "schema.graphql"
    file.write_text(SDL)
    limit = {"name": "rate-limiting", "config": {"year": 25, "counts": "cost"}}
    config = edge(backend.port, [limit], schema_from={"file": str(file)}, cost={"max": 30})
    proxy = await gateway(config)
    left = [(await ask(proxy, "{orders{id}}")).headers.get("ratelimit-remaining") for _ in range(3)]
    assert left == ["15", "5", "5"]
    dear = await ask(proxy, "{a:orders{id} b:orders{id} c:orders{id}}")
    assert (dear.status_code, dear.json()["message"]) == (
        429,
        "API rate limit exceeded: the request costs 30, which is more than the limit of 25",
    )
    assert (await ask(proxy, '{order(id:"1"){id}}')).headers["ratelimit-remaining"] == "4"
    too_dear = await ask(proxy, "{a:orders{id} b:orders{id} c:orders{id} d:orders{id}}")
    assert too_dear.json()["errors"][0]["extensions"] == {
        "code": "LIMIT_EXCEEDED",
        "limit": "cost",
        "maximum": 30,
        "found": 40,
    }


async def test_strawberry_tells_its_schema(gateway, strawberry_backend):
    """A server that nobody here wrote: what is valid passes, what is not is refused, and lists are counted by arguments."""
    sizes = {"Product.related": {"slicing_arguments": ["first"]}}
    config = {
        "permissions": {"Product.price": {"allow": ["staff"]}},
        "cost": {"max": 50, "list_sizes": sizes},
    }
    proxy = await gateway(edge(strawberry_backend.port, **config))
    query = 'query($n:Int!){product(id:"1"){name related(first:$n){id}}}'
    passed = await ask(proxy, query, n=2)
    assert passed.json() == {
        "data": {"product": {"name": "Product 1", "related": [{"id": "2"}, {"id": "3"}]}}
    }
    assert (await ask(proxy, query, n=100)).json()["errors"][0]["extensions"]["found"] == 101
    assert (await ask(proxy, '{product(id:"1"){price}}')).status_code == 403
    assert (await ask(proxy, '{product(id:"1"){related(first:"x"){id}}}')).status_code == 400
    assert await strawberry_backend.ask("{__typename}") == {"__typename": "Query"}


async def test_who_asks_is_told_the_cost(gateway, backend):
    """In a header, and in the response, beside what the backend has put there."""
    proxy = await gateway(edge(backend.port, cost={"max": 30, "report": True}))
    asking = {"GraphQL-Cost": "report"}
    told = await ask(proxy, "{orders{id}}", headers=asking)
    assert told.headers["graphql-cost"] == "10"
    assert told.json()["extensions"] == {"cost": {"requested": 10, "maximum": 30}}
    assert len(told.json()["data"]["orders"]) == 2
    silent = await ask(proxy, "{orders{id}}")
    assert "graphql-cost" not in silent.headers
    assert "extensions" not in silent.json()
    refused = await ask(proxy, "{a:orders{id} b:orders{id} c:orders{id} d:orders{id}}", headers=asking)
    assert refused.headers["graphql-cost"] == "40"
    assert refused.status_code == 400
