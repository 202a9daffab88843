"""Clients of one protocol at a backend of another: WebSockets, and server-sent events in both modes of graphql-sse."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest
from aiohttp import WSMsgType, web
from e2e_gateway import config_for
from e2e_wire import PATIENCE

EVENTS = {"Accept": "text/event-stream"}
TRANSPORT = "graphql-transport-ws"


class Backend:
    """Counts to three for every ``count``, answers everything else at once, and speaks what it is asked in."""

    def __init__(self):
        self.sockets = 0
        self.requests = []
        self.stopped = asyncio.Queue()
        self.seen = []

    async def start(self):
        app = web.Application()
        app.router.add_get("/graphql", self.socket)
        app.router.add_post("/graphql", self.answer)
        app.router.add_post("/events", self.answer)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def stop(self):
        await self._runner.cleanup()

    @staticmethod
    def results(query):
        if "endless" in query:
            return None
        if "count" in query:
            return [{"data": {"count": number}} for number in range(3)]
        if "broken" in query:
            return []
        if "wrong" in query:
            return [{"data": None, "errors": [{"message": "secret"}]}]
        return [{"data": {"hello": "you"}}]

    async def answer(self, request):
        body = await request.json()
        self.requests.append(
            (request.path, request.headers["Accept"], request.headers.get("Authorization"), body)
        )
        results = self.results(body["query"])
        if request.headers["Accept"] != "text/event-stream":
            return web.json_response(results[0])
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            if results is None:
                await asyncio.Event().wait()
            for result in results:
                await response.write(b"event: next\ndata: %b\n\n" % json.dumps(result).encode())
            if results:
                await response.write(b"event: complete\n\n")
        except asyncio.CancelledError:
            self.stopped.put_nowait(body["query"])
            raise
        return response

    async def socket(self, request):
        socket = web.WebSocketResponse(protocols=[TRANSPORT])
        await socket.prepare(request)
        self.sockets += 1
        self.seen.append((request.headers.get("Authorization"), request.query_string))
        asked = {}
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            told = json.loads(message.data)
            if told["type"] == "connection_init":
                await socket.send_json({"type": "connection_ack"})
            elif told["type"] == "subscribe":
                query = asked[told["id"]] = told["payload"]["query"]
                results = self.results(query)
                for result in results or []:
                    await socket.send_json({"type": "next", "id": told["id"], "payload": result})
                if results == []:
                    await socket.send_json(
                        {"type": "error", "id": told["id"], "payload": [{"message": "no"}]}
                    )
                elif results is not None:
                    await socket.send_json({"type": "complete", "id": told["id"]})
            elif told["type"] == "complete":
                self.stopped.put_nowait(asked[told["id"]])
        self.stopped.put_nowait("all")
        return socket


@pytest.fixture
async def answering():
    """Give a backend that speaks both."""
    one = await Backend().start()
    yield one
    await one.stop()


@pytest.fixture
async def http():
    """Give a client."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(PATIENCE)) as session:
        yield session


def config(backend, **subscriptions):
    plugin = {"name": "graphql", "config": {"subscriptions": subscriptions}}
    return config_for(f"http://127.0.0.1:{backend.port}/graphql", service={"plugins": [plugin]})


async def event(response):
    """Read an event, and leave out comments."""
    while True:
        text = (await response.content.readuntil(b"\n\n")).decode().strip()
        if not text.startswith(":"):
            kind, _, data = text.partition("\ndata:")
            return kind.removeprefix("event: "), json.loads(data) if data else None


COUNTED = [("next", {"data": {"count": number}}) for number in range(3)]
DONE = ("complete", None)


# --- clients of WebSockets at a backend of events -------------------------------------------------------------


class Socket:
    """A client of graphql-transport-ws."""

    def __init__(self, socket):
        self.socket = socket

    async def ask(self, name, query, **more):
        await self.socket.send_json({"id": name, "type": "subscribe", "payload": {"query": query, **more}})

    async def hear(self):
        told = await self.socket.receive_json(timeout=PATIENCE)
        return told["type"], told["id"], told.get("payload")


@pytest.fixture
async def connect(http):
    """Connect such clients."""
    sockets = []

    async def open_one(url, **headers):
        socket = await http.ws_connect(url, protocols=[TRANSPORT], headers=headers)
        sockets.append(socket)
        await socket.send_json({"type": "connection_init"})
        assert (await socket.receive_json(timeout=PATIENCE))["type"] == "connection_ack"
        return Socket(socket)

    yield open_one
    for socket in sockets:
        await socket.close()


