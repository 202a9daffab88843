"""Conversations over GraphQL's WebSockets: between clients, the gateway and a backend."""

from __future__ import annotations

import hashlib

import pytest
from conversation import Step
from graphql_wire import (
    ACK,
    INIT,
    LEGACY,
    PROOF,
    TICKS,
    TRANSPORT,
    agreed,
    asked,
    closing,
    frame,
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
STOPPED = {"id": "1", "type": "complete"}


def result(identity, payload=TICK, word="next"):
    return {"id": identity, "type": word, "payload": payload}


def ended(talk, client, code, reason="", *, upstream=True):
    """Return the steps of an end that the gateway begins, and the client agrees to."""
    return [
        client.receives(closing(code, reason)),
        *([talk.upstream.receives(closing(1000, masked=True))] if upstream else []),
        client.sends(closing(code, masked=True)),
        client.is_closed(),
        *([talk.upstream.sends(closing(1000)), talk.upstream.is_aborted()] if upstream else []),
    ]


async def test_a_subscription_goes_through(talk):
    """Its results come under the client's id, and its end."""
    client = await talk.start(graphql())
    await talk(
        *opened(talk, client),
        client.sends(up(subscribe("a"))),
        talk.upstream.receives(up(subscribe("1"))),
        talk.upstream.sends(said(result("1")), said(result("1"))),
        client.receives(said(result("a")), said(result("a"))),
        talk.upstream.sends(said(STOPPED)),
        client.receives(said({"id": "a", "type": "complete"})),
        client.sends(closing(1000, masked=True)),
        client.receives(closing(1000)),
        client.is_closed(),
        talk.upstream.receives(closing(1000, masked=True)),
        talk.upstream.sends(closing(1000)),
        talk.upstream.is_aborted(),
        talk.logged("GET /graphql 101"),
    )


async def test_a_client_ends_its_subscription(talk):
    """The backend is told, and what comes of it later goes no further."""
    client = await talk.start(graphql())
    await talk(
        *opened(talk, client),
        client.sends(up(subscribe("a"))),
        talk.upstream.receives(up(subscribe("1"))),
        client.sends(up({"id": "a", "type": "complete"})),
        talk.upstream.receives(up(STOPPED)),
        talk.upstream.sends(said(result("1"))),
        client.hears_nothing(),
        client.resets(),
        talk.upstream.receives(closing(1000, masked=True)),
    )


async def test_payloads_of_both_connections_pass(talk):
    """connection_init's goes to the backend, connection_ack's to the client."""
    init, ack = {**INIT, "payload": {"token": "t"}}, {**ACK, "payload": {"v": 1}}
    client = await talk.start(graphql())
    await talk(*opened(talk, client, init=init, sent=init, ack=ack), client.resets(), goodbye(talk))


def goodbye(talk):
    return talk.upstream.receives(closing(1000, masked=True))


@pytest.mark.parametrize(
    ("settings", "sent"),
    [
        ({"init_payload": "drop"}, INIT),
        ({"init_payload": "listed", "init_fields": ["b"]}, {**INIT, "payload": {"b": 2}}),
    ],
)
async def test_what_the_backend_is_told_of_connection_init_is_a_setting(talk, settings, sent):
    """Nothing, or what is listed."""
    client = await talk.start(graphql(**settings))
    init = {**INIT, "payload": {"a": 1, "b": 2}}
    await talk(*opened(talk, client, init=init, sent=sent), client.resets(), goodbye(talk))


@pytest.mark.parametrize(
    "written",
    [
        b'{"id":"1","type":"next","payload":{"n":1e400, "big":123456789012345678901234567890}}',
        b'{ "id" : "1" , "type" : "next" , "payload" : {"n":1e400, "big":123456789012345678901234567890} }',
        b'{"type":"next","id":"1","payload":{"n":1e400, "big":123456789012345678901234567890}}',
        b'{"payload":{"n":1e400, "big":123456789012345678901234567890},"id":"1","type":"next","more":[1]}',
    ],
)
async def test_a_payload_is_passed_on_as_it_was_written(talk, written):
    """Whatever the order of its message's members: numbers that no float holds survive."""
    client = await talk.start(graphql())
    await talk(
        *opened(talk, client),
        client.sends(up(subscribe("a"))),
        talk.upstream.receives(up(subscribe("1"))),
        talk.upstream.sends(said(written.replace(b"1e400", b"1.50"))),
        client.receives(
            said(b'{"id":"a","type":"next","payload":{"n":1.50, "big":123456789012345678901234567890}}')
        ),
        client.resets(),
        goodbye(talk),
    )


# --- the older protocol --------------------------------------------------------------------------------------


async def test_a_client_of_the_older_protocol_reaches_a_backend_of_the_newer(talk):
    """Words, errors and keep-alives are the client's protocol's."""
    client = await talk.start(graphql())
    wrong = [{"message": "no"}]
    await talk(
        *opened(talk, client, LEGACY, TRANSPORT),
        client.sends(up(subscribe("a", word="start")), up(subscribe("b", word="start"))),
        talk.upstream.receives(up(subscribe("1")), up(subscribe("2"))),
        talk.upstream.sends(said(result("1")), said({"id": "2", "type": "error", "payload": wrong})),
        client.receives(
            said(result("a", word="data")), said({"id": "b", "type": "error", "payload": wrong[0]})
        ),
        client.sends(up({"id": "a", "type": "stop"})),
        talk.upstream.receives(up(STOPPED)),
        client.sends(up({"type": "connection_terminate"})),
        *ended(talk, client, 1000),
    )


async def test_a_client_of_the_newer_protocol_reaches_a_backend_of_the_older(talk):
    """The backend's one error becomes a list, and its keep-alives go no further."""
    client = await talk.start(graphql())
    await talk(
        *opened(talk, client, TRANSPORT, LEGACY),
        talk.upstream.sends(said({"type": "ka"})),
        client.sends(up(subscribe("a")), up(subscribe("b"))),
        talk.upstream.receives(up(subscribe("1", word="start")), up(subscribe("2", word="start"))),
        talk.upstream.sends(
            said(result("1", word="data")), said({"id": "2", "type": "error", "payload": {"message": "no"}})
        ),
        client.receives(
            said(result("a")), said({"id": "b", "type": "error", "payload": [{"message": "no"}]})
        ),
        client.sends(up({"id": "a", "type": "complete"})),
        talk.upstream.receives(up({"id": "1", "type": "stop"})),
        client.resets(),
        goodbye(talk),
    )


async def test_clients_of_the_older_protocol_need_not_wait_for_the_acknowledgement(talk):
    """What they ask for meanwhile is kept, unless they stop it, and the client is read again afterwards."""
    client = await talk.start(graphql())
    await talk(
        client.sends(handshake(LEGACY)),
        client.receives(agreed(LEGACY)),
        client.sends(
            up(INIT)
            + up(subscribe("a", word="start"))
            + up(subscribe("b", word="start"))
            + up({"id": "b", "type": "stop"})
        ),
        client.is_held(),
        talk.upstream.receives(asked(b"graphql-ws, graphql-transport-ws")),
        talk.upstream.sends(agreed(LEGACY)),
        talk.upstream.receives(up(INIT)),
        talk.upstream.sends(said(ACK)),
        client.receives(said(ACK), said({"type": "ka"})),
        client.is_read(),
        talk.upstream.receives(up(subscribe("1", word="start"))),
        client.resets(),
        goodbye(talk),
    )


async def test_an_id_is_used_anew_by_clients_of_the_older_protocol(talk):
    """The operation before ends for it."""
    client = await talk.start(graphql())
    await talk(
        *opened(talk, client, LEGACY, LEGACY),
        client.sends(up(subscribe("a", word="start")), up(subscribe("a", word="start"))),
        talk.upstream.receives(
            up(subscribe("1", word="start")),
            up({"id": "1", "type": "stop"}),
            up(subscribe("2", word="start")),
        ),
        client.resets(),
        goodbye(talk),
    )


# --- what is refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [
        (b"nonsense", 4400, "Messages are JSON"),
        (b"[]", 4400, "Unknown type of message"),
        ({"type": "next"}, 4400, "Unknown type of message"),
        ({"type": "subscribe", "payload": {}}, 4400, "id must be a text that is not empty"),
        ({"type": "subscribe", "id": "x" * 129, "payload": {}}, 4400, "id is longer than 128 characters"),
        ({"type": "subscribe", "id": "a"}, 4400, "payload must be an object"),
        (INIT, 4429, "Too many initialisation requests"),
        (subscribe("taken"), 4409, "Subscriber for taken already exists"),
    ],
)
async def test_a_client_that_breaks_the_protocol_is_closed(talk, message, code, reason):
    """With the protocol's own code; its operations end at the backend."""
    client = await talk.start(graphql())
    await talk(
        *opened(talk, client),
        client.sends(up(subscribe("taken"))),
        talk.upstream.receives(up(subscribe("1"))),
        client.sends(up(message)),
        *ended(talk, client, code, reason),
        talk.logged(f"GET /graphql 101 graphql: {reason}"),
    )


