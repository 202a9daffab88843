"""Carriers: plugins that answer out of requests of their own, by a stream, or by a WebSocket that they take."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import pytest
from conversation import GET, OK, UP, error, service

from proxyd.exchange import Reply
from proxyd.http1.headers import Headers
from proxyd.http1.message import RequestHead
from proxyd.plugin import Config, Plugin

BAD = b"An invalid response was received from the upstream server"
BAD_GATEWAY = error(502, b"Bad Gateway", BAD).replace(b"Content-Length", b"X-Filtered: 1\r\nContent-Length")
GONE = "<Pool 10.0.0.1:80 open=0 idle=0>"
IDLE = "<Pool 10.0.0.1:80 open=1 idle=1>"
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
ASKED_UP = b"GET / HTTP/1.1\r\nHost: 10.0.0.1\r\nX-Asked: 1\r\n"
UPGRADED_UP = ASKED_UP + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


class Carrying(Config):
    """How the plugin below carries."""

    how: str
    """The name of a carrier."""
    early: bool = False
    """Whether it takes the client's WebSocket before the access phases."""
    refused: bool = False
    """Whether an access phase then answers."""
    waits: bool = False
    """Whether it waits then, with the WebSocket taken, until the carrier is told to go on."""


class Recorder:
    """A receiver that keeps what it hears; carriers below are made of it."""

    def __init__(self, exchange):
        self.exchange = exchange
        self.heard = []
        self.way = None
        self.call = None

    def meet(self, way):
        assert self.way is None
        self.way = way

    def request(self, method="GET", upgrade=False):
        head = RequestHead(method, "/", "/", "", 1, "h", Headers.of([(b"X-Asked", b"1")]), 0, True)
        head.upgrade = "websocket" if upgrade else ""
        return head

    def ask(self, body=None, method="GET", upgrade=False):
        self.call = self.way.ask(self.request(method, upgrade), body, self)

    def head(self, head):
        self.heard.append(head.status)

    def data(self, data):
        self.heard.append(data)

    def end(self):
        self.heard.append("end")

    def failed(self, reply):
        self.heard.append(("failed", reply.status))

    def writable(self, writable):
        self.heard.append(("writable", writable))

    def refuse(self, reply):
        raise AssertionError

    def gone(self):
        self.heard.append("gone")


class Twice(Recorder):
    """Asks twice, one after the other, and answers with both bodies."""

    def carry(self):
        self.ask()

    def end(self):
        super().end()
        if self.heard.count("end") == 1:
            self.ask(b"{}", "POST")
        else:
            body = b"+".join(one for one in self.heard if isinstance(one, bytes))
            headers = Headers.of([(b"Content-Type", b"text/plain")])
            self.way.reply(Reply(200, body=body, headers=headers))

    def failed(self, reply):
        self.way.reply(reply)

    def gone(self):
        super().gone()
        self.call.cancel()


class Stream(Recorder):
    """Streams what the upstream does, piece by piece."""

    def carry(self):
        self.ask()

    def head(self, head):
        assert self.way.begin(200, Headers.of([(b"Content-Type", b"text/event-stream")]))

    def data(self, data):
        self.way.send(data)

    def end(self):
        self.way.end()

    def failed(self, reply):
        self.way.abort()

    def writable(self, writable):
        if writable:
            self.call.resume()
        else:
            self.call.pause()

    def gone(self):
        super().gone()
        self.call.cancel()


class Socket(Recorder):
    """Takes the client's WebSocket, and opens one of its own to the upstream."""

    client = upstream = None
    curt = False  # whether it goes as soon as the client has said its last

    def take(self):
        self.client = self.way.switch(Headers.of([(b"Sec-WebSocket-Accept", b"a")]), Inward(self))

    def carry(self):
        if self.client is None:
            self.take()
        if self.client is not None:
            self.ask(upgrade=True)

    def switched(self, head, pipe):
        self.upstream = pipe
        return Outward(self)

    def refuse(self, reply):
        self.client.write(b"refused %d" % reply.status)
        self.way.close()

    def end(self):
        super().end()
        self.way.close()

    def failed(self, reply):
        self.client.write(b"failed %d" % reply.status)
        self.way.close()

    def gone(self):
        super().gone()
        if self.call is not None:
            self.call.cancel()