async def test_a_socket_reaches_a_backend_of_events(gateway, answering, connect):
    """Subscriptions as streams at their own path, queries as plain requests; each with what the client is known by."""
    proxy = await gateway(config(answering, backend_protocol="sse", backend_path="/events"))
    client = await connect(proxy.url, Authorization="me")
    await client.ask("1", "subscription { count }", variables={"x": 1})
    heard = [await client.hear() for _ in range(4)]
    assert heard == [("next", "1", payload) for _, payload in COUNTED] + [("complete", "1", None)]
    path, accept, secret, body = answering.requests[0]
    assert (path, accept, secret) == ("/events", "text/event-stream", "me")
    assert body == {"query": "subscription { count }", "variables": {"x": 1}}
    await client.ask("2", "{ hello }")
    assert [await client.hear() for _ in range(2)] == [
        ("next", "2", {"data": {"hello": "you"}}),
        ("complete", "2", None),
    ]
    await client.ask("3", "subscription { broken }")
    kind, name, errors = await client.hear()
    assert (kind, name, errors[0]["extensions"]) == ("error", "3", {"code": "UPSTREAM_UNAVAILABLE"})
    assert answering.sockets == 0


@pytest.mark.parametrize("how", ["complete", "close"])
async def test_a_socket_that_has_enough_ends_the_stream(gateway, answering, connect, how):
    """Of the operation, or all of them."""
    proxy = await gateway(config(answering, backend_protocol="sse"))
    client = await connect(proxy.url)
    await client.ask("1", "subscription { endless }")
    await client.ask("2", "{ hello }")
    await client.hear()
    if how == "complete":
        await client.socket.send_json({"id": "1", "type": "complete"})
    else:
        await client.socket.close()
    async with asyncio.timeout(PATIENCE):
        assert await answering.stopped.get() == "subscription { endless }"


async def test_sockets_and_events_share_one_subscription(gateway, answering, connect, http):
    """Each is told in its own protocol."""
    proxy = await gateway(
        config(answering, backend_protocol="sse", shared={"fields": ["endless"], "grace": 0})
    )
    client = await connect(proxy.url)
    await client.ask("1", "subscription { endless }")
    body = {"query": "subscription { endless }"}
    async with http.post(proxy.url, json=body, headers=EVENTS) as response:
        assert await response.content.readuntil(b"\n\n") == b":\n\n"
        await client.socket.send_json({"id": "1", "type": "complete"})
        await client.ask("2", "{ hello }")
        assert await client.hear() == ("next", "2", {"data": {"hello": "you"}})
        assert [path[3]["query"] for path in answering.requests] == ["subscription { endless }", "{ hello }"]
        response.close()
    async with asyncio.timeout(PATIENCE):
        assert await answering.stopped.get() == "subscription { endless }"


# --- clients of events at a backend of WebSockets -------------------------------------------------------------


async def test_events_reach_a_backend_of_sockets(gateway, answering, http):
    """Over a connection of the client's own, with what it is known by."""
    proxy = await gateway(config(answering, backend_protocol=TRANSPORT))
    me = {**EVENTS, "Authorization": "me"}
    async with http.post(proxy.url, json={"query": "subscription { count }"}, headers=me) as response:
        assert (response.status, response.content_type) == (200, "text/event-stream")
        assert [await event(response) for _ in range(4)] == [*COUNTED, DONE]
        assert await response.read() == b""
    query = {"query": "subscription { broken }"}
    async with http.get(proxy.url, params=query, headers=EVENTS) as response:
        assert await event(response) == ("next", {"errors": [{"message": "no"}]})
        assert await event(response) == DONE
    assert answering.seen == [("me", ""), (None, "")]
    async with http.post(proxy.url, json={"query": "{ hello }"}) as response:
        assert await response.json() == {"data": {"hello": "you"}}
    assert answering.sockets == 2


async def test_what_no_body_can_hold_is_refused(gateway, answering, http):
    """A query string can hold it."""
    proxy = await gateway(config(answering, backend_protocol=TRANSPORT))
    query = {"query": "subscription { count }", "variables": '{"x":"\\ud800"}'}
    async with http.get(proxy.url, params=query, headers=EVENTS) as response:
        assert (response.status, answering.sockets) == (400, 0)


