"""What real servers say when they break: clients are told nothing of it, operators are."""

from __future__ import annotations

import httpx
import pytest
from e2e_gateway import config_for
from e2e_graphql import needs_node

pytestmark = needs_node

SECRET = "db-7.internal"
MASKED = {"name": "graphql", "config": {"errors": {"mask": True}}}


@pytest.mark.parametrize(
    ("server", "path"),
    [("graphql_backends", "/http"), ("graphql_backends", "/yoga"), ("strawberry_backend", "/graphql")],
)
async def test_an_unexpected_error_is_masked(server, path, request, gateway, events):
    """The client gets a general message and the request's id, whatever the server tells; the log gets the original."""
    port = request.getfixturevalue(server).port
    proxy = await gateway(config_for(port, plugins=[MASKED]))
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{proxy.url}{path}", json={"query": "{ hello broken }"})
        fine = await client.post(f"{proxy.url}{path}", json={"query": "{ hello }"})
    told = answer.json()
    assert SECRET not in answer.text
    assert told["data"] == {"hello": "Hello world", "broken": None}
    assert told["errors"][0]["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    assert told["errors"][0]["path"] == ["broken"]
    assert fine.json() == {"data": {"hello": "Hello world"}}
    if path != "/yoga":  # which masks by itself
        assert SECRET in str(events)


@pytest.mark.parametrize(
    ("kind", "path"), [("sse", "/sse"), ("sse", "/yoga"), ("ws", "/yoga"), ("legacy", "/legacy")]
)
async def test_results_of_subscriptions_are_masked(kind, path, gateway, graphql_client, graphql_backends):
    """The first value comes as it is, the error of the second is masked."""
    proxy = await gateway(config_for(graphql_backends.port, plugins=[MASKED]))
    scheme = "http" if kind == "sse" else "ws"
    url = f"{scheme}://127.0.0.1:{proxy.port}{path}"
    told = await (await graphql_client(kind, url=url, query="subscription { failing }")).lines()
    first, second = [line["next"] for line in told if "next" in line]
    assert first == {"data": {"failing": 1}}
    assert second["data"] == {"failing": None}
    assert second["errors"][0]["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    assert SECRET not in str(told)


async def test_deferred_parts_are_masked(gateway, graphql_client, graphql_backends):
    """What comes in parts is read part by part."""
    proxy = await gateway(config_for(graphql_backends.port, plugins=[MASKED]))
    query = "query { product(id: 1) { name ... @defer { reviews { stars } } } }"
    client = await graphql_client("apollo", url=f"{proxy.url}/yoga", query=query, deferred=True)
    first, second = [line["next"] for line in await client.lines() if "next" in line]
    assert (first["state"], second["state"]) == ("streaming", "complete")
    assert second["data"]["product"]["reviews"] == [{"stars": 5, "__typename": "Review"}]