async def test_operations_wait_for_the_acknowledgement(talk):
    """A client of the newer protocol that does not wait is closed, and no backend was asked."""
    client = await talk.start(graphql())
    await talk(
        client.sends(handshake()),
        client.receives(agreed()),
        client.sends(up(subscribe("a"))),
        *ended(talk, client, 4401, "Unauthorized", upstream=False),
    )


@pytest.mark.parametrize(
    ("sent", "code", "reason"),
    [
        (frame(b"x", 2, masked=True), 1003, "Messages are text"),
        (frame(b"x"), 1002, "Malformed frame"),
        (frame(b"\xff", masked=True), 1007, "Malformed frame"),
        (frame(b"x" * 2000, masked=True), 1009, "Message too big"),
        (
            frame(b"x" * 900, masked=True, fin=False) + frame(b"x" * 900, 0, masked=True),
            1009,
            "Message too big",
        ),
        (frame(b"", 9, masked=True) * 30, 1008, "Too many messages"),
        (
            frame(b"", masked=True, fin=False) + frame(b"", 0, masked=True, fin=False) * 30,
            1008,
            "Too many messages",
        ),
        (up({**INIT, "payload": {"a": "x" * 200}}), 1009, "connection_init is too big"),
    ],
)
async def test_frames_are_held_to_their_limits(talk, sent, code, reason):
    """Sizes of messages, in whatever pieces they come, and how many frames there are."""
    client = await talk.start(graphql(max_message_size=1024, max_message_rate=10, max_init_size=100))
    pongs = [frame(b"", 10) * 20] if sent[0] & 15 == 9 else []
    await talk(
        client.sends(handshake()),
        client.receives(agreed()),
        client.sends(sent),
        client.receives(*pongs, closing(code, reason)),
        client.sends(closing(code, masked=True), b"x" * 100_000),
        talk.passes(2.2),  # behind what is malformed, its answer cannot be read
        client.is_closed(),
        talk.logged(f"GET /graphql 101 graphql: {reason}"),
    )


