"""Subscriptions of real clients over WebSockets that the plugin graphql reads: who asks, how much, in which protocol."""

from __future__ import annotations

import asyncio

import pytest
from e2e_gateway import config_for
from e2e_graphql import needs_node

pytestmark = needs_node

COUNTDOWN = {"query": "subscription { countdown(from: 2) }"}
COUNTED = [{"next": {"data": {"countdown": value}}} for value in (2, 1, 0)] + [{"complete": True}]
MESSAGES = "subscription ($channel: String) { messages(channel: $channel) }"
KEYS = [{"username": "ann", "keyauth_credentials": [{"key": "k"}]}]
BY_INIT = {"credentials": {"headers.apikey": "apikey"}}
KEY_AUTH = {"name": "key-auth", "config": {"hide_credentials": True}}


@pytest.fixture
async def ask(gateway, graphql_client, graphql_backends):
    """Give what starts a client of a gateway with the plugin, so configured; ``ask.proxy`` is the gateway."""

    async def start(kind, path, spec, *plugins, **config):
        if not hasattr(start, "proxy"):
            everything = [{"name": "graphql", "config": config}, *plugins]
            start.proxy = await gateway(config_for(graphql_backends.port, plugins=everything, consumers=KEYS))
        return await graphql_client(kind, url=f"ws://127.0.0.1:{start.proxy.port}{path}", **spec)

    return start


def events(lines):
    return [line for line in lines if {"next", "error", "complete"} & line.keys()]


@pytest.mark.parametrize(
    ("kind", "path", "protocol"),
    [("ws", "/legacy", "graphql-ws"), ("legacy", "/yoga", "graphql-transport-ws")],
)
async def test_one_protocol_is_spoken_in_the_other(ask, kind, path, protocol):
    """A client of either protocol subscribes at a server that only knows the other one."""
    client = await ask(kind, path, COUNTDOWN, subscriptions={"backend_protocol": protocol})
    assert events(await client.lines()) == COUNTED


@pytest.mark.parametrize(("kind", "path"), [("ws", "/yoga"), ("legacy", "/legacy")])
async def test_connection_init_tells_who_asks(ask, kind, path):
    """A browser, which sends no headers with its upgrade, puts its key into connection_init; none is let in without."""
    query = '{ consumer: header(name: "X-Consumer-Username") key: header(name: "apikey") }'
    spec = {"query": query, "initial": {"headers": {"apikey": "k"}}}
    client = await ask(kind, path, spec, KEY_AUTH, subscriptions=BY_INIT)
    assert events(await client.lines())[0]["next"]["data"] == {"consumer": "ann", "key": None}
    client = await ask(kind, path, spec | {"initial": {"headers": {"apikey": "wrong"}}})
    told = await client.lines()
    assert not [line for line in told if "next" in line]
    assert [line for line in told if "closed" in line or "error" in line], told


async def test_so_many_of_a_connection_and_no_more(ask, graphql_backends):
    """What is one too many is answered by an error of its own; the others go on."""
    channel = "limited"
    requests = [{"query": MESSAGES, "variables": {"channel": channel}}] * 3
    client = await ask("ws", "/yoga", {"requests": requests}, subscriptions={"max_operations": 2})
    while "error" not in (line := await client.line()):
        pass
    assert line["number"] == 2, line
    await graphql_backends.listened(2, channel)
    assert await graphql_backends.publish("still", channel) == 2
    told = [await client.line(), await client.line()]
    assert {line["number"] for line in told} == {0, 1}


async def test_each_operation_is_held_to_the_limits(ask):
    """What would be refused over HTTP is refused over a WebSocket too, and nothing else of the connection."""
    deep = "{ product(id: 1) " + "{ related(first: 1) " * 20 + "{ id }" + "}" * 20 + " }"
    client = await ask("ws", "/yoga", {"requests": [{"query": deep}, COUNTDOWN]})
    told = events(await client.lines())
    (refused,) = [line["error"] for line in told if line["number"] == 0]
    assert refused[0]["extensions"]["code"] == "LIMIT_EXCEEDED"
    assert [line for line in told if line["number"] == 1] == [line | {"number": 1} for line in COUNTED]


@pytest.mark.parametrize(("kind", "path"), [("ws", "/yoga"), ("legacy", "/legacy")])
async def test_a_gateway_that_stops_sends_clients_away(ask, graphql_backends, kind, path):
    """A client is told by a code after which it connects again, to whoever listens then; the backend's end is closed too."""
    channel = f"drained {kind}"
    client = await ask(kind, path, {"query": MESSAGES, "variables": {"channel": channel}})
    await graphql_backends.listened(1, channel)
    await ask.proxy.worker.stop(drain=0.0)
    while "closed" not in (line := await client.line()):
        pass
    assert line["closed"] in {1001, 1012}
    await graphql_backends.listened(0, channel)


async def test_a_subscription_goes_on_while_the_gateway_drains(ask, graphql_backends):
    """Until the limit of the drain, messages come as before."""
    client = await ask("ws", "/yoga", {"query": MESSAGES, "variables": {"channel": "draining"}})
    await graphql_backends.listened(1, "draining")
    stopping = asyncio.create_task(ask.proxy.worker.stop(drain=30.0))
    await asyncio.sleep(0)
    assert await graphql_backends.publish("one more", "draining") == 1
    while "next" not in (line := await client.line()):
        pass
    assert line["next"] == {"data": {"messages": "one more"}}
    await client.close()
    await stopping
