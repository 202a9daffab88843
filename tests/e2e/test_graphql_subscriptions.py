"""Subscriptions over WebSockets through a gateway with the plugin graphql: real clients, real backends of both protocols."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time

import aiohttp
import jwt
import pytest
from e2e_gateway import config_for
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed, InvalidStatus

TRANSPORT, LEGACY = "graphql-transport-ws", "graphql-ws"
TICKS = "subscription { ticks(count: 3, interval: 0.01) }"
FOREVER = "subscription { ticks(count: 100000, interval: 0.01) }"
SECRET = "a-secret-of-some-length-for-the-test"


def with_graphql(port, *plugins, **subscriptions):
    """Return a configuration with the plugin on everything, and consumers."""
    config = config_for(
        port, plugins=[{"name": "graphql", "config": {"subscriptions": subscriptions}}, *plugins]
    )
    config["consumers"] = [
        {
            "username": "ann",
            "keyauth_credentials": [{"key": "k-ann"}],
            "jwt_secrets": [{"key": "ann", "secret": SECRET, "algorithm": "HS256"}],
        }
    ]
    return config


class Client:
    """A client of either protocol, as far as a test needs one."""

    def __init__(self, socket):
        self.socket = socket

    async def say(self, **message):
        await self.socket.send(json.dumps(message))

    async def hear(self):
        while True:
            async with asyncio.timeout(10):
                message = json.loads(await self.socket.recv())
            if message["type"] != "ka":
                return message

    async def init(self, **payload):
        await self.say(type="connection_init", payload=payload)
        return await self.hear()

    async def subscribe(self, identity="1", query=TICKS):
        word = "subscribe" if self.socket.subprotocol == TRANSPORT else "start"
        await self.say(id=identity, type=word, payload={"query": query})

    async def results(self):
        """Return the messages up to the end of an operation."""
        messages = [await self.hear()]
        while messages[-1]["type"] in {"next", "data"}:
            messages.append(await self.hear())
        return messages

    async def closed(self):
        """Return the code and the reason of the close frame that comes."""
        try:
            while True:
                await self.hear()
        except ConnectionClosed as closed:
            return closed.rcvd.code, closed.rcvd.reason


@contextlib.asynccontextmanager
async def client_of(gateway, protocol=TRANSPORT, **options):
    """Connect a client."""
    url = gateway.url.replace("http", "ws", 1) + "/graphql"
    async with connect(url, subprotocols=[protocol], **options) as socket:
        yield Client(socket)


@contextlib.asynccontextmanager
async def legacy_backend():
    """Run a backend that speaks the older protocol alone; yield its port and what it was told."""
    told = []

    async def handler(socket):
        async for text in socket:
            message = json.loads(text)
            told.append(message)
            if message["type"] == "connection_init":
                await socket.send('{"type":"connection_ack"}')
                await socket.send('{"type":"ka"}')
            elif message["type"] == "start":
                for number in range(1, 4):
                    data = {"type": "data", "id": message["id"], "payload": {"data": {"ticks": number}}}
                    await socket.send(json.dumps(data))
                await socket.send(json.dumps({"type": "complete", "id": message["id"]}))

    async with serve(handler, "127.0.0.1", 0, subprotocols=[LEGACY]) as running:
        yield running.sockets[0].getsockname()[1], told


@pytest.mark.parametrize("protocol", [TRANSPORT, LEGACY])
async def test_a_subscription_delivers_its_events_and_its_end(gateway, backend, protocol):
    """From a backend of the newer protocol, whichever the client speaks; one line tells of the connection."""
    proxy = await gateway(with_graphql(backend.port))
    async with client_of(proxy, protocol) as client:
        assert (await client.init())["type"] == "connection_ack"
        await client.subscribe("mine")
        messages = await client.results()
        await client.subscribe("again", "{ orders { id } }")
        query = await client.results()
    assert [one["payload"]["data"]["ticks"] for one in messages[:-1]] == [1, 2, 3]
    assert messages[-1] == {"type": "complete", "id": "mine"}
    assert [one["type"] for one in query[1:]] == ["complete"]
    assert query[0]["payload"]["data"]["orders"]
    (line,) = await proxy.log_lines()
    assert (line["status"], line["upgraded"], line["route"]) == (101, True, "main")


@pytest.mark.parametrize("protocol", [TRANSPORT, LEGACY])
async def test_a_backend_of_the_older_protocol_is_reached(gateway, protocol):
    """Whichever the client speaks, and with the client's payload."""
    async with legacy_backend() as (port, told):
        proxy = await gateway(with_graphql(port))
        async with client_of(proxy, protocol) as client:
            assert (await client.init(token="t"))["type"] == "connection_ack"
            await client.subscribe("mine")
            messages = await client.results()
    assert [one["payload"]["data"]["ticks"] for one in messages[:-1]] == [1, 2, 3]
    assert messages[-1] == {"type": "complete", "id": "mine"}
    assert told[0] == {"type": "connection_init", "payload": {"token": "t"}}


