"""WebSockets of GraphQL whose ends do what nobody expects, at moments when nobody expects it."""

from __future__ import annotations

import asyncio
import gc

import pytest
from conversation import Step
from graphql_wire import (
    ACK,
    INIT,
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

from proxyd.graphql.examiner import Examiner
from proxyd.graphql.request import Asked
from proxyd.graphql.subscriptions.sources import Sources
from proxyd.plugin import Config, Plugin

__all__ = ["zeros"]

DEEP = b"[" * 300 + b"]" * 300
EARLY = {"credentials": {"apikey": "apikey"}}
PING, PONG = frame(b"", 9), frame(b"", 10)


class Nothing(Config):
    """There is nothing to configure."""


class Slow(Plugin[Nothing]):
    """Never finds out who asks."""

    name = "slow"
    priority = 1000

    async def access(self, _exchange):
        await asyncio.Event().wait()


@pytest.mark.parametrize(
    "message",
    [
        b'{"id":"a","type":"subscribe","payload":{"query":"{ a }","extensions":{"a":%b}}}' % DEEP,
        b'{"type":"ping","payload":{"a":%b}}' % DEEP,
    ],
)
async def test_what_cannot_be_passed_on_is_the_clients_fault(talk, message, capsys):
    """A payload that is nested too deeply ends its connection, and no fault of the gateway's is logged."""
    client = await talk.start(graphql())
    await talk(
        *opened(talk, client),
        client.sends(up(message)),
        client.receives(closing(4400, "payload is nested too deeply")),
        talk.upstream.receives(closing(1000, masked=True)),
        client.resets(),
    )
    assert "a subscription failed" not in capsys.readouterr().err


async def test_the_first_message_is_held_to_the_same_depth(talk):
    """Before any backend is asked."""
    client = await talk.start(graphql())
    await talk(
        client.sends(handshake()),
        client.receives(agreed()),
        client.sends(up(b'{"type":"connection_init","payload":{"a":%b}}' % DEEP)),
        client.receives(closing(4400, "payload is nested too deeply")),
        client.resets(),
    )
    assert talk.dialled == []


async def test_brackets_in_texts_are_no_depth(talk):
    """Many of them pass."""
    client = await talk.start(graphql())
    message = {"id": "a", "type": "subscribe", "payload": {"query": "{ a }", "variables": {"a": "[" * 300}}}
    await talk(
        *opened(talk, client),
        client.sends(up(message)),
        talk.upstream.receives(up({**message, "id": "1"})),
        client.resets(),
        talk.upstream.receives(closing(1000, masked=True)),
    )


async def test_a_backend_that_never_acknowledges_is_given_up(talk):
    """Though it is there and has agreed to the handshake: its client is told to come back, and is not left waiting."""
    client = await talk.start(graphql(ping_interval=20))
    await talk(
        client.sends(handshake()),
        client.receives(agreed()),
        client.sends(up(INIT)),
        talk.upstream.receives(asked()),
        talk.upstream.sends(agreed()),
        talk.upstream.receives(up(INIT)),
        talk.passes(10),
        client.sends(frame(b"", 10, masked=True)),
        talk.upstream.sends(PONG),
        talk.passes(10.2),
        client.receives(closing(1013, "Try again later")),
        client.sends(closing(1013, masked=True)),
        client.is_closed(),
        talk.passes(2.2),
        talk.upstream.is_aborted(),
        talk.logged("GET /graphql 101 graphql: the backend has not acknowledged connection_init in time"),
    )


async def test_a_backend_that_takes_nothing_has_its_pings_unanswered(talk):
    """Answers would be kept for it without an end."""
    client = await talk.start(graphql())
    await talk(
        *opened(talk, client),
        talk.upstream.slows(),
        talk.upstream.sends(PING, said({"type": "ping"})),
        talk.upstream.hears_nothing(),
        talk.upstream.reads(),
        talk.upstream.sends(PING),
        talk.upstream.receives(frame(b"", 10, masked=True)),
        client.resets(),
        talk.upstream.receives(closing(1000, masked=True)),
    )


@pytest.mark.parametrize("begun", [False, True], ids=["before_init", "during_authentication"])
async def test_a_client_that_takes_nothing_before_it_is_known_is_not_read(talk, begun):
    """Answers to its pings would be kept for it without an end."""
    client = await talk.start(graphql([{"name": "slow"}], **EARLY), plugins=[Slow])
    await talk(
        client.sends(handshake()),
        client.receives(agreed()),
        *([client.sends(up({**INIT, "payload": {"apikey": "ann"}}))] if begun else []),
        client.slows(),
        client.is_held(),
        client.reads(),
        client.is_read(),
        client.resets(),
    )


@pytest.mark.parametrize("begun", [False, True], ids=["before_init", "during_authentication"])
async def test_a_client_is_sent_elsewhere_before_it_is_known(talk, begun):
    """As the process is about to end, nothing is begun any more."""
    client = await talk.start(graphql([{"name": "slow"}], **EARLY), plugins=[Slow])
    await talk(
        client.sends(handshake()),
        client.receives(agreed()),
        *([client.sends(up({**INIT, "payload": {"apikey": "ann"}}))] if begun else []),
        Step("the process is about to end", talk.connections.leave),
        client.receives(closing(1001, "Going away")),
        client.sends(closing(1001, masked=True)),
        client.is_closed(),
        talk.logged("GET /graphql 101"),
    )


async def test_a_failure_behind_a_wait_closes(talk, monkeypatch):
    """Whatever happens once a document has been found, its client is not left waiting, and nothing is let pass."""
    client = await talk.start(graphql())
    found = asyncio.get_running_loop().create_future()

    def examine(*_):
        raise RuntimeError("unexpected")

    monkeypatch.setattr(Examiner, "resolve", lambda *_: found)
    monkeypatch.setattr(Examiner, "examine", examine)
    await talk(
        *opened(talk, client),
        client.sends(up(subscribe("a"))),
        Step("the document is found", lambda: found.set_result(None)),
        client.receives(closing(4500, "Internal server error")),
        talk.upstream.receives(closing(1000, masked=True)),
        client.resets(),
    )


async def test_what_comes_behind_the_end_is_nothing(talk):
    """A backend that goes on after the client has gone does no harm."""
    client = await talk.start(graphql())
    await talk(
        *opened(talk, client, TRANSPORT),
        client.sends(up(subscribe("a"))),
        talk.upstream.receives(up(subscribe("1"))),
        client.resets(),
        talk.upstream.receives(closing(1000, masked=True)),
        talk.upstream.sends(said({"id": "1", "type": "next", "payload": {}}), said(ACK), PING),
        talk.passes(2.2),
        talk.upstream.is_aborted(),
        talk.logged("GET /graphql 101"),
    )


async def test_a_websocket_that_begins_as_the_process_ends_is_sent_elsewhere(talk):
    """Though the others have been told before."""
    client = await talk.start(graphql())
    await talk(
        Step("the process is about to end", talk.connections.leave),
        client.sends(handshake()),
        client.receives(agreed(), closing(1001, "Going away")),
        client.sends(closing(1001, masked=True)),
        client.is_closed(),
        talk.logged("GET /graphql 101"),
    )


@pytest.mark.parametrize(
    ("code", "word"),
    [(4500, "Internal server error"), (4403, "Forbidden"), (4999, ""), (1012, "The backend is gone")],
)
async def test_the_backends_reasons_are_masked_as_its_errors_are(talk, code, word):
    """Libraries put the message of an exception there."""
    config = graphql()
    config["services"][0]["plugins"][0]["config"]["errors"] = {"mask": True}
    client = await talk.start(config)
    await talk(
        *opened(talk, client),
        talk.upstream.sends(closing(code, "connect ECONNREFUSED 10.0.0.7:5432")),
        talk.upstream.receives(closing(code, masked=True)),
        talk.upstream.is_ended(),
        client.receives(closing(code, word)),
        client.resets(),
    )


async def test_a_failure_behind_authentication_closes(talk, monkeypatch):
    """Its client is told, and does not just lose the connection."""

    def open_source(*_):
        raise RuntimeError("unexpected")

    monkeypatch.setattr(Sources, "open", open_source)
    client = await talk.start(graphql(**EARLY))
    await talk(
        client.sends(handshake()),
        client.receives(agreed()),
        client.sends(up({**INIT, "payload": {"apikey": "ann"}})),
        client.receives(closing(4500, "Internal server error")),
        client.sends(closing(4500, masked=True)),
        client.is_closed(),
        talk.logged("GET /graphql 101"),
    )


async def test_no_request_is_kept_while_its_results_come(talk):
    """A connection may have many large ones under way."""
    client = await talk.start(graphql())
    large = {"id": "a", "type": "subscribe", "payload": {"query": TICKS, "variables": {"v": "x" * 60_000}}}
    await talk(
        *opened(talk, client),
        client.sends(up(large)),
        talk.upstream.receives(up({**large, "id": "1"})),
    )
    assert [one for one in gc.get_objects() if isinstance(one, Asked) and one.size > 60_000] == []
    await talk(client.resets(), talk.upstream.receives(closing(1000, masked=True)))