async def test_many_events_share_one_socket(gateway, answering, http):
    """Which is nobody's; a client that leaves does not end it, the last one does."""
    shared = {"fields": ["endless"], "grace": 0}
    proxy = await gateway(config(answering, backend_protocol=TRANSPORT, shared=shared))
    clients = []
    for _ in range(10):
        body = {"query": "subscription { endless }"}
        response = await http.post(proxy.url, json=body, headers={**EVENTS, "Authorization": "me"})
        assert await response.content.readuntil(b"\n\n") == b":\n\n"
        clients.append(response)
    for response in clients:
        response.close()
    async with asyncio.timeout(PATIENCE):
        assert await answering.stopped.get() == "all"
    assert answering.seen == [(None, "")]


async def test_one_stream_of_many_operations_reaches_a_backend_of_sockets(gateway, answering, http):
    """The single connection mode: reserved by PUT, opened by GET, asked by POST, stopped by DELETE."""
    proxy = await gateway(config(answering, backend_protocol=TRANSPORT, events={"single_connection": True}))
    async with http.put(proxy.url) as response:
        assert response.status == 201
        token = {"X-GraphQL-Event-Stream-Token": await response.text()}

    async def ask(name, query):
        body = {"query": query, "extensions": {"operationId": name}}
        async with http.post(proxy.url, json=body, headers=token) as response:
            return response.status, await response.text()

    assert await ask("early", "subscription { count }") == (202, "")
    async with http.get(proxy.url, headers={**EVENTS, **token}) as stream:
        heard = [await event(stream) for _ in range(4)]
        assert heard == [("next", {"id": "early", "payload": payload}) for _, payload in COUNTED] + [
            ("complete", {"id": "early"})
        ]
        assert await ask("a", "subscription { endless }") == (202, "")
        assert (await ask("a", "{ hello }"))[0] == 409
        assert (await ask("b", "{ hello "))[0] in {200, 400}
        assert await ask("b", "{ hello }") == (202, "")
        assert await event(stream) == ("next", {"id": "b", "payload": {"data": {"hello": "you"}}})
        assert await event(stream) == ("complete", {"id": "b"})
        async with http.delete(proxy.url, params={"operationId": "a"}, headers=token) as response:
            assert response.status == 200
        async with asyncio.timeout(PATIENCE):
            assert await answering.stopped.get() == "subscription { endless }"
        async with http.get(proxy.url, headers={**EVENTS, **token}) as response:
            assert response.status == 409
        stream.close()
    async with asyncio.timeout(PATIENCE):
        assert await answering.stopped.get() == "all"
    assert (await ask("c", "{ hello }"))[0] == 404
    assert answering.sockets == 1


async def test_a_backend_of_sockets_that_is_away_is_told_by_a_status(gateway, http):
    """The stream has not begun."""
    plugin = {"name": "graphql", "config": {"subscriptions": {"backend_protocol": TRANSPORT}}}
    proxy = await gateway(config_for(1, service={"plugins": [plugin], "retries": 0}))
    async with http.post(proxy.url, json={"query": "subscription { a }"}, headers=EVENTS) as response:
        assert response.status == 503


# --- errors that clients are not told of ----------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["sse", TRANSPORT])
async def test_errors_are_masked_whichever_way_they_go(gateway, answering, connect, http, protocol):
    """Of a backend of events and of one of WebSockets, to clients of both."""
    made = config(answering, backend_protocol=protocol)
    made["services"][0]["plugins"][0]["config"]["errors"] = {"mask": True}
    proxy = await gateway(made)
    client = await connect(proxy.url)
    await client.ask("1", "subscription { wrong }")
    kind, _, payload = await client.hear()
    assert (kind, payload["errors"][0]["message"]) == ("next", "Unexpected error.")
    query = {"query": "subscription { wrong }"}
    async with http.post(proxy.url, json=query, headers=EVENTS) as response:
        kind, payload = await event(response)
        assert (kind, payload["errors"][0]["message"]) == ("next", "Unexpected error.")
    if protocol == TRANSPORT:
        await client.hear()
        await client.ask("2", "subscription { broken }")
        assert (await client.hear())[2][0]["message"] == "Unexpected error."