class Inward:
    """Where the client's bytes go."""

    def __init__(self, carrier):
        self.carrier = carrier

    def write(self, data):
        if self.carrier.upstream is None:
            self.carrier.heard.append(data)
        else:
            self.carrier.upstream.write(data.upper())

    def end(self):
        self.carrier.heard.append("client ended")
        if self.carrier.curt:
            self.carrier.way.close()
        if self.carrier.upstream is not None:
            self.carrier.upstream.end()


class Outward:
    """Where the upstream's go."""

    def __init__(self, carrier):
        self.carrier = carrier

    def write(self, data):
        self.carrier.client.write(data.title())

    def end(self):
        self.carrier.heard.append("upstream ended")
        self.carrier.client.end()


class Carries(Plugin[Carrying]):
    """Puts a carrier in."""

    name = "carries"
    priority = 10
    made: ClassVar[list[Recorder]] = []

    def put(self, exchange):
        exchange.carrier = {"twice": Twice, "stream": Stream, "socket": Socket}[self.config.how](exchange)
        self.made.append(exchange.carrier)

    def rewrite(self, exchange):
        if not self.config.early:
            return None
        self.put(exchange)
        return self._wait(exchange)

    async def _wait(self, exchange):
        exchange.carrier.take()
        if self.config.waits:
            exchange.carrier.going_on = asyncio.get_running_loop().create_future()
            await exchange.carrier.going_on

    def access(self, exchange):
        if exchange.carrier is None:
            self.put(exchange)
        return Reply(401) if self.config.refused else None

    def header_filter(self, exchange, status, headers):
        headers.set(b"X-Filtered", b"1")
        if status == 101:
            headers.remove(b"x-filtered")


@pytest.fixture(autouse=True)
def made():
    """Give the carriers that were made."""
    Carries.made.clear()
    return Carries.made


async def carried(talk, how, **config):
    return await talk.start(
        service(plugins=[{"name": "carries", "config": {"how": how, **config}}]), plugins=[Carries]
    )


async def test_an_answer_may_come_of_several_requests(talk, made):
    """Each goes where the client's would; the answer goes through the filters, and one line is logged."""
    client = await carried(talk, "twice")
    await talk(
        client.sends(GET),
        talk.upstream.receives(ASKED_UP + b"\r\n"),
        talk.upstream.sends(OK),
        talk.upstream.receives(ASKED_UP.replace(b"GET", b"POST") + b"Content-Length: 2\r\n\r\n{}"),
        talk.upstream.sends(
            b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n1\r\ny\r\n0\r\n\r\n"
        ),
        client.receives(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Filtered: 1\r\nContent-Length: 6\r\n\r\nhi+hey"
        ),
        talk.logged("GET / 200"),
        talk.pooled(IDLE),
    )
    assert made[0].heard == [200, b"hi", "end", 201, b"hey", "end"]


async def test_a_request_of_a_carrier_fails_as_a_clients_would(talk):
    """The carrier is told what a client would be, and this one tells it."""
    client = await carried(talk, "twice")
    await talk(
        client.sends(GET),
        talk.upstream.receives(ASKED_UP + b"\r\n"),
        talk.upstream.sends(b"nonsense\r\n\r\n"),
        talk.upstream.is_aborted(),
        client.receives(BAD_GATEWAY),
        talk.logged("GET / 502"),
        talk.pooled(GONE),
    )


