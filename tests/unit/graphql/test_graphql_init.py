"""Who a client is by its connection_init, in conversations: authentication, its refusals, and its end."""

from __future__ import annotations

import asyncio
import time

import pytest
from graphql_wire import (
    ACK,
    BOTH,
    INIT,
    LEGACY,
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

from proxyd.exchange import Reply
from proxyd.graphql.subscriptions.credentials import Credentials
from proxyd.http1.headers import Headers
from proxyd.model.load import load_text
from proxyd.plugin import Config, Plugin
from proxyd.plugins import BY_NAME

__all__ = ["zeros"]


class Nothing(Config):
    """There is nothing to configure."""


class Consumer:
    def __init__(self, identity):
        self.id = identity


class Credential:
    def __init__(self, expires_at):
        self.id = "key"
        self.expires_at = expires_at


class Door(Plugin[Nothing]):
    """Lets those in whose key is a word, and answers those whose key is a number with it."""

    name = "door"
    priority = 1000

    def access(self, exchange):
        key = (exchange.headers.get(b"apikey") or b"401").decode()
        if key == "waits":
            return self._wait()
        if key.isdigit():
            return Reply(int(key), "No")
        if key.startswith("exp:"):
            exchange.claims = {"exp": time.time() + float(key[4:])}
        if key.startswith("key:"):
            exchange.credential = Credential(time.time() + float(key[4:]))
        exchange.consumer = Consumer(key)
        return None

    async def _wait(self):
        await asyncio.Event().wait()


def init(**payload):
    return {**INIT, "payload": payload}


async def guarded(talk, **subscriptions):
    return await talk.start(graphql([{"name": "door"}], **subscriptions), plugins=[Door])


KEY = {"credentials": {"headers.apikey": "apikey", "apikey": "apikey"}}


@pytest.mark.parametrize("payload", [{"apikey": "ann"}, {"headers": {"ApiKey": "ann"}}])
async def test_connection_init_authenticates(talk, payload):
    """What it says becomes headers before the access phases run, and goes to the backend with them."""
    client = await guarded(talk, **KEY)
    await talk(
        client.sends(handshake()),
        client.receives(agreed()),
        talk.passes(1),
        client.sends(up(init(**payload))),
        talk.upstream.receives(asked(BOTH, b"apikey: ann")),
        talk.upstream.sends(agreed()),
        talk.upstream.receives(up(init(**payload))),
        talk.upstream.sends(said(ACK)),
        client.receives(said(ACK)),
        client.resets(),
        talk.upstream.receives(closing(1000, masked=True)),
        talk.logged("GET /graphql 101"),
    )


async def test_the_handshake_authenticates_where_nothing_else_is_configured(talk):
    """A refusal is an HTTP answer then."""
    client = await guarded(talk)
    body = b'{\n  "message":"No",\n  "request_id":"<id>"\n}'
    await talk(
        client.sends(handshake(LEGACY)),
        client.receives(
            b"HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json; charset=utf-8\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body) + 28, body)
        ),
        talk.logged("GET /graphql 401"),
    )


@pytest.mark.parametrize(
    ("key", "code", "reason"),
    [
        ("401", 4401, "Unauthorized"),
        ("403", 4403, "Forbidden"),
        ("429", 1013, "Too many requests"),
        ("500", 4500, "Internal server error"),
    ],
)
async def test_a_refusal_is_told_by_a_close_code(talk, key, code, reason):
    """One that graphql-ws takes for the end where another try is of no use; nothing reaches the backend."""
    client = await guarded(talk, **KEY)
    await talk(
        client.sends(handshake()),
        client.receives(agreed()),
        client.sends(up(init(apikey=key))),
        client.receives(closing(code, reason)),
        client.sends(closing(code, masked=True)),
        client.is_closed(),
        talk.logged(f"GET /graphql 101 graphql: connection_init is answered with {key}"),
    )
    assert talk.dialled == []


async def test_clients_of_the_older_protocol_are_told_by_a_message_too(talk):
    """Which is how its servers refuse."""
    client = await guarded(talk, **KEY)
    await talk(
        client.sends(handshake(LEGACY)),
        client.receives(agreed(LEGACY)),
        client.sends(up(INIT)),
        client.receives(
            said({"type": "connection_error", "payload": {"message": "Unauthorized"}}),
            closing(4401, "Unauthorized"),
        ),
        client.sends(closing(4401, masked=True)),
        client.is_closed(),
    )


async def test_a_credential_has_to_be_one(talk):
    """What could not stand in a header line goes nowhere."""
    client = await guarded(talk, **KEY)
    await talk(
        client.sends(handshake()),
        client.receives(agreed()),
        client.sends(up(init(apikey="ann\r\nX-Consumer-Id: root"))),
        client.receives(closing(4400, "Credentials must be texts that a header may hold")),
        client.sends(closing(4400, masked=True)),
        client.is_closed(),
        talk.logged("GET /graphql 101 graphql: Credentials must be texts that a header may hold"),
    )


async def test_a_client_that_says_nothing_is_closed(talk):
    """In time, and without any phase having run."""
    client = await guarded(talk, **KEY)
    await talk(
        client.sends(handshake()),
        client.receives(agreed()),
        talk.passes(3.2),
        client.receives(closing(4408, "Connection initialisation timeout")),
        client.sends(closing(4408, masked=True)),
        client.is_closed(),
        talk.logged("GET /graphql 101"),
    )


@pytest.mark.parametrize("first", [[], [up(init(apikey="waits"))]], ids=["before", "during"])
async def test_a_client_may_leave_during_authentication(talk, first):
    """One line tells of it, and nothing is left."""
    client = await guarded(talk, **KEY)
    await talk(
        client.sends(handshake()),
        client.receives(agreed()),
        *[client.sends(one) for one in first],
        client.resets(),
        talk.logged("GET /graphql 101"),
    )
    assert talk.dialled == []


async def test_a_client_may_close_during_authentication(talk):
    """Its close frame is answered, and no phase goes on."""
    client = await guarded(talk, **KEY)
    await talk(
        client.sends(handshake()),
        client.receives(agreed()),
        client.sends(up(init(apikey="waits"))),
        client.sends(closing(1000, masked=True)),
        client.receives(closing(1000)),
        client.is_closed(),
        talk.logged("GET /graphql 101"),
    )


@pytest.mark.parametrize("kind", ["exp", "key"])
async def test_a_token_or_a_key_that_expires_ends_the_connection(talk, kind):
    """With a code behind which clients come back, and bring another one."""
    client = await guarded(talk)
    key = b"apikey: %b:10" % kind.encode()
    steps = opened(talk, client)
    steps[0] = client.sends(handshake(TRANSPORT, key))
    steps[3] = talk.upstream.receives(asked(BOTH, key))
    await talk(
        *steps,
        talk.passes(9.5),
        client.hears_nothing(),
        talk.passes(1),
        client.receives(closing(4403, "Forbidden: the credentials have expired")),
        talk.upstream.receives(closing(1000, masked=True)),
        client.sends(closing(4403, masked=True)),
        client.is_closed(),
    )


async def test_operations_of_a_consumer_are_limited_over_all_its_connections(talk):
    """Another one's are not; what has ended does not count."""
    first = await guarded(talk, max_per_consumer=1)
    second = talk.client()
    refused = {
        "message": "No more than 1 operations of one consumer may be under way",
        "extensions": {"code": "TOO_MANY_OPERATIONS", "limit": 1},
    }
    for number, client in enumerate((first, second)):
        upstream = talk.upstream[number]
        await talk(
            client.sends(handshake(TRANSPORT, b"apikey: ann")),
            client.receives(agreed()),
            client.sends(up(INIT)),
            upstream.receives(asked(BOTH, b"apikey: ann")),
            upstream.sends(agreed()),
            upstream.receives(up(INIT)),
            upstream.sends(said(ACK)),
            client.receives(said(ACK)),
        )
    await talk(
        first.sends(up(subscribe("a"))),
        talk.upstream.receives(up(subscribe("1"))),
        second.sends(up(subscribe("b"))),
        second.receives(said({"id": "b", "type": "error", "payload": [refused]})),
        first.resets(),
        talk.upstream.receives(closing(1000, masked=True)),
        second.sends(up(subscribe("b"))),
        talk.upstream[1].receives(up(subscribe("1"))),
        second.resets(),
        talk.upstream[1].receives(closing(1000, masked=True)),
    )


def test_paths_are_followed_in_any_case():
    """The last of several paths to one header counts; what is no text is not there."""
    headers = Headers.of([(b"Authorization", b"old")])
    credentials = Credentials({"authorization": "Authorization", "a.b": "X-B", "n": "X-N"})
    assert credentials.put({"Authorization": " Bearer t ", "A": {"B": "1"}, "n": 5}, headers)
    assert [headers.get(name) for name in (b"authorization", b"x-b", b"x-n")] == [b"Bearer t", b"1", None]
    assert credentials.put(None, headers)


def test_a_credential_stands_in_a_payload_once():
    """Not once more in other capitals: the backend is told both, and might take the other."""
    headers = Headers.of([(b"Authorization", b"old")])
    credentials = Credentials({"headers.authorization": "Authorization"})
    assert not credentials.put({"headers": {"authorization": "a", "Authorization": "b"}}, headers)
    assert not credentials.put({"headers": {"authorization": "a"}, "Headers": {}}, headers)
    assert headers.get(b"authorization") == b"old"


@pytest.mark.parametrize(
    "header", ["Host", "X-Consumer-ID", "x_consumer_id", "Sec-WebSocket-Key", "Cookie\n"]
)
def test_headers_that_are_the_gateways_are_no_credentials(header):
    """A payload cannot name a client to the backend, nor another host."""
    text = (
        '{"_format_version": "3.0", "plugins": [{"name": "graphql", "config": {"subscriptions":'
        f' {{"credentials": {{"a": "{header.encode("unicode_escape").decode()}"}}}}}}}}]}}'
    )
    with pytest.raises(Exception, match=r"header|name") as refused:
        load_text(text, env={}, plugins={"graphql": BY_NAME["graphql"].Config}, overrides={})
    assert "credentials" in str(refused.value)
