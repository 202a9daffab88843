"""WebSockets through the gateway, with the clients and servers that people use."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os

import aiohttp
import httpx
import pytest
from e2e_gateway import config_for
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed, InvalidStatus

GRAPHQL = "graphql-transport-ws"


def ws(gateway, path="/ws"):
    return gateway.url.replace("http", "ws", 1) + path


@contextlib.asynccontextmanager
async def server(handler, **options):
    """Run a WebSocket server of the websockets library; yield its port."""
    async with serve(handler, "127.0.0.1", 0, **options) as running:
        yield running.sockets[0].getsockname()[1]


async def echo(socket):
    async for message in socket:
        await socket.send(message)


async def test_text_and_binary_come_back_as_they_were(gateway, backend):
    """Messages of either type and of sizes on each side of every length encoding are echoed unchanged."""
    proxy = await gateway(backend.port)
    async with connect(ws(proxy), max_size=None) as socket:
        for message in (
            "",
            "höher",
            b"\x00\xff",
            "x" * 125,
            b"y" * 126,
            b"z" * 65_536,
            os.urandom(3_000_000),
        ):
            await socket.send(message)
            assert await socket.recv() == message


async def test_a_message_in_fragments_arrives_whole(gateway, backend):
    """Fragments are passed on; the backend puts them together."""
    proxy = await gateway(backend.port)
    async with connect(ws(proxy)) as socket:
        await socket.send(["one ", "two ", "three"])
        assert await socket.recv() == "one two three"


async def test_pings_are_answered_from_the_other_end(gateway):
    """A ping of either side goes through, and the other side's pong comes back with the same payload."""

    async def handler(socket):
        await (await socket.ping(b"is anybody there"))
        await socket.send("ponged")
        await socket.wait_closed()

    async with server(handler, ping_interval=None) as port:
        proxy = await gateway(port)
        async with connect(ws(proxy), ping_interval=None) as socket:
            assert await socket.recv() == "ponged"
            pong = await socket.ping(b"are you there")
            async with asyncio.timeout(10):
                await pong
            assert pong.done()


async def test_aiohttp_is_a_client_too(gateway, backend):
    """Another library's handshake and frames, with compression negotiated or not, go through as well."""
    proxy = await gateway(backend.port)
    async with aiohttp.ClientSession() as session:
        for compress in (0, 15):
            async with session.ws_connect(proxy.url + "/ws", compress=compress) as socket:
                await socket.send_str("hello " * 100)
                assert await socket.receive_str() == "hello " * 100


async def test_the_client_closes_with_a_code(gateway):
    """The server sees the code and the reason that the client gave, and one line tells of the connection."""
    seen = asyncio.get_running_loop().create_future()

    async def handler(socket):
        with contextlib.suppress(ConnectionClosed):
            await socket.recv()
        await socket.wait_closed()
        seen.set_result((socket.close_code, socket.close_reason))

    async with server(handler) as port:
        proxy = await gateway(port)
        async with connect(ws(proxy)) as socket:
            await socket.close(4001, "had enough")
        assert await seen == (4001, "had enough")
        (line,) = await proxy.log_lines()
    assert (line["status"], line["upgraded"], line["route"]) == (101, True, "main")


async def test_the_server_closes_with_a_code(gateway):
    """The client sees the code and the reason that the server gave."""

    async def handler(socket):
        await socket.close(1013, "try again later")

    async with server(handler) as port:
        proxy = await gateway(port)
        async with connect(ws(proxy)) as socket:
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1013, "try again later")


async def test_a_subprotocol_is_agreed_on(gateway):
    """Sec-WebSocket-Protocol goes up and comes back."""
    async with server(echo, subprotocols=["v2.chat"]) as port:
        proxy = await gateway(port)
        async with connect(ws(proxy), subprotocols=["v1.chat", "v2.chat"]) as socket:
            assert socket.subprotocol == "v2.chat"


async def test_a_refusal_of_the_upstream_reaches_the_client(gateway):
    """An upstream that answers 403 instead of 101 is an ordinary answer, body and all."""

    def refuse(connection, _request):
        return connection.respond(403, "not for you\n")

    async with server(echo, process_request=refuse) as port:
        proxy = await gateway(port)
        with pytest.raises(InvalidStatus) as refused:
            await connect(ws(proxy))
        (line,) = await proxy.log_lines()
    assert refused.value.response.status_code == 403
    assert refused.value.response.body == b"not for you\n"
    assert (line["status"], line.get("upgraded", False)) == (403, False)


async def test_policies_run_on_the_handshake(gateway, backend):
    """A plugin that ends requests ends a handshake before the upstream hears of it."""
    config = config_for(
        backend.port,
        plugins=[{"name": "request-termination", "config": {"status_code": 401, "message": "No"}}],
    )
    proxy = await gateway(config)
    with pytest.raises(InvalidStatus) as refused:
        await connect(ws(proxy))
    assert (refused.value.response.status_code, refused.value.response.body) == (401, b'{"message":"No"}')


async def test_a_subscription_streams_through(gateway, backend):
    """A GraphQL subscription over graphql-transport-ws delivers its events and its end."""
    proxy = await gateway(backend.port)
    async with connect(ws(proxy, "/graphql"), subprotocols=[GRAPHQL]) as socket:
        await socket.send('{"type": "connection_init"}')
        assert "connection_ack" in await socket.recv()
        query = "subscription { ticks(count: 3, interval: 0.01) }"
        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": query}}))
        messages = [json.loads(await socket.recv())]
        while messages[-1]["type"] == "next":
            messages.append(json.loads(await socket.recv()))
    assert [message["payload"]["data"]["ticks"] for message in messages[:-1]] == [1, 2, 3]
    assert messages[-1] == {"type": "complete", "id": "1"}


async def test_two_hundred_at_once(gateway, backend):
    """Each of 200 open connections gets its own messages, and is counted while it is open and once when over."""
    proxy = await gateway(backend.port)
    sockets = await asyncio.gather(*(connect(ws(proxy)) for _ in range(200)))

    async def talk(number, socket):
        for turn in range(3):
            await socket.send(f"{number}:{turn}")
            assert await socket.recv() == f"{number}:{turn}"

    await asyncio.gather(*(talk(number, socket) for number, socket in enumerate(sockets)))
    async with httpx.AsyncClient() as http:
        figures = (await http.get(proxy.status_url + "/metrics")).text
        assert "proxyd_websockets_open 200.0" in figures
        assert (await http.get(proxy.status_url + "/status")).json()["server"]["websockets"] == 200
        await asyncio.gather(*(socket.close() for socket in sockets))
        lines = await proxy.log_lines(200)
        assert "proxyd_websockets_open 0.0" in (await http.get(proxy.status_url + "/metrics")).text
    assert [line["upgraded"] for line in lines] == [True] * 200
    assert len({line["request_id"] for line in lines}) == 200
    assert proxy.worker.clients.tunnels == 0
