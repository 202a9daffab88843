"""The demo backend, endpoint by endpoint."""

from __future__ import annotations

import asyncio
import hashlib
import json

import aiohttp
import pytest

from proxyd.apps import demo
from proxyd.errors import ProxydError


@pytest.fixture
async def backend(aiohttp_client):
    return await aiohttp_client(demo.build_app())


async def test_index_lists_every_endpoint(backend):
    """The root path names what there is to try."""
    answer = await (await backend.get("/")).json()
    assert {"/orders", "/download", "/events", "/graphql", "/ws", "/headers"} <= set(answer["endpoints"])


async def test_orders_are_made_read_changed_and_deleted(backend):
    """An order lives through POST, GET, PATCH, PUT and DELETE."""
    made = await backend.post("/orders", json={"item": "cup", "quantity": 6})
    assert made.status == 201
    place = made.headers["Location"]
    order = await made.json()
    assert order == {"id": order["id"], "item": "cup", "quantity": 6, "status": "open"}
    assert await (await backend.get(place)).json() == order
    assert (await (await backend.patch(place, json={"status": "shipped"})).json())["status"] == "shipped"
    replaced = await (await backend.put(place, json={"item": "saucer"})).json()
    assert replaced == {"id": order["id"], "item": "saucer", "quantity": 1, "status": "open"}
    assert order["id"] in [each["id"] for each in await (await backend.get("/orders?status=open")).json()]
    assert (await backend.delete(place)).status == 204
    assert (await backend.get(place)).status == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "refusal"),
    [
        ("GET", "/orders/999", None, (404, "no such order")),
        ("PUT", "/orders/999", {"item": "x"}, (404, "no such order")),
        ("DELETE", "/orders/999", None, (404, "no such order")),
        ("POST", "/orders", {}, (422, "item is required")),
        ("PUT", "/orders/1", {}, (422, "item is required")),
        ("POST", "/orders", {"item": ""}, (422, "item must be a text")),
        (
            "POST",
            "/orders",
            {"item": "x", "quantity": True},
            (422, "quantity must be a whole number from 1 to 1000000"),
        ),
        ("PATCH", "/orders/1", {"status": "lost"}, (422, "status must be open, shipped or cancelled")),
        ("PATCH", "/orders/1", {"id": 7}, (422, "no such field: id")),
        ("POST", "/orders", [], (400, "the body must be a JSON object")),
        ("GET", "/nowhere", None, (404, "404: Not Found")),
        ("GET", "/download?bytes=-1", None, (400, "bytes must be a number from 0 to 1.09951e+12")),
        ("GET", "/slow?ms=nan", None, (400, "ms must be a number from 0 to 600000")),
        ("GET", "/status/999", None, (404, "404: Not Found")),
    ],
)
async def test_refusals_are_json_with_a_reason(backend, method, path, body, refusal):
    """What cannot be done is refused with a status and a message."""
    answer = await backend.request(method, path, json=body)
    assert (answer.status, (await answer.json())["message"]) == refusal


async def test_a_wrong_method_names_the_right_ones(backend):
    """405 carries Allow."""
    answer = await backend.delete("/orders")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET,POST")


async def test_a_body_that_is_not_json_is_refused(backend):
    """Bytes that are not JSON are a 400."""
    assert (await backend.post("/orders", data=b"{\xff")).status == 400


async def test_the_oldest_order_gives_way():
    """The store holds a bounded number of orders."""
    orders = demo.orders.Orders()
    for _ in range(demo.orders.MAX_ORDERS):
        orders.create({"item": "x"})
    assert (len(orders.all()), repr(orders)) == (10_000, "<Orders 10000 listeners=0>")
    with pytest.raises(KeyError):
        orders.get(1)