async def test_aiohttp_is_a_client_as_well(gateway, backend):
    """With its offer of compression, which nobody takes up, and a large message."""
    proxy = await gateway(with_graphql(backend.port))
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{proxy.url}/graphql", protocols=(TRANSPORT,), compress=15) as socket,
    ):
        assert (socket.protocol, socket.compress) == (TRANSPORT, 0)
        await socket.send_json({"type": "connection_init"})
        assert (await socket.receive_json())["type"] == "connection_ack"
        operation = json.dumps({"id": "1", "type": "subscribe", "payload": {"query": TICKS}})
        await socket.send_str(operation + " " * 70_000)
        assert (await socket.receive_json())["payload"]["data"] == {"ticks": 1}


async def test_many_clients_at_once(gateway, backend):
    """Each has its own results, and its own connection to the backend."""
    proxy = await gateway(with_graphql(backend.port))

    async def one(number):
        async with client_of(proxy, TRANSPORT if number % 2 else LEGACY) as client:
            await client.init()
            await asyncio.gather(*(client.subscribe(f"{number}-{turn}") for turn in range(3)))
            messages = [message for _ in range(3) for message in await client.results()]
        return {message["id"] for message in messages}, len(messages)

    found = await asyncio.gather(*(one(number) for number in range(50)))
    assert found == [({f"{number}-{turn}" for turn in range(3)}, 12) for number in range(50)]
    await proxy.log_lines(50)
    assert proxy.worker.clients.tunnels == 0


KEYS = {"name": "key-auth", "config": {"key_names": ["apikey"]}}
IN_PAYLOAD = {"credentials": {"headers.apikey": "apikey"}}


async def test_connection_init_authenticates(gateway, backend):
    """A key in it is a key; without one, or with a wrong one, the connection is closed for good."""
    proxy = await gateway(with_graphql(backend.port, KEYS, **IN_PAYLOAD))
    async with client_of(proxy) as client:
        await client.init(headers={"apikey": "k-ann"})
        await client.subscribe()
        assert len(await client.results()) == 4
    for payload in ({}, {"headers": {"apikey": "wrong"}}):
        async with client_of(proxy) as client:
            await client.say(type="connection_init", payload=payload)
            assert await client.closed() == (4401, "Unauthorized")
    lines = await proxy.log_lines(3)
    assert "k-ann" not in str(lines)


async def test_the_handshake_authenticates_otherwise(gateway, backend):
    """And a refusal of it is an HTTP answer."""
    proxy = await gateway(with_graphql(backend.port, KEYS))
    with pytest.raises(InvalidStatus) as refused:
        async with client_of(proxy):
            pass
    assert refused.value.response.status_code == 401
    async with client_of(proxy, additional_headers={"apikey": "k-ann"}) as client:
        assert (await client.init())["type"] == "connection_ack"


async def test_a_token_that_expires_ends_its_subscriptions(gateway, backend):
    """With the code behind which graphql-ws connects anew, and asks for another token."""
    proxy = await gateway(
        with_graphql(backend.port, {"name": "jwt"}, credentials={"Authorization": "Authorization"})
    )
    token = jwt.encode({"iss": "ann", "exp": time.time() + 1.5}, SECRET, "HS256")
    async with client_of(proxy) as client:
        await client.init(authorization=f"Bearer {token}")
        await client.subscribe(query=FOREVER)
        assert (await client.closed())[0] == 4403


async def test_a_client_that_never_reads_holds_up_its_backend(gateway):
    """What is kept for it is bounded: its backend has to wait, and after a while the client is cut."""
    sent = 0

    async def flood(socket):
        nonlocal sent
        await socket.recv()
        await socket.send('{"type":"connection_ack"}')
        operation = json.loads(await socket.recv())
        result = {"id": operation["id"], "type": "next", "payload": {"data": {"text": "x" * 65_536}}}
        with contextlib.suppress(ConnectionClosed):
            while True:
                await socket.send(json.dumps(result))
                sent += 1

    async with serve(flood, "127.0.0.1", 0, subprotocols=[TRANSPORT]) as running:
        proxy = await gateway(with_graphql(running.sockets[0].getsockname()[1], slow_timeout=0.5))
        async with client_of(proxy) as client:
            await client.init()
            client.socket.transport.pause_reading()
            await client.subscribe()
            (line,) = await proxy.log_lines()
            client.socket.transport.abort()
    assert line["upgraded"]
    assert 0 < sent < 1000  # of the kernel's buffers, both, and what stands between them


async def test_a_drain_sends_clients_away(gateway, backend):
    """They are told to come back, and nothing is left."""
    proxy = await gateway(with_graphql(backend.port))
    async with client_of(proxy) as client:
        await client.init()
        await client.subscribe(query=FOREVER)
        assert (await client.hear())["type"] == "next"
        await asyncio.gather(proxy.worker.stop(drain=0.2), client.closed())
        assert client.socket.close_code == 1001


async def test_a_reload_keeps_subscriptions(gateway, backend):
    """They go on by the configuration that they began with."""
    proxy = await gateway(with_graphql(backend.port))
    async with client_of(proxy) as client:
        await client.init()
        await client.subscribe(query=FOREVER)
        proxy.write(with_graphql(backend.port, max_operations=1))
        await proxy.worker.reload()
        await client.subscribe("2")
        seen = set()
        while "complete" not in seen:
            message = await client.hear()
            if message["id"] == "2":
                seen.add(message["type"])
    assert seen == {"next", "complete"}
