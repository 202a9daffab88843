"""Phases, where they surprise: who the consumer is turns out late, and plugins answer oddly or will not stop."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import pytest
from conversation import GET, OK, UP, error, service

from proxyd.exchange import Client, Exchange, Reply
from proxyd.gateway import pipeline
from proxyd.http1.headers import Headers
from proxyd.http1.message import RequestHead
from proxyd.model.entities import Consumer
from proxyd.plugin import Config, Plugin, Scope


class NoConfig(Config):
    """Nothing to set."""


class Stamp(Plugin[NoConfig]):
    """Writes its scope on request and answer, and keeps it in the log phase."""

    name = "stamp"
    priority = 2000
    logged: ClassVar[list] = []

    def access(self, exchange):
        exchange.headers.set(b"X-Scope", str(self.scope).encode())

    def header_filter(self, exchange, status, headers):
        headers.set(b"X-Scope", str(self.scope).encode())

    def body_filter(self, exchange, data, last):
        return str(self.scope).encode()

    def log(self, exchange):
        self.logged.append(str(self.scope))


class Identify(Plugin[NoConfig]):
    """Finds out that Alice asks."""

    name = "identify"
    priority = 1000

    def access(self, exchange):
        exchange.consumer = Consumer(id="alice", username="alice")


def exchange():
    head = RequestHead("GET", "/", "/", "", 1, "h", Headers(), 0, keep_alive=True)
    return Exchange(head, Client("192.0.2.1", 1, "http", 80), 0.0)


def plugged(*names):
    return service(plugins=[{"name": name} for name in names])


@pytest.mark.parametrize(
    ("scopes", "seen"),
    [
        ([Scope(consumer="alice"), Scope()], b"global"),
        ([Scope(consumer="alice")], None),
    ],
    ids=["another instance", "none"],
)
def test_the_instance_that_let_a_request_in_sees_its_answer(monkeypatch, scopes, seen):
    """A plugin before authentication runs without a consumer, and is not exchanged for another one halfway."""
    monkeypatch.setattr(Stamp, "logged", [])
    plugins = [Stamp(NoConfig(), str(number), scope) for number, scope in enumerate(scopes)]
    built = pipeline.build([*plugins, Identify(NoConfig(), "id", Scope())], None, None)
    one, headers = exchange(), Headers()
    for phase in built.request:
        phase(one)
    built.header_filter[0](one, 200, headers)
    data = built.body_filter[0](one, b"data", True)
    built.log[0](one)
    assert one.consumer.id == "alice"
    assert (one.headers.get(b"x-scope"), headers.get(b"x-scope")) == (seen, seen)
    assert (data, Stamp.logged) == ((seen, [seen.decode()]) if seen else (b"data", []))


def test_an_answer_before_access_is_seen_by_who_is_known_then():
    """An earlier plugin may answer: the consumer of that moment decides."""
    built = pipeline.build([Stamp(NoConfig(), "1", Scope(consumer="alice"))], None, None)
    one, headers = exchange(), Headers()
    one.consumer = Consumer(id="alice", username="alice")
    built.header_filter[0](one, 401, headers)
    assert headers.get(b"x-scope") == b"consumer"


# --- waiting -------------------------------------------------------------------------------------------------


class Turn(Plugin[NoConfig]):
    """Waits a turn of the loop in both of its phases."""

    name = "turn"
    priority = 10

    def rewrite(self, exchange):
        return self._note(exchange, b"rewrite")

    def access(self, exchange):
        return self._note(exchange, b"access")

    async def _note(self, exchange, phase):
        await asyncio.sleep(0)
        exchange.headers.add(b"X-Phase", phase)


async def test_phases_that_wait_keep_their_order(talk):
    """One after the other, and the request goes up behind the last."""
    client = await talk.start(plugged("turn"), plugins=[Turn])
    await talk(
        client.sends(GET),
        talk.upstream.receives(UP[:-2] + b"X-Phase: rewrite\r\nX-Phase: access\r\n\r\n"),
        talk.upstream.sends(OK),
        client.receives(OK),
        talk.logged("GET / 200"),
    )
    assert repr(talk.tasks) == "<Tasks running=0>"


@pytest.mark.parametrize("ends", ["returns", "replies", "raises"])
async def test_a_phase_that_will_not_be_cancelled_ends_nothing_twice(talk, ends):
    """The client is gone and the exchange recorded: what the plugin makes of its cancellation is of no interest."""

    class Stubborn(Plugin[NoConfig]):
        name = "stubborn"
        priority = 5

        def access(self, exchange):
            return self._wait()

        async def _wait(self):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if ends == "raises":
                    raise ConnectionError("lost") from None
            return Reply(401) if ends == "replies" else None

    client = await talk.start(plugged("stubborn"), plugins=[Stubborn])
    await talk(client.sends(GET), client.closes(), talk.logged("GET / 499 aborted"))
    assert (talk.dialled, repr(talk.tasks)) == ([], "<Tasks running=0>")


@pytest.mark.parametrize("outcome", [True, "yes", 200])
async def test_an_outcome_that_is_none_keeps_the_request_out(talk, outcome):
    """A phase says None, a Reply, or something to wait for; anything else is a fault, and nothing is forwarded."""

    class Odd(Plugin[NoConfig]):
        name = "odd"
        priority = 5

        def access(self, exchange):
            return outcome

    client = await talk.start(plugged("odd"), plugins=[Odd])
    await talk(
        client.sends(GET),
        client.receives(error(500, b"Internal Server Error", b"An unexpected error occurred")),
        talk.logged("GET / 500"),
    )
    assert talk.dialled == []
