"""Real GraphQL clients and real GraphQL servers with a gateway between them: a plain route, and one with the plugin."""

from __future__ import annotations

import pytest
from e2e_gateway import config_for
from e2e_graphql import needs_node

pytestmark = needs_node

EVERYTHING = {"introspection": {"allow": "always"}, "subscriptions": {"events": {"single_connection": True}}}
EDGES = {"plain": [], "graphql": [{"name": "graphql", "config": EVERYTHING}]}
COUNTDOWN = {"query": "subscription ($from: Int!) { countdown(from: $from) }", "variables": {"from": 2}}
COUNTED = [{"next": {"data": {"countdown": value}}} for value in (2, 1, 0)] + [{"complete": True}]
# Kind of client, where it asks, what else it is told.
QUERYING = {
    "graphql-ws to yoga": ("ws", "/yoga", {}),
    "graphql-ws to strawberry": ("ws", "/graphql", {}),
    "legacy client to legacy server": ("legacy", "/legacy", {}),
    "graphql-sse to graphql-sse": ("sse", "/sse", {}),
    "graphql-sse to graphql-sse, single connection": ("sse", "/sse", {"single": True}),
    "apollo to yoga": ("apollo", "/yoga", {}),
    "apollo to graphql-http": ("apollo", "/http", {}),
    "apollo to graphql-http by GET": ("apollo", "/http", {"get": True}),
    "apollo to strawberry": ("apollo", "/graphql", {}),
}
SUBSCRIBING = {
    "graphql-ws to yoga": ("ws", "/yoga", {}),
    "graphql-ws to strawberry": ("ws", "/graphql", {}),
    "legacy client to legacy server": ("legacy", "/legacy", {}),
    "legacy client to strawberry": ("legacy", "/graphql", {}),
    "graphql-sse to yoga": ("sse", "/yoga", {}),
    "graphql-sse to graphql-sse": ("sse", "/sse", {}),
    "graphql-sse to graphql-sse, single connection": ("sse", "/sse", {"single": True}),
}
LISTENING = {name: case for name, case in SUBSCRIBING.items() if "strawberry" not in name}


@pytest.fixture(params=EDGES)
async def ask(request, gateway, graphql_client):
    """Give what starts a client that asks through a gateway, and what else the gateway does."""
    gateways = {}

    async def start(kind, path, *plugins, consumers=(), **spec):
        name = "strawberry_backend" if path == "/graphql" else "graphql_backends"
        backend = request.getfixturevalue(name)
        if name not in gateways:
            everything = [*EDGES[request.param], *plugins]
            config = config_for(backend.port, plugins=everything, consumers=list(consumers))
            gateways[name] = await gateway(config)
        scheme = "ws" if kind in {"ws", "legacy"} else "http"
        return await graphql_client(kind, url=f"{scheme}://127.0.0.1:{gateways[name].port}{path}", **spec)

    return start


def events(lines):
    """Leave out what is told of connections and of requests."""
    return [line for line in lines if {"next", "error", "complete"} & line.keys()]


@pytest.mark.parametrize("case", QUERYING)
async def test_a_query(case, ask):
    """A query with a variable is answered, whoever asks whom."""
    kind, path, more = QUERYING[case]
    query = "query Greet($name: String!) { hello(name: $name) }"
    client = await ask(kind, path, query=query, variables={"name": "Ann"}, **more)
    assert events(await client.lines()) == [{"next": {"data": {"hello": "Hello Ann"}}}, {"complete": True}]


@pytest.mark.parametrize("path", ["/yoga", "/http", "/graphql"])
async def test_a_mutation(path, ask):
    """A mutation is carried out once."""
    query = 'mutation { rename(id: 1, name: "Tea") { name } }'
    told = events(await (await ask("apollo", path, query=query)).lines())
    assert told == [
        {"next": {"data": {"rename": {"name": "Tea", "__typename": "Product"}}}},
        {"complete": True},
    ]


@pytest.mark.parametrize("case", SUBSCRIBING)
async def test_a_subscription(case, ask):
    """Values come in their order, then the end."""
    kind, path, more = SUBSCRIBING[case]
    assert events(await (await ask(kind, path, **COUNTDOWN, **more)).lines()) == COUNTED


@pytest.mark.parametrize("case", LISTENING)
async def test_messages_come_as_they_are_sent(case, ask, graphql_backends):
    """A message reaches the client while the subscription goes on; a client that goes ends it at the backend."""
    kind, path, more = LISTENING[case]
    query = "subscription ($channel: String) { messages(channel: $channel) }"
    client = await ask(kind, path, query=query, variables={"channel": case}, **more)
    await graphql_backends.listened(1, case)
    for text in ("one", "two"):
        assert await graphql_backends.publish(text, case) == 1
        while "next" not in (line := await client.line()):
            pass
        assert line == {"next": {"data": {"messages": text}}}
    await client.close()
    await graphql_backends.listened(0, case)


@pytest.mark.parametrize("case", ["graphql-ws to yoga", "legacy client to legacy server"])
async def test_who_asks_is_told_to_the_backend(case, ask):
    """What the upgrade was authenticated by is gone, who it was and what connection_init said are there."""
    kind, path, more = SUBSCRIBING[case]
    query = '{ consumer: header(name: "X-Consumer-Username") key: header(name: "apikey") initial }'
    client = await ask(
        *(kind, path, {"name": "key-auth", "config": {"hide_credentials": True}}),
        consumers=[{"username": "ann", "keyauth_credentials": [{"key": "k"}]}],
        query=query,
        headers={"apikey": "k"},
        initial={"device": 7},
        **more,
    )
    answer = {"consumer": "ann", "key": None, "initial": '{"device":7}'}
    assert events(await client.lines())[0] == {"next": {"data": answer}}


async def test_parts_that_come_later(ask):
    """What a query defers comes in a part of its own, which Apollo Client adds to the first."""
    query = "query { product(id: 1) { name ... @defer { reviews { stars } } } }"
    first, second, _ = events(await (await ask("apollo", "/yoga", query=query, deferred=True)).lines())
    assert (first["next"]["state"], "reviews" in first["next"]["data"]["product"]) == ("streaming", False)
    assert second["next"]["data"]["product"]["reviews"] == [{"stars": 5, "__typename": "Review"}]


@pytest.mark.parametrize("path", ["/http", "/yoga"])
async def test_audits_of_graphql_over_http(path, ask):
    """Every audit of the package graphql-http passes, as it does straight at the servers."""
    told = await (await ask("audits", path)).lines()
    assert len(told) == 61
    assert [audit for audit in told if audit["status"] != "ok"] == []
