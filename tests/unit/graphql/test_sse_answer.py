"""Clients of server-sent events in the mode of distinct connections, in conversations."""

from __future__ import annotations

import json

import pytest
from conversation import Step, service

SUBSCRIPTION = "subscription { news }"
BEGUN = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
STREAMING = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


PING = chunk(b":\n\n")


def event(payload):
    return b"event: next\ndata: %b\n\n" % payload


COMPLETE = b"event: complete\ndata:\n\n"


def graphql(**subscriptions):
    return service(plugins=[{"name": "graphql", "config": {"subscriptions": subscriptions}}])


def asks(query=SUBSCRIPTION, accept="text/event-stream", secret="me", **members):
    """Return a POST, and what a backend is asked for whoever shares it."""
    body = json.dumps({"query": query, **members}).encode()
    return (
        b"POST / HTTP/1.1\r\nHost: h\r\nAccept: %b\r\nAuthorization: %b\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (accept.encode(), secret.encode(), len(body), body)
    )


def asked(body, *lines):
    """Return what the backend of events gets."""
    more = b"".join(b"%b\r\n" % line for line in lines)
    return (
        b"POST / HTTP/1.1\r\nHost: 10.0.0.1\r\n%bAccept: text/event-stream\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (more, len(body), body)
    )


SHARED = {"backend_protocol": "sse", "shared": {"fields": ["news"], "grace": 5}}
BODY = b'{"query":"subscription { news }"}'


async def test_identical_subscriptions_share_one_at_the_backend(talk):
    """It is asked once, without anybody's credentials; the second client hears what comes from then on."""
    client = await talk.start(graphql(**SHARED))
    other = talk.client()
    one, two = event(b'{"data":{"news":1}}'), event(b'{"data":{"news":2}}')
    await talk(
        client.sends(asks()),
        client.receives(BEGUN, PING),
        talk.upstream.receives(asked(BODY)),
        talk.upstream.sends(STREAMING, chunk(b": hi\n\n"), chunk(one)),
        client.receives(chunk(one)),
        other.sends(asks(secret="you")),
        other.receives(BEGUN, PING),
        talk.upstream.sends(chunk(two[:9]), chunk(two[9:])),
        client.receives(chunk(two)),
        other.receives(chunk(two)),
        talk.upstream.sends(chunk(COMPLETE)),
        client.receives(chunk(COMPLETE), LAST),
        other.receives(chunk(COMPLETE), LAST),
        talk.upstream.is_aborted(),
        talk.logged("POST / 200", "POST / 200"),
    )


async def test_the_last_one_out_lets_go_of_the_backend(talk):
    """In a while, and at once where the generation is over."""
    client = await talk.start(graphql(**SHARED))
    await talk(
        client.sends(asks()),
        client.receives(BEGUN, PING),
        talk.upstream.receives(asked(BODY)),
        client.resets(),
        talk.upstream.is_read(),
        talk.logged("POST / 200 aborted"),
    )
    await talk.snapshot.stop()
    await talk(talk.upstream.is_aborted())


async def test_other_operations_of_the_same_clients_are_their_own(talk):
    """They are passed on as they come, stream and all, with what the client is known by."""
    client = await talk.start(graphql(**SHARED))
    sent = asks("subscription { mine }")
    await talk(
        client.sends(sent),
        talk.upstream.receives(sent.replace(b"Host: h", b"Host: 10.0.0.1")),
        talk.upstream.sends(STREAMING, chunk(b": hi\n\n")),
        client.receives(STREAMING, chunk(b": hi\n\n")),
        client.resets(),
        talk.upstream.is_aborted(),
        talk.logged("POST / 200 aborted"),
    )


async def test_a_refused_operation_is_told_by_the_stream(talk):
    """To clients who take nothing else, as graphql-sse has it; JSON to those who take both, and for what is no request."""
    client = await talk.start(graphql())
    errors = b'{"errors":[{"message":"operationName must name one of the operations","extensions":{"code":"OPERATION_RESOLUTION_FAILURE"}}]}'
    body = event(errors) + COMPLETE
    head = b"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Type: %b; charset=utf-8\r\nContent-Length: %d\r\n\r\n%b"
    await talk(
        client.sends(asks(operationName="X")),
        client.receives(head % (b"text/event-stream", len(body), body)),
        client.sends(asks(operationName="X", accept="application/json, text/event-stream")),
        client.receives(head % (b"application/json", len(errors), errors)),
    )


async def test_a_quiet_stream_is_kept_alive(talk):
    """By a comment, for as long as nothing else is sent."""
    client = await talk.start(graphql(**SHARED, events={"keep_alive": 10}))
    one = event(b'{"data":{"news":1}}')
    await talk(
        client.sends(asks()),
        client.receives(BEGUN, PING),
        talk.upstream.receives(asked(BODY)),
        talk.upstream.sends(STREAMING),
        talk.passes(9),
        client.hears_nothing(),
        talk.upstream.sends(chunk(one)),
        client.receives(chunk(one)),
        talk.passes(9),
        client.hears_nothing(),
        talk.passes(2),
        client.receives(PING),
        talk.passes(11),
        client.receives(PING),
    )


async def test_a_drain_ends_the_stream_without_an_end_of_results(talk):
    """So that the client asks again, of another process."""
    client = await talk.start(graphql(**SHARED))
    await talk(
        client.sends(asks()),
        client.receives(BEGUN, PING),
        talk.upstream.receives(asked(BODY)),
        Step("the process is about to end", talk.connections.leave),
        client.receives(LAST),
        client.is_closed(),
    )


async def test_a_stream_that_begins_as_the_process_ends_is_sent_elsewhere(talk):
    """Though the others have been told before."""
    client = await talk.start(graphql(**SHARED))
    await talk(
        Step("the process is about to end", talk.connections.leave),
        client.sends(asks()),
        client.receives(BEGUN, PING, LAST),
        talk.upstream.receives(asked(BODY)),
    )


ERRORS = b'{"errors":[{"message":"x"}]}'
RESULT = b'{"data":{"news":1}}'
JSON = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"


@pytest.mark.parametrize(
    ("status", "body"),
    [(b"400 Bad Request", ERRORS), (b"200 OK", RESULT)],
    ids=["errors", "one result"],
)
async def test_a_backend_may_answer_at_once(talk, status, body):
    """By JSON: errors, or the one result that there is."""
    client = await talk.start(graphql(**SHARED))
    await talk(
        client.sends(asks()),
        client.receives(BEGUN, PING),
        talk.upstream.receives(asked(BODY)),
        talk.upstream.sends(b"HTTP/1.1 %b\r\n" % status, JSON % (len(body), body)),
        client.receives(chunk(event(body)), chunk(COMPLETE), LAST),
    )