@pytest.mark.parametrize("size", [0, 1, 65_536, 200_001])
@pytest.mark.parametrize("chunked", [0, 1])
async def test_download_has_the_size_asked_for(backend, size, chunked):
    """A download counts 0 to 255 over and over, with its length told or not."""
    answer = await backend.get(f"/download?bytes={size}&chunked={chunked}")
    body = await answer.read()
    assert body == (bytes(range(256)) * (size // 256 + 1))[:size]
    assert answer.headers.get("Content-Length") == (None if chunked else str(size))


async def test_echo_answers_while_the_body_arrives(backend):
    """The first piece comes back before the second is sent."""
    pieces = asyncio.Queue()

    async def body():
        while piece := await pieces.get():
            yield piece

    pieces.put_nowait(b"one")
    answer = await backend.post("/echo", data=body(), headers={"Content-Type": "text/plain"})
    assert await answer.content.readexactly(3) == b"one"
    pieces.put_nowait(b"two")
    assert await answer.content.readexactly(3) == b"two"
    pieces.put_nowait(b"")
    assert await answer.read() == b""
    assert answer.content_type == "text/plain"


async def test_echo_keeps_a_known_length(backend):
    """A body of known length comes back with that length."""
    answer = await backend.post("/echo", data=b"hello")
    assert (answer.headers["Content-Length"], await answer.read()) == ("5", b"hello")


async def test_upload_counts_and_digests(backend):
    """An upload is answered with its size and SHA-256."""
    body = b"x" * 300_000
    answer = await (await backend.put("/upload", data=body)).json()
    assert answer == {"bytes": 300_000, "sha256": hashlib.sha256(body).hexdigest()}


async def test_events_are_server_sent_events(backend):
    """Each event has an id, a name and JSON data."""
    answer = await backend.get("/events?n=2&interval=0")
    assert answer.content_type == "text/event-stream"
    assert await answer.text() == (
        'id: 1\nevent: tick\ndata: {"n": 1, "of": 2}\n\nid: 2\nevent: tick\ndata: {"n": 2, "of": 2}\n\n'
    )


async def test_headers_shows_what_arrived(backend):
    """The request is shown as it came: target, and repeated fields in order."""
    answer = await backend.post("/headers?a=%20", headers=[("X-A", "1"), ("X-A", "2")])
    seen = await answer.json()
    assert (seen["method"], seen["target"]) == ("POST", "/headers?a=%20")
    assert [value for name, value in seen["headers"] if name == "X-A"] == ["1", "2"]


@pytest.mark.parametrize(("code", "body"), [(204, b""), (418, b'{"status": 418}'), (503, b'{"status": 503}')])
async def test_status_is_the_one_in_the_path(backend, code, body):
    """Any final status can be had."""
    answer = await backend.get(f"/status/{code}")
    assert (answer.status, await answer.read()) == (code, body)


async def test_slow_tells_how_long_it_slept(backend):
    """The answer names the delay."""
    assert await (await backend.get("/slow?ms=1")).json() == {"slept_ms": 1.0}


async def test_websocket_echoes_text_and_bytes(backend):
    """Messages come back as they were sent."""
    async with backend.ws_connect("/ws") as socket:
        await socket.send_str("hé")
        await socket.send_bytes(b"\x00\xff")
        assert (await socket.receive()).data == "hé"
        assert (await socket.receive()).data == b"\x00\xff"


async def test_stopping_closes_websockets():
    """An open WebSocket is told that the backend goes, and does not delay it."""
    runner, port = await demo.start_demo(port=0)
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://127.0.0.1:{port}/ws") as socket,
    ):
        stopping = asyncio.ensure_future(runner.cleanup())
        await socket.receive()
        await stopping
        assert socket.close_code == aiohttp.WSCloseCode.GOING_AWAY


async def test_a_port_in_use_is_said_so():
    """The error names the address and the reason, not a traceback."""
    runner, port = await demo.start_demo(port=0)
    with pytest.raises(ProxydError, match=rf"cannot listen on 127\.0\.0\.1:{port}: Address already in use"):
        await demo.start_demo(port=port)
    await runner.cleanup()


async def graphql(backend, query, accept="application/json", **variables):
    body = {"query": query, "variables": variables}
    return await backend.post("/graphql", json=body, headers={"Accept": accept})


async def test_graphql_mutation_is_seen_by_query_and_rest(backend):
    """GraphQL and REST work on the same orders."""
    create = "mutation($item: String!) { createOrder(item: $item, quantity: 3) { id quantity status } }"
    made = (await (await graphql(backend, create, item="spoon")).json())["data"]["createOrder"]
    assert made == {"id": made["id"], "quantity": 3, "status": "open"}
    await graphql(
        backend, 'mutation($id: ID!) { setStatus(id: $id, status: "shipped") { id } }', id=made["id"]
    )
    query = 'query($id: ID!) { order(id: $id) { item status } orders(status: "shipped") { id } none: order(id: "x") { id } }'
    answer = await (await graphql(backend, query, id=made["id"])).json()
    assert answer == {
        "data": {
            "order": {"item": "spoon", "status": "shipped"},
            "orders": [{"id": made["id"]}],
            "none": None,
        }
    }
    assert (await (await backend.get(f"/orders/{made['id']}")).json())["status"] == "shipped"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("{ orders { nothing } }", "Cannot query field 'nothing' on type 'Order'."),
        ("{", "Syntax Error: Expected Name, found <EOF>."),
        ("query a { __typename } query b { __typename }", "operationName must name one of the operations"),
        (7, "query must be a string"),
    ],
)
async def test_graphql_request_errors(backend, query, message):
    """An operation that cannot run is 200 for old clients and 400 for those of GraphQL over HTTP."""
    old = await graphql(backend, query)
    new = await graphql(backend, query, accept="application/graphql-response+json")
    assert (old.status, old.content_type) == (200, "application/json")
    assert (new.status, new.content_type) == (400, "application/graphql-response+json")
    assert (await new.json())["errors"][0]["message"] == message


async def test_graphql_field_errors_come_with_data(backend):
    """A resolver's refusal is an error beside null data."""
    answer = await (await graphql(backend, 'mutation { setStatus(id: "999", status: "open") { id } }')).json()
    assert (answer["data"], answer["errors"][0]["message"]) == (None, "no such order")


