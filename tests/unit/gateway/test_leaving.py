"""What a plugin carries and has no end of its own: the process's end, and overload control."""

from __future__ import annotations

import pytest
from conversation import GET, Step, error, service

from proxyd import plugin
from proxyd.http1.headers import Headers

BEGUN = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
BROKEN = error(500, b"Internal Server Error", b"An unexpected error occurred")


class Stream:
    """A carrier that notes what it hears."""

    def __init__(self):
        self.heard = []
        self.way = None

    def meet(self, way):
        self.way = way

    def carry(self):
        self.way.begin(200, Headers.of([(b"Content-Type", b"text/plain")]))

    def gone(self):
        self.heard.append("gone")

    def leave(self):
        self.heard.append("leave")
        self.way.end()


STREAMS = []


class Config(plugin.Config):
    """No settings."""


class Carries(plugin.Plugin[Config]):
    """Carries every request by a stream."""

    name = "carries"
    priority = 1

    def access(self, exchange):
        exchange.carrier = Stream()
        STREAMS.append(exchange.carrier)


class Permit:
    """A place that is given back once."""

    def __init__(self):
        self.left_at = []

    def left(self, exchange, now):
        exchange.permit = None
        self.left_at.append(now)


@pytest.fixture
async def client(talk):
    """Give a client whose requests are carried."""
    STREAMS.clear()
    return await talk.start(service(plugins=[{"name": "carries"}]), [Carries])


async def test_the_end_of_the_process_is_told_of(talk, client):
    """A carrier ends what its client begins anew elsewhere, and the connection is closed behind it."""
    await talk(
        client.sends(GET),
        client.receives(BEGUN),
        Step("the process is about to end", talk.connections.leave),
        client.receives(b"0\r\n\r\n"),
        client.is_closed(),
    )
    assert STREAMS[0].heard == ["leave"]


@pytest.mark.parametrize("begun", [False, True])
async def test_a_carrier_that_fails_is_answered_for(talk, client, monkeypatch, begun):
    """By 500, or by the end of the connection where its answer has begun; it is told to let go."""

    def carry(stream):
        if begun:
            stream.way.begin(200, Headers.of([(b"Content-Type", b"text/plain")]))
        raise ValueError

    monkeypatch.setattr(Stream, "carry", carry)
    await talk(
        client.sends(GET),
        *([client.receives(BEGUN), client.is_aborted()] if begun else [client.receives(BROKEN)]),
        talk.logged("GET / 200 aborted" if begun else "GET / 500"),
    )
    assert STREAMS[0].heard == ["gone"]


async def test_a_stream_holds_no_place_of_overload_control(talk, client):
    """It waits for nothing: its place is given back when it begins."""
    permit = Permit()

    class Admits:
        def sheds(self, exchange, sink, snapshot):
            del exchange, sink, snapshot
            return False

        def admit(self, exchange, limit, rank):
            del limit, rank
            exchange.permit = permit

    talk.handler.overload = Admits()
    await talk(client.sends(GET), client.receives(BEGUN))
    assert permit.left_at == [talk.clock.value]
