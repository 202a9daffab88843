"""Real clients at real servers that speak another protocol than they do, and one subscription upstream for many clients."""

from __future__ import annotations

import asyncio

import pytest
from e2e_gateway import config_for
from e2e_graphql import needs_node

pytestmark = needs_node

COUNTDOWN = {"query": "subscription { countdown(from: 2) }"}
COUNTED = [{"next": {"data": {"countdown": value}}} for value in (2, 1, 0)] + [{"complete": True}]
MESSAGES = "subscription ($channel: String) { messages(channel: $channel) }"
MODERN, LEGACY, SSE = "graphql-transport-ws", "graphql-ws", "sse"
SINGLE = {"single": True}
# Kind of client and what it is told, where it asks, and what the backend speaks there.
TRANSLATED = {
    "graphql-ws at a legacy server": ("ws", {}, "/legacy", LEGACY),
    "legacy client at a modern server": ("legacy", {}, "/yoga", MODERN),
    "graphql-sse at a modern server": ("sse", {}, "/yoga", MODERN),
    "graphql-sse at a legacy server": ("sse", {}, "/legacy", LEGACY),
    "graphql-sse, single connection, at a modern server": ("sse", SINGLE, "/yoga", MODERN),
    "graphql-sse, single connection, at a server of events": ("sse", SINGLE, "/sse", SSE),
    "graphql-ws at graphql-sse": ("ws", {}, "/sse", SSE),
    "graphql-ws at yoga's events": ("ws", {}, "/yoga", SSE),
    "legacy client at graphql-sse": ("legacy", {}, "/sse", SSE),
}


@pytest.fixture
async def ask(gateway, graphql_client, graphql_backends):
    """Give what starts a client of a gateway whose plugin is told this of subscriptions."""
    proxies = []

    async def start(kind, path, spec, **subscriptions):
        if not proxies:
            plugin = {"name": "graphql", "config": {"subscriptions": subscriptions}}
            proxies.append(await gateway(config_for(graphql_backends.port, plugins=[plugin])))
        scheme = "http" if kind == "sse" else "ws"
        return await graphql_client(kind, url=f"{scheme}://127.0.0.1:{proxies[0].port}{path}", **spec)

    return start


def events(lines):
    return [line for line in lines if {"next", "error", "complete"} & line.keys()]


@pytest.mark.parametrize("case", TRANSLATED)
async def test_a_subscription(case, ask):
    """Values come in their order, then the end, whatever either side speaks."""
    kind, more, path, protocol = TRANSLATED[case]
    told = {"backend_protocol": protocol, "events": {"single_connection": True}}
    client = await ask(kind, path, COUNTDOWN | more, **told)
    assert events(await client.lines()) == COUNTED


@pytest.mark.parametrize("case", TRANSLATED)
async def test_a_client_that_goes_ends_it(case, ask, graphql_backends):
    """Messages come as they are sent, and nothing is left at the backend behind a client that has gone."""
    kind, more, path, protocol = TRANSLATED[case]
    told = {"backend_protocol": protocol, "events": {"single_connection": True}}
    client = await ask(kind, path, {"query": MESSAGES, "variables": {"channel": case}} | more, **told)
    await graphql_backends.listened(1, case)
    assert await graphql_backends.publish("one", case) == 1
    while "next" not in (line := await client.line()):
        pass
    assert line == {"next": {"data": {"messages": "one"}}}
    await client.close()
    await graphql_backends.listened(0, case)


@pytest.mark.parametrize("case", TRANSLATED)
async def test_an_error_is_one_of_the_operation(case, ask):
    """A subscription that the server refuses ends with its errors, in the words of the client's protocol."""
    kind, more, path, protocol = TRANSLATED[case]
    told = {"backend_protocol": protocol, "events": {"single_connection": True}}
    client = await ask(kind, path, {"query": "subscription { nothing }"} | more, **told)
    told = events(await client.lines())
    if (path, more) == ("/sse", SINGLE):  # that server refuses the request itself
        assert told[0]["error"]["status"] == 400
    else:
        assert "Cannot query field" in str(told), told


async def heard(client):
    """Return the first result that a client tells of."""
    while "next" not in (line := await client.line()):
        pass
    return line


@pytest.mark.parametrize("protocol", [MODERN, SSE])
async def test_many_hear_one_subscription(protocol, ask, graphql_backends):
    """Clients of all protocols that ask for the same share one subscription at the backend, the last of them ends it."""
    channel = f"shared {protocol}"
    spec = {"query": MESSAGES, "variables": {"channel": channel}}
    told = {"backend_protocol": protocol, "shared": {"fields": ["messages"]}}
    clients = [await ask(kind, "/yoga", spec, **told) for kind in ("ws", "ws", "sse", "legacy")]
    await graphql_backends.listened(1, channel)
    hearing = [asyncio.create_task(heard(client)) for client in clients]
    while not all(one.done() for one in hearing):  # who comes late hears a later one
        assert await graphql_backends.publish("news", channel) == 1
        await asyncio.wait(hearing, timeout=0.1)
    assert [one.result() for one in hearing] == [{"next": {"data": {"messages": "news"}}}] * len(clients)
    for client in clients:
        await client.close()
    await graphql_backends.listened(0, channel)