@pytest.mark.parametrize(
    ("payload", "code", "message"),
    [
        ({"query": "{ a"}, "GRAPHQL_PARSE_FAILED", "Syntax Error: Expected Name, found <EOF>."),
        ({"query": 1}, "BAD_REQUEST", "query must be a string"),
    ],
)
async def test_an_operation_is_examined(talk, payload, code, message):
    """One that is refused is answered with its errors, and the backend does not hear of it."""
    client = await talk.start(graphql())
    where = {"locations": [{"line": 1, "column": 4}]} if code == "GRAPHQL_PARSE_FAILED" else {}
    errors = [{"message": message, "extensions": {"code": code, **where}}]
    await talk(
        *opened(talk, client),
        client.sends(up({"id": "a", "type": "subscribe", "payload": payload})),
        client.receives(said({"id": "a", "type": "error", "payload": errors})),
        client.sends(up(subscribe("a"))),
        talk.upstream.receives(up(subscribe("1"))),
        client.resets(),
        goodbye(talk),
    )


async def test_a_document_may_be_named(talk):
    """As over HTTP: one that is not known is asked for, kept, and spelt out for the backend from then on."""
    config = graphql()
    config["services"][0]["plugins"][0]["config"]["persisted_queries"] = {}
    client = await talk.start(config)
    named = {"persistedQuery": {"version": 1, "sha256Hash": hashlib.sha256(TICKS.encode()).hexdigest()}}

    def asking(identity, **payload):
        return up({"id": identity, "type": "subscribe", "payload": {"extensions": named, **payload}})

    unknown = {"message": "PersistedQueryNotFound", "extensions": {"code": "PERSISTED_QUERY_NOT_FOUND"}}
    await talk(
        *opened(talk, client),
        client.sends(asking("a")),
        client.receives(said({"id": "a", "type": "error", "payload": [unknown]})),
        client.sends(asking("a", query=TICKS), asking("b")),
        talk.upstream.receives(up(subscribe("1")), up(subscribe("2"))),
        client.resets(),
        goodbye(talk),
    )