async def test_a_client_that_goes_takes_the_carriers_request_along(talk, made):
    """Nobody waits for it any more."""
    client = await carried(talk, "twice")
    await talk(
        client.sends(GET),
        talk.upstream.receives(ASKED_UP + b"\r\n"),
        client.resets(),
        talk.upstream.is_aborted(),
        talk.logged("GET / 499 aborted"),
        talk.pooled(GONE),
    )
    assert made[0].heard == ["gone"]


async def test_a_stream_goes_out_as_it_comes(talk):
    """In chunks, at once; the connection serves the next request."""
    client = await carried(talk, "stream")
    await talk(
        client.sends(GET),
        talk.upstream.receives(ASKED_UP + b"\r\n"),
        talk.upstream.sends(b"HTTP/1.1 200 OK\r\n\r\n"),
        client.receives(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Filtered: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
        ),
        talk.upstream.sends(b"one"),
        client.receives(b"3\r\none\r\n"),
        talk.upstream.sends(b"two"),
        client.receives(b"3\r\ntwo\r\n"),
        talk.upstream.closes(),
        client.receives(b"0\r\n\r\n"),
        client.says("<Downstream idle requests=1>"),
        talk.logged("GET / 200"),
    )


async def test_a_stream_to_an_old_client_ends_with_the_connection(talk):
    """HTTP/1.0 knows no chunks."""
    client = await carried(talk, "stream")
    await talk(
        client.sends(b"GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n"),
        talk.upstream.receives(ASKED_UP + b"\r\n"),
        talk.upstream.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none"),
        client.receives(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Filtered: 1\r\nConnection: close\r\n\r\n",
            b"one",
        ),
        client.is_closed(),
        talk.logged("GET / 200"),
    )


async def test_a_stream_that_breaks_is_cut(talk):
    """Its client must not take it for complete."""
    client = await carried(talk, "stream")
    await talk(
        client.sends(GET),
        talk.upstream.receives(ASKED_UP + b"\r\n"),
        talk.upstream.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\none"),
        client.receives(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Filtered: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"3\r\none\r\n",
        ),
        talk.upstream.closes(),
        client.is_aborted(),
        talk.logged("GET / 200 aborted"),
        talk.pooled(GONE),
    )


async def test_a_slow_client_holds_the_upstream_of_a_stream(talk):
    """The carrier passes it on, both ways."""
    client = await carried(talk, "stream")
    await talk(
        client.sends(GET),
        talk.upstream.receives(ASKED_UP + b"\r\n"),
        talk.upstream.sends(b"HTTP/1.1 200 OK\r\n\r\n"),
        client.receives(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Filtered: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
        ),
        client.slows(),
        talk.upstream.is_held(),
        client.reads(),
        talk.upstream.is_read(),
        client.resets(),
        talk.upstream.is_aborted(),
        talk.logged("GET / 200 aborted"),
    )


@pytest.mark.parametrize("early", [False, True], ids=["behind the phases", "before them"])
async def test_a_websocket_may_be_taken(talk, made, early):
    """The carrier stands between two tunnels, and closes both."""
    client = await carried(talk, "socket", early=early)
    await talk(
        client.sends(UPGRADE),
        talk.upstream.receives(UPGRADED_UP),
        client.receives(SWITCH),
        client.sends(b"soon"),
        talk.upstream.sends(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        ),
        client.sends(b"up"),
        talk.upstream.receives(b"UP"),
        talk.upstream.sends(b"down"),
        client.receives(b"Down"),
        client.closes(),
        talk.upstream.is_ended(),
        talk.upstream.closes(),
        client.is_ended(),
        client.is_closed(),
        talk.logged("GET / 101"),
        talk.pooled(GONE),
    )
    assert made[0].heard == [b"soon", "client ended", "upstream ended", "end"]
    assert talk.connections.tunnels == 0


