"""Apollo Client's persisted queries: the gateway knows documents by their hashes, whatever the backend knows."""

from __future__ import annotations

import pytest
from e2e_gateway import config_for
from e2e_graphql import needs_node

pytestmark = needs_node

QUERY = "query Greet($name: String!) { hello(name: $name) }"
GREETED = {"next": {"data": {"hello": "Hello Ann"}}}
PERSISTED = {"name": "graphql", "config": {"persisted_queries": {}}}


@pytest.mark.parametrize("get", [False, True])
@pytest.mark.parametrize("backend", ["graphql_backends", "strawberry_backend"])
async def test_a_hash_is_enough_from_the_second_time_on(backend, get, request, gateway, graphql_client):
    """A client that asks by hash is told to send the document once; any other client's hash is then known."""
    server = request.getfixturevalue(backend)
    proxy = await gateway(config_for(server.port, plugins=[PERSISTED]))
    spec = {"query": QUERY, "variables": {"name": "Ann"}, "persisted": True, "get": get}
    told = []
    for _ in range(2):
        client = await graphql_client("apollo", url=f"{proxy.url}{server.path}", **spec)
        told.append(await client.lines())
    sent = [[line["query"] for line in lines if "method" in line] for lines in told]
    assert sent == [[False, True], [False]]
    assert [line for lines in told for line in lines if "next" in line] == [GREETED, GREETED]
    first = "GET" if get else "POST"
    assert {line["method"] for line in told[1] if "method" in line} == {first}


async def test_a_mutation_is_known_by_its_hash_too(gateway, graphql_client, graphql_backends):
    """Mutations are always asked for by POST."""
    proxy = await gateway(config_for(graphql_backends.port, plugins=[PERSISTED]))
    query = 'mutation { rename(id: 1, name: "Tea") { name } }'
    for number in range(2):
        client = await graphql_client(
            "apollo", url=f"{proxy.url}/http", query=query, persisted=True, get=True
        )
        told = await client.lines()
        assert [line["method"] for line in told if "method" in line] == ["POST"] * (2 - number)
        assert told[-2]["next"]["data"]["rename"]["name"] == "Tea"


async def test_a_route_without_them_says_so(gateway, graphql_client, graphql_backends):
    """The client sends documents from then on."""
    proxy = await gateway(config_for(graphql_backends.port, plugins=[{"name": "graphql"}]))
    requests = [{"query": QUERY, "variables": {"name": "Ann"}}] * 2
    client = await graphql_client("apollo", url=f"{proxy.url}/http", requests=requests, persisted=True)
    told = await client.lines()
    assert [line["query"] for line in told if "method" in line] == [False, True, True]
    assert [line["next"] for line in told if "next" in line] == [GREETED["next"]] * 2