async def test_operations_of_a_connection_are_limited(talk):
    """One more is an error of its own; when another has ended, there is room."""
    client = await talk.start(graphql(max_operations=1))
    refused = {
        "message": "No more than 1 operations of one connection may be under way",
        "extensions": {"code": "TOO_MANY_OPERATIONS", "limit": 1},
    }
    await talk(
        *opened(talk, client),
        client.sends(up(subscribe("a")), up(subscribe("b"))),
        talk.upstream.receives(up(subscribe("1"))),
        client.receives(said({"id": "b", "type": "error", "payload": [refused]})),
        client.sends(up({"id": "a", "type": "complete"}), up(subscribe("b"))),
        talk.upstream.receives(up(STOPPED), up(subscribe("2"))),
        client.resets(),
        goodbye(talk),
    )


async def test_other_subprotocols_are_refused(talk):
    """With a status, as it is no WebSocket yet; or they are passed on unread, where that is configured."""
    client = await talk.start(graphql())
    words = b"Sec-WebSocket-Protocol must offer graphql-transport-ws or graphql-ws"
    body = b'{\n  "message":"%b",\n  "request_id":"<id>"\n}' % words
    await talk(
        client.sends(handshake(b"chat")),
        client.receives(
            b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json; charset=utf-8\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body) + 28, body)
        ),
    )


async def test_other_subprotocols_pass_where_that_is_configured(talk):
    """Their frames are nobody's business."""
    client = await talk.start(graphql(other_protocols="pass"))
    await talk(
        client.sends(handshake(b"chat")),
        talk.upstream.receives(
            b"GET /graphql HTTP/1.1\r\nHost: 10.0.0.1\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: chat\r\n"
            b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        ),
        talk.upstream.sends(agreed(b"chat")),
        client.receives(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Accept: %b\r\nSec-WebSocket-Protocol: chat\r\n\r\n" % PROOF
        ),
        client.sends(b"\xff"),
        talk.upstream.receives(b"\xff"),
        client.resets(),
        talk.upstream.is_aborted(),
    )


# --- time ----------------------------------------------------------------------------------------------------


async def test_a_client_has_to_begin_in_time(talk):
    """Three seconds, as its protocol's servers give."""
    client = await talk.start(graphql())
    await talk(
        client.sends(handshake()),
        client.receives(agreed()),
        talk.passes(2.5),
        client.hears_nothing(),
        talk.passes(1),
        *ended(talk, client, 4408, "Connection initialisation timeout", upstream=False),
    )


async def test_a_client_that_does_not_answer_a_close_frame_is_not_waited_for_long(talk):
    """Two seconds are enough."""
    client = await talk.start(graphql())
    await talk(
        client.sends(handshake()),
        client.receives(agreed()),
        client.sends(up(b"nonsense")),
        client.receives(closing(4400, "Messages are JSON")),
        client.sends(up(INIT), frame(b"", 9, masked=True)),
        talk.passes(2.2),
        client.is_closed(),
        talk.logged("GET /graphql 101 graphql: Messages are JSON"),
    )


async def test_both_ends_are_asked_whether_they_are_there(talk):
    """Those that answer stay; the client's own pings are answered, and so are the backend's."""
    client = await talk.start(graphql())
    ping, pong = frame(b"", 9), frame(b"", 10, masked=True)
    await talk(
        *opened(talk, client),
        talk.passes(20.2),
        client.receives(ping),
        talk.upstream.receives(frame(b"", 9, masked=True)),
        client.sends(pong),
        talk.upstream.sends(frame(b"", 10)),
        talk.passes(19),
        client.hears_nothing(),
        client.sends(frame(b"p", 9, masked=True), up({"type": "ping", "payload": {"n": 1}})),
        client.receives(frame(b"p", 10), said({"type": "pong", "payload": {"n": 1}})),
        talk.upstream.sends(frame(b"q", 9), said({"type": "ping"})),
        talk.upstream.receives(frame(b"q", 10, masked=True), up({"type": "pong"})),
        client.resets(),
        goodbye(talk),
    )


