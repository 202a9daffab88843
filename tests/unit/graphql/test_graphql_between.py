"""Between WebSockets and server-sent events, and what is counted and masked on WebSockets, in conversations."""

from __future__ import annotations

import json

from graphql_wire import (
    ACK,
    INIT,
    LEGACY,
    TICKS,
    TRANSPORT,
    agreed,
    asked,
    closing,
    graphql,
    handshake,
    opened,
    said,
    subscribe,
    up,
    zeros,
)

__all__ = ["zeros"]

TICK = {"data": {"ticks": 1}}


def plugin_of(talk):
    return next(one for one in talk.snapshot.plugins if one.name == "graphql")


async def test_what_goes_over_a_websocket_is_counted(talk):
    """Subscriptions that are open, and were; results; refusals by their code."""
    client = await talk.start(graphql(max_operations=1))
    counted = plugin_of(talk).kit.operations
    refused = {
        "message": "No more than 1 operations of one connection may be under way",
        "extensions": {"code": "TOO_MANY_OPERATIONS", "limit": 1},
    }
    await talk(
        *opened(talk, client),
        client.sends(up(subscribe("a")), up(subscribe("b"))),
        client.receives(said({"id": "b", "type": "error", "payload": [refused]})),
        talk.upstream.receives(up(subscribe("1"))),
        talk.upstream.sends(said({"id": "1", "type": "next", "payload": TICK})),
        client.receives(said({"id": "a", "type": "next", "payload": TICK})),
    )
    assert (counted.open, counted.started, counted.messages) == ({("r",): 1}, {("r",): 1}, {("r",): 1})
    await talk(client.resets(), talk.upstream.receives(closing(1000, masked=True)))
    assert counted.open == {("r",): 0}
    assert counted.meters["r", "subscription", ""].requests == 1
    assert counted.meters["r", "", ""].errors == {"TOO_MANY_OPERATIONS": 1}


async def test_errors_of_the_backend_are_masked(talk):
    """Those of a result and those that an operation ends with; a result without any is as it was."""
    config = graphql()
    config["services"][0]["plugins"][0]["config"]["errors"] = {"mask": True}
    client = await talk.start(config)
    wrong = [{"message": "password of db1"}]
    told = (
        b'[{"message":"Unexpected error.","extensions":{"code":"INTERNAL_SERVER_ERROR","request_id":"<id>"}}]'
    )
    head = b"\x81~\x00%c"
    first = b'{"id":"a","type":"next","payload":{"data":null,"errors":%b}}' % told
    second = b'{"id":"a","type":"error","payload":%b}' % told
    await talk(
        *opened(talk, client),
        client.sends(up(subscribe("a"))),
        talk.upstream.receives(up(subscribe("1"))),
        talk.upstream.sends(said({"id": "1", "type": "next", "payload": TICK})),
        client.receives(said({"id": "a", "type": "next", "payload": TICK})),
        talk.upstream.sends(said({"id": "1", "type": "next", "payload": {"data": None, "errors": wrong}})),
        client.receives(head % (len(first) + 28), first),
        talk.upstream.sends(said({"id": "1", "type": "error", "payload": wrong})),
        client.receives(head % (len(second) + 28), second),
        client.resets(),
        talk.upstream.receives(closing(1000, masked=True)),
    )


async def test_a_client_of_events_reaches_a_backend_of_websockets(talk):
    """Its one operation goes over a WebSocket, and ends with it."""
    client = await talk.start(graphql(backend_protocol="graphql-transport-ws"))
    body = json.dumps({"query": TICKS}).encode()
    event = b"event: next\ndata: %b\n\n" % json.dumps(TICK, separators=(",", ":")).encode()
    await talk(
        client.sends(
            b"POST /graphql HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        ),
        talk.upstream.receives(asked(TRANSPORT)),
        talk.upstream.sends(agreed()),
        talk.upstream.receives(up(INIT)),
        talk.upstream.sends(said(ACK)),
        talk.upstream.receives(up(subscribe("1"))),
        talk.upstream.sends(said({"id": "1", "type": "next", "payload": TICK})),
        client.receives(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n3\r\n:\n\n\r\n%x\r\n%b\r\n" % (len(event), event)
        ),
        talk.upstream.sends(said({"id": "1", "type": "complete"})),
        client.receives(b"17\r\nevent: complete\ndata:\n\n\r\n0\r\n\r\n"),
        talk.upstream.receives(closing(1000, masked=True)),
        talk.upstream.sends(closing(1000)),
        talk.upstream.is_aborted(),
        talk.logged("POST /graphql 200"),
    )


async def test_a_client_of_websockets_reaches_a_backend_of_events(talk):
    """Each of its operations is a request, answered by a stream."""
    client = await talk.start(graphql(backend_protocol="sse"))
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    event = b"event: next\ndata: %b\n\n" % json.dumps(TICK).encode()
    await talk(
        client.sends(handshake(LEGACY)),
        client.receives(agreed(LEGACY)),
        client.sends(up(INIT)),
        client.receives(said(ACK), said({"type": "ka"})),
        client.sends(up(subscribe("a", word="start"))),
        talk.upstream.receives(
            b"POST /graphql HTTP/1.1\r\nHost: 10.0.0.1\r\nAccept: text/event-stream\r\n"
            b'Content-Type: application/json\r\nContent-Length: 34\r\n\r\n{"query":"subscription { ticks }"}'
        ),
        talk.upstream.sends(head + b"%x\r\n%b\r\n" % (len(event), event)),
        client.receives(said(b'{"id":"a","type":"data","payload":%b}' % json.dumps(TICK).encode())),
        talk.upstream.sends(b"18\r\nevent: complete\ndata: \n\n\r\n"),
        client.receives(said({"id": "a", "type": "complete"})),
        talk.upstream.is_aborted(),
        client.resets(),
        talk.logged("GET /graphql 101"),
    )