async def test_a_refusal_behind_the_switch_is_told_over_the_websocket(talk):
    """No second HTTP answer is written into it."""
    client = await carried(talk, "socket", early=True, refused=True)
    await talk(
        client.sends(UPGRADE),
        client.receives(SWITCH, b"refused 401"),
        client.is_closed(),
        talk.logged("GET / 101"),
    )
    assert talk.dialled == []


async def test_an_upstream_that_does_not_switch_fails_the_carrier(talk):
    """An answer of another kind is the carrier's to judge; a broken one is a failure."""
    client = await carried(talk, "socket")
    await talk(
        client.sends(UPGRADE),
        talk.upstream.receives(UPGRADED_UP),
        client.receives(SWITCH),
        talk.upstream.sends(b"nonsense\r\n\r\n"),
        talk.upstream.is_aborted(),
        client.receives(b"failed 502"),
        client.is_closed(),
        talk.logged("GET / 101"),
        talk.pooled(GONE),
    )


async def test_a_client_that_leaves_its_websocket_is_told_to_the_carrier(talk, made):
    """And the upstream's tunnel is cut."""
    client = await carried(talk, "socket")
    await talk(
        client.sends(UPGRADE),
        talk.upstream.receives(UPGRADED_UP),
        client.receives(SWITCH),
        talk.upstream.sends(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        ),
        client.resets(),
        talk.upstream.is_aborted(),
        talk.logged("GET / 101"),
        talk.pooled(GONE),
    )
    assert made[0].heard == ["gone"]


async def test_a_client_that_leaves_before_the_phases_are_through_is_told_to_the_carrier(talk, made):
    """Its WebSocket has been taken already; the phases are not gone through any more."""
    client = await carried(talk, "socket", early=True, waits=True)
    await talk(
        client.sends(UPGRADE),
        client.receives(SWITCH),
        client.resets(),
        talk.logged("GET / 101"),
    )
    assert made[0].heard == ["gone"]
    assert made[0].going_on.cancelled()
    assert talk.dialled == []


async def test_a_carrier_may_end_before_the_phases_are_through(talk, made):
    """Whatever they would say then, the exchange is over."""
    client = await carried(talk, "socket", early=True, waits=True, refused=True)
    await talk(client.sends(UPGRADE), client.receives(SWITCH))
    made[0].way.close()
    made[0].going_on.set_result(None)
    await talk(client.is_closed(), talk.logged("GET / 101"))
    assert made[0].heard == []


async def test_a_carrier_may_pause_its_client(talk, made):
    """And it is called at the time that it asks for."""
    client = await carried(talk, "socket")
    await talk(client.sends(UPGRADE), talk.upstream.receives(UPGRADED_UP), client.receives(SWITCH))
    made[0].way.pause()
    made[0].deadline = made[0].slot = 0
    made[0].deadline_passed = lambda: made[0].heard.append("time")
    made[0].way.watch(made[0], made[0].way.now() + 2.0)
    await talk(client.is_held(), client.sends(b"later"), talk.passes(3))
    assert made[0].heard == ["time"]
    made[0].way.resume()
    await talk(client.is_read(), client.resets(), talk.upstream.is_aborted())
    assert made[0].heard == ["time", b"later", "gone"]


async def test_without_a_carrier_nothing_changes(talk):
    """The forwarder takes what no plugin carries."""
    client = await talk.start(plugins=[Carries])
    await talk(client.sends(GET), talk.upstream.receives(UP), talk.upstream.sends(OK), client.receives(OK))


async def test_a_carrier_may_end_with_the_clients_last_word(talk, made):
    """The connection is closed in good order where the tunnel ends while the client's end is being told."""
    client = await carried(talk, "socket")
    await talk(client.sends(UPGRADE), talk.upstream.receives(UPGRADED_UP), client.receives(SWITCH))
    made[0].curt = True
    await talk(client.closes(), client.is_closed(), talk.logged("GET / 101"))
    assert made[0].heard == ["client ended"]
    made[0].call.cancel()