async def test_a_client_that_answers_no_ping_is_cut(talk):
    """It is gone without a word."""
    client = await talk.start(graphql())
    await talk(
        *opened(talk, client),
        talk.passes(20.2),
        client.receives(frame(b"", 9)),
        talk.upstream.receives(frame(b"", 9, masked=True)),
        talk.upstream.sends(frame(b"", 10)),
        talk.passes(20.2),
        client.is_aborted(),
        talk.upstream.receives(closing(1000, masked=True)),
        talk.logged("GET /graphql 101 graphql: the client answers no ping aborted"),
    )


async def test_a_backend_that_answers_no_ping_is_given_up(talk):
    """Its client comes back, and may find another one."""
    client = await talk.start(graphql())
    await talk(
        *opened(talk, client),
        talk.passes(20.2),
        client.receives(frame(b"", 9)),
        client.sends(frame(b"", 10, masked=True)),
        talk.upstream.receives(frame(b"", 9, masked=True)),
        talk.passes(19),
        client.sends(frame(b"", 10, masked=True)),
        talk.passes(2),
        client.receives(closing(1012, "The backend is gone")),
        talk.upstream.is_aborted(),
        client.sends(closing(1012, masked=True)),
        client.is_closed(),
    )


async def test_a_client_that_sends_no_more_has_ended(talk):
    """Half a WebSocket is none: the rest is closed with it."""
    client = await talk.start(graphql())
    await talk(
        *opened(talk, client),
        client.closes(),
        client.is_closed(),
        goodbye(talk),
        talk.logged("GET /graphql 101"),
    )


async def test_a_slow_client_has_its_backend_wait(talk):
    """Nothing is read for it, nor from it, until it takes what there is."""
    client = await talk.start(graphql())
    await talk(
        *opened(talk, client),
        client.sends(up(subscribe("a"))),
        talk.upstream.receives(up(subscribe("1"))),
        client.slows(),
        talk.upstream.is_held(),
        client.is_held(),
        client.reads(),
        talk.upstream.is_read(),
        client.is_read(),
        client.resets(),
        goodbye(talk),
    )


async def test_a_client_that_stays_slow_is_cut(talk):
    """Where there is a limit to patience; nothing more could be told it."""
    client = await talk.start(graphql(slow_timeout=5))
    await talk(
        *opened(talk, client),
        client.sends(up(subscribe("a"))),
        talk.upstream.receives(up(subscribe("1"))),
        client.slows(),
        talk.passes(5.2),
        client.is_aborted(),
        talk.upstream.receives(closing(1000, masked=True)),
        talk.logged("GET /graphql 101 graphql: the client takes nothing aborted"),
    )


async def test_a_slow_backend_has_its_client_wait(talk):
    """What it does not take is not read."""
    client = await talk.start(graphql())
    await talk(
        *opened(talk, client),
        talk.upstream.slows(),
        client.is_held(),
        talk.upstream.reads(),
        client.is_read(),
        client.resets(),
        goodbye(talk),
    )


# --- the backend's end ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "told", "reason"),
    [
        (1001, 1001, "bye"),
        (4403, 4403, "bye"),
        (4999, 4999, "bye"),
        (4429, 4500, "Internal server error"),
        (1011, 4500, "Internal server error"),
        (3000, 4500, "Internal server error"),
    ],
)
async def test_the_backends_close_code_is_the_clients(talk, code, told, reason):
    """But for those that are about what the gateway has sent."""
    client = await talk.start(graphql())
    await talk(
        *opened(talk, client),
        talk.upstream.sends(closing(code, "bye")),
        talk.upstream.receives(closing(code, masked=True)),
        talk.upstream.is_ended(),
        client.receives(closing(told, reason)),
        client.sends(closing(told, masked=True)),
        client.is_closed(),
        talk.upstream.closes(),
        talk.upstream.is_aborted(),
    )