@pytest.mark.parametrize(("method", "body", "status"), [("GET", None, 405), ("POST", b"{", 400)])
async def test_graphql_over_http_is_post_with_json(backend, method, body, status):
    """Anything else is refused."""
    assert (await backend.request(method, "/graphql", data=body)).status == status


async def test_graphql_subscription_needs_a_websocket(backend):
    """A subscription by POST is a 400."""
    answer = await graphql(backend, "subscription { ticks }")
    assert (answer.status, await answer.json()) == (400, {"message": "a subscription needs a WebSocket"})


def subscribe(key, query):
    return {"type": "subscribe", "id": key, "payload": {"query": query}}


@pytest.fixture
async def socket(backend):
    async with backend.ws_connect("/graphql", protocols=["graphql-transport-ws"]) as socket:
        await socket.send_json({"type": "ping"})
        assert await socket.receive_json() == {"type": "pong"}
        await socket.send_json({"type": "connection_init"})
        assert await socket.receive_json() == {"type": "connection_ack"}
        yield socket


async def test_subscription_counts_and_completes(socket):
    """Results arrive one by one, then the end."""
    await socket.send_json(subscribe("a", "subscription { ticks(count: 2, interval: 0) }"))
    assert [await socket.receive_json() for _ in range(3)] == [
        {"type": "next", "id": "a", "payload": {"data": {"ticks": 1}}},
        {"type": "next", "id": "a", "payload": {"data": {"ticks": 2}}},
        {"type": "complete", "id": "a"},
    ]


async def test_subscription_hears_of_a_mutation(socket):
    """A change made on the same connection reaches the subscriber, until it completes."""
    await socket.send_json(subscribe("s", "subscription { orderChanged { item } }"))
    await socket.send_json({"type": "ping"})
    assert await socket.receive_json() == {"type": "pong"}
    await socket.send_json(subscribe("m", 'mutation { createOrder(item: "jug") { item } }'))
    messages = [await socket.receive_json() for _ in range(3)]
    assert {"type": "next", "id": "s", "payload": {"data": {"orderChanged": {"item": "jug"}}}} in messages
    assert {"type": "next", "id": "m", "payload": {"data": {"createOrder": {"item": "jug"}}}} in messages
    await socket.send_json({"type": "complete", "id": "s"})
    await socket.send_json(subscribe("m", 'mutation { createOrder(item: "jar") { item } }'))
    assert [(await socket.receive_json())["id"] for _ in range(2)] == ["m", "m"]


async def test_subscription_errors_name_the_operation(socket):
    """An invalid operation ends with an error message and leaves the connection open."""
    await socket.send_json(subscribe("x", "{ nothing }"))
    error = await socket.receive_json()
    assert (error["type"], error["id"]) == ("error", "x")
    await socket.send_json(subscribe("x", "{ __typename }"))
    assert (await socket.receive_json())["payload"] == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([{"type": "connection_init"}], 4429),
        ([{"type": "nonsense"}], 4400),
        (["[]"], 4400),
        (["{"], 4400),
        ([subscribe("a", "subscription { orderChanged { id } }")] * 2, 4409),
        ([subscribe(str(n), "subscription { orderChanged { id } }") for n in range(101)], 4400),
    ],
)
async def test_subprotocol_violations_close_with_their_code(socket, messages, code):
    """A client that breaks the subprotocol is closed with the code that it defines."""
    for message in messages:
        await socket.send_str(message if isinstance(message, str) else json.dumps(message))
    assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
    assert socket.close_code == code


@pytest.mark.parametrize(
    ("protocols", "first", "code"),
    [
        (["graphql-ws"], {"type": "connection_init"}, 4406),
        (["graphql-transport-ws"], subscribe("a", "{ __typename }"), 4401),
    ],
)
async def test_subscriptions_need_the_handshake(backend, protocols, first, code):
    """Without the subprotocol or its first message there is no service."""
    async with backend.ws_connect("/graphql", protocols=protocols) as socket:
        await socket.send_json(first)
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == code


async def test_a_client_that_never_initialises_is_closed(backend, monkeypatch):
    """The handshake has a time limit."""
    monkeypatch.setattr(demo.graphql_ws, "INIT_TIMEOUT", 0.01)
    async with backend.ws_connect("/graphql", protocols=["graphql-transport-ws"]) as socket:
        await socket.receive()
        assert socket.close_code == 4408


async def test_a_client_that_leaves_ends_its_subscriptions(backend):
    """Nothing listens for a connection that is gone."""
    orders = backend.app[demo.orders.ORDERS]
    async with backend.ws_connect("/graphql", protocols=["graphql-transport-ws"]) as socket:
        await socket.send_json({"type": "connection_init"})
        await socket.send_json(subscribe("a", "subscription { orderChanged { id } }"))
        await socket.send_json({"type": "ping"})
        assert [(await socket.receive_json())["type"] for _ in range(2)] == ["connection_ack", "pong"]
        assert repr(orders) == "<Orders 2 listeners=1>"
    await backend.server.close()
    assert repr(orders) == "<Orders 2 listeners=0>"
