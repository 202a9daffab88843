"""Subscriptions over server-sent events: a whole gateway between clients and a backend on aiohttp."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest
from aiohttp import web
from e2e_gateway import config_for
from e2e_wire import PATIENCE, closed_port

NEWS = {"query": "subscription { news }"}
EVENTS = {"Accept": "text/event-stream"}
COMPLETE = "event: complete\ndata:"


class Backend:
    """Streams whatever the test puts into each client's queue; ``None`` ends the stream."""

    def __init__(self):
        self.streams = []  # of the queue of each client, in their order
        self.seen = []  # headers
        self.left = 0
        self.changed = asyncio.Condition()

    async def start(self):
        app = web.Application()
        app.router.add_post("/{path:.*}", self.stream)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def stop(self):
        for queue in self.streams:
            queue.put_nowait(None)
        await self._runner.cleanup()

    async def stream(self, request):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        queue = asyncio.Queue()
        async with self.changed:
            self.streams.append(queue)
            self.seen.append((request.path, request.headers, await request.json()))
            self.changed.notify_all()
        try:
            while (piece := await queue.get()) is not None:
                await response.write(piece)
        finally:
            async with self.changed:
                self.left += 1
                self.changed.notify_all()
        return response

    def tells(self, news, to=0):
        self.streams[to].put_nowait(b'event: next\ndata: {"data":{"news":%d}}\n\n' % news)

    async def until(self, condition):
        async with asyncio.timeout(PATIENCE), self.changed:
            await self.changed.wait_for(condition)


@pytest.fixture
async def backend():
    """Give a backend of events."""
    one = await Backend().start()
    yield one
    await one.stop()


@pytest.fixture
async def http():
    """Give a client."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(PATIENCE)) as session:
        yield session


def config(backend, service=None, **subscriptions):
    plugin = {"name": "graphql", "config": {"subscriptions": subscriptions}}
    return config_for(backend.port, service={"plugins": [plugin], **(service or {})})


async def read(response):
    """Read an event, and leave out comments."""
    while True:
        event = (await response.content.readuntil(b"\n\n")).decode().strip()
        if not event.startswith(":"):
            return event


def news(number):
    return f'event: next\ndata: {{"data":{{"news":{number}}}}}'


async def test_a_stream_is_passed_on_as_it_comes(gateway, backend, http):
    """Event by event; a client that leaves ends the backend's request."""
    proxy = await gateway(config(backend))
    async with http.post(proxy.url, json=NEWS, headers=EVENTS) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        await backend.until(lambda: backend.streams)
        for number in range(3):
            backend.tells(number)
            assert await read(response) == news(number)
        response.close()
    await backend.until(lambda: backend.left)


async def test_a_refused_operation_does_not_reach_the_backend(gateway, backend, http):
    """Its client is told by a stream that ends."""
    proxy = await gateway(config(backend))
    async with http.post(proxy.url, json={"query": "subscription {"}, headers=EVENTS) as response:
        assert (response.status, response.content_type) == (200, "text/event-stream")
        event = await read(response)
        assert (
            json.loads(event.partition("data: ")[2])["errors"][0]["extensions"]["code"]
            == "GRAPHQL_PARSE_FAILED"
        )
        assert await read(response) == COMPLETE
        assert await response.read() == b""
    assert backend.streams == []


async def test_comments_keep_a_quiet_stream_from_the_services_timeout(gateway, backend, http):
    """One that says nothing at all is cut."""
    proxy = await gateway(config(backend, service={"read_timeout": 600}))
    async with http.post(proxy.url, json=NEWS, headers=EVENTS) as response:
        await backend.until(lambda: backend.streams)
        for _ in range(5):
            backend.streams[0].put_nowait(b":\n\n")
            assert await response.content.readuntil(b"\n\n") == b":\n\n"
            await asyncio.sleep(0.15)
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


async def test_many_clients_share_one_subscription(gateway, backend, http):
    """The backend has one client, who is nobody; results reach all, and the last one to leave ends it."""
    proxy = await gateway(config(backend, backend_protocol="sse", shared={"fields": ["news"], "grace": 0}))
    clients = []
    for number in range(20):
        secret = {"Authorization": f"{number}", "Cookie": "session=1"}
        response = await http.post(proxy.url, json=NEWS, headers={**EVENTS, **secret})
        assert await response.content.readuntil(b"\n\n") == b":\n\n"
        clients.append(response)
    await backend.until(lambda: backend.streams)
    backend.tells(1)
    assert [await read(response) for response in clients] == [news(1)] * 20
    path, headers, body = backend.seen[0]
    assert (len(backend.streams), path, body) == (1, "/", NEWS)
    assert not {"Authorization", "Cookie", "X-Forwarded-For"} & headers.keys()
    for response in clients[1:]:
        response.close()
    backend.tells(2)
    assert await read(clients[0]) == news(2)
    clients[0].close()
    await backend.until(lambda: backend.left)


async def test_a_shared_subscription_survives_its_backend(gateway, backend, http):
    """What the connection was cut in is asked for again."""
    proxy = await gateway(config(backend, backend_protocol="sse", shared={"fields": ["news"]}))
    response = await http.post(proxy.url, json=NEWS, headers=EVENTS)
    await backend.until(lambda: backend.streams)
    backend.tells(1)
    assert await read(response) == news(1)
    backend.streams[0].put_nowait(None)
    await backend.until(lambda: len(backend.streams) == 2)
    backend.tells(2, to=1)
    assert await read(response) == news(2)
    response.close()


@pytest.mark.parametrize("shared", [{}, {"fields": ["news"]}], ids=["passed on", "shared"])
async def test_a_drain_ends_streams(gateway, backend, http, shared):
    """At once, without an end of results, so that clients come back elsewhere; the drain does not wait for them."""
    proxy = await gateway(config(backend, backend_protocol="sse", shared=shared), drain_grace=0.0)
    response = await http.post(proxy.url, json=NEWS, headers=EVENTS)
    await backend.until(lambda: backend.streams)
    backend.tells(1)
    assert await read(response) == news(1)
    async with asyncio.timeout(PATIENCE):
        await proxy.worker.stop(drain=10 * PATIENCE)
    assert await response.read() == b""
    await backend.until(lambda: backend.left)


async def test_a_backend_that_is_away_is_told_by_the_stream(gateway, http):
    """A shared one is tried again, and then given up."""
    plugin = {
        "name": "graphql",
        "config": {
            "subscriptions": {"backend_protocol": "sse", "shared": {"fields": ["news"], "reconnects": 0}}
        },
    }
    proxy = await gateway(config_for(closed_port(), service={"plugins": [plugin], "retries": 0}))
    async with http.post(proxy.url, json=NEWS, headers=EVENTS) as response:
        event = await read(response)
        assert json.loads(event.partition("data: ")[2])["errors"] == [
            {"message": "The backend cannot be reached", "extensions": {"code": "UPSTREAM_UNAVAILABLE"}}
        ]
        assert await read(response) == COMPLETE