async def test_a_backend_that_is_gone_sends_its_clients_back(talk):
    """Behind 1012 they try again."""
    client = await talk.start(graphql())
    await talk(
        *opened(talk, client),
        talk.upstream.resets(),
        client.receives(closing(1012, "The backend is gone")),
        client.sends(closing(1012, masked=True)),
        client.is_closed(),
    )


@pytest.mark.parametrize(
    ("answer", "code", "reason"),
    [
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno", 4401, "Unauthorized"),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", 4403, "Forbidden"),
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", 1013, "Try again later"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 4400, "Bad request"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 4500, "Internal server error"),
    ],
)
async def test_a_backend_may_refuse_the_handshake(talk, answer, code, reason):
    """Its status is told by a code."""
    client = await talk.start(graphql())
    await talk(
        client.sends(handshake()),
        client.receives(agreed()),
        client.sends(up(INIT)),
        talk.upstream.receives(asked()),
        talk.upstream.sends(answer),
        client.receives(closing(code, reason)),
        client.sends(closing(code, masked=True)),
        client.is_closed(),
        talk.upstream.is_closed(),
    )


@pytest.mark.parametrize(
    "answer",
    [
        agreed().replace(b"Sec-WebSocket-Accept: ", b"Sec-WebSocket-Accept: x"),
        agreed(b"chat"),
        agreed(TRANSPORT, b"Sec-WebSocket-Extensions: permessage-deflate"),
    ],
)
async def test_a_backend_has_to_agree_to_what_was_offered(talk, answer):
    """Or nothing is said to it."""
    client = await talk.start(graphql())
    await talk(
        client.sends(handshake()),
        client.receives(agreed()),
        client.sends(up(INIT)),
        talk.upstream.receives(asked()),
        talk.upstream.sends(answer),
        client.receives(closing(4500, "Internal server error")),
        client.sends(closing(4500, masked=True)),
        client.is_closed(),
        talk.passes(2.2),
        talk.upstream.is_aborted(),
    )


@pytest.mark.parametrize(
    ("sent", "code", "reason"),
    [
        (said(b"nonsense"), 1002, "Malformed message"),
        (said(b'{"type":"next","id":"1"}'), 1002, "Malformed message"),
        (said(b'{"id":"1","type":"next","payload":1]'), 1002, "Malformed message"),
        (frame(b"x", 2), 1003, "Messages are text"),
        (frame(b"x", masked=True), 1002, "Malformed frame"),
        (said(b"x" * 2000), 1009, "Message too big"),
    ],
)
async def test_a_backend_that_breaks_the_protocol_is_closed(talk, sent, code, reason):
    """And so is its client, who has not done anything wrong."""
    client = await talk.start(graphql(max_result_size=1024))
    await talk(
        *opened(talk, client),
        talk.upstream.sends(sent),
        talk.upstream.receives(closing(code, reason, masked=True)),
        client.receives(closing(4500, "Internal server error")),
        client.sends(closing(4500, masked=True)),
        client.is_closed(),
        talk.passes(2.2),
        talk.upstream.is_aborted(),
    )


async def test_a_backend_of_the_older_protocol_may_refuse_connection_init(talk):
    """Which the newer protocol tells by a code, and the older one by a message as well."""
    client = await talk.start(graphql())
    await talk(
        client.sends(handshake(LEGACY)),
        client.receives(agreed(LEGACY)),
        client.sends(up(INIT)),
        talk.upstream.receives(asked(b"graphql-ws, graphql-transport-ws")),
        talk.upstream.sends(agreed(LEGACY)),
        talk.upstream.receives(up(INIT)),
        talk.upstream.sends(said({"type": "connection_error", "payload": {"message": "secret"}})),
        client.receives(
            said({"type": "connection_error", "payload": {"message": "Forbidden"}}),
            closing(4403, "Forbidden"),
        ),
        client.sends(closing(4403, masked=True)),
        client.is_closed(),
        talk.passes(2.2),
        talk.upstream.is_aborted(),
    )


async def test_what_is_left_of_a_drain_is_told_so(talk):
    """Both ends hear of it before they are cut."""
    client = await talk.start(graphql())
    await talk(
        *opened(talk, client),
        Step("the process ends", talk.connections.go_away),
        client.receives(closing(1001)),
        client.is_closed(),
        talk.upstream.receives(closing(1000, masked=True)),
    )
